"""Few-shot curves: score against the share of target data, and their means over targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from networld_algos.report.scoring import (
    Ends,
    Panel,
    check_unique,
    ends,
    grouped,
    learned_rows,
    median_or_none,
    method_of,
    scale_of,
)
from networld_algos.report.summary import Curve, quality
from networld_algos.report.table import panel_name
from networld_algos.report.training import has_converged
from networld_algos.results import networks, stats
from networld_algos.results.aggregates import mean_interval
from networld_algos.results.curves import area_under_curve
from networld_algos.results.rows import QUALITIES, SCRATCH, Row
from networld_algos.results.stats import Floats, Interval


@dataclass(frozen=True, kw_only=True)
class FewShotCurve(Curve):
    """A few-shot curve and values derived from it.

    Attributes:
        episodes: ``(X,)`` training episodes at each share.
        runs: (seed, share) -> ``(episodes,)`` scores; empty in an average over tasks.
        by_seed: Seed -> ``(X,)`` scores, for the seeds that have every share; empty in the same.
        area: Area under the curve over log share, in units of the score; None with one share.
        is_constant: Whether the model was not trained on the data, so that it has one score.
        is_pretrained: Whether it starts from a model that was trained on other data.
        converged: Share -> (trainings that have converged, trainings of which that is known), see
            `networld_algos.report.training.has_converged`.
    """

    episodes: Floats
    runs: dict[tuple[int, float], Floats]
    by_seed: dict[int, Floats]
    area: Interval | None
    is_constant: bool = False
    is_pretrained: bool = False
    converged: dict[float, tuple[int, int]] = field(default_factory=dict)


def place_name(panel: Panel, several: bool) -> str:
    """Task and deployment, ``"RB, ring6"``; the quality of data too if there are ``several``."""
    elsewhere = quality(panel) not in QUALITIES
    return panel_name(panel, several or elsewhere).removesuffix("/expert")


def fewshot_curves(
    rows: Sequence[Row],
    rng: np.random.Generator,
    experiment: str = "fewshot",
) -> list[FewShotCurve]:
    """Normalised score at the end of training against the share of target data.

    With early stopping (`networld_algos.bench.parts.FewShot`), it is the score of the weights with
    the smallest validation loss. Tasks without random and expert rows have no score and are left
    out.
    """
    beside = ends(rows)
    last = [
        r
        for r in learned_rows(rows, experiment)
        if r.is_final and r.fraction is not None and scale_of(beside, r) is not None
    ]
    check_unique(last)
    out: list[FewShotCurve] = []
    for (panel, label), group in grouped(last, method_of):
        shares = sorted({r.fraction for r in group if r.fraction is not None})
        at = {share: [r for r in group if r.fraction == share] for share in shares}
        scores = {
            (r.seed, share): run
            for share in shares
            for r, run in zip(at[share], _scores(at[share], beside), strict=True)
        }
        seeds = [
            s for s in sorted({r.seed for r in group}) if all((s, f) in scores for f in shares)
        ]
        by_seed = {s: np.array([scores[s, f].mean() for f in shares]) for s in seeds}
        points = [stats.seed_interval([scores[r.seed, f] for r in at[f]], rng) for f in shares]
        area = None
        if len(shares) > 1 and by_seed:
            area = stats.seed_interval(_areas(scores, seeds, shares), rng)
        out.append(
            FewShotCurve(
                panel,
                group[0].algorithm,
                label,
                np.array(shares),
                points,
                episodes=np.array(
                    [median_or_none([r.episodes for r in at[f]]) or np.nan for f in shares]
                ),
                runs=scores,
                by_seed=by_seed,
                area=area,
                is_constant=all(r.updates == 0 for r in group),
                is_pretrained=any(map(_starts_from_a_model, group)),
                converged={f: _count(map(has_converged, at[f])) for f in shares},
            )
        )
    return out


def _starts_from_a_model(row: Row) -> bool:
    """Whether other data than the target's were used before.

    Rows name all data behind a model. In the deployments part, a model whose label does not say
    that it is from scratch comes from the default deployment.
    """
    others = row.data_hashes.keys() - {row.dataset}
    return not row.label.endswith(SCRATCH) and (row.experiment == "deployments" or bool(others))


def _count(answers: Iterable[bool | None]) -> tuple[int, int]:
    known = [answer for answer in answers if answer is not None]
    return sum(known), len(known)


def average_over_shared(
    curves: Sequence[FewShotCurve], rng: np.random.Generator
) -> list[FewShotCurve]:
    """`average_over_tasks` over the panels that have every method.

    Suites may run controls on some deployments only. If fewer than two panels have every method, it
    is the mean over all panels, of the methods that are in all.
    """
    shared = shared_panels(curves)
    return average_over_tasks([c for c in curves if c.panel in shared], rng)


def shared_panels(curves: Sequence[FewShotCurve]) -> list[Panel]:
    """Panels that have every method; all panels if fewer than two have."""
    labels = {c.label for c in curves}
    groups = grouped(curves, lambda c: c.panel)
    whole = [panel for panel, group in groups if {c.label for c in group} == labels]
    return [panel for panel, _ in groups] if len(whole) < 2 else whole


def _scores(rows: Sequence[Row], beside: Ends) -> list[Floats]:
    """Scores of the seeds of one method with the same data."""
    both = scale_of(beside, rows[0])
    if both is None:
        return []
    return networks.relative_scores([r.episode_returns for r in rows], *both)


def _areas(
    scores: Mapping[tuple[int, float], Floats], seeds: Sequence[int], shares: Sequence[float]
) -> list[Floats]:
    """Area under each seed's curve on every network; only their mean if some shares have fewer."""
    found: list[Floats] = []
    for seed in seeds:
        runs = [scores[seed, share] for share in shares]
        if len({len(run) for run in runs}) > 1:
            runs = [np.array([run.mean()]) for run in runs]
        found.append(area_under_curve(shares, np.stack(runs, axis=-1)))
    return found


