"""MA-IQL: what its critic bootstraps from, and that its actor learns the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from networld_algos.data.batch import WindowSampler
from tests.helpers.algorithms import generator, prepared


def likelihood_loss(algorithm, batch):
    """Mean of -log pi(a | x): the actor's loss with zero advantages."""
    x, actions = algorithm.inputs(batch, torch.Generator())[:, 0], batch.actions[:, 0]
    if algorithm.spec.action_kind == "box":
        actions = actions / 2.0  # from [-2, 2]
    zero = torch.zeros(x.shape[:2])
    return algorithm.actor_loss(x, actions, zero, torch.ones_like(zero)).item()


@pytest.mark.parametrize("kind", ["box", "discrete", "ordered"])
def test_likelihood_rises_when_overfitting_one_batch(toy, kind):
    """Weights and targets of its losses move; the likelihood of the data must rise."""
    data = toy(kind).collect(8)
    algorithm = prepared("ma-iql", data, learning_rate=3e-3)
    batch = WindowSampler(data, algorithm.window, algorithm.batch_size).sample(
        np.random.default_rng(0)
    )
    before = likelihood_loss(algorithm, batch)
    for _ in range(80):
        algorithm.update(batch, generator(0))
    assert likelihood_loss(algorithm, batch) < before - 0.1


def test_iql_bootstraps_through_truncation_but_not_termination(toy, monkeypatch):
    data = toy("box").collect(6)
    algorithm = prepared("ma-iql", data)
    batch = WindowSampler(data, 1, 8).sample(np.random.default_rng(0))
    seen = []

    def critic_loss(x, actions, target, weights):
        seen.append(target)
        return (0 * target).sum()

    algorithm.critic_loss = critic_loss
    monkeypatch.setattr("networld_algos.ma_iql.descend", lambda optimizer, loss: None)
    batch.terminated[:], batch.truncated[:] = False, True
    algorithm.update(batch, generator())
    batch.terminated[:] = True
    algorithm.update(batch, generator())
    torch.testing.assert_close(seen[1], algorithm.reward_scale(batch.rewards[:, 0]))
    assert (seen[0] != seen[1]).all()
