"""The summary figure: score during training, one panel for each task, on an axis of minutes.

Curves are on validation networks, because test networks are looked at once. The scores of cards and
tables are those on test networks, so they stand in a strip of their own beside the curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from networld_algos.report import scoring
from networld_algos.report.axes import (
    edge_arrows,
    grid,
    legend,
    limits,
    lines,
    marker,
    reference_lines,
)
from networld_algos.report.scoring import Panel, Reference
from networld_algos.report.sections.comparison_figures import principal
from networld_algos.report.source import Picture, Source
from networld_algos.report.style import Look, drawing
from networld_algos.report.summary import Curve, Final, quality
from networld_algos.results.display import Display
from networld_algos.results.rows import Row
from networld_algos.results.stats import Floats, Interval

MOST_PANELS = 3
NAME = "comparison_summary"
SHORT_MIN = 2.0
"""Budgets up to this many minutes are shown in seconds."""
LINEAR_UP_TO = 3.0
"""Ratio of the longest to the shortest budget above which minutes are on a log axis."""
STEP = 0.042
"""Distance of the final scores of two methods, as a share of the width of a panel."""

Ends = Mapping[tuple[Panel, str], Interval]
"""(Panel, label) -> score of the last checkpoint on test networks."""


@dataclass(frozen=True)
class Budgets:
    """What an evaluation had cost so far.

    Attributes:
        minutes: ``(X,)`` median over seeds of the minutes of training; None if not recorded.
        share: ``(X,)`` share of the updates of the whole training.
    """

    minutes: Floats | None
    share: Floats


def picture(source: Source, methods: Sequence[Final]) -> Picture | None:
    """The figure of methods, by their final scores; None if none has a scored curve."""
    found = scored_curves(source, methods)
    if not found:
        return None
    names = {quality(c.panel) for c, _ in found if c.panel[1]}
    on_minutes = all(b.minutes is not None for _, b in found)
    ends = final_scores(source)
    figures = source.forms(
        NAME,
        lambda columns: figure(found, source.references, source.look, columns, ends),
    )
    sets = {c.eval_seed_set for c, _ in found}
    caption = (
        f"Normalised score during training{_of_data(names)}, on {' and '.join(sorted(sets))} "
        "networks: mean over training seeds. Strip on the right: the last checkpoint on test "
        "networks with its 95% interval, which is the score of the cards and tables. "
        + _of_band([c for c, _ in found], source)
        + (
            "The axis is the time of training, so that budgets compare: a curve ends where the "
            "budget of its method ends. "
            if on_minutes
            else "The axis is the share of a method's own budget, because the rows do not record "
            "the time of every evaluation. "
        )
        + f"{_evaluations(found)} Horizontal lines: reference policies on test networks. An arrow "
        "at the edge marks where a curve leaves the panel."
    )
    return source.picture(NAME, figures, describe(found, ends, source.display), caption)


def final_scores(source: Source) -> Ends:
    """The scores that cards and tables have."""
    finals = source.finals("comparison")
    return {(f.panel, f.label): f.score for f in finals if f.score is not None}


def scored_curves(source: Source, methods: Sequence[Final]) -> list[tuple[Curve, Budgets]]:
    """Curves of the normalised score of methods on the first data that each task has."""
    shown = {(f.panel, f.label) for f in methods}
    curves = [c for c in source.curves("comparison") if (c.panel, c.label) in shown]
    every = list(dict.fromkeys(c.panel for c in curves))
    tasks = list(dict.fromkeys(task for task, _ in every))
    first = {task: next(p for p in every if p[0] == task) for task in tasks[:MOST_PANELS]}
    ends = {name: scoring.scales(source.rows, name) for name in ("test", "validation")}
    rows = scoring.learned_rows(source.rows, "comparison")
    out: list[tuple[Curve, Budgets]] = []
    for curve in curves:
        task = curve.panel[0]
        # Scores of validation networks need references on them; earlier rows have none.
        scale = ends[curve.eval_seed_set].get((task, scoring.PLAIN))
        scale = scale or ends["test"].get((task, scoring.PLAIN))
        if first.get(task) == curve.panel and scale is not None and curve.x[-1] > 0:
            out.append((_normalised(curve, scale), budgets(rows, curve)))
    return out


def budgets(rows: Sequence[Row], curve: Curve) -> Budgets:
    """What the evaluations of a curve had cost, from the learned rows of its experiment."""
    seconds: dict[float, list[float | None]] = {float(x): [] for x in curve.x}
    for row in rows:
        mine = row.label == curve.label and scoring.panel_of(row) == curve.panel
        if mine and row.eval_seed_set == curve.eval_seed_set and row.updates in seconds:
            seconds[float(row.updates)].append(row.train_seconds)
    medians = [scoring.median_or_none(found) for found in seconds.values()]
    known = [m / 60 for m in medians if m is not None]
    minutes = np.array(known) if len(known) == len(medians) and max(known) > 0 else None
    return Budgets(minutes, curve.x / curve.x[-1])


def figure(
    found: Sequence[tuple[Curve, Budgets]],
    references: Mapping[str, Sequence[Reference]],
    look: Look,
    columns: int | None = None,
    ends: Ends | None = None,
) -> Figure:
    """Normalised score against minutes (or seconds) of training, or the share of the budget.

    Args:
        found: From `scored_curves`.
        references: Task -> policies; of the roles static and heuristic, only the best is shown.
        look: From `networld_algos.report.style.styles`.
        columns: Panels per row.
        ends: Scores to draw in a strip beside the curves, from `final_scores`.
    """
    final = ends or {}
    panels: list[Panel] = list(dict.fromkeys(c.panel for c, _ in found))
    on_minutes = all(b.minutes is not None for _, b in found)
    longest = max((float(b.minutes[-1]) for _, b in found if b.minutes is not None), default=0.0)
    unit, scale = ("Seconds", 60.0) if longest < SHORT_MIN else ("Minutes", 1.0)
    with drawing():
        fig, axes = grid(len(panels), columns, height_in=2.4)
        for ax, panel in zip(axes, panels, strict=True):
            drawn = [_placed(c, b, on_minutes, scale) for c, b in found if c.panel == panel]
            policies = [
                (p, p.score.value) for p in principal(references.get(panel[0], ())) if p.score
            ]
            tested = [(c, final[panel, c.label]) for c in drawn if (panel, c.label) in final]
            core = [*(c.points[-1].value for c in drawn), *(score.value for _, score in tested)]
            values = [p.value for c in drawn for p in c.points]
            values += [x for _, score in tested for x in (score.low, score.high) if np.isfinite(x)]
            limits(ax, [100.0, *core], values, [v for _, v in policies])
            if on_minutes and _differ([float(c.x[-1]) for c in drawn]):
                ax.set_xscale("log")
                last = max(float(c.x[-1]) for c in drawn)
                first = _first_visible(drawn, ax.get_ylim()[0])
                ax.set_xlim(first / 1.5, 1.2 * last)
                # More ticks would touch where the axis covers more than a decade.
                subs = (1.0, 2.0, 5.0) if last < 12.0 * first else (1.0, 3.0)
                ax.xaxis.set_major_locator(LogLocator(subs=subs))
                ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
                ax.xaxis.set_minor_locator(NullLocator())
            lines(ax, drawn, look, banded=[look.focus])
            edge_arrows(ax, drawn, look)
            _draw_final(ax, [(c.label, score) for c, score in tested], look)
            reference_lines(fig, ax, policies)
            ax.set_xlabel(f"{unit} of training" if on_minutes else "Share of the budget (%)")
            ax.set_title(look.display.heading(panel[0]), loc="left")
            ax.set_ylabel("Normalised score")
        legend(fig, [c.label for c, _ in found], look, columns)
    return fig


def evaluations(rows: Sequence[Row]) -> int:
    """Evaluations of the run that has the most of one kind."""
    runs: dict[object, set[int]] = {}
    for row in rows:
        if row.updates:
            runs.setdefault((row.run, row.eval_seed_set), set()).add(row.updates)
    return max(map(len, runs.values()), default=0)


def describe(found: Sequence[tuple[Curve, Budgets]], ends: Ends, display: Display) -> str:
    """Alternative text of the figure."""
    last = [
        f"{display.method(c.label)} {ends.get((c.panel, c.label), c.points[-1]).value:.1f} "
        f"on {c.panel[0].upper()}"
        + ("" if b.minutes is None else f" after {b.minutes[-1]:.3g} min")
        for c, b in found
    ]
    return f"Line charts of the normalised score during training. At the end: {'; '.join(last)}."


def _draw_final(ax: Axes, tested: Sequence[tuple[str, Interval]], look: Look) -> None:
    """Add a strip on the right with a marker and an interval for each method, in their order."""
    if not tested:
        return
    first, last = ax.get_xlim()
    if ax.get_xscale() == "linear":
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ticks = ax.get_xticks()
    share = STEP * (len(tested) + 1)
    grow = 1.0 / (1.0 - share)
    if ax.get_xscale() == "log":
        ax.set_xlim(first, first * (last / first) ** grow)
    else:
        ax.set_xlim(first, first + (last - first) * grow)
    ax.set_xticks([x for x in ticks if first <= x <= last])
    ax.axvspan(last, ax.get_xlim()[1], color="#F4F4F4", lw=0.0, zorder=0.4)
    place = blended_transform_factory(ax.transAxes, ax.transData)
    for i, (label, score) in enumerate(tested):
        x, style = 1.0 - share + STEP * (i + 1), look[label]
        if np.isfinite(score.low):
            ax.plot([x, x], [score.low, score.high], color=style["color"], transform=place)
        size, order = 3.4 * style["weight"] ** 0.5, style["zorder"] + 1.0
        ax.plot(x, score.value, ls="", ms=size, zorder=order, transform=place, **marker(style))
    ax.annotate(
        "test",
        (1.0 - share / 2, 0.0),
        xycoords="axes fraction",
        xytext=(0.0, -6.0),  # level with the tick labels
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=7.0,
    )


def _normalised(curve: Curve, scale: tuple[float, float]) -> Curve:
    random, expert = scale

    def score(reward: float) -> float:
        return 100.0 * (reward - random) / (expert - random)

    points = [
        Interval(score(p.value), score(p.low), score(p.high), p.count, p.method)
        for p in curve.points
    ]
    return Curve(curve.panel, curve.algorithm, curve.label, curve.x, points, curve.eval_seed_set)


def _placed(curve: Curve, budget: Budgets, on_minutes: bool, scale: float) -> Curve:
    """The curve at ``scale`` times its minutes, without its start, or at percent of its budget."""
    x = 100.0 * budget.share
    if on_minutes and budget.minutes is not None:
        x = scale * budget.minutes
    kept = [i for i in range(len(x)) if x[i] > 0 or not on_minutes]
    points = [curve.points[i] for i in kept]
    return Curve(curve.panel, curve.algorithm, curve.label, x[kept], points, curve.eval_seed_set)


def _differ(ends: Sequence[float]) -> bool:
    """Whether budgets differ so much that a linear axis would squeeze the short ones."""
    return max(ends) > LINEAR_UP_TO * min(ends)


def _first_visible(curves: Sequence[Curve], low: float) -> float:
    """The first x at which a curve is above the lower edge of the panel."""
    found = [c.x[i] for c in curves for i, p in enumerate(c.points) if p.value >= low]
    return float(min(found, default=min(c.x[0] for c in curves)))


def _of_band(curves: Sequence[Curve], source: Source) -> str:
    if source.focus not in {c.label for c in curves}:
        return ""
    name = source.display.method(source.focus)
    return (
        f"Band: 95% interval of {name} over seeds and networks. The bands of the others are left "
        "out so that lines stay readable: the cards above compare methods, with paired intervals. "
    )


def _of_data(names: set[str]) -> str:
    return f" on {' and '.join(sorted(names))} data" if names else ""


def _evaluations(found: Sequence[tuple[Curve, Budgets]]) -> str:
    counts = sorted({len(c.points) for c, _ in found})
    span = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Every curve has {span} evaluations."
