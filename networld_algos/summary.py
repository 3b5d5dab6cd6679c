"""From rows to what tables and figures show: references, final scores, learning curves.

Rules, in one place: the headline is the last checkpoint on test seeds, never a maximum over
checkpoints; scores are normalised with the reference rows of the same suite and task; intervals
are over training seeds, and say so where one seed forces them over episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from networld_algos import stats
from networld_algos.rows import ROLES, Row
from networld_algos.stats import Floats, Interval

K = TypeVar("K")
T = TypeVar("T")
Panel = tuple[str, str]
"""(task, dataset): what one panel of a figure shows."""


@dataclass(frozen=True)
class Reference:
    """A reference policy of one task.

    Attributes:
        name: Name of the policy.
        role: ``"random"``, ``"static"``, ``"heuristic"``, ``"expert"`` or ``"genie"``.
        label: What to print.
        reward: Average reward with a t interval over episodes.
        score: Normalised score with the interval of ``reward``; None without random and expert.
        latency_p50_ms: Median decision time of the whole batch.
    """

    name: str
    role: str
    label: str
    reward: Interval
    score: Interval | None
    latency_p50_ms: float | None


@dataclass(frozen=True)
class Final:
    """One method on one task and dataset at its last checkpoint, on test seeds.

    Attributes:
        panel: (task, dataset).
        algorithm: Key in ``ALGORITHMS``.
        label: Display variant.
        runs: Normalised scores, one array ``(episodes,)`` a seed; None without references.
        reward: Average reward per agent and step.
        score: Normalised score of the last checkpoint.
        best_score: Normalised score of the best checkpoint; see `finals`.
        best_by: Seeds on which that checkpoint was chosen, ``"validation"`` or ``"test"``.
        latency_p50_ms: Median over seeds.
        latency_p99_ms: Median over seeds.
        bytes_per_step: Median over seeds.
        train_seconds: Median over seeds.
        extra: Mean over seeds of every diagnostic, non-finite values left out.
    """

    panel: Panel
    algorithm: str
    label: str
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

    @property
    def seed_scores(self) -> Floats | None:
        """``(seeds,)`` normalised score of each seed."""
        return None if self.runs is None else np.array([run.mean() for run in self.runs])


@dataclass(frozen=True)
class Curve:
    """A method against an increasing x: updates (average reward) or fractions (score).

    Attributes:
        panel: (task, dataset).
        algorithm: Key in ``ALGORITHMS``.
        label: Display variant.
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


def one_suite(rows: Sequence[Row]) -> str:
    """The suite all rows belong to.

    Raises:
        ValueError: If there is no row, or rows of several suites: references of one suite must
            not normalise scores of another.
    """
    suites = sorted({row.suite for row in rows})
    if len(suites) != 1:
        raise ValueError(f"expected the rows of one suite, got suites {suites}")
    return suites[0]


def panels(rows: Sequence[Row], experiment: str) -> list[Panel]:
    """(task, dataset) pairs with learned rows of an experiment, in order of appearance."""
    found = [(r.task, r.dataset or "") for r in learned_rows(rows, experiment)]
    return list(dict.fromkeys(found))


def references(rows: Sequence[Row]) -> dict[str, list[Reference]]:
    """Reference policies of each task, from random to genie, by average reward within a role.

    Raises:
        ValueError: For rows of several suites, or two policies in the role random or expert.
    """
    one_suite(rows)
    scale = scales(rows)
    out: dict[str, list[Reference]] = {}
    for (task, name), group in grouped(_references(rows), lambda r: (r.task, r.algorithm)):
        reward = stats.t_interval([x for r in group for x in r.episode_returns])
        score = None
        if task in scale:
            value, low, high = stats.normalised_score(
                [reward.value, reward.low, reward.high], *scale[task]
            ).tolist()
            score = Interval(value, low, high, reward.count, reward.method)
        first = group[0]
        latency = median_or_none([r.latency_p50_ms for r in group])
        out.setdefault(task, []).append(
            Reference(name, first.role or "", first.label, reward, score, latency)
        )
    for policies in out.values():
        policies.sort(key=lambda p: (ROLES.index(p.role), p.reward.value))
    return out


