"""How an algorithm is made, and what is wrong with a config."""

from __future__ import annotations

import pytest

from networld_algos import make, make_config

PLANS = {"planner": "diffusion"}


def test_make_names_what_is_wrong(toy):
    spec = toy("box").spec
    with pytest.raises(ValueError, match="unknown algorithm 'ppo'"):
        make("ppo", spec)
    with pytest.raises(ValueError, match=r"unknown config keys \['hiden'\]"):
        make("bc", spec, {"hiden": 3})
    with pytest.raises(ValueError, match="needs a BCConfig"):
        make("bc", spec, make_config("ma-iql"))
    with pytest.raises(ValueError, match="at least one TaskSpec"):
        make("networld", [])
    with pytest.raises(ValueError, match="learns one task"):
        make("bc", [spec, toy("box", task="other").spec])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("bc", {"hidden": 0}, "BCConfig.hidden .* got 0"),
        ("bc", {"decode": "mean"}, "BCConfig.decode .* got 'mean'"),
        ("bc", {"mean_field": 1}, "True or False, got 1"),
        ("ma-iql", {"expectile": 1.5}, "expectile .* got 1.5"),
        ("ma-iql", {"learning_rate": float("nan")}, "learning_rate .* got nan"),
        ("networld", {"horizon": 5, **PLANS}, "horizon must be a multiple of 2 .* got 5"),
        ("networld", {"dim": 12, **PLANS}, "multiple of 8"),
        ("networld", {"steps": 51, **PLANS}, "steps must be at most train_steps=50, got 51"),
        ("networld", {"temperature": 0.0, "guidance": "select"}, "needs temperature above 0"),
        ("networld", {"action_slot": 0.0, "act_by": "slot"}, "needs action_slot above 0"),
        ("networld", {"solver": "euler"}, "solver .* got 'euler'"),
        ("networld", {"message": "raw"}, "message .* got 'raw'"),
    ],
)
def test_bad_configs_are_named(name, values, message):
    with pytest.raises(ValueError, match=message):
        make_config(name, values)
