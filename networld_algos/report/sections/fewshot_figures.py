"""Figures of the few-shot section: score against the amount of target data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from networld_algos.report.axes import (
    arranged,
    grid,
    legend,
    limits,
    lines,
    reference_lines,
    title,
)
from networld_algos.report.scoring import Reference
from networld_algos.report.sections.comparison_figures import principal, scale_ends
from networld_algos.report.sections.fewshot_curves import FewShotCurve, place_name
from networld_algos.report.style import Look, drawing
from networld_algos.report.summary import quality
from networld_algos.results.display import Display
from networld_algos.results.rows import QUALITIES


def figure(
    curves: Sequence[FewShotCurve],
    references: Mapping[str, Sequence[Reference]],
    look: Look,
    columns: int | None = None,
) -> Figure:
    """Normalised score against the amount of target data, log axis, one panel per task.

    Args:
        curves: From `fewshot_curves`, with the averaged ones appended.
        references: Task -> policies; of the roles static and heuristic, only the best is shown.
            They are those of the default deployment, so panels of another one do not show them.
        look: From `networld_algos.report.style.styles`.
        columns: Panels per row.
    """
    panels = arranged([c.panel for c in curves])
    with drawing():
        fig, axes = grid(len(panels), columns, most=2 if len(panels) < 5 else 3)
        for ax, panel in zip(axes, panels, strict=False):
            mine = [c for c in curves if c.panel == panel]
            policies = principal(references.get(panel[0], ()))
            scored = [(p, p.score.value) for p in policies if p.score is not None]
            values = [p.value for c in mine for p in c.points]
            elsewhere = quality(panel) not in QUALITIES
            if references and (panel[0] not in references or elsewhere):
                scored = scale_ends(references)
            ax.set_xscale("log")
            limits(ax, [100.0, *values], values, [v for _, v in scored])
            lines(ax, _stretched(mine), look)
            reference_lines(fig, ax, scored)
            _share_ticks(ax, mine)
            name = place_name(panel, True) if panel[1] and elsewhere else None
            ax.set_title(name or title(panel, panels, look.display), loc="left")
            ax.set_ylabel("Normalised score")
        legend(fig, [c.label for c in curves], look, columns)
    return fig


def _stretched(curves: Sequence[FewShotCurve]) -> list[FewShotCurve]:
    """Constant curves as lines from the smallest to the largest share of the others."""
    shares = np.unique(np.concatenate([c.x for c in curves]))
    return [
        replace(c, x=shares, points=[c.points[0]] * len(shares)) if c.is_constant else c
        for c in curves
    ]


def _share_ticks(ax: Axes, curves: Sequence[FewShotCurve]) -> None:
    """Ticks at the measured shares, labelled with episodes above and shares below."""
    episodes = {float(x): float(n) for c in curves for x, n in zip(c.x, c.episodes, strict=True)}
    shares = sorted(episodes)
    counted = all(np.isfinite(list(episodes.values())))
    ticks = [f"{episodes[x]:.0f}\n{100 * x:.3g}%" if counted else f"{100 * x:.3g}%" for x in shares]
    ax.set_xticks(shares, ticks)
    ax.set_xticks([], minor=True)
    ax.set_xlabel("Target-task episodes, share of all" if counted else "Share of target data")
    ax.set_xlim(shares[0] / 1.25, shares[-1] * 1.25)


def describe(curves: Sequence[FewShotCurve], display: Display) -> str:
    """Alternative text of the few-shot figure."""
    ends = [
        f"{display.method(c.label)} on {place_name(c.panel, True)}: {c.points[0].value:.0f} at "
        f"{100 * c.x[0]:.3g}%, {c.points[-1].value:.0f} at {100 * c.x[-1]:.3g}%"
        for c in curves
    ]
    return (
        "Line charts of normalised score against the share of target data on a log axis. "
        f"{'; '.join(ends)}."
    )
