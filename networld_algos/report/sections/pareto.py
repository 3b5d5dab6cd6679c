"""Score against a cost, with the methods that no other beats in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from networld_algos.report.axes import arranged, grid, legend, limits, marker, title
from networld_algos.report.scoring import PLAIN, Panel
from networld_algos.report.style import ROLE_STYLES, Look, drawing
from networld_algos.report.summary import Final
from networld_algos.report.table import panel_name
from networld_algos.results.claims.aims import STATION_LIMIT_MS
from networld_algos.results.display import Display
from networld_algos.results.rows import STATION_MS
from networld_algos.results.text import minus

FRONT = {"color": "#5C5C5C", "linestyle": "-", "linewidth": 0.9, "zorder": 1.8}


@dataclass(frozen=True)
class Price:
    """A cost of a method.

    Attributes:
        name: Start of the figure's file name.
        axis: Label of the axis.
        words: What it is, for captions.
        of: Its value for a final score; None if it was not measured.
        deadline: Value to draw as a vertical line, or None.
    """

    name: str
    axis: str
    words: str
    of: Callable[[Final], float | None]
    deadline: float | None = None


PRICES = (
    Price(
        "station",
        "One decision of one station (ms)",
        "the median time of one decision of one station alone",
        lambda f: f.extra.get(STATION_MS),
        STATION_LIMIT_MS,
    ),
    Price(
        "training",
        "Training (minutes)",
        "the time of training",
        lambda f: f.train_seconds / 60.0 if f.train_seconds else None,
    ),
)


def priced(finals: Sequence[Final], price: Price) -> list[tuple[Final, float, float]]:
    """Every final score whose cost is known, with cost and score."""
    return [
        (f, cost, f.score.value)
        for f in finals
        if f.score is not None and (cost := price.of(f)) is not None and cost > 0.0
    ]


def front(points: Sequence[tuple[Final, float, float]]) -> list[tuple[Final, float, float]]:
    """The points that no other beats in cost and score, by increasing cost."""
    found: list[tuple[Final, float, float]] = []
    for point in sorted(points, key=lambda p: (p[1], -p[2])):
        if not found or point[2] > found[-1][2]:
            found.append(point)
    return found


def figure(finals: Sequence[Final], price: Price, look: Look, columns: int | None = None) -> Figure:
    """Score against a cost, one panel per task; a stepped line joins the Pareto front.

    Args:
        finals: Methods and, small, further decision settings of them.
        price: The cost.
        look: From `networld_algos.report.style.styles`.
        columns: Panels per row.
    """
    points = priced(finals, price)
    panels = arranged([f.panel for f, _, _ in points])
    with drawing():
        fig, axes = grid(len(panels), columns, height_in=2.4)
        for ax, panel in zip(axes, panels, strict=True):
            mine = [p for p in points if p[0].panel == panel]
            best = front(mine)
            ends = [x for _, x, _ in mine] + ([price.deadline] if price.deadline else [])
            far = max(ends) * 1.3
            ax.plot(
                [*(x for _, x, _ in best), far],
                [*(y for _, _, y in best), best[-1][2]],
                drawstyle="steps-post",
                **FRONT,
            )
            limits(ax, [100.0, *(y for _, _, y in best)], [y for _, _, y in mine], [])
            for final, x, y in mine:
                _point(ax, final, x, y, look)
            ax.set_xscale("log")
            ax.set_xlim(min(ends) / 1.3, far)
            ax.axhline(100.0, zorder=1, **ROLE_STYLES["expert"])
            if price.deadline:
                ax.axvline(price.deadline, color="#B00020", lw=0.9, ls=(0, (4, 2)), zorder=1.5)
            ax.set_title(title(panel, panels, look.display), loc="left")
            narrow = far < 50.0 * min(ends)
            ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
            ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xlabel(price.axis)
            ax.set_ylabel("Normalised score")
        legend(fig, [f.label for f, _, _ in points], look, columns)
    return fig


def _point(ax: Axes, final: Final, x: float, y: float, look: Look) -> None:
    """A marker; at the lower edge with its value if it lies below."""
    style, score = look[final.label], final.score
    low, high = ax.get_ylim()
    if y < low:
        text = minus(f"{y:.0f}")
        at = low + 0.03 * (high - low)
        ax.annotate(f"↓ {text}", (x, at), fontsize=5.8, color=style["color"], clip_on=True)
        return
    plain = final.factor_level == PLAIN
    if plain and score is not None:
        ax.vlines([x], score.low, score.high, color=style["color"], lw=0.9, alpha=0.6, zorder=2.5)
    size = (4.4 if plain else 2.4) * style["weight"] ** 0.5
    ax.plot(x, y, ls="", ms=size, zorder=style["zorder"], **marker(style))


def caption(price: Price) -> str:
    """How to read the figure."""
    end = (
        f" Dashed line: a deadline of {price.deadline:g} ms, a slot of CBF."
        if price.deadline
        else ""
    )
    return (
        f"Normalised score against {price.words}, on a log axis. No method beats those on the "
        "stepped line, the Pareto front, in both. Small markers: other decision settings of the "
        f"same model. Vertical bars: 95% interval.{end}"
    )


def describe(finals: Sequence[Final], price: Price, display: Display) -> str:
    """Alternative text of the figure: who is on the front."""
    return (
        f"Charts of normalised score against {price.words}. On the front: "
        + "; ".join(
            f"{panel_name(panel, True)}: " + ", ".join(names)
            for panel, names in on_front(finals, price, display).items()
        )
        + "."
    )


def on_front(
    finals: Sequence[Final], price: Price, display: Display
) -> Mapping[Panel, Sequence[str]]:
    """Panel -> methods on its front, by increasing cost."""
    points = priced(finals, price)
    out: dict[Panel, list[str]] = {}
    for panel in dict.fromkeys(f.panel for f, _, _ in points):
        best = front([p for p in points if p[0].panel == panel])
        out[panel] = list(dict.fromkeys(display.method(f.label) for f, _, _ in best))
    return out


def finding(finals: Sequence[Final], display: Display) -> str:
    """Who is on the front of a station's time and score, and who misses the deadline."""
    plain = [f for f in finals if f.factor_level == PLAIN]
    parts = [
        f"{panel_name(panel, False)} {' then '.join(names)}"
        for panel, names in on_front(plain, PRICES[0], display).items()
    ]
    if not parts:
        return "No method was timed as it decides alone on one station, so there is no front."
    late = dict.fromkeys(
        display.method(f.label)
        for f, cost, _ in priced(plain, PRICES[0])
        if cost > STATION_LIMIT_MS
    )
    end = f"{', '.join(late)} decide too late for a slot of {STATION_LIMIT_MS:g} ms"
    if not late:
        end = f"every method decides within a slot of {STATION_LIMIT_MS:g} ms"
    return (
        "From the fastest to the best, no method beats these in both a station's time and score: "
        f"{'; '.join(parts)}. On the machine of these rows, {end}."
    )
