"""Whose reward counts."""

from __future__ import annotations

import numpy as np
import torch

from networld_algos.data.batch import WindowSampler
from networld_algos.data.returns import assign_episode_rewards, assign_rewards, assigned_rewards


def test_the_neighbourhood_shares_its_reward(toy):
    data = toy("box").collect(3)
    rewards, table = data.rewards, data.neighbours  # (K, T, N), (K, N, 3): two neighbours each
    near = rewards[0][:, table[0, :, :2]].mean(-1)  # (T, N)
    wanted = (rewards[0] + 2 * near) / 3
    shared = assign_episode_rewards(data, "neighbourhood")
    np.testing.assert_allclose(shared.rewards[0], wanted, rtol=1e-5)
    assert assign_episode_rewards(data, "agent") is data
    sampler = WindowSampler(data, 4, 5)
    batch = sampler.sample(np.random.default_rng(0))
    other = WindowSampler(shared, 4, 5).sample(np.random.default_rng(0))
    mine = assign_rewards(batch, "neighbourhood")
    torch.testing.assert_close(mine.rewards, other.rewards, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mine.returns_to_go, other.returns_to_go, rtol=1e-5, atol=1e-5)
    alone = torch.full((1, 2, 3), -1)
    values = torch.randn(1, 4, 2)
    torch.testing.assert_close(assigned_rewards(values, alone, "neighbourhood"), values)
