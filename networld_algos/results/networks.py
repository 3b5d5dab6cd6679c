"""Single networks: how much each of them lets anybody earn, and what a mean over them hides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from networld_algos.results.stats import Floats, normalised_score

FAILED_BELOW = 50.0
"""A policy has failed on a network where its `relative_scores` are below this; most likely it fell
silent. On a network where the expert earns little as well, it has not failed."""


def relative(runs: Sequence[ArrayLike], random: ArrayLike, expert: ArrayLike) -> list[Floats]:
    """Values on every network, without what the network does to everybody.

    A normalised score is a ratio, ``(mean S - mean random) / (mean expert - mean random)``. On a
    network where the expert earns little, everybody does, and the ratio stays what it is. A policy
    that earns a share w of the way from random to expert is expected to do so on every network:
    ``(1 - w) random_k + w expert_k``. What differs from it is left, beside the mean. So the spread
    of the result over networks is that of the ratio (to first order, the usual linearisation of a
    ratio of means), and its mean is that of the values.

    Args:
        runs: One entry per seed, its values ``(episodes,)``; rewards or normalised scores.
        random: ``(episodes,)``, the same of the random policy on the same networks.
        expert: ``(episodes,)``, the same of the expert.

    Returns:
        One array per seed; ``runs`` as they are if numbers of episodes differ, because networks
        then are not the same.
    """
    values = [np.asarray(run, dtype=np.float64) for run in runs]
    low, high = (np.asarray(x, dtype=np.float64) for x in (random, expert))
    if len({len(x) for x in (*values, low, high)}) > 1 or high.mean() == low.mean():
        return values
    mean = np.mean([run.mean() for run in values])
    share = (mean - low.mean()) / (high.mean() - low.mean())
    expected = (1.0 - share) * low + share * high
    return [run - (expected - expected.mean()) for run in values]


def relative_scores(returns: Sequence[ArrayLike], random: Floats, expert: Floats) -> list[Floats]:
    """Normalised scores of `relative` rewards: their mean is the score, their spread is its own.

    Args:
        returns: One entry per seed, rewards ``(episodes,)``.
        random: ``(episodes,)``, rewards of the random policy on the same networks.
        expert: ``(episodes,)``, rewards of the expert.

    Raises:
        ValueError: If the expert is not better than the random policy.
    """
    ends = float(random.mean()), float(expert.mean())
    return [normalised_score(run, *ends) for run in relative(returns, random, expert)]


def median_score(runs: Sequence[ArrayLike]) -> float:
    """Median of all scores, each entry those of one seed ``(episodes,)``.

    A few networks on which a policy fails move the mean and not the median.
    """
    return float(np.median(_pooled(runs)))


def failed_share(runs: Sequence[ArrayLike]) -> float:
    """Share in [0, 1] of the networks of all seeds with a score below `FAILED_BELOW`."""
    return float(np.mean(_pooled(runs) < FAILED_BELOW))


def _pooled(runs: Sequence[ArrayLike]) -> np.ndarray:
    return np.concatenate([np.asarray(run, dtype=np.float64) for run in runs])
