"""PettingZoo's view of every task, with PettingZoo's own conformance kit."""

import importlib
import warnings

import numpy as np
import pettingzoo
import pytest

import networld_envs
from networld_envs.policies import get_policy

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
        with pytest.raises(ValueError, match=r"agent .node_0. must be in Discrete.*float64"):
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
