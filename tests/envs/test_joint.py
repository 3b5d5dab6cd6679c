"""Gymnasium's views of every task, with Gymnasium's own checker."""

import copy
import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import networld_envs

TASKS = tuple(networld_envs.TASKS)
each_task = pytest.mark.parametrize("task", TASKS)


@each_task
def test_gymnasium_checker(task):
    check_env(gym.make(networld_envs.gymnasium_id(task)).unwrapped)


@each_task
def test_env_spec_recovers_in_a_process_that_never_imported_the_package(task):
    env = gym.make(networld_envs.gymnasium_id(task), max_cycles=7)
    text = env.spec.to_json()
    code = (
        "import sys, gymnasium; from gymnasium.envs.registration import EnvSpec;"
        "env = gymnasium.make(EnvSpec.from_json(sys.argv[1])); env.reset(seed=0);"
        "print(env.unwrapped.simulator.max_cycles)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, text], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "7"
    assert json.loads(text)["kwargs"]["task"] == task
    assert EnvSpec.from_json(text).id == networld_envs.gymnasium_id(task)


def lengths(env, seed, steps=130):
    """Rewards of steps from ``seed`` on, and the lengths of the finished episodes."""
    env.reset(seed=seed)
    env.action_space.seed(seed)
    rewards, ends, length = [], [], 0
    for _ in range(steps):
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        rewards.append(reward)
        length += 1
        assert not terminated
        if truncated:
            ends.append(length)
            length = 0
            env.reset()
    return rewards, ends


@pytest.mark.parametrize("cycles", [None, 7, 60])
def test_the_spec_has_the_number_of_steps_and_ends_no_episode_earlier(cycles):
    """Also where it makes another environment, to which Gymnasium adds a time limit."""
    given = {} if cycles is None else {"max_cycles": cycles}
    steps = cycles or 50
    env = gym.make("networld/RB-v0", **given)
    assert env.spec.max_episode_steps == env.unwrapped.spec.max_episode_steps == steps
    direct = networld_envs.joint.JointEnv("rb", **given)
    assert direct.spec is None
    rewards, ends = lengths(direct, 3)
    assert set(ends) == {steps}
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec.max_episode_steps == steps
    for made in (env, again, copy.deepcopy(env)):
        assert lengths(made, 3) == (rewards, ends)
    shorter = gym.make("networld/RB-v0", max_episode_steps=5, **given)
    assert shorter.spec.max_episode_steps == 5
    assert set(lengths(shorter, 3, 20)[1]) == {5}


def test_the_spec_of_a_batch_has_the_number_of_steps():
    for given, steps in (
        ({}, 50),
        ({"max_cycles": 7}, 7),
        ({"max_episode_steps": 9}, 9),
        ({"max_cycles": 4, "max_episode_steps": 9}, 4),
    ):
        vec = gym.make_vec("networld/RB-v0", num_envs=2, **given)
        assert vec.spec.max_episode_steps == steps
        again = gym.make_vec(EnvSpec.from_json(vec.spec.to_json()))
        assert again.spec.max_episode_steps == again.unwrapped.simulator.max_cycles == steps
    assert networld_envs.make_vec("rb", 2).spec is None


@each_task
def test_vector_env_restarts_after_truncation_and_on_request(task):
    vec = networld_envs.make_vec(task, 3, max_cycles=4)
    vec.reset(seed=0)
    vec.action_space.seed(0)
    vec.step(vec.action_space.sample())
    before = vec.simulator.observe()
    mask = np.array([False, True, False])
    obs, _ = vec.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(obs[~mask], before[~mask])
    assert (obs[mask] != before[mask]).any()
    ends = []
    for _ in range(6):
        *_, reward, terminated, truncated, _ = vec.step(vec.action_space.sample())
        assert not terminated.any()
        ends.append(truncated.tolist())
        if len(ends) == 4:
            assert reward[0] == reward[2] == 0.0  # these two restarted instead of stepping
            assert reward[1] != 0.0
    assert ends == [
        [False] * 3,
        [False] * 3,
        [True, False, True],
        [False, True, False],
        [False, False, False],
        [False, False, False],
    ]
    seeded, _ = networld_envs.make_vec(task, 3).reset(seed=9)
    after = vec.simulator.observe()
    obs, _ = vec.reset(seed=9, options={"reset_mask": mask})
    np.testing.assert_array_equal(obs[1], seeded[1])
    np.testing.assert_array_equal(obs[~mask], after[~mask])
    listed, _ = vec.reset(seed=np.array([1, 9, 3]), options={"reset_mask": mask})
    again, _ = networld_envs.make_vec(task, 1).reset(seed=9)
    np.testing.assert_array_equal(listed[1], again[0])
    np.testing.assert_array_equal(listed[~mask], after[~mask])
    with pytest.raises(ValueError, match="seeds, one per environment, got 2"):
        vec.reset(seed=[1, 2], options={"reset_mask": mask})
    with pytest.raises(ValueError, match="no window"):
        networld_envs.make_vec(task, 2, render_mode="human")
    with pytest.raises(ValueError, match="reset_mask"):
        vec.reset(options={"reset_mask": np.ones(2, bool)})


def test_a_batch_whose_arguments_were_refused_can_be_closed():
    """Gymnasium 1.2 does so when it is deleted, and an error there cannot be caught."""
    half_made = networld_envs.JointVectorEnv.__new__(networld_envs.JointVectorEnv)
    with pytest.raises(ValueError, match="num_envs"):
        half_made.__init__("rb", num_envs=0)
    half_made.close()


@each_task
def test_partly_reset_batch_equals_its_members(task):
    """Masked resets and steps must not consume the generators of other environments."""
    vec = networld_envs.make_vec(task, 2, max_cycles=3)
    alone = networld_envs.make_vec(task, 1, max_cycles=3)
    vec.reset(seed=[8, 9])
    obs, _ = alone.reset(seed=[9])
    vec.action_space.seed(1)
    vec.step(vec.action_space.sample())
    vec.reset(options={"reset_mask": np.array([True, False])})
    # Environment 1 took one step; repeat it alone.
    vec.action_space.seed(1)
    alone.step(vec.action_space.sample()[1:])
    for _ in range(5):
        action = vec.action_space.sample()
        both, *_ = vec.step(action)
        obs, *_ = alone.step(action[1:])
        np.testing.assert_array_equal(both[1:], obs)
