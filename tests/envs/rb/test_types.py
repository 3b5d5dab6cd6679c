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


@pytest.mark.parametrize("topology", ["random", "bounded"])
def test_a_radius_without_conflicts_gives_the_fewest(topology):
    state = rb.reset(rb.Params(topology=topology, conflict_radius=0.0), generators([0]))
    assert (state.conflicts >= 0).sum() / 2 == 6  # a tree and the link that closes an odd cycle


def test_a_degree_that_no_connected_odd_graph_has_is_refused():
    with pytest.raises(ValueError, match=r"max_degree must be an integer in \[3, 5\], got 2"):
        rb.Params(max_degree=2)
    assert rb.Params(max_degree=2, topology="ring").cluster_degree == 2
    assert rb.Params(max_degree=2, num_clusters=5).cluster_degree == 2


@pytest.mark.parametrize(
    "edges", [((0, 6),), ((0, 0),), ((0, 1), (1, 0)), ((0, True),), ((0, 1.5),), "ab", 3, (1, 2)]
)
def test_bad_edges_are_named(edges):
    with pytest.raises(ValueError, match=r"Params\.edges must be pairs of different clusters in"):
        rb.Params(topology="edges", edges=edges)


def test_a_network_too_large_to_simulate_is_refused():
    with pytest.raises(ValueError, match=r"num_clusters=2500, nodes_per_cluster=100, .* entries"):
        rb.Params(num_clusters=2500, nodes_per_cluster=100)
