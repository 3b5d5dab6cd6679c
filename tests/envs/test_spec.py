"""What a spec refuses, and the values of the random streams."""

from __future__ import annotations

import pytest

from networld_envs.spec import Stream, TaskSpec


def test_mirrored_columns_must_exist():
    values = dict.fromkeys(("num_agents", "obs_dim", "neighbour_slots"), 2)
    choice = {"action_dim": 1, "action_low": (0.0,), "action_high": (1.0,)}
    with pytest.raises(ValueError, match="mirrored_obs"):
        TaskSpec("t", action_kind="discrete", **values, **choice, mirrored_obs=(2,))
    with pytest.raises(ValueError, match="box"):
        TaskSpec("t", action_kind="discrete", **values, **choice, mirrored_action=(0,))


def test_streams_keep_their_values_for_datasets_and_scores_depend_on_them():
    # Equal values would be an error at import: two uses would draw the same numbers.
    assert {s.name: int(s) for s in Stream} == {
        "BEHAVIOUR": 0xBE4A,
        "ANIMATION": 0xA417,
        "OTHERS": 0x07E5,
    }
