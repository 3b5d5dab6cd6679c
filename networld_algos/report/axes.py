"""Building blocks of figures: axes, lines, labels, legends and files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from networld_algos.files import write_bytes
from networld_algos.report.scoring import Panel, Reference
from networld_algos.report.style import (
    COLUMN_WIDTH_IN,
    PAGE_WIDTH_IN,
    ROLE_STYLES,
    Look,
    drawing,
)
from networld_algos.report.summary import Curve, quality
from networld_algos.results.display import Display
from networld_algos.results.stats import Floats, Interval

LEGEND_ROW_IN = 0.16
CLOSE = 3.0
"""Ratio of the largest to the smallest cost up to which an axis is linear."""


def save(fig: Figure, folder: Path, name: str, png: bool = True) -> Path:
    """Write ``name.svg``, and ``name.png`` at 300 dpi, atomically. Equal figures give equal bytes.

    Returns:
        Path of the SVG.
    """
    svg, png_file = io.BytesIO(), io.BytesIO()
    with drawing():  # `Figure.savefig` would draw everything twice
        FigureCanvasSVG(fig).print_svg(svg, metadata={"Date": None})
        if png:
            fig.set_layout_engine("none")  # both files keep the layout of the first
            fig.set_dpi(300)
            # Level 6, the default, takes half as long again for a tenth less.
            options = {"compress_level": 3}
            FigureCanvasAgg(fig).print_png(
                png_file, metadata={"Software": None}, pil_kwargs=options
            )
            write_bytes(folder / f"{name}.png", png_file.getvalue())
    write_bytes(folder / f"{name}.svg", svg.getvalue())
    return folder / f"{name}.svg"


def save_pdf(fig: Figure, folder: Path, name: str) -> Path:
    """Write ``name.pdf`` as vectors, with its fonts (`networld_algos.report.style.STYLE`).

    Equal figures give equal bytes.
    """
    buffer = io.BytesIO()
    with drawing():
        fig.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return write_bytes(folder / f"{name}.pdf", buffer.getvalue())


def arranged(panels: Sequence[Panel]) -> list[Panel]:
    """Panels in order of appearance, or one row per quality if every task has all qualities."""
    unique = list(dict.fromkeys(panels))
    tasks = list(dict.fromkeys(task for task, _ in unique))
    qualities = list(dict.fromkeys(map(quality, unique)))
    table = {(task, quality((task, dataset))): (task, dataset) for task, dataset in unique}
    if len(table) == len(unique) == len(tasks) * len(qualities):
        return [table[task, name] for name in qualities for task in tasks]
    return unique


def grid(
    count: int, columns: int | None, most: int = 3, height_in: float = 2.25
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes, as wide as the page unless there is only one column."""
    if count == 0:
        raise ValueError("nothing to draw: no panel has data")
    across = min(count, (2 if count == 4 else most) if columns is None else columns)
    down = -(-count // across)
    width_in = PAGE_WIDTH_IN if across > 1 else COLUMN_WIDTH_IN
    fig = Figure(figsize=(width_in, height_in * down + 0.35))
    fig.set_layout_engine("constrained", w_pad=0.05, wspace=0.05)
    axes = [fig.add_subplot(down, across, i + 1) for i in range(count)]
    return fig, axes


def title(panel: Panel, panels: Sequence[Panel], display: Display) -> str:
    """Heading of a panel: the task, or task and dataset if the task has several."""
    task = panel[0]
    if sum(t == task for t, _ in panels) > 1:
        return f"{task.upper()}, {quality(panel)}"
    return display.heading(task)


def limits(
    ax: Axes, core: Sequence[float], values: Sequence[float], references: Sequence[float]
) -> None:
    """Set y-limits that keep the final values readable.

    References, then early training values, widen the range only while ``core`` keeps 30% of it.
    `reference_lines` names references outside the range at the edge.
    """
    low, high = min(core), max(core)
    span = max(high - low, 1e-3 * max(abs(high), abs(low), 1e-6))

    def outside(value: float) -> float:
        return max(value - max(core), min(core) - value)

    for value in [*sorted(references, key=outside), *sorted(values, key=outside)]:
        new_low, new_high = min(low, value), max(high, value)
        if span >= 0.3 * (new_high - new_low):
            low, high = new_low, new_high
    margin = 0.06 * max(high - low, span)
    ax.set_ylim(low - margin, high + margin)


def lines(
    ax: Axes, curves: Sequence[Curve], look: Look, banded: Sequence[str] | None = None
) -> None:
    """Draw curves with bands, or with the bands of some labels only."""
    for curve in curves:
        style = look[curve.label]
        mean, low, high = np.array([(p.value, p.low, p.high) for p in curve.points]).T
        every = max(1, len(mean) // 5)
        ax.plot(
            curve.x,
            mean,
            lw=1.3 * style["weight"],
            ls=style["linestyle"],
            zorder=style["zorder"],
            ms=3.6,
            markevery=slice((len(mean) - 1) % every, None, every),
            **marker(style),
        )
        if banded is None or curve.label in banded:
            ax.fill_between(curve.x, low, high, color=style["color"], alpha=0.13, lw=0, zorder=2.0)


def edge_arrows(ax: Axes, curves: Sequence[Curve], look: Look) -> None:
    """Mark where curves leave the panel, once its scale and limits are set: arrows in their colour.

    On a logarithmic axis, lines are straight in the logarithm.
    """
    low, high = ax.get_ylim()
    to, back = (np.log, np.exp) if ax.get_xscale() == "log" else (np.asarray, np.asarray)
    for curve in curves:
        x = to(np.asarray(curve.x, dtype=float))
        y = np.array([p.value for p in curve.points])
        for edge, symbol, place in ((low, "v", 0.025), (high, "^", 0.975)):
            out = y < low if edge == low else y > high
            ax.plot(
                back(crossings(x, y, out, edge)),
                [place] * int(np.sum(np.diff(out)) + out.all()),
                symbol,
                color=look[curve.label]["color"],
                ms=3.8,
                mew=0.0,
                zorder=6.0,
                transform=ax.get_xaxis_transform(),
            )


def crossings(x: Floats, y: Floats, out: NDArray[np.bool_], edge: float) -> Floats:
    """Where a curve passes an edge of the panel; its last point if all of it is outside.

    Args:
        x: ``(X,)``.
        y: ``(X,)``.
        out: ``(X,)``, which points are beyond the edge.
        edge: Value of ``y`` at the edge.
    """
    if out.all():
        return x[-1:]
    at = np.flatnonzero(np.diff(out))
    share = (edge - y[at]) / (y[at + 1] - y[at])
    return x[at] + share * (x[at + 1] - x[at])


def marker(style: Mapping[str, Any]) -> dict[str, Any]:
    """Marker options of a line style."""
    return {
        "color": style["color"],
        "marker": style["marker"],
        "markerfacecolor": style["markerfacecolor"],
        "markeredgecolor": style["color"] if style["markerfacecolor"] == "white" else "white",
        "markeredgewidth": 0.9 if style["markerfacecolor"] == "white" else 0.5,
    }


def interval_bar(ax: Axes, interval: Interval, y: float, style: Mapping[str, Any]) -> None:
    """Draw a horizontal interval with its estimate."""
    if np.isfinite(interval.low):
        ax.plot(
            [interval.low, interval.high], [y, y], color=style["color"], lw=2.2 * style["weight"]
        )
    ax.plot(interval.value, y, ms=4.5, ls="", **marker(style), zorder=5)


def cost_axis(ax: Axes, costs: Sequence[float]) -> None:
    """Scale, limits and ticks of an axis of positive costs: logarithmic unless they are close."""
    low, high = min(costs), max(costs)
    if high <= CLOSE * low:
        span = max(high - low, 0.1 * high)
        ax.set_xlim(low - 0.2 * span, high + 0.3 * span)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        return
    ax.set_xscale("log")
    ax.set_xlim(low / 1.3, 1.3 * high)
    # The more powers of ten, the fewer labels between them have room.
    subs = (1.0, 2.0, 5.0) if high < 60.0 * low else (1.0, 3.0) if high < 1000.0 * low else (1.0,)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())


def row_of(ax: Axes) -> int:
    """The row of a panel in its figure."""
    place = ax.get_subplotspec()
    return 0 if place is None else place.rowspan.start


def name_lines(ax: Axes, labels: Sequence[str], display: Display) -> None:
    """Name line ``i`` from the top ``labels[i]``, only in the first column of panels."""
    place = ax.get_subplotspec()
    shown = place is None or place.is_first_col()
    ax.set_yticks(range(len(labels)), [display.method(n) for n in labels] if shown else [])
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def reference_lines(fig: Figure, ax: Axes, policies: Sequence[tuple[Reference, float]]) -> None:
    """Draw references as horizontal lines, named right of the axes without overlap."""
    low, high = ax.get_ylim()
    height_pt = ax.get_position().height * fig.get_figheight() * 72.0  # before layout
    gap = 7.4 / max(height_pt, 1.0)  # one line of text, in axes units
    shown = sorted(policies, key=lambda item: item[1])
    at = [min(max((value - low) / (high - low), 0.0), 1.0) for _, value in shown]
    for (policy, value), y, beside in zip(shown, at, spread(at, gap), strict=True):
        style = ROLE_STYLES[policy.role]
        text = policy.label
        if low <= value <= high:
            ax.axhline(value, zorder=1.5, **style)
        else:
            text += f" {'↑' if value > high else '↓'} {value:.3g}"
        place = ax.transAxes
        pointer = Line2D([1.0, 1.04], [y, beside], color=style["color"], lw=0.6, clip_on=False)
        ax.add_artist(pointer).set_transform(place)  # an arrow of `annotate` is slow to draw
        ax.text(
            1.045,
            beside,
            text,
            transform=place,
            va="center",
            ha="left",
            fontsize=6.3,
            color="#222222" if policy.role in ("expert", "genie") else "#5C5C5C",
        )


def spread(at: Sequence[float], gap: float) -> list[float]:
    """Move increasing positions ``gap`` apart within [0, 1], with the least sum of squares."""
    blocks: list[list[float]] = []  # [mean of (position - rank * gap), size]
    for i, y in enumerate(at):
        blocks.append([y - i * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:  # pool adjacent violators
            mean, size = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * size) / (last[1] + size)
            last[1] += size
    top = max(1.0 - (len(at) - 1) * gap, 0.0)
    placed = [min(max(mean, 0.0), top) for mean, size in blocks for _ in range(int(size))]
    return [mean + i * gap for i, mean in enumerate(placed)]


def thousands(x: float) -> str:
    """``1500`` as ``1.5k``."""
    return f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}"


def legend(
    fig: Figure,
    labels: Sequence[str],
    look: Look,
    columns: int | None,
    markers: bool = True,
) -> None:
    """Name the methods below the panels, in as few rows as fit."""
    unique = list(dict.fromkeys(labels))
    handles: list[Line2D] = []
    for name in unique:
        options: dict[str, Any] = {"color": look[name]["color"]}
        if markers:
            options = {**marker(look[name]), "markersize": 4.2}
        line, width = look[name]["linestyle"], 1.4 * look[name]["weight"]
        handles.append(Line2D([], [], ls=line, lw=width, **options))
    longest = max(len(look.display.method(n)) for n in unique)
    width_pt = (COLUMN_WIDTH_IN if columns == 1 else PAGE_WIDTH_IN) * 72
    fit = max(1, int(width_pt // (longest * 4.4 + 34)))
    rows = -(-len(unique) // fit)
    fig.set_figheight(fig.get_figheight() + LEGEND_ROW_IN * max(0, rows - 2))  # two have room
    shown = fig.legend(
        handles=handles,
        labels=["method"] * len(unique),  # a label that starts with "_" would be left out
        loc="outside lower center",
        ncols=-(-len(unique) // rows),
        frameon=False,
        handlelength=2.4,
        columnspacing=1.4,
        handletextpad=0.6,
    )
    for text, name in zip(shown.get_texts(), unique, strict=True):
        text.set_text(look.display.method(name))
