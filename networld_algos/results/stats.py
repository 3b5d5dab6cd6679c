"""Statistics of few training seeds: intervals, IQM, bootstrap.

Every seed is scored on the same networks, and intervals count how both vary, see
`networld_algos.results.crossed`. All functions work on arrays of scores, which
`networld_algos.report.summary` makes from rows. A *stratum* is the array ``(n,)`` of the scores of
one method on one task, one value per seed. Strata may differ in length.

Definitions follow Agarwal et al., "Deep reinforcement learning at the edge of the statistical
precipice", NeurIPS 2021, wherever that paper has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from networld_algos.results.crossed import Estimate, Part, crossed_estimate

Floats = NDArray[np.float64]
Statistic = Callable[[list[Floats]], Floats]

RESAMPLES = 2000
ENOUGH_SEEDS = 3
"""Number of seeds from which an interval is Student's t, see `seed_interval`."""
MATTERS = 1.0
"""Smallest difference that matters, in points of the normalised score."""


class Method(StrEnum):
    """How an interval was computed."""

    CROSSED = "t over seeds and networks"
    T = "t over seeds"
    """For seeds that were not scored on equally many networks, and for independent values."""
    SEEDS = "bootstrap over seeds"
    NETWORKS = "bootstrap over seeds and networks"
    """For two seeds, see `seed_interval`, and for statistics of several tasks."""
    EPISODES = "bootstrap over episodes"
    """For a single seed; it says nothing about the spread between seeds."""
    NONE = "none"
    """A value without an interval."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval.

    Attributes:
        value: The estimate.
        low: Lower limit; NaN if a single observation allows none.
        high: Upper limit.
        count: Number of seeds (or episodes) behind it.
        method: How the limits were computed.
    """

    value: float
    low: float
    high: float
    count: int
    method: Method

    @property
    def is_of_one_seed(self) -> bool:
        """Whether it is a bootstrap over the episodes of one seed, and not an interval over seeds.

        Tables and captions mark such intervals, and no verdict is based on them.
        """
        return self.method is Method.EPISODES

    @property
    def seeds(self) -> int:
        """Number of training seeds behind it."""
        return 1 if self.is_of_one_seed else self.count

    @property
    def sign(self) -> str:
        """What tables put behind the limits: ``"†"`` for one seed, ``"‡"`` for two."""
        if self.method is Method.NETWORKS:
            return "‡" if self.count < ENOUGH_SEEDS else ""
        return "†" if self.is_of_one_seed else ""


def normalised_score(returns: ArrayLike, random: float, expert: float) -> Floats:
    """``100 (S - random) / (expert - random)``, elementwise.

    Args:
        returns: Any shape; average rewards ``S``.
        random: Average reward of the random policy.
        expert: Average reward of the expert.

    Raises:
        ValueError: If the expert is not better than the random policy.
    """
    if not expert > random:
        raise ValueError(f"the expert ({expert}) must be better than random ({random})")
    return 100.0 * (np.asarray(returns, dtype=np.float64) - random) / (expert - random)


def t_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of independent values ``(n,)`` with Student's t interval, ``mean +- t s / sqrt(n)``."""
    x = vector(values)
    if len(x) == 1:
        return Interval(float(x[0]), np.nan, np.nan, 1, Method.T)
    return as_interval(crossed_estimate(x[:, None]), confidence)


def as_interval(estimate: Estimate, confidence: float = 0.95) -> Interval:
    """An estimate with its interval, which Student's t gives."""
    method = Method.T if estimate.networks == 1 else Method.CROSSED
    return Interval(estimate.value, *estimate.limits(confidence), estimate.seeds, method)


def seed_interval(
    runs: Sequence[ArrayLike], rng: np.random.Generator, confidence: float = 0.95
) -> Interval:
    """Mean over seeds and networks, with an interval that counts how both vary.

    * Three seeds or more: Student's t, see `networld_algos.results.crossed.crossed_estimate`.
    * Two: a bootstrap over seeds and networks, see `network_draws`. Student's t would multiply the
      spread of two seeds by up to 12.7, and say nothing. The bootstrap is too narrow if seeds
      differ by much more than networks do; `Interval.sign` marks it.
    * One: a bootstrap over its episodes, which says nothing about the spread between seeds, see
      `Interval.is_of_one_seed`.

    Seeds with different numbers of episodes were not scored on the same networks. Their interval is
    Student's t over seeds.

    Args:
        runs: One entry per seed, the values ``(episodes,)`` of that seed's evaluation. Episode k of
            every seed is on the same network.
        rng: Used only for a bootstrap.
        confidence: Coverage.
    """
    data = [vector(run) for run in runs]
    if len(data) == 1:
        return bootstrap(
            data, lambda strata: strata[0].mean(axis=-1), rng, confidence, method=Method.EPISODES
        )
    if not have_same_networks(data):
        return t_interval([run.mean() for run in data], confidence)
    table = np.stack(data)
    if len(data) >= ENOUGH_SEEDS:
        return as_interval(crossed_estimate(table), confidence)
    draws = network_draws(table, rng, RESAMPLES).mean(axis=-1)
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(table.mean()), float(low), float(high), len(data), Method.NETWORKS)


