"""Normalised scores of the rows of a suite, picked by what a claim is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from networld_algos.results import stats
from networld_algos.results.networks import FAILED_BELOW, relative_scores
from networld_algos.results.rows import STATION_MS, Row
from networld_algos.results.stats import Floats

Ends = Callable[[Row], tuple[Floats, Floats] | None]
"""Row -> rewards ``(episodes,)`` of (random, expert) beside it; None where they were not scored."""
EVALUATIONS = 10
"""Fewest evaluations of a training that make a curve."""


@dataclass(frozen=True)
class Pick:
    """Which final scores a claim is about.

    Attributes:
        label: Name of the method in the rows.
        experiment: One of `networld_algos.results.rows.EXPERIMENTS`.
        quality: Quality of the training data.
        shares: Lowest and highest share of the data. Of several, the nearest to the middle counts.
        factor: What is varied beside the method; None for nothing.
        level: Value of the factor.
    """

    label: str
    experiment: str = "comparison"
    quality: str = "expert"
    shares: tuple[float, float] = (0.0, 2.0)
    factor: str | None = None
    level: float | None = None


class Scores:
    """Final test scores, reference scores and curves of one suite.

    Args:
        rows: Rows of one suite.
        ends: What normalises a row.
    """

    def __init__(self, rows: Sequence[Row], ends: Ends) -> None:
        self._ends = ends
        self._learned: dict[tuple[str, str, str, str], list[Row]] = {}
        self._references: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            if row.kind == "learned":
                key = (row.task, row.label, row.experiment, quality_of(row))
                self._learned.setdefault(key, []).append(row)
            elif row.eval_seed_set == "test" and row.factor is None:
                self._references.setdefault((row.task, row.algorithm), []).append(row)

    def rows(self, task: str, pick: Pick) -> dict[int, Row]:
        """Seed -> last test row.

        Raises:
            ValueError: If a seed has several of one share, because it is then unclear which one a
                claim is about.
        """
        found: dict[int, Row] = {}
        middle = sum(pick.shares) / 2
        last = [r for r in self._picked(task, pick) if r.is_final]
        for row in sorted(last, key=lambda r: abs(_share(r) - middle)):
            first = found.setdefault(row.seed, row)
            if first is not row and _share(first) == _share(row):
                raise ValueError(
                    f"seed {row.seed} has several final rows for {pick} on {task!r}: give each "
                    "variant its own label"
                )
        return dict(sorted(found.items()))

    def _picked(self, task: str, pick: Pick) -> list[Row]:
        least, most = pick.shares
        return [
            row
            for row in self._learned.get((task, pick.label, pick.experiment, pick.quality), [])
            if (row.factor, row.level) == (pick.factor, pick.level) and least <= _share(row) <= most
        ]

    def scores(self, task: str, pick: Pick) -> dict[int, Floats]:
        """Seed -> normalised scores, see `networld_algos.results.networks.relative_scores`."""
        return _scores(self.rows(task, pick), self._ends)

    def failures(self, task: str, pick: Pick) -> dict[int, Floats]:
        """Seed -> 100 for a network with a score below `FAILED_BELOW`, otherwise 0."""
        return {
            seed: np.where(scores < FAILED_BELOW, 100.0, 0.0)
            for seed, scores in self.scores(task, pick).items()
        }

    def reference(self, task: str, name: str) -> Floats | None:
        """Normalised scores of a reference policy; None if it was not scored."""
        rows = self._references.get((task, name), [])
        return _scores({0: rows[0]}, self._ends).get(0) if len(rows) == 1 else None

    def station_ms(self, task: str, pick: Pick) -> dict[int, Floats]:
        """Seed -> milliseconds of one station's decision, as an array of one value."""
        return {
            seed: np.array([value])
            for seed, row in self.rows(task, pick).items()
            if np.isfinite(value := row.extra.get(STATION_MS, np.nan))
        }

    def roughness(self, task: str, pick: Pick) -> dict[int, Floats]:
        """Seed -> roughness of the second half of its curve, as an array of one value.

        It is the mean distance, in points, of an evaluation from the middle between the one before
        and the one after. A steady rise is smooth. Trainings with fewer evaluations than
        `EVALUATIONS` are left out.
        """
        curves: dict[int, dict[str, dict[int, Floats]]] = {}
        for row in self._picked(task, pick):
            scores = self._plain(row)
            if row.updates and scores is not None:
                of_seed = curves.setdefault(row.seed, {})
                of_seed.setdefault(row.eval_seed_set, {})[row.updates] = scores
        found: dict[int, Floats] = {}
        for seed, by_set in curves.items():
            curve = max(by_set.values(), key=len)
            if len(curve) >= EVALUATIONS:
                means = np.array([curve[updates].mean() for updates in sorted(curve)])
                found[seed] = np.array([roughness(means[len(means) // 2 :])])
        return found

    def _plain(self, row: Row) -> Floats | None:
        both = self._ends(row)
        if both is None:
            return None
        return stats.normalised_score(row.episode_returns, *(float(x.mean()) for x in both))


def _scores(rows: dict[int, Row], ends: Ends) -> dict[int, Floats]:
    if not rows or (both := ends(next(iter(rows.values())))) is None:
        return {}
    found = relative_scores([row.episode_returns for row in rows.values()], *both)
    return dict(zip(rows, found, strict=True))


def _share(row: Row) -> float:
    return 1.0 if row.fraction is None else row.fraction


def roughness(curve: Floats) -> float:
    """Mean distance of the inner values of ``(n,)`` from the middle of their two neighbours."""
    return float(np.abs(curve[1:-1] - (curve[:-2] + curve[2:]) / 2).mean())


def quality_of(row: Row) -> str:
    """Quality of the data of a row: ``"expert"`` for ``"networld/rb/expert-v0"``."""
    return (row.dataset or "").rpartition("/")[2].removesuffix("-v0")
