"""Gymnasium's own vectorisation and PettingZoo's conversions, which need no extra."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics
from pettingzoo.utils import parallel_to_aec

import networld_envs

with warnings.catch_warnings():
    # PettingZoo's test kit imports its own environments the old way.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test

each_task = pytest.mark.parametrize("task", tuple(networld_envs.TASKS))


@each_task
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasiums_vectors_equal_the_batch(task, mode):
    name = networld_envs.gymnasium_id(task)
    theirs = gym.make_vec(name, num_envs=2, vectorization_mode=mode, max_cycles=3)
    ours = gym.make_vec(name, num_envs=2, max_cycles=3)  # our own vector_entry_point
    ours.action_space.seed(0)
    np.testing.assert_array_equal(theirs.reset(seed=5)[0], ours.reset(seed=5)[0])
    for _ in range(5):  # past the end of an episode: both reset on the next step
        actions = ours.action_space.sample()
        a, b = theirs.step(actions), ours.step(actions)
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_allclose(a[1], b[1], rtol=1e-6)
        np.testing.assert_array_equal(a[3], b[3])
        if mode == "sync":
            np.testing.assert_array_equal(a[4]["neighbours"], b[4]["neighbours"])
    theirs.close()


@each_task
def test_gymnasiums_vector_wrappers(task):
    envs = RecordEpisodeStatistics(
        NormalizeObservation(networld_envs.make_vec(task, 4, max_cycles=3))
    )
    envs.action_space.seed(0)
    envs.reset(seed=0)
    total = np.zeros(4)
    for _ in range(3):
        observations, rewards, _, _, infos = envs.step(envs.action_space.sample())
        total += rewards
    assert np.isfinite(observations).all()
    assert np.abs(observations).max() < 1e3
    np.testing.assert_allclose(infos["episode"]["r"], total, rtol=1e-5)
    assert (infos["episode"]["l"] == 3).all()


@each_task
def test_conversion_to_turns(task):
    api_test(parallel_to_aec(networld_envs.make(task, max_cycles=4)), num_cycles=100)
    turns = parallel_to_aec(networld_envs.make(task, max_cycles=4))
    own = networld_envs.make(task, max_cycles=4)
    for i, agent in enumerate(own.possible_agents):
        own.action_space(agent).seed(i)
    turns.reset(seed=3)
    seen, _ = own.reset(seed=3)
    while own.agents:
        agents = own.agents
        actions = {a: own.action_space(a).sample() for a in agents}
        for agent in agents:
            assert turns.agent_selection == agent
            np.testing.assert_array_equal(turns.observe(agent), seen[agent])
            turns.step(actions[agent])
        seen, rewards, _, truncated, _ = own.step(actions)
        assert turns.rewards == pytest.approx(rewards)
        assert turns.truncations == truncated
    assert all(turns.truncations.values())
    for _ in agents:
        turns.step(None)
    assert not turns.agents
