"""Section "Cost": score against decision time, with bytes, parameters and training time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from networld_algos.report import scoring
from networld_algos.report.axes import (
    arranged,
    cost_axis,
    grid,
    legend,
    marker,
    title,
)
from networld_algos.report.scoring import Panel
from networld_algos.report.sections import pareto, responses, summary_figure
from networld_algos.report.sections.responses import Response, response_line
from networld_algos.report.source import Section, Source
from networld_algos.report.style import (
    DASHES,
    ROLE_STYLES,
    Look,
    apart,
    drawing,
    factor_name,
    level_text,
)
from networld_algos.report.summary import Final
from networld_algos.report.table import (
    SCORE_HINT,
    Cell,
    Column,
    Table,
    factor_level_cell,
    interval_cell,
    number_cell,
    panel_name,
    several_datasets,
    text_cell,
)
from networld_algos.results.display import Display
from networld_algos.results.rows import STATION_MS
from networld_algos.results.stats import Interval

PARAMETERS = "parameters"
"""Key of `Row.extra` that the cost table shows, beside `STATION_MS`."""

NAME_PT = 5.8
MARKER_PT = 5.0
NAME_OFFSETS_PT = (8.0, -8.0, 15.0, -15.0, 22.0, -22.0, 29.0, -29.0)
"""Where the name of a level may stand above or below its marker, the best place first."""


def make(source: Source) -> Section:
    """Score against the time of a decision and of training, with bytes and parameters."""
    section = Section("cost", "Cost")
    finals = source.finals("cost")
    settings = [f for f in finals if f.factor_level != scoring.PLAIN]
    panels = {f.panel for f in finals}
    fixed = [f for f in finals if f.factor_level == scoring.PLAIN]
    if not fixed:
        fixed = [f for f in source.finals("comparison") if f.panel in panels]
    stations = pareto.station_points([*fixed, *settings])
    section.finding = pareto.finding(stations, source.display)
    trainings = pareto.training_points(summary_figure.scored_curves(source, fixed))
    for price, points in ((pareto.STATION, stations), (pareto.TRAINING, trainings)):
        if points:
            name = f"cost_{price.name}"
            draw = partial(pareto.figure, points, price, source.look)
            alt = pareto.describe(points, price, source.display)
            section.parts.append(
                source.picture(name, source.forms(name, draw), alt, pareto.caption(price))
            )
    found = responses.responses(settings)
    if timed_panels(found, fixed):
        factors = dict.fromkeys(factor_name(r.factor).lower() for r in found)
        figures = source.forms("cost", partial(figure, found, fixed, source.look))
        section.parts.append(
            source.picture(
                "cost",
                figures,
                responses.describe_responses(found, source.display),
                "Normalised score against the median time of one decision of the whole batch. "
                f"Lines: one decision setting is varied ({', '.join(factors)}); its "
                "first and last values are at the markers. Single markers: methods with the "
                "decision settings of the comparison. Vertical bars: 95% interval over training "
                "seeds and networks.",
            )
        )
    section.parts.append(table([*settings, *fixed], source.display))
    return section


def figure(
    found: Sequence[Response], fixed: Sequence[Final], look: Look, columns: int | None = None
) -> Figure:
    """Score against decision time: one line per factor of the decision, one point per method.

    Args:
        found: Lines, from `responses`; the first and the last level are written beside them.
        fixed: Methods with one decision setting.
        look: From `networld_algos.report.style.styles`.
        columns: Panels per row.
    """
    timed = [r for r in found if all(f.latency_p50_ms for f in r.finals)]
    points = [f for f in fixed if f.score is not None and f.latency_p50_ms]
    panels = arranged([x.panel for x in [*timed, *points]])
    look = apart([(x.algorithm, x.label) for x in [*points, *timed]], look)
    with drawing():
        fig, axes = grid(len(panels), columns, height_in=2.4)
        for ax, panel in zip(axes, panels, strict=True):
            mine = [f for f in points if f.panel == panel]
            of_panel = [r for r in timed if r.panel == panel]
            for f in mine:
                _point(ax, f.latency_p50_ms or 0.0, f.score, look, f.label)
            drawn: list[str] = []
            for r in of_panel:
                times = [f.latency_p50_ms or 0.0 for f in r.finals]
                again = drawn.count(r.label)  # further factors of a method get other dashes
                response_line(ax, r, times, look, DASHES[again % len(DASHES)] if again else None)
                drawn.append(r.label)
            decided = [*mine, *(f for r in of_panel for f in r.finals)]
            cost_axis(ax, [f.latency_p50_ms for f in decided if f.latency_p50_ms])
            ax.axhline(100.0, zorder=1, **ROLE_STYLES["expert"])
            ax.margins(y=0.1)
            _name_ends(ax, of_panel, mine, look)
            ax.set_title(title(panel, panels, look.display), loc="left")
            ax.set_xlabel("Median decision time (ms)")
            ax.set_ylabel("Normalised score")
        legend(fig, [x.label for x in [*timed, *points]], look, columns)
    return fig


def _name_ends(ax: Axes, lines: Sequence[Response], fixed: Sequence[Final], look: Look) -> None:
    """The first and the last level of each line, as near as markers and other names allow."""
    ax.get_ylim()  # applies the limits, which `transData` needs
    scale = 72.0 / ax.figure.dpi

    def box(final: Final, up: float, width: float, height: float) -> Bbox:
        """In points, its centre ``up`` above the marker."""
        value = final.score.value if final.score else 0.0
        x, y = ax.transData.transform((final.latency_p50_ms or 0.0, value)) * scale
        return Bbox.from_bounds(x - 0.5 * width, y + up - 0.5 * height, width, height)

    dots = [*fixed, *(f for r in lines for f in r.finals)]
    taken = [box(f, 0.0, MARKER_PT, MARKER_PT) for f in dots]
    for r in lines:
        for end in sorted({0, len(r.finals) - 1}):
            final, text = r.finals[end], level_text(r.factor, r.levels[end])
            width = 0.5 * NAME_PT * len(text)
            places = {up: box(final, up, width, NAME_PT) for up in NAME_OFFSETS_PT}
            free = (up for up, place in places.items() if not place.count_overlaps(taken))
            offset = next(free, NAME_OFFSETS_PT[0])
            taken.append(places[offset])
            colour = look[r.label]["color"]
            ax.annotate(
                text,
                (final.latency_p50_ms or 0.0, r.points[end].value),
                xytext=(0.0, offset),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=NAME_PT,
                color=colour,
                zorder=6,
                bbox={"boxstyle": "square,pad=0.05", "fc": "white", "ec": "none", "alpha": 0.75},
                arrowprops={"arrowstyle": "-", "lw": 0.4, "color": colour, "shrinkB": 2.0},
            )


def timed_panels(found: Sequence[Response], fixed: Sequence[Final]) -> list[Panel]:
    """Panels that `figure` would draw."""
    lines = [r.panel for r in found if all(f.latency_p50_ms for f in r.finals)]
    return [*lines, *(f.panel for f in fixed if f.score is not None and f.latency_p50_ms)]


def _point(ax: Axes, x: float, score: Interval | None, look: Look, label: str) -> None:
    if score is None:
        return
    style = look[label]
    ax.vlines([x], score.low, score.high, color=style["color"], lw=0.9, alpha=0.6, zorder=2.5)
    size = 4.4 * style["weight"] ** 0.5
    ax.plot(x, score.value, ls="", ms=size, zorder=style["zorder"], **marker(style))


def table(finals: Sequence[Final], display: Display) -> Table:
    """Task x method x decision setting: score, latency, bytes, parameters, training time."""
    several = several_datasets([f.panel for f in finals])
    lines: list[list[Cell]] = []
    for f in finals:
        lines.append(
            [
                text_cell(panel_name(f.panel, several)),
                text_cell(display.method(f.label)),
                factor_level_cell(f.factor_level),
                interval_cell(f.score, 1),
                number_cell(f.latency_p50_ms, 1),
                number_cell(f.extra.get(STATION_MS), 2),
                number_cell(f.bytes_per_step, 0),
                number_cell(f.extra.get(PARAMETERS), 0),
                number_cell(f.train_seconds, 0),
            ]
        )
    columns = [
        Column("Task", False),
        Column("Method", False),
        Column("Setting", False, "decision setting that differs from the comparison"),
        Column("Score", hint=SCORE_HINT),
        Column("Latency p50 (ms)", hint="one decision of the whole batch"),
        Column("One agent (ms)", hint="one decision of one agent alone"),
        Column("Sent (B)", hint="bytes sent per agent and decision"),
        Column("Parameters"),
        Column("Training (s)"),
    ]
    caption = (
        "Cost of a score: median decision time, bytes sent per agent and decision, trainable "
        "parameters and training time. Scores are means over training seeds with 95% intervals, "
        "times of one agent are means, and other values medians."
    )
    return Table("Cost", caption, columns, lines)
