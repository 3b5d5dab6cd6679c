"""Parameters of the packet model."""

import json
from dataclasses import asdict

import pytest

from networld_envs import ns
from networld_envs.simulator import make_params
from tests.helpers.packets import DEFAULT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rings", -1),
        ("users", (1, 2)),
        ("users", (0, 0, 0)),
        ("users", (1.5, 2, 3)),
        ("radius_m", 0.0),
        ("min_distance_m", 50.0),
        ("layers", 0.0),
        ("slots", 0),
        ("buffer", 0),
        ("noise_dbm_hz", float("nan")),
        ("video_gap_s", (1.0, 2.0, 3.0)),
        ("urllc_bits", ()),
        ("urllc_bits", (0.0,)),
        ("sla_latency_s", (10e-3, 10e-3, 0.5e-3)),
        ("slice_weights", (-1.0, 1.0, 1.0)),
        ("wipe_queues", 1),
    ],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        ns.PacketParams(**{name: value})


def test_unknown_parameters_are_those_of_the_preset():
    with pytest.raises(TypeError, match="no parameter 'load'"):
        make_params("ns", "hua2019", load=0.5)
    with pytest.raises(TypeError, match="no parameter 'mimo'"):
        make_params("ns", mimo=3)


def test_parameters_survive_json():
    values = json.loads(json.dumps(asdict(DEFAULT)))
    assert ns.PacketParams(**values) == DEFAULT
