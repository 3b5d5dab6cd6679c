"""Copies and pickles of every kind of environment, at every point of its life."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

import networld_envs
from networld_envs import rb_v0
from networld_envs.joint import JointEnv
from networld_envs.one_agent import OneAgentEnv

MAKERS = {
    "parallel": lambda mode: networld_envs.make("rb", render_mode=mode),
    "aec": lambda mode: rb_v0.env(render_mode=mode),
    "joint": lambda mode: JointEnv("rb", render_mode=mode),
    "gymnasium": lambda mode: gym.make("networld/RB-v0", render_mode=mode),
    "batch": lambda mode: networld_envs.make_vec("rb", 2, render_mode=mode),
    "one agent": lambda mode: OneAgentEnv("rb"),
}
WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}


def advance(env):
    """One step with legal actions, the same for equal environments; returns what it shows."""
    if hasattr(env, "agent_selection"):
        env.step(3)
        return env.observe(env.agent_selection)
    if hasattr(env, "possible_agents"):
        return np.stack(list(env.step(dict.fromkeys(env.agents, 3))[0].values()))
    space = env.action_space
    return env.step(3 if not space.shape else np.full(space.shape, 3))[0]


@pytest.mark.parametrize("mode", [None, "rgb_array", "human"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", MAKERS)
def test_copies_at_every_point(kind, way, mode, monkeypatch):
    """Before the first reset, in an episode, drawn, and closed; both go on alike."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    if kind in ("batch", "one agent") and mode == "human":
        pytest.skip("it has no window")
    env = MAKERS[kind](mode)

    def compare():
        twin = WAYS[way](env)
        if kind == "aec":  # its random numbers are in the copy too
            assert twin.agents == env.agents
        ours, theirs = advance(env), advance(twin)
        np.testing.assert_array_equal(ours, theirs)
        twin.close()

    fresh = WAYS[way](env)
    env.reset(seed=3)
    fresh.reset(seed=3)
    np.testing.assert_array_equal(advance(env), advance(fresh))
    compare()
    if mode is not None and kind != "one agent":
        env.render()
        compare()
    env.close()
    WAYS[way](env).close()
    fresh.close()
