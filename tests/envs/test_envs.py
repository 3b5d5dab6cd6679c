"""The PettingZoo and Gymnasium views of every task, with their own conformance kits."""

import copy
import importlib
import json
import pickle
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pettingzoo
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import networld_envs
from networld_envs import cbf
from networld_envs.policies import get_policy, policy_actions, task_policies
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.simulator import Simulator, make_params

with warnings.catch_warnings():
    # PettingZoo's test kit imports its own environments the old way.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import (
        api_test,
        max_cycles_test,
        parallel_api_test,
        parallel_seed_test,
        render_test,
        seed_test,
    )

TASKS = tuple(networld_envs.TASKS)
each_task = pytest.mark.parametrize("task", TASKS)


def sample(env):
    return {agent: env.action_space(agent).sample() for agent in env.agents}


@each_task
def test_pettingzoo_kit(task):
    parallel_api_test(networld_envs.make(task), num_cycles=60)
    parallel_seed_test(lambda: networld_envs.make(task), num_cycles=30)
    module = importlib.import_module(f"networld_envs.{task}_v0")
    max_cycles_test(module)
    api_test(module.env(max_cycles=8), num_cycles=200)
    seed_test(lambda: module.env(max_cycles=6), num_cycles=20)


@each_task
def test_render_kit(task, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    module = importlib.import_module(f"networld_envs.{task}_v0")
    render_test(module.env)
    env = networld_envs.make(task, render_mode="rgb_array")
    env.reset(seed=1)
    first = env.render()
    env.step(sample(env))
    second = env.render()
    assert first.shape == (480, 640, 3)
    assert (first != second).any()
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 10


@each_task
def test_rendering_says_what_it_needs(task):
    env = networld_envs.make(task)
    env.reset()
    with pytest.raises(RuntimeError, match="render_mode"):
        env.render()
    with pytest.raises(ValueError, match="render_mode must be one of"):
        networld_envs.make(task, render_mode="ansi")


@each_task
def test_pettingzoo_registry(task):
    parallel = pettingzoo.make("parallel", f"networld/{task}_v0", max_cycles=3)
    assert parallel.max_cycles == 3
    aec = pettingzoo.make("aec", f"networld/{task}_v0")
    assert aec.possible_agents == parallel.possible_agents


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
    with pytest.raises(ValueError, match="as many seeds, got 2"):
        vec.reset(seed=[1, 2], options={"reset_mask": mask})
    with pytest.raises(ValueError, match="no window"):
        networld_envs.make_vec(task, 2, render_mode="human")
    with pytest.raises(ValueError, match="reset_mask"):
        vec.reset(options={"reset_mask": np.ones(2, bool)})


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


@each_task
def test_illegal_actions_name_agent_value_and_space(task):
    env = networld_envs.make(task)
    with pytest.raises(RuntimeError, match="reset"):
        env.step({})
    env.reset(seed=0)
    agent = env.agents[2]
    good = sample(env)
    box = task != "rb"

    def expect(text, **change):
        with pytest.raises(ValueError, match=text):
            env.step({**good, **change})

    expect("unknown agent 'nobody'", nobody=good[agent])
    with pytest.raises(ValueError, match=f"no action for agent '{agent}'"):
        env.step({a: x for a, x in good.items() if a != agent})
    expect(rf"{agent}.*shape \(1, 1\)", **{agent: np.zeros((1, 1), np.float32)})
    expect(f"{agent}.*dtype", **{agent: np.array("x")})
    high = env.action_space(agent).high[0] if box else env.action_space(agent).n - 1
    if box:
        width = env.action_space(agent).shape[0]
        expect(f"{agent}.*nan.*Box", **{agent: np.full(width, np.nan, np.float32)})
        expect(f"{agent}.*column 1.*Box", **{agent: np.eye(width)[1] * 2 * high})
    else:
        expect(f"{agent}.*{high + 1}.*Discrete", **{agent: high + 1})
        expect(f"{agent}.*-1.*Discrete", **{agent: -1})
        with pytest.raises(ValueError, match="integer dtype"):
            env.step(dict.fromkeys(env.agents, 1.0))
    env.step(good)  # nothing was lost


@each_task
def test_unknown_names_list_the_valid_ones(task):
    with pytest.raises(ValueError, match="valid tasks: cbf, rb, ns"):
        networld_envs.make("csma")
    with pytest.raises(ValueError, match="valid presets: default"):
        networld_envs.make(task, preset="huge")
    with pytest.raises(TypeError, match="no parameter 'colour'; valid parameters: "):
        networld_envs.make(task, colour=1)
    with pytest.raises(ValueError, match="valid policies: random"):
        get_policy(task, "best")


@each_task
def test_state_is_fixed_length_and_changes(task):
    env = networld_envs.make(task)
    env.reset(seed=0)
    before = env.state()
    assert env.state_space.contains(before)
    env.step(sample(env))
    assert (env.state() != before).any()
    assert np.isfinite(env.state()).all()


@each_task
def test_every_policy_gives_legal_actions_and_only_genies_see_the_state(task):
    sim = Simulator(task, make_params(task), 3)
    sim.seed(11)
    obs = sim.reset()
    rngs = [np.random.default_rng(i) for i in range(3)]
    roles = {p.role for p in task_policies(task).values()}
    assert {"random", "static", "expert", "genie"} <= roles
    for policy in task_policies(task).values():
        sim.check_actions(policy_actions(policy, sim, obs, rngs, 0))
        assert (policy.privileged is not None) == (policy.role == "genie")


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


@each_task
def test_rollouts_replay_from_seed_and_actions(task):
    played = rollout(task, make_params(task), Behaviour("expert", 0.3), [40, 41], 5)
    env = gym.make(networld_envs.gymnasium_id(task))
    for k, seed in enumerate((40, 41)):
        obs, info = env.reset(seed=seed)
        np.testing.assert_array_equal(obs, played.obs[k, 0])
        np.testing.assert_array_equal(info["neighbours"], played.neighbours[k])
        for t in range(5):
            obs, _, _, _, info = env.step(played.actions[k, t])
            np.testing.assert_array_equal(obs, played.obs[k, t + 1])
            np.testing.assert_array_equal(info["agent_rewards"], played.rewards[k, t])


def test_random_share_replaces_that_share_of_actions():
    params = make_params("rb")
    pure = rollout("rb", params, Behaviour("hard"), range(20), 20).actions
    mixed = rollout("rb", params, Behaviour("hard", 0.25), range(20), 20).actions
    assert (pure == 10).all()
    assert abs((mixed != 10).mean() - 0.25 * 20 / 21) < 0.01


def test_importing_the_environments_loads_no_heavy_library():
    code = (
        "import sys, networld_envs;"
        "print(sorted({'torch', 'matplotlib', 'pygame', 'minari', 'h5py'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_physics_knows_no_environment_api():
    code = (
        "import sys, pkgutil, importlib, types;"
        "import importlib.util as u;"
        "spec = u.find_spec('networld_envs');"
        "package = types.ModuleType('networld_envs');"  # without running its __init__
        "package.__path__ = list(spec.submodule_search_locations);"
        "sys.modules['networld_envs'] = package;"
        "import networld_envs.physics as p;"
        "[importlib.import_module(f'networld_envs.physics.{m.name}')"
        " for m in pkgutil.iter_modules(p.__path__)];"
        "print(sorted({'gymnasium', 'pettingzoo'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


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
