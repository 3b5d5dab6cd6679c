"""The mean of a table of seeds and networks, with an error that counts how both vary.

Every seed of a method is scored on the same networks: seeds and networks are crossed, and scores on
one network are not independent. A score is ``mean + seed + network + rest``. The variance of the
mean is ``s_seed^2 / S + s_network^2 / K``, with the variances of the means of S seeds and of K
networks. The bootstrap that draws both anew has the same variance (Owen, "The pigeonhole
bootstrap", 2007). The rest is in both terms, so the variance is slightly too large and not too
small.

Limits are Student's t with Satterthwaite's degrees of freedom rather than quantiles of a bootstrap.
Three or five seeds are too few to draw from: with five, where seeds vary more than networks do,
quantiles of the bootstrap cover the mean in 88% of simulations in place of 95%
(`tests/results/test_crossed.py` counts both). They also depend on random numbers, and cannot give
the small error probabilities that many comparisons need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error.

    Attributes:
        value: The mean.
        error: Its standard error.
        freedom: Degrees of freedom of the error.
        seeds: Number of training seeds behind it.
        networks: Number of networks that every seed was scored on.
    """

    value: float
    error: float
    freedom: float
    seeds: int
    networks: int

    def limits(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's t interval; without limits (NaN) if there are no degrees of freedom."""
        if self.freedom <= 0.0:
            return np.nan, np.nan
        half = float(stdtrit(self.freedom, 0.5 + confidence / 2)) * self.error
        return self.value - half, self.value + half


def crossed_estimate(table: Floats) -> Estimate:
    """The mean of scores ``(S, K)`` of S seeds on the same K networks.

    With one network, or one value per seed, it is the usual mean of independent seeds. With one
    seed, it is the usual mean over networks, which says nothing about the spread between seeds.

    Raises:
        ValueError: If the table is empty or has another shape.
    """
    if table.ndim != 2 or not table.size:
        raise ValueError(f"expected scores (seeds, networks), got shape {table.shape}")
    seeds, networks = table.shape
    parts = [
        (float(means.var(ddof=1)) / len(means), len(means) - 1)
        for means in (table.mean(axis=1), table.mean(axis=0))
        if len(means) > 1
    ]
    return _combined(float(table.mean()), parts, seeds, networks)


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of independent estimates, such as those of several tasks.

    The numbers of seeds and networks are the smallest of all.
    """
    count = len(estimates)
    parts = [((e.error / count) ** 2, e.freedom) for e in estimates]
    value = float(np.mean([e.value for e in estimates]))
    fewest = min(e.seeds for e in estimates), min(e.networks for e in estimates)
    return _combined(value, parts, *fewest)


def _combined(
    value: float, parts: Sequence[tuple[float, float]], seeds: int, networks: int
) -> Estimate:
    """An estimate whose variance is the sum of parts with their degrees of freedom."""
    variance = sum(part for part, _ in parts)
    least = min((freedom for _, freedom in parts), default=0)
    if variance == 0.0 or least <= 0:
        return Estimate(value, variance**0.5, least, seeds, networks)
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    return Estimate(value, variance**0.5, freedom, seeds, networks)
