"""Means for losses: masked, and over all processes of a data-parallel job."""

from __future__ import annotations

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
