"""Weighted importance sampling, decision by decision.

A recorded action has the probability ``pi`` under the policy and ``mu`` in the data. The trajectory
``i`` of an agent has at step ``t`` the weight ``w_it = min(prod_{k <= t} pi_ik / mu_ik, c)``. The
estimate of the discounted average reward is ::

    sum_t gamma^t  ( sum_i w_it r_it / sum_i w_it )  /  sum_t gamma^t

(weighted per-decision importance sampling: Precup, Sutton and Singh, "Eligibility traces for
off-policy policy evaluation", ICML 2000; truncated weights: Ionides, "Truncated importance
sampling", 2008). Each agent is a trajectory of its own; what the other agents did counts as part of
its surroundings, as in the data.

The effective sample size at step ``t`` is ``(sum_i w_it)^2 / sum_i w_it^2`` (Kong, 1992): as many
trajectories of the policy itself would say as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from networld_algos.training.ope.config import OPEConfig

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WeightedSums:
    """Sums over the agents of each episode, from which any sample of episodes gives an estimate.

    Attributes:
        weights: ``(K, T)`` sum of the weights; 0 after the end of an episode.
        squares: ``(K, T)`` sum of the squared weights.
        rewards: ``(K, T)`` sum of weight times reward.
        discounts: ``(T,)`` ``gamma^t``.
        clipped: Share of the weights that were clipped.
    """

    weights: Floats
    squares: Floats
    rewards: Floats
    discounts: Floats
    clipped: float

    def estimate(self, counts: Floats) -> Floats:
        """Discounted average reward ``(R,)`` for samples with ``counts`` ``(R, K)`` of episodes."""
        total = counts @ self.weights  # (R, T)
        share = np.divide(counts @ self.rewards, total, out=np.zeros_like(total), where=total > 0)
        discounts = np.where(total > 0, self.discounts, 0.0)  # no episode is as long
        return (share * discounts).sum(-1) / discounts.sum(-1)

    def effective(self, counts: Floats) -> Floats:
        """Effective sample size ``(R,)`` in trajectories of one agent, averaged like rewards."""
        total, square = counts @ self.weights, counts @ self.squares
        size = np.divide(total**2, square, out=np.zeros_like(total), where=square > 0)
        discounts = np.where(total > 0, self.discounts, 0.0)
        return (size * discounts).sum(-1) / discounts.sum(-1)


def weighted_sums(
    log_ratio: Floats, rewards: NDArray[np.float32], mask: NDArray[np.bool_], config: OPEConfig
) -> WeightedSums:
    """Weights of recorded trajectories.

    Args:
        log_ratio: ``(K, T, N)``, ``log pi - log mu`` of each recorded action.
        rewards: ``(K, T, N)``.
        mask: ``(K, T)``, False where an episode has ended.
        config: Discount and largest weight.
    """
    real = mask[:, :, None]
    total = np.cumsum(np.where(real, log_ratio, 0.0), axis=1)
    limit = np.log(config.max_weight)
    weights = np.where(real, np.exp(np.minimum(total, limit)), 0.0)
    count = max(1, int(mask.sum()) * log_ratio.shape[2])
    return WeightedSums(
        weights=weights.sum(-1),
        squares=(weights**2).sum(-1),
        rewards=(weights * rewards).sum(-1),
        discounts=config.discount ** np.arange(log_ratio.shape[1], dtype=np.float64),
        clipped=float(((total > limit) & real).sum() / count),
    )
