"""Final scores and learning curves from rows.

The rules, in one place:

* The headline is the last checkpoint on test seeds, never a maximum over checkpoints.
* Scores are normalised with the reference rows of the same suite, task and factor level.
* Intervals count how scores vary between training seeds and between networks. With a single seed
  they count networks only, and say so. Where all earn little on a network, so do random and expert,
  and the score stays what it is: see `networld_algos.results.networks.relative`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from networld_algos.report import training
from networld_algos.report.scoring import (
    PLAIN,
    Ends,
    FactorLevel,
    Panel,
    check_unique,
    ends,
    factor_level_of,
    grouped,
    learned_rows,
    median_or_none,
    method_of,
    panel_of,
    scale_of,
    scales,
)
from networld_algos.results import networks, stats
from networld_algos.results.rows import Row
from networld_algos.results.stats import Floats, Interval


@dataclass(frozen=True)
class Final:
    """One method on one task and dataset at its last checkpoint, on test seeds.

    Attributes:
        panel: (task, dataset).
        algorithm: Key in ``ALGORITHMS``.
        label: Name in figures.
        seeds: Training seeds.
        runs: Normalised scores relative to random and expert on every network
            (`networld_algos.results.networks.relative`), one array ``(episodes,)`` per seed; None
            without references.
        reward: Average reward per agent and step.
        score: Normalised score of the last checkpoint.
        best_score: Normalised score of the best checkpoint; see `finals`.
        best_by: Seed set on which that checkpoint was chosen, ``"validation"`` or ``"test"``.
        latency_p50_ms: Median over seeds.
        latency_p99_ms: Median over seeds.
        bytes_per_step: Median over seeds.
        train_seconds: Median over seeds.
        updates: Median over seeds.
        epochs: Transitions seen over transitions in the data; median over seeds.
        rise: Rise of the score over the last quarter of the training, see
            `networld_algos.report.training.last_quarter`.
        extra: Mean over seeds of every diagnostic, without non-finite values.
        factor_level: Factor and level at which it was evaluated.
    """

    panel: Panel
    algorithm: str
    label: str
    seeds: list[int]
    runs: list[Floats] | None
    reward: Interval
    score: Interval | None
    best_score: Interval | None
    best_by: str
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    bytes_per_step: float | None
    train_seconds: float | None
    extra: dict[str, float]
    factor_level: FactorLevel = PLAIN
    updates: float | None = None
    epochs: float | None = None
    rise: Interval | None = None

    @property
    def is_under_trained(self) -> bool:
        """Whether the score still rises by more than `networld_algos.report.training.RISE`."""
        return self.rise is not None and self.rise.value > training.RISE

    @property
    def by_seed(self) -> dict[int, Floats]:
        """Seed -> scores on every network; empty without references."""
        return {} if self.runs is None else dict(zip(self.seeds, self.runs, strict=True))

    @property
    def seed_scores(self) -> Floats | None:
        """``(seeds,)`` normalised score of each seed."""
        return None if self.runs is None else np.array([run.mean() for run in self.runs])

    @property
    def median(self) -> float | None:
        """Median score over all networks of all seeds."""
        return None if self.runs is None else networks.median_score(self.runs)

    @property
    def failed_percent(self) -> float | None:
        """Percentage of them with a score below `networld_algos.results.networks.FAILED_BELOW`."""
        return None if self.runs is None else 100.0 * networks.failed_share(self.runs)


MOST_CURVES = 8


@dataclass(frozen=True)
class Curve:
    """A method against an increasing x: updates (average reward) or fractions (score).

    Attributes:
        panel: (task, dataset).
        algorithm: Key in ``ALGORITHMS``.
        label: Name in figures.
        x: ``(X,)`` updates, or shares of target data.
        points: One interval for each x.
        eval_seed_set: ``"test"`` or ``"validation"``.
    """

    panel: Panel
    algorithm: str
    label: str
    x: Floats
    points: list[Interval]
    eval_seed_set: str = "test"


M = TypeVar("M", Final, Curve)


def leading(curves: Sequence[Curve], focus: str = "") -> Sequence[Curve]:
    """One variant per algorithm if there are more than `MOST_CURVES` methods; otherwise all curves.

    On each panel, the variant that is kept is the focus method, ``focus``, or otherwise the one
    with the algorithm's own name. If neither is there, it is the best on average over the panels,
    after scaling the last points of the algorithm to [0, 1] in each.
    """
    if len({c.label for c in curves}) <= MOST_CURVES:
        return curves
    places = dict.fromkeys((c.label for c in curves), 0.0)
    for _, mine in grouped(curves, lambda c: (c.panel, c.algorithm)):
        last = {c.label: c.points[-1].value for c in mine}
        low, high = min(last.values()), max(last.values())
        for label, value in last.items():
            places[label] += (value - low) / max(high - low, 1e-12)
    return one_each(curves, focus, lambda c: -places[c.label])


def one_each(methods: Sequence[M], focus: str, rank: Callable[[M], Any]) -> list[M]:
    """One method for each algorithm on each panel, in order of appearance.

    It is the focus method if that is there, otherwise the one with the algorithm's own name, and
    otherwise the first by ``rank``.
    """
    first = {
        key: min(group, key=lambda m: (m.label != focus, m.label != m.algorithm, rank(m))).label
        for key, group in grouped(methods, lambda m: (m.panel, m.algorithm))
    }
    return [m for m in methods if m.label == first[m.panel, m.algorithm]]


def panels(rows: Sequence[Row], experiment: str) -> list[Panel]:
    """(task, dataset) pairs with learned rows of an experiment, in order of appearance."""
    return list(dict.fromkeys(panel_of(r) for r in learned_rows(rows, experiment)))


def quality(panel: Panel) -> str:
    """Name of a panel's dataset without its task and first version: ``"expert"``, ``"mine-v1"``."""
    return panel[1].removeprefix("networld/").removeprefix(f"{panel[0]}/").removesuffix("-v0")


