"""Statistics of few training seeds: intervals, IQM, bootstrap, profiles.

All functions work on arrays of scores, which `networld_algos.report.summary` makes from rows. A
*stratum* is the array ``(n,)`` of the scores of one method on one task, one value per seed. Strata
may differ in length.

Definitions follow Agarwal et al., "Deep reinforcement learning at the edge of the statistical
precipice", NeurIPS 2021, wherever that paper has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Statistic = Callable[[list[Floats]], Floats]

RESAMPLES = 2000
ENOUGH_SEEDS = 5
"""Number of seeds from which an interval is over seeds alone, see `seed_interval`."""


class Method(StrEnum):
    """How an interval was computed."""

    T = "t over seeds"
    SEEDS = "bootstrap over seeds"
    NETWORKS = "bootstrap over seeds and networks"
    """For two to four seeds that were scored on the same networks, see `seed_interval`."""
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
        """What tables put behind the limits: ``"†"`` for one seed, ``"‡"`` for two to four."""
        return {Method.EPISODES: "†", Method.NETWORKS: "‡"}.get(self.method, "")


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
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, np.nan, np.nan, 1, Method.T)
    t = float(stdtrit(len(x) - 1, 0.5 + confidence / 2))
    half = t * float(x.std(ddof=1)) / len(x) ** 0.5
    return Interval(mean, mean - half, mean + half, len(x), Method.T)


def seed_interval(
    runs: Sequence[ArrayLike], rng: np.random.Generator, confidence: float = 0.95
) -> Interval:
    """Mean over training seeds, with an interval that depends on how many there are.

    * `ENOUGH_SEEDS` or more: Student's t over seeds.
    * Two to four, on the same networks: a bootstrap over seeds and networks, see `network_draws`.
      Student's t would multiply the spread of two seeds by 12.7, and says nothing.
    * One: a bootstrap over its episodes, which says nothing about the spread between seeds, see
      `Interval.is_of_one_seed`.

    Args:
        runs: One entry per seed, the values ``(episodes,)`` of that seed's evaluation. Episode k of
            every seed is on the same network.
        rng: Used only for a bootstrap.
        confidence: Coverage.
    """
    means = [float(vector(run).mean()) for run in runs]
    if has_few_seeds(runs):
        draws = network_draws(_table(runs), rng, RESAMPLES).mean(axis=-1)
        low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
        mean = float(np.mean(means))
        return Interval(mean, float(low), float(high), len(means), Method.NETWORKS)
    if len(means) != 1:
        return t_interval(means, confidence)
    return bootstrap(
        [vector(runs[0])],
        lambda strata: strata[0].mean(axis=-1),
        rng,
        confidence,
        method=Method.EPISODES,
    )


def network_draws(table: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Resampled scores of every seed, when seeds and networks are both drawn anew.

    A score is the grand mean, plus the effect of its seed, plus that of its network, plus a rest.
    Seeds and networks are drawn with replacement, independently, because every seed was scored on
    the same networks (Owen, "The pigeonhole bootstrap", 2007). Effects are scaled by
    ``sqrt(n / (n - 1))``, without which the spread of two seeds would come out at half its
    variance. The rest is part of both effects, so the variance of the mean is slightly too large
    and not too small. With two seeds, the interval still covers the mean less often than it says
    if seeds differ by much more than networks do: nothing but more seeds can mend that.

    Args:
        table: Scores ``(S, K)`` of S seeds on K networks.
        rng: Source of the resamples.
        resamples: Number of resamples ``R``.

    Returns:
        ``(R, S)``, mean scores of the drawn seeds on the drawn networks.
    """
    mean, (seeds, networks) = table.mean(), table.shape
    of_seed, of_network = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    drawn_seeds = of_seed[rng.integers(seeds, size=(resamples, seeds))] * _unbiased(seeds)
    drawn = of_network[rng.integers(networks, size=(resamples, networks))].mean(axis=-1)
    return mean + drawn_seeds + drawn[:, None] * _unbiased(networks)


def _unbiased(count: int) -> float:
    return (count / (count - 1)) ** 0.5 if count > 1 else 1.0


def has_few_seeds(runs: Sequence[ArrayLike]) -> bool:
    """Whether an interval counts networks: two to four seeds, with equally many episodes."""
    return 1 < len(runs) < ENOUGH_SEEDS and len({len(vector(run)) for run in runs}) == 1


def _table(runs: Sequence[ArrayLike]) -> Floats:
    return np.stack([vector(run) for run in runs])


