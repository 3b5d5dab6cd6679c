"""What holds for every task: seeds, batches, copies, the last action in the observation."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

import networld_envs
from networld_envs import cbf
from networld_envs.simulator import Simulator

TASKS = tuple(networld_envs.TASKS)
each_task = pytest.mark.parametrize("task", TASKS)


@each_task
def test_one_environment_is_the_same_alone_in_a_batch_and_in_both_views(task):
    """Bit for bit: the seed of an episode is enough to have it again."""
    seeds, steps = [5, 17, 400, 6], 6
    vec = gym.make_vec(networld_envs.gymnasium_id(task), num_envs=4)
    obs, info = vec.reset(seed=seeds)
    rng = np.random.default_rng(0)
    history = [(obs, None, info["neighbours"])]
    actions = []
    vec.action_space.seed(3)
    for _ in range(steps):
        actions.append(vec.action_space.sample())
        obs, reward, *_, info = vec.step(actions[-1])
        history.append((obs, (reward, info["agent_rewards"]), info["neighbours"]))
    e = int(rng.integers(4))
    joint = gym.make(networld_envs.gymnasium_id(task))
    parallel = networld_envs.make(task)
    joint_obs, joint_info = joint.reset(seed=seeds[e])
    parallel_obs, parallel_info = parallel.reset(seed=seeds[e])
    np.testing.assert_array_equal(history[0][0][e], joint_obs)
    np.testing.assert_array_equal(np.stack(list(parallel_obs.values())), joint_obs)
    for action, (obs, (team, own), table) in zip(actions, history[1:], strict=True):
        joint_obs, joint_reward, *_, joint_info = joint.step(action[e])
        step = dict(zip(parallel.agents, action[e], strict=True))
        parallel_obs, rewards, *_, parallel_info = parallel.step(step)
        np.testing.assert_array_equal(obs[e], joint_obs)
        np.testing.assert_array_equal(np.stack(list(parallel_obs.values())), joint_obs)
        np.testing.assert_array_equal(table[e], joint_info["neighbours"])
        assert team[e] == joint_reward
        np.testing.assert_array_equal(own[e], joint_info["agent_rewards"])
        np.testing.assert_array_equal(own[e], np.float32(list(rewards.values())))
    names = parallel.possible_agents
    table = parallel_info[names[0]]["neighbours"]
    assert parallel.unwrapped.neighbours[names[0]] == [names[j] for j in table if j >= 0]


def spoil(info):
    for value in info.values():
        if isinstance(value, np.ndarray):
            value[...] = 1


@each_task
def test_what_a_caller_does_to_its_arrays_changes_no_trajectory(task):
    vec = networld_envs.make_vec(task, 2)
    joint = gym.make(networld_envs.gymnasium_id(task))
    parallel = networld_envs.make(task)
    plain = networld_envs.make_vec(task, 2)
    plain.action_space.seed(3)
    (obs, info), (_, joint_info) = vec.reset(seed=[5, 6]), joint.reset(seed=5)
    dicts = parallel.reset(seed=5)
    plain.reset(seed=[5, 6])
    for _ in range(3):
        for spoiled in (info, joint_info, dicts[0], *dicts[-1].values(), {"obs": obs}):
            spoil(spoiled)
        actions = plain.action_space.sample()
        expected, *_ = plain.step(actions)
        obs, *_, info = vec.step(actions)
        own, *_, joint_info = joint.step(actions[0])
        dicts = parallel.step(dict(zip(parallel.agents, actions[0], strict=True)))
        np.testing.assert_array_equal(obs, expected)
        np.testing.assert_array_equal(own, expected[0])
        np.testing.assert_array_equal(np.stack(list(dicts[0].values())), expected[0])


@each_task
def test_a_step_of_no_environment_changes_nothing(task):
    """All of a batch may have ended already."""
    simulator = Simulator(task, networld_envs.make_params(task), 2)
    simulator.seed(0)
    before = simulator.reset()
    shape = (2, simulator.spec.num_agents, *simulator.action_space.shape)
    actions = np.zeros(shape, simulator.action_space.dtype)
    step = simulator.step(actions, only=np.zeros(2, np.bool_))
    np.testing.assert_array_equal(step.obs, before)
    assert not step.rewards.any()
    assert not step.truncated.any()


@each_task
def test_different_seeds_differ_and_equal_seeds_agree(task):
    vec = networld_envs.make_vec(task, 3)
    first, _ = vec.reset(seed=[1, 2, 1])
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(first[0], first[2])
    again, _ = vec.reset(seed=1)  # 1, 2, 3
    np.testing.assert_array_equal(again[:2], first[:2])
    later, _ = vec.reset()
    assert (later != again).any()


@each_task
def test_the_observation_shows_the_last_action_where_the_spec_says(task):
    vec = networld_envs.make_vec(task, 2)
    vec.reset(seed=4)
    vec.action_space.seed(5)
    actions = vec.action_space.sample()
    if task == "ns":
        actions = actions / 3  # legal as it is: nothing to scale down
    obs, *_ = vec.step(actions.astype(vec.action_space.dtype))
    columns = vec.simulator.spec.last_action
    shown = obs[..., list(columns)]
    if task == "cbf":
        w = cbf.applied_beamformer(actions)
        expected = np.concatenate([(np.abs(w) ** 2).sum(-1)[..., None], w.real, w.imag], -1)
        np.testing.assert_allclose(shown, expected, rtol=1e-5, atol=1e-6)
    elif task == "rb":
        granted, requested = shown[..., 0], shown[..., 1]
        np.testing.assert_array_equal(requested, actions)
        assert (granted <= requested).all()
    else:
        np.testing.assert_allclose(shown, actions, rtol=1e-6)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("task", networld_envs.TASKS)
def test_a_copy_goes_on_like_the_original(task, copied):
    """In the middle of an episode, for planners that look ahead and for workers."""
    env = networld_envs.make(task)
    env.reset(seed=3)
    spaces = {agent: env.action_space(agent) for agent in env.agents}
    for i, space in enumerate(spaces.values()):
        space.seed(i)
    env.step({agent: space.sample() for agent, space in spaces.items()})
    actions = {agent: space.sample() for agent, space in spaces.items()}
    other = copied(env)
    ours, theirs = env.step(actions), other.step(actions)
    for agent in spaces:
        np.testing.assert_array_equal(ours[0][agent], theirs[0][agent])
        assert ours[1][agent] == theirs[1][agent]


@pytest.mark.parametrize("kind", ["box", "discrete", "ordered"])
def test_a_task_outside_of_the_package_is_like_any_other(toy, kind):
    """Its episodes replay in the batched view, and in PettingZoo's."""
    data = toy(kind).collect(2, length=5)
    vec = networld_envs.make_vec("toy", 2, kind=kind, max_cycles=5)
    alone = networld_envs.make("toy", kind=kind, max_cycles=5)
    obs, info = vec.reset(seed=[0, 1])
    own, _ = alone.reset(seed=1)
    np.testing.assert_array_equal(info["neighbours"], data.neighbours)
    for t in range(5):
        np.testing.assert_array_equal(obs, data.obs[:, t])
        np.testing.assert_array_equal(np.stack(list(own.values())), data.obs[1, t])
        obs, _, _, truncated, info = vec.step(data.actions[:, t])
        own, *_ = alone.step(dict(zip(alone.agents, data.actions[1, t], strict=True)))
        np.testing.assert_array_equal(info["agent_rewards"], data.rewards[:, t])
    assert truncated.all()
    assert alone.agents == []
    assert toy(kind).score("expert") > toy(kind).score("random") + 1.0
