"""What a spec refuses."""

from __future__ import annotations

import pytest

from networld_envs.spec import TaskSpec


def test_mirrored_columns_must_exist():
    values = dict.fromkeys(("num_agents", "obs_dim", "neighbour_slots"), 2)
    choice = {"action_dim": 1, "action_low": (0.0,), "action_high": (1.0,)}
    with pytest.raises(ValueError, match="mirrored_obs"):
        TaskSpec("t", action_kind="discrete", **values, **choice, mirrored_obs=(2,))
    with pytest.raises(ValueError, match="box"):
        TaskSpec("t", action_kind="discrete", **values, **choice, mirrored_action=(0,))
