"""Figures of ablations, robustness and cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from networld_algos.plot_parts import (
    arranged,
    grid,
    interval_bar,
    legend,
    marker,
    name_lines,
    title,
)
from networld_algos.plot_style import DASHES, ROLE_STYLES, STYLE, Look, factor_name, level_text
from networld_algos.scoring import Panel
from networld_algos.stats import Interval
from networld_algos.summary import Final
from networld_algos.variations import AblationChange, Response


def ablation_figure(
    found: Sequence[AblationChange], look: Look, columns: int | None = None
) -> Figure:
    """Forest plot: change in score of each ablation, paired by seed, with its 95% interval."""
    panels = arranged([a.panel for a in found])
    labels = list(dict.fromkeys(a.label for a in found))
    with matplotlib.rc_context(STYLE):
        fig, axes = grid(len(panels), columns, height_in=0.75 + 0.2 * len(labels))
        for ax, panel in zip(axes, panels, strict=True):
            for a in (a for a in found if a.panel == panel):
                interval_bar(ax, a.change, labels.index(a.label), look[a.algorithm])
            ax.axvline(0.0, zorder=1, **ROLE_STYLES["expert"])
            ax.margins(x=0.07)
            name_lines(ax, labels)
            ax.set_title(title(panel, panels), loc="left")
            ax.set_xlabel("Change in score")
    return fig


def robustness_figure(found: Sequence[Response], look: Look, columns: int | None = None) -> Figure:
    """Score against the levels of one factor, one panel a task; numbers of agents on a log axis."""
    factor = found[0].factor
    panels = arranged([r.panel for r in found])
    with matplotlib.rc_context(STYLE):
        fig, axes = grid(len(panels), columns)
        for ax, panel in zip(axes, panels, strict=True):
            mine = [r for r in found if r.panel == panel]
            for response in mine:
                _response_line(ax, response, response.levels, look)
            levels = sorted({level for r in mine for level in r.levels})
            if factor == "agents":
                ax.set_xscale("log")
                ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticks(levels, [level_text(factor, level) for level in levels])
            ax.axhline(100.0, zorder=1, **ROLE_STYLES["expert"])
            ax.margins(x=0.08)
            ax.set_title(title(panel, panels), loc="left")
            ax.set_xlabel(factor_name(factor))
            ax.set_ylabel("Normalised score")
        legend(fig, [r.label for r in found], look, columns)
    return fig


def cost_figure(
    found: Sequence[Response], fixed: Sequence[Final], look: Look, columns: int | None = None
) -> Figure:
    """Score against decision time: a line for every factor of the decision, a point a method.

    Args:
        found: Lines, from `networld_algos.variations.responses`; the first and the last level are
            written beside them.
        fixed: Methods with one decision setting.
        look: From `styles`.
        columns: Panels side by side.
    """
    timed = [r for r in found if all(f.latency_p50_ms for f in r.finals)]
    points = [f for f in fixed if f.score is not None and f.latency_p50_ms]
    panels = arranged([x.panel for x in [*timed, *points]])
    with matplotlib.rc_context(STYLE):
        fig, axes = grid(len(panels), columns, height_in=2.4)
        for ax, panel in zip(axes, panels, strict=True):
            for f in (f for f in points if f.panel == panel):
                _point(ax, f.latency_p50_ms or 0.0, f.score, look, f.label)
            drawn: list[str] = []
            for r in (r for r in timed if r.panel == panel):
                times = [f.latency_p50_ms or 0.0 for f in r.finals]
                again = drawn.count(r.label)  # a second factor of one method is dashed
                _response_line(ax, r, times, look, DASHES[again % len(DASHES)] if again else None)
                drawn.append(r.label)
                for end in sorted({0, len(times) - 1}):
                    ax.annotate(
                        level_text(r.factor, r.levels[end]),
                        (times[end], r.points[end].value),
                        xytext=(2, 5 if len(drawn) % 2 else -9),
                        textcoords="offset points",
                        fontsize=5.8,
                        color=look[r.label]["color"],
                        zorder=6,
                    )
            ax.set_xscale("log")
            ax.axhline(100.0, zorder=1, **ROLE_STYLES["expert"])
            ax.margins(x=0.12, y=0.1)
            ax.set_title(title(panel, panels), loc="left")
            low, high = ax.get_xlim()
            narrow = high < 50.0 * low  # else labels between powers of ten would touch
            ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
            ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xlabel("Median decision time (ms)")
            ax.set_ylabel("Normalised score")
        legend(fig, [x.label for x in [*timed, *points]], look, columns)
    return fig


def timed_panels(found: Sequence[Response], fixed: Sequence[Final]) -> list[Panel]:
    """Panels that `cost_figure` would draw."""
    lines = [r.panel for r in found if all(f.latency_p50_ms for f in r.finals)]
    return [*lines, *(f.panel for f in fixed if f.score is not None and f.latency_p50_ms)]


def _response_line(
    ax: Axes, response: Response, x: Sequence[float], look: Look, dashes: Any = None
) -> None:
    style = look[response.label]
    line = style["linestyle"] if dashes is None else dashes
    mean, low, high = np.array([(p.value, p.low, p.high) for p in response.points]).T
    ax.plot(x, mean, lw=1.3, ls=line, ms=3.8, zorder=style["zorder"], **marker(style))
    ax.vlines(x, low, high, color=style["color"], lw=0.9, alpha=0.6, zorder=2.5)


def _point(ax: Axes, x: float, score: Interval | None, look: Look, label: str) -> None:
    if score is None:
        return
    style = look[label]
    ax.vlines([x], score.low, score.high, color=style["color"], lw=0.9, alpha=0.6, zorder=2.5)
    ax.plot(x, score.value, ls="", ms=4.4, zorder=style["zorder"], **marker(style))
