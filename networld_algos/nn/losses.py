"""Means for losses: masked, and over all processes of a data-parallel job."""

from __future__ import annotations

from torch import Tensor

from networld_algos.nn import sharding


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """``sum(values * weights) / sum(weights)``, zero when no weight is positive.

    Of a batch that several processes share, a share of the mean over all of it: the mean of the
    shares is the mean.
    """
    return (values * weights).sum() / sharding.mean_share(weights.sum()).clamp(min=1e-8)


def row_mean(values: Tensor) -> Tensor:
    """Mean of all entries, over all processes in the way of `masked_mean`."""
    if sharding.shard() is None:
        return values.mean()
    return values.sum() / sharding.mean_share(values.new_tensor(float(values.numel())))
