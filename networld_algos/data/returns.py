"""Returns that agents learn from: whose rewards count, segment returns, and target quantiles.

An agent that learns from its own reward alone learns to take what its neighbours need. If it is
assigned the mean reward of its neighbourhood instead, it learns what is good for all of them. On RB
the difference is large (`docs/tried.md`). Only training uses neighbours' rewards, and they come
from the neighbours that send messages.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.data.neighbours import sum_over_neighbours

ReturnOf = Literal["agent", "neighbourhood"]


def assigned_rewards(values: Tensor, neighbours: Tensor, of: ReturnOf) -> Tensor:
    """Rewards, or sums of rewards, ``(B, T, N)`` that each agent learns from.

    Args:
        values: ``(B, T, N)`` what each agent received.
        neighbours: ``(B, N, D)`` int64, padded with -1.
        of: ``"agent"`` keeps them; ``"neighbourhood"`` averages over the agent and its neighbours.
    """
    if of == "agent":
        return values
    per_agent = values.transpose(1, 2)  # (B, N, T)
    near, count = sum_over_neighbours(per_agent, neighbours)
    return ((per_agent + near) / (1.0 + count)).transpose(1, 2)


def assign_rewards(batch: Batch, of: ReturnOf) -> Batch:
    """A batch with the rewards and returns-to-go that each agent learns from."""
    if of == "agent":
        return batch
    return replace(
        batch,
        rewards=assigned_rewards(batch.rewards, batch.neighbours, of),
        returns_to_go=assigned_rewards(batch.returns_to_go, batch.neighbours, of),
    )


def assign_episode_rewards(episodes: Episodes, of: ReturnOf) -> Episodes:
    """Episodes with the rewards that each agent learns from."""
    if of == "agent":
        return episodes
    rewards = np.empty_like(episodes.rewards)
    for k, table in enumerate(episodes.neighbours):  # one by one, to save memory
        one = torch.as_tensor(episodes.rewards[k])[None]
        rewards[k] = assigned_rewards(one, torch.as_tensor(table).long()[None], of)[0].numpy()
    return replace(episodes, rewards=rewards)


def segment_returns(
    episodes: Episodes, steps: int, discount: float, of: ReturnOf
) -> NDArray[np.float64]:
    """Discounted returns ``(S,)`` of all segments that lie inside their episode, of all agents.

    Args:
        episodes: Episodes of one task.
        steps: Number of transitions in a segment.
        discount: Discount per step.
        of: Whose rewards count.

    Raises:
        ValueError: If every episode is shorter than a segment.
    """
    episodes = assign_episode_rewards(episodes, of)
    powers = discount ** np.arange(steps, dtype=np.float64)
    found = [
        np.lib.stride_tricks.sliding_window_view(rewards[:length], steps, axis=0) @ powers
        for rewards, length in zip(episodes.rewards, episodes.lengths, strict=True)
        if length >= steps
    ]
    if not found:
        raise ValueError(
            f"all episodes are shorter than {steps} steps; use a horizon of at most "
            f"{int(episodes.lengths.max()) + 1}"
        )
    return np.concatenate(found).ravel()


QUANTILES = 21
"""Number of quantiles kept: 0, 0.05 .. 1."""


def quantile_grid(values: ArrayLike) -> Tensor:
    """Quantiles ``(QUANTILES,)`` float32 of ``values``, evenly spaced from 0 to 1."""
    grid = np.quantile(np.asarray(values, np.float64), np.linspace(0.0, 1.0, QUANTILES))
    return torch.from_numpy(grid.astype(np.float32))


def at_quantile(grid: Tensor, share: float) -> Tensor:
    """The quantile ``share`` of ``grid`` ``(QUANTILES, ...)``, interpolated linearly."""
    at = share * (QUANTILES - 1)
    lower = min(int(at), QUANTILES - 2)
    return torch.lerp(grid[lower], grid[lower + 1], at - lower)
