"""Score against a cost, with the points that no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from networld_algos.report.axes import arranged, cost_axis, grid, legend, limits, marker, title
from networld_algos.report.scoring import PLAIN, FactorLevel, Panel, grouped
from networld_algos.report.sections.summary_figure import Budgets
from networld_algos.report.style import ROLE_STYLES, Look, apart, drawing, level_text
from networld_algos.report.summary import Curve, Final
from networld_algos.report.table import interval_text, panel_name
from networld_algos.results.claims.aims import STATION_LIMIT_MS
from networld_algos.results.display import Display
from networld_algos.results.rows import STATION_MS
from networld_algos.results.stats import MATTERS, Interval
from networld_algos.results.text import minus

NAME_GAP = 0.06
"""Least distance of two names, as a share of the height of a panel."""
LEAST_SPAN = 2.0 * MATTERS
"""Least height of a panel in points: smaller differences do not matter."""
TEXT_WIDTH, LINE_HEIGHT = 0.13, 0.055
"""Of a score below a panel, as shares of its width and height."""
FRONT = {"color": "#5C5C5C", "linestyle": "-", "linewidth": 0.9, "zorder": 1.8}


@dataclass(frozen=True)
class Price:
    """A cost of a method.

    Attributes:
        name: End of the figure's file name.
        axis: Label of the axis.
        words: What it is, for captions.
        small: What small markers are, for captions.
        deadline: Value to draw as a vertical line, or None.
        has_bars: Whether large markers have their intervals; not where many cost the same.
    """

    name: str
    axis: str
    words: str
    small: str
    deadline: float | None = None
    has_bars: bool = True


STATION = Price(
    "station",
    "One decision of one station (ms)",
    "the median time of one decision of one station alone",
    "other decision settings of the same model, named on the line where there is room",
    STATION_LIMIT_MS,
)
TRAINING = Price(
    "training",
    "Training (minutes)",
    "the minutes of training so far, at every evaluation on validation networks",
    "evaluations before the last one",
    has_bars=False,
)


@dataclass(frozen=True)
class Point:
    """A score and what it cost.

    Attributes:
        panel: (task, dataset).
        algorithm: Key in ``ALGORITHMS``.
        label: Name in figures.
        setting: Decision setting that differs from the comparison.
        cost: Its cost, above zero.
        score: The score.
        is_main: Whether its marker is large.
    """

    panel: Panel
    algorithm: str
    label: str
    setting: FactorLevel
    cost: float
    score: Interval
    is_main: bool


def station_points(finals: Sequence[Final]) -> list[Point]:
    """Every final score whose milliseconds of one station were measured."""
    return [
        Point(f.panel, f.algorithm, f.label, f.factor_level, ms, f.score, f.factor_level == PLAIN)
        for f in finals
        if f.score is not None and (ms := f.extra.get(STATION_MS, 0.0)) > 0.0
    ]


def training_points(found: Sequence[tuple[Curve, Budgets]]) -> list[Point]:
    """Every evaluation whose minutes were recorded: what a shorter training would have bought.

    Args:
        found: From `networld_algos.report.sections.summary_figure.scored_curves`.
    """
    return [
        Point(c.panel, c.algorithm, c.label, PLAIN, float(minutes), score, score is c.points[-1])
        for c, budget in found
        if budget.minutes is not None
        for minutes, score in zip(budget.minutes, c.points, strict=True)
        if minutes > 0.0
    ]


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in cost and score, by increasing cost."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.score.value)):
        if not found or point.score.value > found[-1].score.value:
            found.append(point)
    return found


def figure(points: Sequence[Point], price: Price, look: Look, columns: int | None = None) -> Figure:
    """Score against a cost, one panel per task; a stepped line joins the Pareto front.

    Args:
        points: From `station_points` or `training_points`.
        price: The cost.
        look: From `networld_algos.report.style.styles`.
        columns: Panels per row.
    """
    panels = arranged([p.panel for p in points])
    look = apart([(p.algorithm, p.label) for p in points], look)
    with drawing():
        fig, axes = grid(len(panels), columns, height_in=2.4)
        for ax, panel in zip(axes, panels, strict=True):
            mine = [p for p in points if p.panel == panel]
            best = front(mine)
            core = [p.score.value for p in best if p.is_main or p is best[-1]]
            if price.has_bars:
                core += [x for p in best if p.is_main for x in (p.score.low, p.score.high)]
            core.append(max(core) - LEAST_SPAN)
            limits(ax, [100.0, *core], [p.score.value for p in mine], [])
            low = ax.get_ylim()[0]
            shown = [p.cost for p in mine if p.is_main or p.score.value >= low]
            cost_axis(ax, [*shown, *([price.deadline] if price.deadline else [])])
            heights = [p.score.value for p in best]
            ax.plot(
                [*(p.cost for p in best), ax.get_xlim()[1]],
                [*heights, heights[-1]],
                drawstyle="steps-post",
                scalex=False,
                scaley=False,
                **FRONT,
            )
            for point in (p for p in mine if p.score.value >= low):
                _draw(ax, point, look, price.has_bars)
            _name_below(ax, [p for p in mine if p.score.value < low and p.is_main], look)
            _name_settings(ax, best, look)
            ax.axhline(100.0, zorder=1, **ROLE_STYLES["expert"])
            if price.deadline:
                ax.axvline(price.deadline, color="#B00020", lw=0.9, ls=(0, (4, 2)), zorder=1.5)
            ax.set_title(title(panel, panels, look.display), loc="left")
            ax.set_xlabel(price.axis)
            ax.set_ylabel("Normalised score")
        legend(fig, [p.label for p in points], look, columns)
    return fig


def _draw(ax: Axes, point: Point, look: Look, has_bar: bool) -> None:
    """A marker, and its interval."""
    style, score, x = look[point.label], point.score, point.cost
    if point.is_main and has_bar:
        ax.vlines([x], score.low, score.high, color=style["color"], lw=0.9, alpha=0.6, zorder=2.5)
    size = (4.4 if point.is_main else 2.8) * style["weight"] ** 0.5
    ax.plot(x, score.value, ls="", ms=size, zorder=style["zorder"], **marker(style))


def _name_below(ax: Axes, points: Sequence[Point], look: Look) -> None:
    """The scores below the panel at its lower edge, in as many lines as keep them apart."""
    ends: list[float] = []  # of the texts in each line, as shares of the width
    to_share = ax.transScale.transform
    left, right = (float(to_share((x, 0.0))[0]) for x in ax.get_xlim())
    for point in sorted(points, key=lambda p: p.cost):
        at = (float(to_share((point.cost, 0.0))[0]) - left) / (right - left)
        line = next((i for i, end in enumerate(ends) if end <= at), len(ends))
        ends[line : line + 1] = [at + TEXT_WIDTH]
        ax.annotate(
            f"↓ {minus(f'{point.score.value:.0f}')}",
            (at, 0.03 + LINE_HEIGHT * line),
            xycoords="axes fraction",
            fontsize=5.8,
            color=look[point.label]["color"],
            clip_on=True,
        )


def _name_settings(ax: Axes, best: Sequence[Point], look: Look) -> None:
    """Decision settings of the front, left of and above its points, where nothing else is."""
    low, high = ax.get_ylim()
    before = high
    for point in reversed(best):
        y = point.score.value
        if point.setting == PLAIN or before - y < NAME_GAP * (high - low):
            continue
        before = y
        ax.annotate(
            _setting(point),
            (point.cost, y),
            xytext=(-3, 2),
            textcoords="offset points",
            ha="right",
            fontsize=5.8,
            color=look[point.label]["color"],
        )


def _setting(point: Point) -> str:
    """``"steps 5"``; empty where nothing is varied."""
    factor, level = point.setting
    if factor is None or level is None:
        return ""
    return f"{factor.replace('_', ' ')} {level_text(factor, level)}".strip()


def caption(price: Price) -> str:
    """How to read the figure."""
    end = (
        f" Dashed line: a deadline of {price.deadline:g} ms, a slot of CBF."
        if price.deadline
        else ""
    )
    bars = " Vertical bars: 95% interval." if price.has_bars else ""
    return (
        f"Normalised score against {price.words}. Nothing beats the points on the stepped line, "
        f"the Pareto front, in both. Small markers: {price.small}.{bars} "
        f"An arrow gives a score below the panel.{end}"
    )


def describe(points: Sequence[Point], price: Price, display: Display) -> str:
    """Alternative text of the figure: who is on the front."""
    return (
        f"Charts of normalised score against {price.words}. On the front: "
        + "; ".join(
            f"{panel_name(panel, True)}: " + ", ".join(names)
            for panel, names in on_front(points, display).items()
        )
        + "."
    )


def on_front(points: Sequence[Point], display: Display) -> Mapping[Panel, Sequence[str]]:
    """Panel -> methods, with their settings, on its front, by increasing cost."""
    return {
        panel: list(dict.fromkeys(_full_name(p, display) for p in front(mine)))
        for panel, mine in grouped(points, lambda p: p.panel)
    }


def _full_name(point: Point, display: Display) -> str:
    name, setting = display.method(point.label), _setting(point)
    return f"{name} at {setting}" if setting else name


def finding(points: Sequence[Point], display: Display) -> str:
    """The ends of the front of a station's time and score, and who misses the deadline.

    Args:
        points: The points that the figure has, from `station_points`.
        display: Names of methods.
    """
    parts = [
        f"{panel_name(panel, False)} {_ends(front(mine), display)}"
        for panel, mine in grouped(points, lambda p: p.panel)
    ]
    if not parts:
        return "No method was timed as it decides alone on one station, so there is no front."
    late = _late(points, display)
    verb = "decides" if len(late) == 1 else "decide"
    end = f"{' and '.join(late)} {verb} too late for a slot of {STATION_LIMIT_MS:g} ms"
    if not late:
        end = f"every method decides within a slot of {STATION_LIMIT_MS:g} ms"
    return (
        "What nothing beats in both a station's time and mean score, from the fastest to the best: "
        f"{'; '.join(parts)}. On the machine of these rows, {end}."
    )


def _ends(best: Sequence[Point], display: Display) -> str:
    """The first and the last point of a front, with their time, score and its interval."""
    texts = [
        f"{_full_name(p, display)} ({p.cost:.2g} ms, {minus(interval_text(p.score, 1))})"
        for p in (best[0], best[-1])
    ]
    return " to ".join(dict.fromkeys(texts))


def _late(points: Sequence[Point], display: Display) -> list[str]:
    """Methods above the deadline, with the settings where not all of them are."""
    found: dict[str, None] = {}
    for label, group in grouped(points, lambda p: p.label):
        late = [p for p in group if p.cost > STATION_LIMIT_MS]
        if len(late) == len(group):
            found[display.method(label)] = None
        else:
            found.update(dict.fromkeys(_full_name(p, display) for p in late))
    return list(found)
