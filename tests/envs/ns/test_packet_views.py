"""The packet model in every view: observation, metrics, policies."""

from dataclasses import replace

import numpy as np
import pytest

import networld_envs
from networld_envs import ns
from networld_envs.policies import best_policy, get_policy, task_policies, usable_policies
from networld_envs.simulator import make_params
from tests.helpers.packets import TIGHT, generators, rollout


@pytest.mark.parametrize("rings", [0, 1])
def test_every_view_has_the_preset(rings):
    kwargs = {"preset": "hua2019", "rings": rings, "slots": 40, "users": (3, 3, 2)}
    vec = networld_envs.make_vec("ns", 3, max_cycles=2, **kwargs)
    obs, _ = vec.reset(seed=[4, 5, 6])
    env = networld_envs.make("ns", max_cycles=2, render_mode="rgb_array", **kwargs)
    first, _ = env.reset(seed=5)
    np.testing.assert_array_equal(np.stack(list(first.values())), obs[1])
    assert env.state_space.contains(env.state())
    assert env.render().shape == (480, 640, 3)
    vec.action_space.seed(0)
    action = vec.action_space.sample()
    obs, _, _, _, info = vec.step(action)
    mine, rewards, *_ = env.step(dict(zip(env.agents, action[1], strict=True)))
    np.testing.assert_array_equal(np.stack(list(mine.values())), obs[1])
    np.testing.assert_array_equal(np.float32(list(rewards.values())), info["agent_rewards"][1])
    assert env.render().shape == (480, 640, 3)
    mask = np.array([True, False, False])
    again, _ = vec.reset(seed=9, options={"reset_mask": mask})
    np.testing.assert_array_equal(again[1:], obs[1:])


def test_usable_policies_act_legally():
    params = make_params("ns", "hua2019", rings=1, slots=30, users=(4, 4, 2))
    names = usable_policies("ns", params)
    assert names == ["random", "demand", "published", "hard", "static"]
    assert best_policy("ns", params) == "static"
    with pytest.raises(ValueError, match=r"'genie' cannot act .* random, demand, published, hard"):
        get_policy("ns", "genie", params)
    state = rollout(params, [0], 1)[0][-1]
    space = ns.action_space(params)
    for name in names:
        obs, table = ns.observe(params, state), ns.neighbours(params, state)
        action = task_policies("ns")[name].local(params, obs, table, generators([0]), 1)
        assert all(space.contains(a) for a in action[0])
    assert set(task_policies("ns")) - set(usable_policies("ns", ns.Params())) == {"published"}


def test_the_observation_counts_bits_and_buffers():
    states, rewards = rollout(TIGHT, [1], 2)
    state, obs = states[-1], ns.observe(TIGHT, states[-1])
    for name, value in {
        "packets": state.packets,
        "bits": state.arrived_bits,
        "packets_before": states[-2].packets,
        "bits_before": states[-2].arrived_bits,
        "allocation_hz": state.allocation_hz,
        "ssr": state.ssr,
        "backlog": state.backlog,
    }.items():
        np.testing.assert_allclose(obs[..., ns.OBSERVATION[name]], value, rtol=1e-6)
    utility = 0.01 * state.spectral_efficiency + state.ssr.sum(axis=-1)
    np.testing.assert_allclose(rewards[-1], utility, rtol=1e-6)
    weighted = replace(TIGHT, slice_weights=(0.0, 0.0, 2.0), se_weight=0.0)
    nothing = np.zeros((1, 7, 3), np.float32)
    np.testing.assert_allclose(ns.reward(weighted, state, nothing, state), 2 * state.ssr[..., 2])


def test_metrics_are_zero_after_reset():
    state = ns.reset(TIGHT, generators([1]))
    assert all((value == 0).all() for value in ns.metrics(TIGHT, state).values())