def scales(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """Task -> average reward of (random, expert), for the tasks that have both."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in _references(rows):
        if row.role in ("random", "expert"):
            policy = found.setdefault((row.task, row.role), {}).setdefault(row.algorithm, [])
            policy.extend(row.episode_returns)
    means: dict[tuple[str, str], float] = {}
    for (task, role), policies in found.items():
        if len(policies) > 1:
            raise ValueError(f"task {task!r} has several {role} policies: {sorted(policies)}")
        means[task, role] = float(np.mean(next(iter(policies.values()))))
    return {
        task: (means[task, "random"], means[task, "expert"])
        for task in dict.fromkeys(task for task, _ in means)
        if (task, "random") in means and (task, "expert") in means
    }


def finals(rows: Sequence[Row], experiment: str, rng: np.random.Generator) -> list[Final]:
    """Every method of an experiment at its last checkpoint, in order of panel and appearance.

    ``best_score`` is secondary: for each seed the checkpoint with the highest mean on validation
    seeds, scored on test seeds. Where a run has no validation rows at its test checkpoints, the
    choice is made on the test seeds themselves, which is optimistic, and ``best_by`` says so.

    Raises:
        ValueError: If two final rows claim the same run.
    """
    scale = scales(rows)
    learned = learned_rows(rows, experiment)
    last = [r for r in learned if r.is_last and r.eval_seed_set == "test"]
    check_unique(last)
    order = {panel: i for i, panel in enumerate(panels(rows, experiment))}
    out: list[Final] = []
    for (panel, label), group in grouped(last, method_of):
        scored = scale.get(group[0].task)
        returns = [np.asarray(r.episode_returns) for r in group]
        runs = score = best_score = None
        best_by = "test"
        if scored is not None:
            runs = [stats.normalised_score(x, *scored) for x in returns]
            score = stats.seed_interval(runs, rng)
            chosen = [_best_checkpoint(learned, r) for r in group]
            best_by = "validation" if all(by == "validation" for _, by in chosen) else "test"
            best_score = score
            if any(row is not r for (row, _), r in zip(chosen, group, strict=True)):
                best = [stats.normalised_score(row.episode_returns, *scored) for row, _ in chosen]
                best_score = stats.seed_interval(best, rng)
        out.append(
            Final(
                panel=panel,
                algorithm=group[0].algorithm,
                label=label,
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
            )
        )
    return sorted(out, key=lambda f: order[f.panel])


def learning_curves(rows: Sequence[Row], experiment: str, rng: np.random.Generator) -> list[Curve]:
    """Average reward against updates, at the checkpoints every seed of a method has.

    Test rows are used where a method has more than one test checkpoint, validation rows
    otherwise; the two are never mixed in one curve.
    """
    out: list[Curve] = []
    for (panel, label), group in grouped(learned_rows(rows, experiment), method_of):
        by_set = {
            name: _by_update([r for r in group if r.eval_seed_set == name])
            for name in ("test", "validation")
        }
        name = max(by_set, key=lambda key: (len(by_set[key]) > 1, key == "test"))
        points = by_set[name]
        if points:
            out.append(
                Curve(
                    panel,
                    group[0].algorithm,
                    label,
                    np.array(list(points), dtype=np.float64),
                    [
                        stats.seed_interval([r.episode_returns for r in at], rng)
                        for at in points.values()
                    ],
                    name,
                )
            )
    return out


def strata(finals_: Sequence[Final]) -> dict[str, list[Floats]]:
    """Label -> seed scores of every panel, for the methods scored in all panels."""
    every = list(dict.fromkeys(f.panel for f in finals_))
    table = {(f.label, f.panel): f.seed_scores for f in finals_ if f.runs is not None}
    out: dict[str, list[Floats]] = {}
    for label in dict.fromkeys(f.label for f in finals_):
        scores = [table[label, p] for p in every if (label, p) in table]
        present = [s for s in scores if s is not None]
        if len(present) == len(every):
            out[label] = present
    return out


def learned_rows(rows: Sequence[Row], experiment: str) -> list[Row]:
    """Rows of learned policies in one experiment."""
    return [r for r in rows if r.kind == "learned" and r.experiment == experiment]


def _references(rows: Sequence[Row]) -> list[Row]:
    return [r for r in rows if r.kind == "reference" and r.eval_seed_set == "test"]


def method_of(row: Row) -> tuple[Panel, str]:
    """(panel, label): what a curve or a line of a table stands for."""
    return (row.task, row.dataset or ""), row.label


def grouped(items: Sequence[T], key: Callable[[T], K]) -> list[tuple[K, list[T]]]:
    """Items by key, keys in order of appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.items())


def check_unique(rows: Sequence[Row]) -> None:
    """Refuse two final rows of one run.

    Raises:
        ValueError: If two rows have the same run: averaging them would hide a mistake.
    """
    seen: dict[object, Row] = {}
    for row in rows:
        if row.run in seen:
            raise ValueError(
                f"two final rows for the run {row.run} (configurations "
                f"{seen[row.run].config_hash} and {row.config_hash}): give each variant its own "
                "label, or delete the older result file"
            )
        seen[row.run] = row


def _by_update(rows: Sequence[Row]) -> dict[int, list[Row]]:
    seeds = {r.seed for r in rows}
    at: dict[int, dict[int, Row]] = {}
    for row in rows:
        if row.updates is not None:
            at.setdefault(row.updates, {})[row.seed] = row
    return {u: list(at[u].values()) for u in sorted(at) if set(at[u]) == seeds}


def _best_checkpoint(rows: Sequence[Row], last: Row) -> tuple[Row, str]:
    run = [r for r in rows if r.run == last.run]
    test = {r.updates: r for r in run if r.eval_seed_set == "test"}
    validation = {r.updates: r for r in run if r.eval_seed_set == "validation"}
    shared = [u for u in validation if u in test]
    if shared:
        return test[max(shared, key=lambda u: validation[u].mean_return)], "validation"
    return max(test.values(), key=lambda r: r.mean_return), "test"


def median_or_none(values: Sequence[float | None]) -> float | None:
    """Median of what is not None; None if nothing is."""
    present = [v for v in values if v is not None]
    return float(np.median(present)) if present else None


def _mean_extra(rows: Sequence[Row]) -> dict[str, float]:
    keys = dict.fromkeys(k for r in rows for k in r.extra)
    out: dict[str, float] = {}
    for key in keys:
        finite = [v for r in rows if np.isfinite(v := r.extra.get(key, np.nan))]
        if finite:
            out[key] = float(np.mean(finite))
    return out
