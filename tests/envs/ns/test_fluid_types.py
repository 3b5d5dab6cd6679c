"""Parameters of the fluid model."""

import json
from dataclasses import asdict

import pytest

from networld_envs import ns
from tests.helpers.ns import DEFAULT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rings", -1),
        ("rings", 1.5),
        ("bandwidth_hz", 0.0),
        ("packet_bits", (320.0, 6480.0)),
        ("packet_bits", (0.0, 1.0, 1.0)),
        ("load_shares", (0.5, 0.5, 0.5)),
        ("load_shares", "all"),
        ("load_shares", (0.2, 0.3, "0.5")),
        ("deadlines_ms", (10, 0, 2)),
        ("deadlines_ms", (10.0, 10, 2)),
        ("load", -0.1),
        ("load", float("nan")),
        ("demand_sigma", -1.0),
        ("demand_tau", 0.0),
        ("interference", -0.1),
        ("noise", 0.0),
        ("layers", 0),
        ("sub_slots", 0),
        ("slice_weights", (0.0, 0.0, 0.0)),
        ("violation_penalty", -1.0),
        ("ssr_target", 1.5),
        ("se_weight", "a lot"),
        ("hotspots", -1),
        ("hotspots", 1.5),
        ("hotspot_gain", -1.0),
        ("hotspot_width", 0.0),
        ("hotspot_tau", float("inf")),
    ],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises((ValueError, TypeError), match=name) as error:
        ns.Params(**{name: value})
    assert repr(value) in str(error.value)


def test_parameters_survive_json():
    values = json.loads(json.dumps(asdict(DEFAULT)))
    assert isinstance(values["deadlines_ms"], list)
    assert ns.Params(**values) == DEFAULT