def by_quality(found: Sequence[Final]) -> dict[str, list[Final]]:
    """Final scores by data quality if every quality has every task; otherwise one group."""
    tasks = {f.panel[0] for f in found}
    groups = dict(grouped(found, lambda f: quality(f.panel)))
    if all({f.panel[0] for f in group} == tasks for group in groups.values()):
        return groups
    return {"all": list(found)}


def finals(rows: Sequence[Row], experiment: str, rng: np.random.Generator) -> list[Final]:
    """Every method at every factor level at its last checkpoint, in order of panel.

    ``best_score`` is secondary: for each seed, it takes the checkpoint with the highest mean on
    validation seeds, scored on test seeds. If a run has no validation rows at its test checkpoints,
    the checkpoint is chosen on the test seeds themselves, which is optimistic; ``best_by`` says so.
    It is None if a run was scored on test seeds only once, because there is nothing to choose.

    Raises:
        ValueError: If two final rows claim the same run, or a method has two results of one seed,
            such as those of two shares of the data.
    """
    beside, validation = ends(rows), scales(rows, "validation")
    learned = learned_rows(rows, experiment)
    last = [r for r in learned if r.is_final]
    check_unique(last)
    order = {panel: i for i, panel in enumerate(panels(rows, experiment))}
    by_run = dict(grouped(learned, lambda r: r.run))
    by_method = dict(grouped(learned, lambda r: (*method_of(r), factor_level_of(r))))
    out: list[Final] = []
    for (panel, label, factor_level), group in grouped(
        last, lambda r: (*method_of(r), factor_level_of(r))
    ):
        if len({r.seed for r in group}) < len(group):
            shares = sorted({r.fraction for r in group if r.fraction is not None})
            raise ValueError(
                f"{label!r} has several results of one seed on {panel[1] or panel[0]} in "
                f"{experiment!r}, with shares of the data {shares}: their mean would say nothing; "
                "give each share its own label"
            )
        both = scale_of(beside, group[0])
        returns = [np.asarray(r.episode_returns) for r in group]
        runs = score = best_score = rise = None
        best_by = "test"
        if both is not None:
            scored = float(both[0].mean()), float(both[1].mean())
            runs = networks.relative_scores(returns, *both)
            score = stats.seed_interval(runs, rng)
            chosen = [_best_checkpoint(by_run[r.run]) for r in group]
            best_by = "validation" if all(by == "validation" for _, by in chosen) else "test"
            if all(_test_checkpoints(by_run[r.run]) > 1 for r in group):
                best_score = score
            if any(row is not r for (row, _), r in zip(chosen, group, strict=True)):
                best = [row.episode_returns for row, _ in chosen]
                best_score = stats.seed_interval(networks.relative_scores(best, *both), rng)
            every = by_method[panel, label, factor_level]
            known = {"test": scored, "validation": scale_of(validation, group[0]) or scored}
            rise = training.last_quarter(every, group, known, rng)
        out.append(
            Final(
                panel=panel,
                algorithm=group[0].algorithm,
                label=label,
                seeds=[r.seed for r in group],
                runs=runs,
                reward=stats.seed_interval(returns, rng),
                score=score,
                best_score=best_score,
                best_by=best_by,
                latency_p50_ms=median_or_none([r.latency_p50_ms for r in group]),
                latency_p99_ms=median_or_none([r.latency_p99_ms for r in group]),
                bytes_per_step=median_or_none([r.bytes_per_step for r in group]),
                train_seconds=median_or_none([r.train_seconds for r in group]),
                extra=_mean_extra(group),
                factor_level=factor_level,
                updates=median_or_none([r.updates for r in group]),
                epochs=median_or_none([r.epochs for r in group]),
                rise=rise,
            )
        )
    return sorted(out, key=lambda f: order[f.panel])


