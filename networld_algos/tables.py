"""Tables of a report, and the words that describe its figures to those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from networld_algos import stats
from networld_algos.fewshot import FewShot
from networld_algos.plot_style import display
from networld_algos.stats import Floats, Interval
from networld_algos.summary import Curve, Final, Reference

DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Cell:
    """What a table cell shows and what it sorts by.

    Attributes:
        text: As printed.
        order: Sorting key; a number for numeric columns. None sorts last.
        note: Second, smaller line, e.g. an interval.
        strong: Whether to set it in bold.
    """

    text: str
    order: float | str | None
    note: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Column:
    """Heading of a column."""

    name: str
    numeric: bool = True
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A sortable table."""

    caption: str
    columns: list[Column]
    lines: list[list[Cell]]

    @classmethod
    def of_text(cls, caption: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
        """A table of plain strings."""
        cells = [[Cell(text, text) for text in line] for line in lines]
        return cls(caption, [Column(c, numeric=False) for c in columns], cells)


def headline(finals: Sequence[Final]) -> Table:
    """Task x algorithm: score, average reward, seeds, latency, bytes, training time."""
    top: dict[tuple[str, str], float] = {}
    for f in finals:
        if f.score is not None:
            top[f.panel] = max(top.get(f.panel, -math.inf), f.score.value)
    several = len({f.panel for f in finals}) > len({f.panel[0] for f in finals})
    lines: list[list[Cell]] = []
    for f in finals:
        best = f.score is not None and f.score.value == top[f.panel]
        lines.append(
            [
                _text(f.panel[0].upper() + (f", {f.panel[1]}" if several else "")),
                _text(display(f.label)),
                interval_cell(f.score, 1, strong=best),
                interval_cell(f.reward, 3),
                Cell(str(f.reward.count) if _by_seed(f.reward) else "1", _seeds(f.reward)),
                number_cell(f.latency_p50_ms, 1),
                number_cell(f.latency_p99_ms, 1),
                number_cell(f.bytes_per_step, 0),
                number_cell(None if f.train_seconds is None else f.train_seconds / 60, 1),
                interval_cell(f.best_score, 1, mark=f.best_by == "test"),
            ]
        )
    columns = [
        Column("Task", False),
        Column("Method", False),
        Column("Score", hint="100 (S - random) / (expert - random), mean [95% interval]"),
        Column("Average reward", hint="per agent and step, mean [95% interval]"),
        Column("Seeds"),
        Column("Latency p50 (ms)", hint="one decision of the whole batch"),
        Column("Latency p99 (ms)", hint="one decision of the whole batch"),
        Column("Sent (B)", hint="bytes sent per agent and step"),
        Column("Training (min)"),
        Column("Best checkpoint", hint="secondary: score of the best checkpoint"),
    ]
    caption = (
        "Last checkpoint of every method: normalised score and average reward, mean [95% "
        "confidence interval] over training seeds. Bold: highest mean score of its task. Best "
        "checkpoint: chosen on validation seeds; with *, chosen on the test seeds themselves, "
        "which is optimistic."
    )
    return Table(caption, columns, lines)


def aggregates(
    strata: Mapping[str, Sequence[Floats]], finals: Sequence[Final], rng: np.random.Generator
) -> Table:
    """Over all tasks: IQM, mean, probability that NetWorld is better, min-max score."""
    against = "networld" if "networld" in strata else next(iter(strata))
    means: dict[tuple[str, str], dict[str, float]] = {}
    for f in finals:
        means.setdefault(f.panel, {})[f.label] = f.reward.value
    paper = stats.paper_score(means)
    lines: list[list[Cell]] = []
    for label, scores in strata.items():
        improvement = Cell(DASH, None)
        if label != against:
            improvement = interval_cell(stats.improvement_interval(strata[against], scores, rng), 2)
        lines.append(
            [
                _text(display(label)),
                interval_cell(stats.bootstrap(scores, stats.pooled_iqm, rng), 1),
                interval_cell(stats.bootstrap(scores, stats.task_mean, rng), 1),
                improvement,
                number_cell(paper.get(label), 1),
            ]
        )
    columns = [
        Column("Method", False),
        Column("IQM score", hint="mean of the middle half of all runs"),
        Column("Mean score"),
        Column(f"P({display(against)} better)", hint="ties count half"),
        Column("paper_score", hint="min-max across these methods, secondary"),
    ]
    caption = (
        "Over all tasks, every task weighted equally: interquartile mean and mean of normalised "
        f"scores, probability that a run of {display(against)} beats a run of the method, each "
        "with a stratified bootstrap 95% interval; paper_score (min-max across methods, average "
        "over tasks) depends on which methods take part."
    )
    return Table(caption, columns, lines)


def fewshot(curves: Sequence[FewShot]) -> Table:
    """Task x method: score at each share, area under the curve, data to reach 90."""
    shares = sorted({float(x) for c in curves for x in c.x})
    order = list(dict.fromkeys(c.panel for c in curves))
    lines: list[list[Cell]] = []
    for c in sorted(curves, key=lambda c: order.index(c.panel)):
        at = {float(x): p for x, p in zip(c.x, c.points, strict=True)}
        task = c.panel[0].upper() if c.panel[1] else c.panel[0]
        reach = Cell("not reached", math.inf)
        if np.isfinite(c.reach):
            prefix = "≤ " if c.reach <= c.x[0] * (1 + 1e-9) else ""
            episodes = np.interp(math.log(c.reach), np.log(c.x), c.episodes)
            note = f"{episodes:.3g} episodes" if np.isfinite(episodes) else ""
            reach = Cell(f"{prefix}{100 * c.reach:.2g}%", c.reach, note)
        lines.append(
            [
                _text(task[:1].upper() + task[1:]),
                _text(display(c.label)),
                *(interval_cell(at.get(share), 1) for share in shares),
                interval_cell(c.area, 1),
                reach,
            ]
        )
    columns = [
        Column("Target task", False),
        Column("Method", False),
        *(Column(f"{100 * share:.3g}%", hint="share of target data") for share in shares),
        Column("Area", hint="area under the curve over log share, in units of the score"),
        Column("Data to 90", hint="smallest share at which the mean curve reaches a score of 90"),
    ]
    caption = (
        "Normalised score against the share of target data, mean [95% interval] over training "
        "seeds; area under the curve over the logarithm of the share (its average height); share "
        "of data at which the mean curve first reaches 90."
    )
    return Table(caption, columns, lines)


def references(policies: Mapping[str, Sequence[Reference]]) -> Table:
    """Every reference policy: reward, score, latency."""
    lines = [
        [
            _text(task.upper()),
            _text(p.label),
            _text(p.role),
            interval_cell(p.reward, 3),
            interval_cell(p.score, 1),
            Cell(str(p.reward.count), float(p.reward.count)),
            number_cell(p.latency_p50_ms, 1),
        ]
        for task, group in policies.items()
        for p in group
    ]
    columns = [
        Column("Task", False),
        Column("Policy", False),
        Column("Role", False),
        Column("Average reward"),
        Column("Score"),
        Column("Episodes"),
        Column("Latency p50 (ms)"),
    ]
    caption = "Reference policies: mean [95% t interval] over evaluation episodes."
    return Table(caption, columns, lines)


def health(found: Sequence[tuple[str, Final]]) -> Table:
    """Diagnostics of every method, one column a quantity."""
    keys = list(dict.fromkeys(key for _, f in found for key in f.extra))
    lines = [
        [
            _text(experiment),
            _text(f.panel[0].upper()),
            _text(display(f.label)),
            *(number_cell(f.extra.get(key), None) for key in keys),
        ]
        for experiment, f in found
    ]
    columns = [Column(name, False) for name in ("Experiment", "Task", "Method")]
    columns += [Column(key) for key in keys]
    return Table("Diagnostics recorded with the final evaluation.", columns, lines)


def describe_curves(curves: Sequence[Curve]) -> str:
    """Alternative text of the comparison figure."""
    ends = [
        f"{display(c.label)} {c.points[-1].value:.3g} on {c.panel[0].upper()}"
        f" ({c.panel[1] or 'no dataset'})"
        for c in curves
    ]
    return (
        "Line charts of average reward against gradient updates, one panel a task. At the last "
        f"checkpoint: {'; '.join(ends)}."
    )


def describe_scores(finals: Sequence[Final]) -> str:
    """Alternative text of the score figure."""
    scores = [
        f"{display(f.label)} {interval_text(f.score, 1)} on {f.panel[0].upper()}"
        for f in finals
        if f.score is not None
    ]
    return f"Interval chart of normalised scores, mean and 95% interval: {'; '.join(scores)}."


def describe_fewshot(curves: Sequence[FewShot]) -> str:
    """Alternative text of the few-shot figure."""
    ends = [
        f"{display(c.label)} on {c.panel[0]}: {c.points[0].value:.0f} at {100 * c.x[0]:.3g}%, "
        f"{c.points[-1].value:.0f} at {100 * c.x[-1]:.3g}%"
        for c in curves
    ]
    return (
        "Line charts of normalised score against the share of target data on a log axis. "
        f"{'; '.join(ends)}."
    )


def describe_profiles(
    profiles: Mapping[str, tuple[Floats, Floats, Floats]], thresholds: Floats
) -> str:
    """Alternative text of the profile figure."""
    at = int(np.searchsorted(thresholds, 80.0))
    shares = [f"{display(label)} {100 * p[0][at]:.0f}%" for label, p in profiles.items()]
    return (
        "Performance profiles. Share of runs with a normalised score above "
        f"{thresholds[at]:.0f}: {'; '.join(shares)}."
    )


def interval_text(interval: Interval, digits: int) -> str:
    """``value [low, high]``, with a dagger where it does not rest on several seeds."""
    value = f"{interval.value:.{digits}f}"
    return f"{value} {limits_text(interval, digits)}".strip()


def limits_text(interval: Interval, digits: int) -> str:
    """``[low, high]``, empty without limits; a dagger marks a bootstrap over episodes."""
    dagger = " †" if interval.method == "bootstrap over episodes" else ""
    if not math.isfinite(interval.low):
        return dagger.strip()
    return f"[{interval.low:.{digits}f}, {interval.high:.{digits}f}]{dagger}"


def interval_cell(
    interval: Interval | None, digits: int, strong: bool = False, mark: bool = False
) -> Cell:
    """Value above, limits below; a dash for None."""
    if interval is None:
        return Cell(DASH, None)
    text = f"{interval.value:.{digits}f}" + ("*" if mark else "")
    return Cell(_minus(text), interval.value, _minus(limits_text(interval, digits)), strong)


def number_cell(value: float | None, digits: int | None) -> Cell:
    """A number with fixed digits, or three significant ones; a dash for None."""
    if value is None:
        return Cell(DASH, None)
    text = f"{value:.3g}" if digits is None else f"{value:,.{digits}f}"
    return Cell(_minus(text), value)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _text(text: str) -> Cell:
    return Cell(text, text.lower())


def _by_seed(interval: Interval) -> bool:
    return interval.method != "bootstrap over episodes"


def _seeds(interval: Interval) -> float:
    return float(interval.count) if _by_seed(interval) else 1.0
