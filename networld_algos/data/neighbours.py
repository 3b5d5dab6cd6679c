"""Gather, sum and average the values of neighbours, given the neighbour table."""

from __future__ import annotations

import torch
from torch import Tensor


def gather_neighbours(values: Tensor, neighbours: Tensor) -> Tensor:
    """Values of each agent's neighbours.

    Args:
        values: ``(..., N, M)``.
        neighbours: ``(..., N, D)`` int64, padded with -1, the same leading axes.

    Returns:
        ``(..., N, D, M)``; padded slots repeat agent 0, and the caller must mask them.
    """
    n, d = neighbours.shape[-2:]
    m = values.shape[-1]
    lead = neighbours.shape[:-2]
    index = neighbours.clamp(min=0).reshape(*lead, n * d, 1).expand(*lead, n * d, m)
    return torch.gather(values, -2, index).reshape(*lead, n, d, m)


DENSE_AGENTS = 256
"""Most agents for which a sum over neighbours is a product with the adjacency matrix. For few
agents that is faster than gathering."""


def sum_over_neighbours(values: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """Sum ``(..., N, M)`` over each agent's neighbours, and their number ``(..., N, 1)``.

    Args:
        values: ``(..., N, M)``.
        neighbours: ``(..., N, D)`` int64, padded with -1, the same leading axes.
    """
    present = (neighbours >= 0).to(values.dtype)
    count = present.sum(-1, keepdim=True)
    if (n := neighbours.shape[-2]) <= DENSE_AGENTS:
        adjacency = values.new_zeros(*neighbours.shape[:-1], n)
        return adjacency.scatter_add_(-1, neighbours.clamp(min=0), present) @ values, count
    return (gather_neighbours(values, neighbours) * present.unsqueeze(-1)).sum(-2), count


def mean_over_neighbours(messages: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """Mean field: the average message over each agent's 1-hop neighbours (Yang et al., 2018).

    Args:
        messages: ``(..., N, M)``.
        neighbours: ``(..., N, D)`` int64, padded with -1, the same leading axes.

    Returns:
        Mean ``(..., N, M)``, zero for an agent without neighbours, and ``(..., N, 1)``, 1.0 where
        there is at least one neighbour.
    """
    near, count = sum_over_neighbours(messages, neighbours)
    return near / count.clamp(min=1.0), (count > 0).to(messages.dtype)
