"""The mean of a table of seeds and networks, with an error that counts how both vary.

Every seed of a method is scored on the same networks: seeds and networks are crossed, and scores on
one network are not independent. A score is ``mean + seed + network + rest``. The mean of S seeds
and K networks has the variance ``s_seed^2 / S + s_network^2 / K + s_rest^2 / (S K)``. The variance
of the means of seeds, divided by S, estimates the first and the last term, and that of the means of
networks, divided by K, the second and the last. So the last one, from the analysis of variance, is
taken off the second estimate. A bootstrap that draws seeds and networks of the table anew counts it
about three times (Owen, "The pigeonhole bootstrap", 2007).

Each term gets Student's t with its own degrees of freedom, and the squares of both half-widths are
added (the square-and-add limits of Howe, 1974). With two equal terms that is wider than it need be,
and never too narrow, also for the small error probabilities that many comparisons need; with
Satterthwaite's degrees of freedom for the sum, such errors are up to six times as frequent as they
should be with three seeds. Quantiles of a bootstrap are not used: three or five seeds are too few
to draw from. Where seeds vary more than networks do, those of five seeds cover the mean in 88% of
simulations in place of 95% (`tests/results/test_crossed.py` counts both).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One of the terms of a variance of a mean.

    Attributes:
        variance: The term.
        freedom: Degrees of freedom with which it is known.
    """

    variance: float
    freedom: float


@dataclass(frozen=True)
class Estimate:
    """A mean with the parts of its variance.

    Attributes:
        value: The mean.
        of_seeds: The part of the seeds and of the rest; None for a single seed.
        of_networks: The part of the networks; None for a single network.
        seeds: Number of training seeds behind it.
        networks: Number of networks that every seed was scored on.
    """

    value: float
    of_seeds: Part | None
    of_networks: Part | None
    seeds: int
    networks: int

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return sum(part.variance for part in self._parts) ** 0.5

    @property
    def _parts(self) -> list[Part]:
        return [part for part in (self.of_seeds, self.of_networks) if part is not None]

    def limits(self, confidence: float = 0.95) -> tuple[float, float]:
        """The interval; NaN for a single seed on a single network."""
        if not self._parts:
            return np.nan, np.nan
        p = 0.5 + confidence / 2
        half = sum(stdtrit(part.freedom, p) ** 2 * part.variance for part in self._parts) ** 0.5
        return self.value - float(half), self.value + float(half)

    @property
    def p_value(self) -> float:
        """Largest error probability at which an interval of `limits` still reaches zero.

        It is found by bisection, to 1e-12; 0 for a mean without error, NaN without one.
        """
        if not self._parts:
            return np.nan
        low, high = 1e-12, 1.0
        for _ in range(60):
            middle = (low * high) ** 0.5
            limits = self.limits(1.0 - middle)
            low, high = (middle, high) if limits[0] <= 0.0 <= limits[1] else (low, middle)
        return 0.0 if high < 1.1e-12 else high


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
    of_seeds, of_networks = _part(table.mean(axis=1)), _part(table.mean(axis=0))
    if of_seeds is not None and of_networks is not None:
        left = max(0.0, of_networks.variance - _rest_variance(table))
        of_networks = Part(left, of_networks.freedom)
    return Estimate(float(table.mean()), of_seeds, of_networks, seeds, networks)


def _rest_variance(table: Floats) -> float:
    """The part of the rest in the variance of the mean of ``(S, K)``, two or more of each."""
    seeds, networks = table.shape
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return float((rest**2).sum()) / ((seeds - 1) * (networks - 1)) / (seeds * networks)


def _part(means: Floats) -> Part | None:
    """Variance of the mean of independent values ``(n,)``."""
    if len(means) == 1:
        return None
    return Part(float(means.var(ddof=1)) / len(means), len(means) - 1)


def share_limits(percent: float, networks: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact limits of a share in percent, from one trial on each network (Clopper and Pearson).

    A share that was 0 on every network has no variance, and would get an interval without width.
    Seeds are no further trials, because a network that makes one seed fail may make all of them
    fail: with no failure on 100 networks, the share may still be 3.6%.
    """
    p = (1.0 - confidence) / 2
    hits = percent / 100.0 * networks
    low = 0.0 if hits == 0 else float(betaincinv(hits, networks - hits + 1, p))
    high = 1.0 if hits == networks else float(betaincinv(hits + 1, networks - hits, 1.0 - p))
    return 100.0 * low, 100.0 * high


def mean_estimate(estimates: Sequence[Estimate], weights: Sequence[float] = ()) -> Estimate:
    """Mean of independent estimates, such as those of several tasks.

    Parts of the same kind are added, with Satterthwaite's degrees of freedom, because adding the
    squares of half-widths would give three tasks with three seeds each an interval that is 1.6
    times too wide. If one task dominates, 95% intervals of three seeds miss in 6% of cases, and
    smaller errors are up to twice as frequent as they should be
    (`networld_algos.results.claims.check` allows for it).

    A part that is not known for a task, because it has one network or one seed, counts as zero
    there. The numbers of seeds and networks are the smallest of all.

    Args:
        estimates: The estimates.
        weights: One positive number for each; equal by default.
    """
    share = np.array(weights or [1.0] * len(estimates))
    share = share / share.sum()
    return Estimate(
        float(np.dot(share, [e.value for e in estimates])),
        _mean_part([e.of_seeds for e in estimates], share),
        _mean_part([e.of_networks for e in estimates], share),
        min(e.seeds for e in estimates),
        min(e.networks for e in estimates),
    )


def _mean_part(parts: Sequence[Part | None], share: Floats) -> Part | None:
    scaled = [
        Part(part.variance * float(w) ** 2, part.freedom)
        for part, w in zip(parts, share, strict=True)
        if part is not None
    ]
    if not scaled:
        return None
    variance = sum(part.variance for part in scaled)
    if variance == 0.0:
        return scaled[0]
    freedom = variance**2 / sum(part.variance**2 / part.freedom for part in scaled)
    return Part(variance, freedom)
