"""Options in the views of PettingZoo and Gymnasium."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import networld_envs


@pytest.mark.parametrize(
    "kwargs",
    [
        {"preset": "ge2020"},
        {"observation": "csi", "wrap_around": True, "user_speed_mps": 10.0},
        {"rings": 3, "max_links": 8},
    ],
)
def test_options_work_in_every_view(kwargs):
    """The batch equals its members, single views included; Gymnasium's checker is content."""
    check_env(gym.make("networld/CBF-v0", **kwargs).unwrapped)
    vec = networld_envs.make_vec("cbf", 2, max_cycles=3, **kwargs)
    alone = networld_envs.make("cbf", max_cycles=3, render_mode="rgb_array", **kwargs)
    obs, _ = vec.reset(seed=[4, 5])
    own, _ = alone.reset(seed=5)
    vec.action_space.seed(0)
    for _ in range(3):
        np.testing.assert_array_equal(obs[1], np.stack(list(own.values())))
        actions = vec.action_space.sample()
        obs, *_ = vec.step(actions)
        own, *_ = alone.step(dict(zip(alone.agents, actions[1], strict=True)))
    assert alone.render().shape == (480, 640, 3)
    assert alone.state_space.contains(alone.state())
