"""Losses: means, also over all processes of a data-parallel job, and quantile regression."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from networld_algos.nn import sharding


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """``sum(values * weights) / sum(weights)``, or zero if no weight is positive.

    If several processes share a batch, the result is a share such that the mean of the shares over
    processes is the mean over the whole batch.
    """
    return (values * weights).sum() / sharding.mean_share(weights.sum()).clamp(min=1e-8)


def row_mean(values: Tensor) -> Tensor:
    """Mean of all entries; shared between processes like `masked_mean`."""
    if sharding.shard() is None:
        return values.mean()
    return values.sum() / sharding.mean_share(values.new_tensor(float(values.numel())))


def quantile_shares(count: int) -> Tensor:
    """Shares ``(count,)`` of the quantiles to learn, evenly spaced from 0 to 1.

    Any number below all values is a quantile 0, so the ends are moved inwards to be learnable.
    """
    return torch.linspace(0, 1, count).clamp(0.01, 0.99)


def quantile_loss(errors: Tensor, shares: Tensor) -> Tensor:
    """``max(tau u, (tau - 1) u)`` of errors ``u`` ``(..., Q)`` (Koenker and Bassett, 1978).

    Args:
        errors: Values minus the predicted quantiles.
        shares: ``(Q,)`` share ``tau`` of each quantile.
    """
    return torch.maximum(shares * errors, (shares - 1.0) * errors)


def as_floats(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Losses as numbers, in one transfer from their device."""
    values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
    return dict(zip(losses, values, strict=True))
