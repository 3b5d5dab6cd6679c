"""What changes a score: ablations against the whole method, and conditions of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from networld_algos import stats
from networld_algos.scoring import Panel, grouped
from networld_algos.stats import Interval
from networld_algos.summary import Final

MEAN: Panel = ("mean over tasks", "")
"""Stands for the average over panels."""


@dataclass(frozen=True)
class AblationChange:
    """One ablation beside the whole method.

    Attributes:
        panel: (task, dataset), or `MEAN`.
        algorithm: Key in ``ALGORITHMS``, which is also the label of the whole method.
        label: Name of the ablation.
        score: Its normalised score.
        base: Normalised score of the whole method, over the same seeds.
        change: ``score - base``, paired by seed.
    """

    panel: Panel
    algorithm: str
    label: str
    score: Interval
    base: Interval
    change: Interval


def ablations(finals: Sequence[Final], rng: np.random.Generator) -> list[AblationChange]:
    """Every ablation on every panel, over the seeds that it shares with the whole method.

    With several panels their mean follows: each seed is averaged over the panels first.
    """
    whole = {(f.panel, f.algorithm): f for f in finals if f.label == f.algorithm}
    out: list[AblationChange] = []
    every = list(dict.fromkeys(f.panel for f in finals))
    for (algorithm, label), group in grouped(finals, lambda f: (f.algorithm, f.label)):
        by_panel: list[dict[int, tuple[float, float]]] = []
        for f in group:
            base = whole.get((f.panel, algorithm))
            if base is None or label == algorithm or f.runs is None or base.runs is None:
                continue
            seeds = [s for s in f.seeds if s in base.seeds]
            if not seeds:
                continue
            mine = [f.runs[f.seeds.index(s)] for s in seeds]
            theirs = [base.runs[base.seeds.index(s)] for s in seeds]
            out.append(
                AblationChange(
                    f.panel,
                    algorithm,
                    label,
                    stats.seed_interval(mine, rng),
                    stats.seed_interval(theirs, rng),
                    stats.paired_interval(mine, theirs, rng),
                )
            )
            pairs = zip(seeds, mine, theirs, strict=True)
            by_panel.append({s: (float(a.mean()), float(b.mean())) for s, a, b in pairs})
        if len(every) > 1 and len(by_panel) == len(every):
            out += _mean_over_panels(algorithm, label, by_panel)
    return out


def _mean_over_panels(
    algorithm: str, label: str, by_panel: Sequence[dict[int, tuple[float, float]]]
) -> list[AblationChange]:
    """The line of `MEAN`, empty where the panels share no seed."""
    seeds = sorted(set.intersection(*(set(p) for p in by_panel)))
    if not seeds:
        return []
    table = np.array([[p[s] for p in by_panel] for s in seeds]).mean(axis=1)  # (seeds, 2)
    mine, theirs = stats.t_interval(table[:, 0]), stats.t_interval(table[:, 1])
    change = stats.t_interval(table[:, 0] - table[:, 1])
    return [AblationChange(MEAN, algorithm, label, mine, theirs, change)]


@dataclass(frozen=True)
class Response:
    """Score of one method against the levels of one factor.

    Attributes:
        panel: (task, dataset).
        factor: What is varied, e.g. ``"message_loss"``.
        algorithm: Key in ``ALGORITHMS``.
        label: Display variant.
        finals: One entry a level, levels increasing, each with a score.
        change: Score at the last level minus score at the first, paired by seed; None where they
            share no seed.
    """

    panel: Panel
    factor: str
    algorithm: str
    label: str
    finals: list[Final]
    change: Interval | None

    @property
    def levels(self) -> list[float]:
        """Increasing levels."""
        return [f.condition[1] or 0.0 for f in self.finals]

    @property
    def points(self) -> list[Interval]:
        """Score at each level."""
        return [f.score for f in self.finals if f.score is not None]


def responses(finals: Sequence[Final], rng: np.random.Generator) -> list[Response]:
    """Scores against levels, for every factor, panel and method; conditions without score left out.

    Args:
        finals: Of the experiment ``"robustness"`` or ``"cost"``.
        rng: For intervals with one seed.
    """
    scored = [f for f in finals if f.condition[0] is not None and f.score is not None]
    out: list[Response] = []
    for (factor, panel, label), group in grouped(
        scored, lambda f: (f.condition[0] or "", f.panel, f.label)
    ):
        levels = sorted(group, key=lambda f: f.condition[1] or 0.0)
        first, last = levels[0], levels[-1]
        seeds = [s for s in last.seeds if s in first.seeds]
        change = None
        if seeds and last is not first:
            change = stats.paired_interval(
                [last.runs[last.seeds.index(s)] for s in seeds] if last.runs else [],
                [first.runs[first.seeds.index(s)] for s in seeds] if first.runs else [],
                rng,
            )
        out.append(Response(panel, factor, group[0].algorithm, label, levels, change))
    order = list(dict.fromkeys(r.factor for r in out))
    return sorted(out, key=lambda r: order.index(r.factor))
