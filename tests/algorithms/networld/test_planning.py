"""Weights by advantage, and the share of a plan that is followed."""

from __future__ import annotations

import numpy as np
import torch

from networld_algos import make
from networld_algos.data.batch import WindowSampler
from networld_algos.networld.advantage import MAX_WEIGHT, step_weights
from networld_algos.networld.config import DIFFUSION
from networld_algos.networld.segments import draw_segments
from networld_algos.training.train import train

SMALL = {"latent": 8, "hidden": 32, "layers": 1, "dim": 16}


def test_advantage_weights_prefer_the_experts_actions(toy):
    task = toy("box")
    data = task.collect(24)
    config = {**SMALL, "weighting": "advantage"}
    algorithm = make("networld", data.spec, config, seed=0)
    algorithm.prepare(data, 400)
    train(algorithm, [data], 400, 0)
    batch = WindowSampler(data, algorithm.window, 64).sample(np.random.default_rng(5))
    generator = torch.Generator().manual_seed(0)
    nets = algorithm.nets.task("toy")
    segments = draw_segments(nets, algorithm.config, batch, generator)
    averaged = algorithm.acting.task("toy")
    weights, loss = step_weights(nets, averaged, segments.transitions, 0.9, 1.0)
    rewards = segments.transitions.rewards[:, 0]
    assert weights.shape == rewards.shape
    assert torch.isfinite(loss)
    assert weights.max() <= MAX_WEIGHT
    poor = rewards < -0.3  # random actions: the expert's reward is zero
    assert poor.any()
    assert weights[poor].mean() < 0.6 * weights[~poor].mean()
    flat, _ = step_weights(nets, averaged, segments.transitions, 0.9, 0.0)
    assert torch.equal(flat, torch.ones_like(flat))


def test_a_plan_is_followed_as_far_as_asked(toy):
    task = toy("box")
    data = task.collect(8)
    algorithm = make("networld", data.spec, {**SMALL, **DIFFUSION, "guidance": "none"}, seed=0)
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
