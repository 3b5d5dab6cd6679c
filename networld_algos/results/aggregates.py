"""Statistics over several tasks: means, probability of improvement, min-max score.

Definitions follow Agarwal et al., "Deep reinforcement learning at the edge of the statistical
precipice", NeurIPS 2021, wherever that paper has one. A *stratum* is the array ``(n,)`` of the
scores of one method on one task, one value per seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from networld_algos.results import stats
from networld_algos.results.crossed import crossed_estimate, mean_estimate
from networld_algos.results.stats import ENOUGH_SEEDS, Floats, Interval, Method

Table = tuple[str, Mapping[int, ArrayLike]]
"""Task, and seed -> values ``(episodes,)`` of that seed's evaluation."""


def mean_interval(
    tables: Sequence[Table],
    rng: np.random.Generator,
    paired: bool = False,
    confidence: float = 0.95,
) -> Interval | None:
    """Mean over targets, with an interval that counts how seeds and networks vary.

    Tasks are independent of each other. Targets of one task, such as its deployments, are not:
    their trainings start from the same model, and their networks have the same seeds. So they are
    averaged first, seed by seed and network by network, over the seeds that all of them have. The
    interval is then that of `networld_algos.results.crossed.mean_estimate`, in which every task
    has the seeds it has and counts with its number of targets. With two seeds, it is a bootstrap
    as in `networld_algos.results.stats.seed_interval`.

    Args:
        tables: One for each target.
        rng: Used only for a bootstrap.
        paired: Whether values are differences, whose interval is Student's t with two seeds, too.
        confidence: Coverage.

    Returns:
        The mean, without limits if a task has a single seed; None if targets of a task share none.
    """
    groups: dict[str, list[Mapping[int, ArrayLike]]] = {}
    for task, table in tables:
        groups.setdefault(task, []).append(table)
    if not all(set.intersection(*map(set, group)) for group in groups.values()):
        return None
    weights = [float(len(group)) for group in groups.values()]
    averaged = [_averaged(group) for group in groups.values()]
    fewest = min(map(len, averaged))
    if fewest == 1:
        value = float(np.average([table.mean() for table in averaged], weights=weights))
        return Interval(value, np.nan, np.nan, 1, Method.T)
    if paired or fewest >= ENOUGH_SEEDS:
        both = mean_estimate([crossed_estimate(table) for table in averaged], weights)
        return stats.as_interval(both, confidence)
    runs = [list(table) for table in averaged]
    return stats.network_bootstrap(runs, partial(task_mean, weights=weights), rng, confidence)


def task_mean(strata: list[Floats], weights: Sequence[float] | None = None) -> Floats:
    """Mean over tasks of the mean over seeds; each stratum is ``(..., n_k)``."""
    return np.average([x.mean(axis=-1) for x in strata], axis=0, weights=weights)


def _averaged(tables: Sequence[Mapping[int, ArrayLike]]) -> Floats:
    """Mean ``(S, K)`` over tables; ``(S, 1)`` if their numbers of networks differ."""
    seeds = sorted(set.intersection(*map(set, tables)))
    runs = [[stats.vector(table[seed]) for seed in seeds] for table in tables]
    if len({len(run) for table in runs for run in table}) > 1:
        runs = [[run.mean(keepdims=True) for run in table] for table in runs]
    return np.mean(runs, axis=0)


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


def probability_of_improvement(x: Sequence[ArrayLike], y: Sequence[ArrayLike]) -> float:
    """Probability that a run of X beats a run of Y on a random task; ties count half.

    Mean over tasks of ``mean_ij [1(x_i > y_j) + 1(x_i = y_j) / 2]`` (Mann-Whitney), where X and Y
    have scores ``(n_k,)`` and ``(m_k,)`` on the same tasks.
    """
    return float(_improvement([*map(stats.vector, x), *map(stats.vector, y)]))


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
    return stats.bootstrap([*x, *y], _improvement, rng, confidence, resamples)


def _improvement(strata: list[Floats]) -> Floats:
    half = len(strata) // 2
    tasks: list[Floats] = []
    for x, y in zip(strata[:half], strata[half:], strict=True):
        difference = x[..., :, None] - y[..., None, :]  # (..., n, m)
        tasks.append((0.5 * (1.0 + np.sign(difference))).mean(axis=(-2, -1)))
    return np.mean(tasks, axis=0)


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
