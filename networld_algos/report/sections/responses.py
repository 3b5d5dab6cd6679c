"""Scores against the levels of one factor, for robustness and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from networld_algos.report.axes import (
    marker,
)
from networld_algos.report.scoring import Panel, grouped
from networld_algos.report.style import Look, factor_name
from networld_algos.report.summary import Final
from networld_algos.report.table import panel_name
from networld_algos.results.display import Display
from networld_algos.results.stats import Interval


@dataclass(frozen=True)
class Response:
    """Score of one method against the levels of one factor.

    Attributes:
        panel: (task, dataset).
        factor: What is varied, e.g. ``"message_loss"``.
        algorithm: Key in ``ALGORITHMS``.
        label: Display variant.
        finals: One entry per level, levels increasing, each with a score.
    """

    panel: Panel
    factor: str
    algorithm: str
    label: str
    finals: list[Final]

    @property
    def levels(self) -> list[float]:
        """Increasing levels."""
        return [f.factor_level[1] or 0.0 for f in self.finals]

    @property
    def points(self) -> list[Interval]:
        """Score at each level."""
        return [f.score for f in self.finals if f.score is not None]


def responses(finals: Sequence[Final]) -> list[Response]:
    """Scores against levels, for every factor, panel and method; entries without score left out.

    Args:
        finals: Of the experiment ``"robustness"`` or ``"cost"``.
    """
    scored = [f for f in finals if f.factor_level[0] is not None and f.score is not None]
    out = [
        Response(
            panel,
            factor,
            group[0].algorithm,
            label,
            sorted(group, key=lambda f: f.factor_level[1] or 0.0),
        )
        for (factor, panel, label), group in grouped(
            scored, lambda f: (f.factor_level[0] or "", f.panel, f.label)
        )
    ]
    order = list(dict.fromkeys(r.factor for r in out))
    return sorted(out, key=lambda r: order.index(r.factor))


def response_line(
    ax: Axes, response: Response, x: Sequence[float], look: Look, dashes: Any = None
) -> None:
    """Draw a response over ``x`` as a line with interval bars, in its method's style."""
    style = look[response.label]
    line = style["linestyle"] if dashes is None else dashes
    mean, low, high = np.array([(p.value, p.low, p.high) for p in response.points]).T
    width = 1.3 * style["weight"]
    ax.plot(x, mean, lw=width, ls=line, ms=3.8, zorder=style["zorder"], **marker(style))
    ax.vlines(x, low, high, color=style["color"], lw=0.9, alpha=0.6, zorder=2.5)


def describe_responses(found: Sequence[Response], display: Display) -> str:
    """Alternative text of a robustness or cost figure."""
    ends = [
        f"{display.method(r.label)} on {panel_name(r.panel, True)}: {r.points[0].value:.0f} at "
        f"{r.levels[0]:g}, {r.points[-1].value:.0f} at {r.levels[-1]:g}"
        for r in found
    ]
    factor = factor_name(found[0].factor).lower() if found else "nothing"
    return f"Charts of normalised score as {factor} varies. {'; '.join(ends)}."