def learning_curves(rows: Sequence[Row], experiment: str, rng: np.random.Generator) -> list[Curve]:
    """Average reward against updates, at the checkpoints that all seeds of a method have.

    A curve uses the networks, test or validation, on which the method was evaluated more often, and
    test networks if both were used equally often. The two are never mixed in one curve.
    Intervals are of rewards relative to random and expert on the same networks.
    """
    out: list[Curve] = []
    beside = {name: ends(rows, name) for name in ("test", "validation")}
    for (panel, label), group in grouped(learned_rows(rows, experiment), method_of):
        by_set = {
            name: _by_update([r for r in group if r.eval_seed_set == name])
            for name in ("test", "validation")
        }
        name = max(by_set, key=lambda key: (len(by_set[key]), key == "test"))
        points = by_set[name]
        if points:
            out.append(
                Curve(
                    panel,
                    group[0].algorithm,
                    label,
                    np.array(list(points), dtype=np.float64),
                    [
                        stats.seed_interval(_relative(at, beside[name]), rng)
                        for at in points.values()
                    ],
                    name,
                )
            )
    return out


def pairs(first: Final, second: Final) -> dict[int, tuple[Floats, Floats]]:
    """Seed -> scores of both methods on every network, for the seeds that both have."""
    mine, others = first.by_seed, second.by_seed
    return {seed: (mine[seed], others[seed]) for seed in mine if seed in others}


def strata(finals_: Sequence[Final]) -> dict[str, list[Floats]]:
    """Label -> seed scores of every panel, for the methods scored in all panels."""
    return {
        label: [np.array([run.mean() for run in runs]) for runs in panels_]
        for label, panels_ in network_strata(finals_).items()
    }


def network_strata(finals_: Sequence[Final]) -> dict[str, list[list[Floats]]]:
    """`strata` with the scores on every network: per panel, one ``(episodes,)`` per seed."""
    every = list(dict.fromkeys(f.panel for f in finals_))
    table = {(f.label, f.panel): f.runs for f in finals_ if f.runs is not None}
    return {
        label: [table[label, p] for p in every]
        for label in dict.fromkeys(f.label for f in finals_)
        if all((label, p) in table for p in every)
    }


def _relative(rows: Sequence[Row], beside: Ends) -> list[Floats]:
    """Rewards of rows of one method, see `networks.relative`."""
    random, expert = scale_of(beside, rows[0]) or ([], [])
    return networks.relative([r.episode_returns for r in rows], random, expert)


def _by_update(rows: Sequence[Row]) -> dict[int, list[Row]]:
    seeds = {r.seed for r in rows}
    at: dict[int, dict[int, Row]] = {}
    for row in rows:
        if row.updates is not None:
            at.setdefault(row.updates, {})[row.seed] = row
    return {u: list(at[u].values()) for u in sorted(at) if set(at[u]) == seeds}


def _test_checkpoints(run: Sequence[Row]) -> int:
    return len({r.updates for r in run if r.eval_seed_set == "test"})


def _best_checkpoint(run: Sequence[Row]) -> tuple[Row, str]:
    test = {r.updates: r for r in run if r.eval_seed_set == "test"}
    validation = {r.updates: r for r in run if r.eval_seed_set == "validation"}
    shared = [u for u in validation if u in test]
    if shared:
        return test[max(shared, key=lambda u: validation[u].mean_return)], "validation"
    return max(test.values(), key=lambda r: r.mean_return), "test"


def _mean_extra(rows: Sequence[Row]) -> dict[str, float]:
    keys = dict.fromkeys(k for r in rows for k in r.extra)
    out: dict[str, float] = {}
    for key in keys:
        finite = [v for r in rows if np.isfinite(v := r.extra.get(key, np.nan))]
        if finite:
            out[key] = float(np.mean(finite))
    return out
