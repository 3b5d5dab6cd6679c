"""Reflected windows, whose reward counts, weights by advantage, the share of a plan followed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos import make
from networld_algos.data.batch import WindowSampler
from networld_algos.data.returns import credit, credited, credited_episodes
from networld_algos.networld.advantage import MAX_WEIGHT, step_weights
from networld_algos.networld.segments import draw_segments
from networld_algos.nn.layers import gated
from networld_algos.training.train import train
from networld_envs import make_vec
from networld_envs.policies import get_policy
from networld_envs.spec import TaskSpec

SMALL = {"latent": 8, "hidden": 32, "forecast_hidden": 32, "forecast_layers": 1, "dim": 16}


@pytest.mark.parametrize("observation", ["angle", "csi"])
def test_the_beamforming_expert_mirrors_what_is_mirrored(observation):
    vec = make_vec("cbf", 4, observation=observation)
    obs, info = vec.reset(seed=[1, 2, 3, 4])
    simulator, policy = vec.simulator, get_policy("cbf", "expert")
    spec, params = simulator.spec, simulator.params
    signs = np.ones(spec.obs_dim, np.float32)
    signs[list(spec.mirrored_obs)] = -1.0
    flips = np.ones(spec.action_dim, np.float32)
    flips[list(spec.mirrored_action)] = -1.0
    for step in range(3):
        rngs = [np.random.default_rng(k) for k in range(4)]
        assert policy.local is not None
        actions = policy.local(params, obs, info["neighbours"], rngs, step)
        rngs = [np.random.default_rng(k) for k in range(4)]
        mirrored = policy.local(params, obs * signs, info["neighbours"], rngs, step)
        assert np.abs(actions[..., list(spec.mirrored_action)]).max() > 0.1
        np.testing.assert_allclose(mirrored, actions * flips, atol=1e-5)
        obs, _, _, _, info = vec.step(actions)


def test_half_of_the_windows_are_reflected_whole(toy):
    data = toy("box").collect(8)
    spec = replace(data.spec, mirrored_obs=(1, 3), mirrored_action=(0,))
    plain = WindowSampler(data, 3, 64).sample(np.random.default_rng(0))
    sampler = WindowSampler(replace(data, spec=spec), 3, 64)
    batch = sampler.sample(np.random.default_rng(0))
    sign = batch.obs[..., 1] / plain.obs[..., 1]  # (B, T+1, N)
    assert torch.equal(sign.amin((1, 2)), sign.amax((1, 2)))  # one sign for all of a window
    assert 0.3 < (sign[:, 0, 0] < 0).float().mean() < 0.7
    each = sign[:, :1, :, None]
    torch.testing.assert_close(batch.obs[..., [1, 3]], each * plain.obs[..., [1, 3]])
    torch.testing.assert_close(batch.actions[..., :1], each * plain.actions[..., :1])
    assert torch.equal(batch.obs[..., [0, 2, 4]], plain.obs[..., [0, 2, 4]])
    assert torch.equal(batch.actions[..., 1], plain.actions[..., 1])
    assert not np.shares_memory(batch.obs.numpy(), data.obs)


def test_mirrored_columns_must_exist():
    values = dict.fromkeys(("num_agents", "obs_dim", "neighbour_slots"), 2)
    choice = {"action_dim": 1, "action_low": (0.0,), "action_high": (1.0,)}
    with pytest.raises(ValueError, match="mirrored_obs"):
        TaskSpec("t", action_kind="discrete", **values, **choice, mirrored_obs=(2,))
    with pytest.raises(ValueError, match="box"):
        TaskSpec("t", action_kind="discrete", **values, **choice, mirrored_action=(0,))


def test_the_neighbourhood_shares_its_reward(toy):
    data = toy("box").collect(3)
    rewards, table = data.rewards, data.neighbours  # (K, T, N), (K, N, 3): two neighbours each
    near = rewards[0][:, table[0, :, :2]].mean(-1)  # (T, N)
    wanted = (rewards[0] + 2 * near) / 3
    shared = credited_episodes(data, "neighbourhood")
    np.testing.assert_allclose(shared.rewards[0], wanted, rtol=1e-5)
    assert credited_episodes(data, "agent") is data
    sampler = WindowSampler(data, 4, 5)
    batch = sampler.sample(np.random.default_rng(0))
    other = WindowSampler(shared, 4, 5).sample(np.random.default_rng(0))
    mine = credited(batch, "neighbourhood")
    torch.testing.assert_close(mine.rewards, other.rewards, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mine.returns_to_go, other.returns_to_go, rtol=1e-5, atol=1e-5)
    alone = torch.full((1, 2, 3), -1)
    values = torch.randn(1, 4, 2)
    torch.testing.assert_close(credit(values, alone, "neighbourhood"), values)


def test_advantage_weights_prefer_the_experts_actions(toy):
    task = toy("box")
    data = task.collect(24)
    config = {**SMALL, "weighting": "advantage", "planner": "regression", "guidance": "none"}
    algorithm = make("networld", data.spec, config, seed=0)
    algorithm.prepare(data, 400)
    train(algorithm, [data], 400, 0)
    batch = WindowSampler(data, algorithm.window, 64).sample(np.random.default_rng(5))
    generator = torch.Generator().manual_seed(0)
    nets = algorithm.nets.task("toy")
    segments = draw_segments(nets, algorithm.config, batch, generator)
    averaged = algorithm.acting.task("toy")
    weights, loss = step_weights(nets, averaged, segments.transitions, 0.9, 1.0)
    assert weights.shape == batch.rewards[:, 0].shape
    assert torch.isfinite(loss)
    assert weights.max() <= MAX_WEIGHT
    poor = batch.rewards[:, 0] < -0.3  # random actions: the expert's reward is zero
    assert poor.any()
    assert weights[poor].mean() < 0.5 * weights[~poor].mean()
    flat, _ = step_weights(nets, averaged, segments.transitions, 0.9, 0.0)
    assert torch.equal(flat, torch.ones_like(flat))


def test_a_plan_is_followed_as_far_as_asked(toy):
    task = toy("box")
    data = task.collect(8)
    algorithm = make("networld", data.spec, {**SMALL, "guidance": "none"}, seed=0)
    algorithm.prepare(data, 60)
    train(algorithm, [data], 60, 0)
    obs = torch.as_tensor(data.obs[:4, 3])
    table = torch.as_tensor(data.neighbours[:4]).long()

    def act(**decision):
        algorithm.reconfigure(**decision)
        carry = algorithm.initial_carry(4, "toy")
        return algorithm.act(obs, table, carry, torch.Generator().manual_seed(3))[0]

    half, whole, none = (act(deviation=share) for share in (0.5, 1.0, 0.0))
    assert torch.equal(none, act(deviation=0.0, temperature=0.0))  # the forecast draws nothing
    assert not torch.equal(whole, none)
    assert (half - none).abs().mean() < (whole - none).abs().mean()


def test_a_gated_trunk_keeps_its_shape_and_can_multiply():
    torch.manual_seed(0)
    net = torch.nn.Sequential(*gated(2, 32, 2), torch.nn.Linear(32, 1))
    x = 2 * torch.rand(512, 2) - 1
    product = x.prod(-1, keepdim=True)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((net(x) - product) ** 2).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * product.var().item()