def average_over_tasks(
    curves: Sequence[FewShotCurve], rng: np.random.Generator
) -> list[FewShotCurve]:
    """Mean over panels of the few-shot curves, for the methods and shares present in all.

    Intervals count the seeds and the networks of every task, see
    `networld_algos.results.aggregates.mean_interval`.
    """
    every = {c.panel for c in curves}
    out: list[FewShotCurve] = []
    for label, group in grouped(curves, lambda c: c.label):
        if {c.panel for c in group} != every:
            continue
        means: dict[float, Interval] = {}
        for share in sorted(set.intersection(*({float(f) for f in c.x} for c in group))):
            tables = [
                (c.panel[0], {s: c.runs[s, f] for s, f in c.runs if f == share}) for c in group
            ]
            if (mean := mean_interval(tables, rng)) is not None:
                means[share] = mean
        if not means:
            continue
        shares = list(means)
        episodes = np.array([c.episodes[np.isin(c.x, shares)] for c in group])
        same = bool(np.all(episodes == episodes[0]))
        area = None
        if len(shares) > 1:
            areas = [
                dict(zip(c.by_seed, _areas(c.runs, list(c.by_seed), shares), strict=True))
                for c in group
            ]
            area = mean_interval([(c.panel[0], a) for c, a in zip(group, areas, strict=True)], rng)
        out.append(
            FewShotCurve(
                ("mean over tasks", ""),
                group[0].algorithm,
                label,
                np.array(shares),
                list(means.values()),
                episodes=episodes[0] if same else np.full(len(shares), np.nan),
                runs={},
                is_constant=all(c.is_constant for c in group),
                is_pretrained=all(c.is_pretrained for c in group),
                by_seed={},
                area=area,
                converged={
                    f: (
                        sum(c.converged[f][0] for c in group),
                        sum(c.converged[f][1] for c in group),
                    )
                    for f in shares
                },
            )
        )
    return out