def network_draws(table: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Resampled scores of every seed, when seeds and networks are both drawn anew.

    A score is the grand mean, plus the effect of its seed, plus that of its network, plus a rest.
    Seeds and networks are drawn with replacement, independently, because every seed was scored on
    the same networks (Owen, "The pigeonhole bootstrap", 2007). Effects are scaled to the
    parts of the variance in `networld_algos.results.crossed.crossed_estimate`, so that the variance
    of the mean is the same.

    Args:
        table: Scores ``(S, K)`` of S seeds on K networks.
        rng: Source of the resamples.
        resamples: Number of resamples ``R``.

    Returns:
        ``(R, S)``, mean scores of the drawn seeds on the drawn networks.
    """
    estimate, (seeds, networks) = crossed_estimate(table), table.shape
    of_seed = _scaled(table.mean(axis=1) - estimate.value, estimate.of_seeds)
    of_network = _scaled(table.mean(axis=0) - estimate.value, estimate.of_networks)
    drawn_seeds = of_seed[rng.integers(seeds, size=(resamples, seeds))]
    drawn = of_network[rng.integers(networks, size=(resamples, networks))].mean(axis=-1)
    return estimate.value + drawn_seeds + drawn[:, None]


def _scaled(effects: Floats, part: Part | None) -> Floats:
    """Effects of which as many, drawn with replacement, have a mean of this variance."""
    spread = effects.var() / len(effects)
    return effects if part is None or spread == 0.0 else effects * (part.variance / spread) ** 0.5


def have_same_networks(runs: Sequence[ArrayLike]) -> bool:
    """Whether there are two seeds or more, with equally many episodes."""
    return len(runs) > 1 and len({len(vector(run)) for run in runs}) == 1


def network_bootstrap(
    tables: Sequence[Sequence[ArrayLike]],
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of a statistic of several tasks; seeds and networks of each task are drawn anew.

    Its count is the smallest number of seeds of a task. Where the seeds of a task were not scored
    on the same networks, only seeds are drawn.

    Args:
        tables: For each task, one entry ``(episodes,)`` per seed.
        statistic: Maps a list of arrays ``(..., seeds)`` to ``(...)``.
        rng: Source of the resamples.
        confidence: Coverage.
        resamples: Number of resamples.
    """
    means = [np.array([vector(run).mean() for run in runs]) for runs in tables]
    if not all(map(have_same_networks, tables)):
        return bootstrap(means, statistic, rng, confidence, resamples)
    stacked = [np.stack([vector(run) for run in runs]) for runs in tables]
    draws = statistic([network_draws(table, rng, resamples) for table in stacked])
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    count = min(map(len, means))
    return Interval(float(statistic(means)), float(low), float(high), count, Method.NETWORKS)


def paired_interval(
    x: Sequence[ArrayLike],
    y: Sequence[ArrayLike],
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Interval:
    """Mean of X minus Y, paired by seed and network, with an interval that counts how both vary.

    Verdicts are based on it, so it is Student's t with two seeds already: wide rather than too
    narrow. With one seed it is a bootstrap over episodes, as in `seed_interval`.

    Pairing removes what a seed or a network does to both, e.g. through the episodes that a seed
    selects for training, or through a network where every policy earns little. Entries are the
    values ``(episodes,)`` of one seed, and episode k is on the same network everywhere. If the
    numbers of episodes differ, differences are paired by seed only.
    """
    found = differences(x, y)
    if not have_same_networks(found):
        return seed_interval(found, rng, confidence)
    return as_interval(crossed_estimate(np.stack(found)), confidence)


def differences(x: Sequence[ArrayLike], y: Sequence[ArrayLike]) -> list[Floats]:
    """X minus Y on every network, one entry ``(episodes,)`` per seed.

    If any two numbers of episodes differ, an entry has a single value, the difference of means.
    """
    pairs = [(vector(a), vector(b)) for a, b in zip(x, y, strict=True)]
    if len({len(values) for pair in pairs for values in pair}) == 1:
        return [a - b for a, b in pairs]
    return [np.array([a.mean() - b.mean()]) for a, b in pairs]


def seed_differences(pairs: Mapping[int, tuple[ArrayLike, ArrayLike]]) -> dict[int, Floats]:
    """`differences` by seed: seed -> X minus Y, for seed -> values of X and of Y."""
    both = [x for x, _ in pairs.values()], [y for _, y in pairs.values()]
    return dict(zip(pairs, differences(*both), strict=True))


def bootstrap(
    strata: Sequence[ArrayLike],
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    method: Method = Method.SEEDS,
) -> Interval:
    """Percentile interval of a statistic, resampling within each stratum.

    Args:
        strata: Scores ``(n_k,)`` of each task (and method).
        statistic: Maps a list of arrays ``(..., n_k)`` to ``(...)``, so that all resamples are
            computed at once.
        rng: Source of the resamples.
        confidence: Coverage.
        resamples: Number of resamples.
        method: Recorded in the interval.
    """
    data = [vector(stratum) for stratum in strata]
    value = float(statistic(data))
    count = sum(len(x) for x in data)
    if all(len(x) == 1 for x in data):
        return Interval(value, np.nan, np.nan, count, method)
    draws = statistic(resample(data, rng, resamples))
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(value, float(low), float(high), count, method)


def resample(strata: Sequence[Floats], rng: np.random.Generator, resamples: int) -> list[Floats]:
    """Draw with replacement inside each stratum: ``(n_k,)`` becomes ``(resamples, n_k)``."""
    return [x[rng.integers(len(x), size=(resamples, len(x)))] for x in strata]


def vector(values: ArrayLike) -> Floats:
    """Values as a vector.

    Raises:
        ValueError: If it is empty or has another shape.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"expected a non-empty vector, got shape {x.shape}")
    return x
