"""Parameters out of range are named with their value."""

import pytest

from networld_envs import rb
from tests.helpers.rb import generators


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_clusters", 0),
        ("num_clusters", 2.5),
        ("nodes_per_cluster", True),
        ("channels", -1),
        ("slots", 0),
        ("topology", "star"),
        ("conflict_radius", -0.1),
        ("conflict", 1.1),
        ("conflict", float("nan")),
        ("buffer", 0),
        ("load", -1.0),
        ("load", float("inf")),
        ("weight_sigma", -0.5),
        ("burst_low", -0.2),
        ("burst_flip", 2.0),
        ("initial_backlog", 51),
        ("queue_cost", float("inf")),
        ("drop_cost", "much"),
        ("max_degree", 6),
        ("max_degree", 1),
        ("observation", "all"),
        ("edges", ((0, 1),)),
    ],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises((TypeError, ValueError), match=name) as error:
        rb.Params(**{name: value})
    assert repr(value) in str(error.value)


def test_impossible_topology_says_what_to_change():
    with pytest.raises(ValueError, match="change the radius"):
        rb.reset(rb.Params(conflict_radius=0.0), generators([0]))