def network_bootstrap(
    tables: Sequence[Sequence[ArrayLike]],
    statistic: Statistic,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """`bootstrap` of the means of seeds. With few seeds, networks are drawn anew as well.

    Args:
        tables: For each task, one entry ``(episodes,)`` per seed.
        statistic: Maps a list of arrays ``(..., seeds)`` to ``(...)``.
        rng: Source of the resamples.
        confidence: Coverage.
        resamples: Number of resamples.
    """
    means = [np.array([vector(run).mean() for run in runs]) for runs in tables]
    if not all(map(has_few_seeds, tables)):
        return bootstrap(means, statistic, rng, confidence, resamples)
    draws = statistic([network_draws(_table(runs), rng, resamples) for runs in tables])
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    count = sum(map(len, means))
    return Interval(float(statistic(means)), float(low), float(high), count, Method.NETWORKS)


def paired_interval(
    x: Sequence[ArrayLike], y: Sequence[ArrayLike], rng: np.random.Generator
) -> Interval:
    """Mean of X minus Y over the seeds of both, with Student's t interval of the differences.

    Verdicts are based on it, so with few seeds it is wide rather than too narrow. With one seed it
    is a bootstrap over episodes, as in `seed_interval`.

    Pairing removes the effect of a seed on both, e.g. through the episodes it selects for training.
    Entries are the values ``(episodes,)`` of one seed. With a single seed, both must have the same
    test episodes.
    """
    pairs = [(vector(a), vector(b)) for a, b in zip(x, y, strict=True)]
    if len(pairs) == 1 and len(pairs[0][0]) == len(pairs[0][1]):
        return seed_interval([pairs[0][0] - pairs[0][1]], rng)
    return t_interval([a.mean() - b.mean() for a, b in pairs])


def interquartile_mean(values: ArrayLike) -> Floats:
    """Mean over the last axis after dropping the lowest and highest quarter.

    ``floor(n / 4)`` values are dropped at each end, as `scipy.stats.trim_mean` does.
    """
    x = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    cut = x.shape[-1] // 4
    return x[..., cut : x.shape[-1] - cut].mean(axis=-1)


def pooled_iqm(strata: list[Floats]) -> Floats:
    """IQM over all runs of all tasks; each stratum is ``(..., n_k)``."""
    return interquartile_mean(np.concatenate(strata, axis=-1))


def task_mean(strata: list[Floats]) -> Floats:
    """Mean over tasks of the mean over seeds; each stratum is ``(..., n_k)``."""
    return np.mean([stratum.mean(axis=-1) for stratum in strata], axis=0)


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


def probability_of_improvement(x: Sequence[ArrayLike], y: Sequence[ArrayLike]) -> float:
    """Probability that a run of X beats a run of Y on a random task; ties count half.

    Mean over tasks of ``mean_ij [1(x_i > y_j) + 1(x_i = y_j) / 2]`` (Mann-Whitney), where X and Y
    have scores ``(n_k,)`` and ``(m_k,)`` on the same tasks.
    """
    return float(_improvement([*map(vector, x), *map(vector, y)]))


def improvement_interval(
    x: Sequence[ArrayLike],
    y: Sequence[ArrayLike],
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 1000,
) -> Interval:
    """`probability_of_improvement` with a stratified bootstrap interval."""
    if len(x) != len(y):
        raise ValueError(f"X and Y must have the same tasks, got {len(x)} and {len(y)}")
    return bootstrap([*x, *y], _improvement, rng, confidence, resamples)


def _improvement(strata: list[Floats]) -> Floats:
    half = len(strata) // 2
    tasks: list[Floats] = []
    for x, y in zip(strata[:half], strata[half:], strict=True):
        difference = x[..., :, None] - y[..., None, :]  # (..., n, m)
        tasks.append((0.5 * (1.0 + np.sign(difference))).mean(axis=(-2, -1)))
    return np.mean(tasks, axis=0)


def performance_profile(strata: Sequence[ArrayLike], thresholds: ArrayLike) -> Floats:
    """Share of runs whose score exceeds each threshold, with equal weight per task.

    Args:
        strata: Scores ``(n_k,)`` of each task.
        thresholds: ``(P,)``.

    Returns:
        ``(P,)`` in [0, 1], non-increasing for increasing thresholds.
    """
    return _profile([vector(x) for x in strata], vector(thresholds))


def profile_band(
    strata: Sequence[ArrayLike],
    thresholds: ArrayLike,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[Floats, Floats]:
    """Pointwise stratified bootstrap band of `performance_profile`: two arrays ``(P,)``."""
    draws = _profile(resample([vector(x) for x in strata], rng, resamples), vector(thresholds))
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return low, high


def _profile(strata: list[Floats], thresholds: Floats) -> Floats:
    return np.mean([(x[..., None, :] > thresholds[:, None]).mean(axis=-1) for x in strata], axis=0)


def paper_score(means: Mapping[Any, Mapping[str, float]]) -> dict[str, float]:
    """Min-max score: 0 for the worst method of a task, 100 for the best, averaged over tasks.

    It depends on which methods are compared, so it is secondary to the normalised score.

    Args:
        means: Task -> method -> average reward.

    Returns:
        Method -> score, for the methods present in every task. NaN where all of them tie.
    """
    if not means:
        return {}
    shared = [m for m in next(iter(means.values())) if all(m in task for task in means.values())]
    if not shared:
        return {}
    table = np.array([[task[m] for m in shared] for task in means.values()])  # (tasks, methods)
    low, high = table.min(axis=1, keepdims=True), table.max(axis=1, keepdims=True)
    span = np.where(high > low, high - low, np.nan)
    return dict(zip(shared, (100.0 * (table - low) / span).mean(axis=0).tolist(), strict=True))


def vector(values: ArrayLike) -> Floats:
    """Values as a vector.

    Raises:
        ValueError: If it is empty or has another shape.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"expected a non-empty vector, got shape {x.shape}")
    return x
