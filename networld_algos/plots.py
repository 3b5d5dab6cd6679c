"""Figures from summaries: learning curves, few-shot curves, score intervals, profiles.

Figures are plain `matplotlib.figure.Figure` objects (no pyplot, no global state) sized for a
two-column paper page; ``columns=1`` gives the narrow form used on phones. Colours and names are
in `networld_algos.plot_style`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from networld_algos.fewshot import FewShot
from networld_algos.plot_style import (
    COLUMN_WIDTH_IN,
    PAGE_WIDTH_IN,
    REWARDS,
    ROLE_STYLES,
    STYLE,
    TASKS,
    Look,
    display,
)
from networld_algos.rows import write_bytes
from networld_algos.stats import Floats
from networld_algos.summary import Curve, Final, Panel, Reference


def comparison_figure(
    curves: Sequence[Curve],
    references: Mapping[str, Sequence[Reference]],
    look: Look,
    columns: int | None = None,
) -> Figure:
    """Average reward against updates: mean and 95% band over seeds, references as lines.

    Args:
        curves: From `networld_algos.summary.learning_curves`.
        references: Task -> policies, from `networld_algos.summary.references`.
        look: From `styles`.
        columns: Panels side by side; as many as fit by default.
    """
    panels = _panels(curves)
    with matplotlib.rc_context(STYLE):
        fig, axes = _grid(len(panels), columns)
        for ax, panel in zip(axes, panels, strict=False):
            mine = [c for c in curves if c.panel == panel]
            policies = list(references.get(panel[0], ()))
            experts = [p.reward.value for p in policies if p.role == "expert"]
            ends = [c.points[-1].value for c in mine] + experts
            values = [p.value for c in mine for p in c.points]
            _limits(ax, ends, values, [p.reward.value for p in policies])
            _lines(ax, mine, look)
            _reference_lines(fig, ax, [(p, p.reward.value) for p in policies])
            ax.set_title(_title(panel, panels), loc="left")
            ax.set_ylabel(REWARDS.get(panel[0], "Average reward"))
            ax.set_xlabel("Gradient updates")
            ax.xaxis.set_major_formatter(lambda x, _: _thousands(x))
            ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        _legend(fig, [c.label for c in curves], look, columns)
    return fig


def fewshot_figure(
    curves: Sequence[FewShot],
    references: Mapping[str, Sequence[Reference]],
    look: Look,
    columns: int | None = None,
) -> Figure:
    """Normalised score against the amount of target data, log axis, one panel a task.

    Args:
        curves: From `networld_algos.summary.fewshot_curves`, with the averaged ones appended.
        references: Task -> policies; those of role static and heuristic show only the best.
        look: From `styles`.
        columns: Panels side by side.
    """
    panels = _panels(curves)
    with matplotlib.rc_context(STYLE):
        fig, axes = _grid(len(panels), columns, most=2)
        for ax, panel in zip(axes, panels, strict=False):
            mine = [c for c in curves if c.panel == panel]
            policies = _principal(references.get(panel[0], ()))
            scored = [(p, p.score.value) for p in policies if p.score is not None]
            values = [p.value for c in mine for p in c.points]
            if panel[0] not in references and references:  # the mean over tasks
                scored = _scale_ends(references)
            ax.set_xscale("log")
            _limits(ax, [100.0, *values], values, [v for _, v in scored])
            _lines(ax, mine, look)
            _reference_lines(fig, ax, scored)
            _share_ticks(ax, mine)
            ax.set_title(_title(panel, panels), loc="left")
            ax.set_ylabel("Normalised score")
        _legend(fig, [c.label for c in curves], look, columns)
    return fig


def score_figure(finals: Sequence[Final], look: Look, columns: int | None = None) -> Figure:
    """Normalised score of the last checkpoint: mean, 95% interval and a tick for every seed."""
    scored = [f for f in finals if f.score is not None]
    panels = list(dict.fromkeys(f.panel for f in scored))
    labels = list(dict.fromkeys(f.label for f in scored))
    with matplotlib.rc_context(STYLE):
        fig, axes = _grid(len(panels), columns, height_in=0.75 + 0.22 * len(labels))
        for i, (ax, panel) in enumerate(zip(axes, panels, strict=False)):
            for final in (f for f in scored if f.panel == panel):
                y, style = labels.index(final.label), look[final.label]
                seeds, score = final.seed_scores, final.score
                if seeds is None or score is None:
                    continue
                ax.plot(seeds, [y] * len(seeds), "|", color=style["color"], ms=6, alpha=0.55)
                if np.isfinite(score.low):
                    ax.plot([score.low, score.high], [y, y], color=style["color"], lw=2.2)
                ax.plot(score.value, y, ms=4.5, ls="", **_marker(style), zorder=5)
            for value, role in ((0.0, "random"), (100.0, "expert")):
                ax.axvline(value, zorder=1, **ROLE_STYLES[role])
            ax.margins(x=0.07)
            first = i == 0 or columns == 1
            ax.set_yticks(range(len(labels)), [display(n) for n in labels] if first else [])
            ax.set_ylim(len(labels) - 0.5, -0.5)
            ax.grid(visible=False, axis="y")
            ax.tick_params(axis="y", length=0)
            ax.set_title(_title(panel, panels), loc="left")
            ax.set_xlabel("Normalised score")
    return fig


def profile_figure(
    profiles: Mapping[str, tuple[Floats, Floats, Floats]],
    thresholds: Floats,
    look: Look,
) -> Figure:
    """Performance profiles: share of runs above each score, with bootstrap bands.

    Args:
        profiles: label -> (profile, lower, upper), each ``(P,)``.
        thresholds: ``(P,)`` scores.
        look: From `styles`.
    """
    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(COLUMN_WIDTH_IN, 2.9))
        ax = fig.add_subplot()
        for label, (profile, low, high) in profiles.items():
            style = look[label]
            ax.plot(
                thresholds,
                profile,
                color=style["color"],
                ls=style["linestyle"],
                lw=1.4,
                zorder=style["zorder"],
                drawstyle="steps-post",
            )
            ax.fill_between(
                thresholds, low, high, color=style["color"], alpha=0.13, lw=0, step="post"
            )
        ax.axvline(100.0, zorder=1, **ROLE_STYLES["expert"])
        ax.set_xlim(float(thresholds[0]), float(thresholds[-1]))
        ax.set_ylim(-0.02, 1.04)
        ax.set_xlabel("Normalised score")
        ax.set_ylabel("Share of runs above it")
        _legend(fig, list(profiles), look, 1, markers=False)
    return fig


def save(fig: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write ``name.svg`` and ``name.png`` (300 dpi) atomically; equal figures, equal bytes."""
    paths: list[Path] = []
    with matplotlib.rc_context(STYLE):
        formats: tuple[tuple[str, dict[str, Any]], ...] = (
            ("svg", {"metadata": {"Date": None}}),
            ("png", {"dpi": 300, "metadata": {"Software": None}}),
        )
        for suffix, options in formats:
            buffer = io.BytesIO()
            fig.savefig(buffer, format=suffix, **options)
            paths.append(write_bytes(folder / f"{name}.{suffix}", buffer.getvalue()))
    return paths[0], paths[1]


def _panels(curves: Sequence[Curve]) -> list[Panel]:
    return list(dict.fromkeys(c.panel for c in curves))


def _grid(
    count: int, columns: int | None, most: int = 3, height_in: float = 2.25
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes; the page width unless there is only one column."""
    if count == 0:
        raise ValueError("nothing to draw: no panel has data")
    across = min(count, most if columns is None else columns)
    down = -(-count // across)
    width_in = PAGE_WIDTH_IN if across > 1 else COLUMN_WIDTH_IN
    fig = Figure(figsize=(width_in, height_in * down + 0.35))
    fig.set_layout_engine("constrained", w_pad=0.05, wspace=0.05)
    axes = [fig.add_subplot(down, across, i + 1) for i in range(count)]
    return fig, axes


def _title(panel: Panel, panels: Sequence[Panel]) -> str:
    task, dataset = panel
    title = TASKS.get(task, task)  # "mean over tasks" is not a task
    if sum(t == task for t, _ in panels) > 1:
        return f"{task.upper()}, {dataset.removeprefix('networld/').removeprefix(task + '/')}"
    return title[:1].upper() + title[1:]


def _limits(
    ax: Axes, core: Sequence[float], values: Sequence[float], references: Sequence[float]
) -> None:
    """Set y-limits that keep the final values readable.

    References, then early training values, widen the range only while ``core`` keeps 30% of it;
    a reference left outside is named at the edge by `_reference_lines`.
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


def _lines(ax: Axes, curves: Sequence[Curve], look: Look) -> None:
    for curve in curves:
        style = look[curve.label]
        mean, low, high = np.array([(p.value, p.low, p.high) for p in curve.points]).T
        every = max(1, len(mean) // 5)
        ax.plot(
            curve.x,
            mean,
            lw=1.3,
            ls=style["linestyle"],
            zorder=style["zorder"],
            ms=3.6,
            markevery=slice((len(mean) - 1) % every, None, every),
            **_marker(style),
        )
        ax.fill_between(curve.x, low, high, color=style["color"], alpha=0.13, lw=0, zorder=2.0)


def _marker(style: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "color": style["color"],
        "marker": style["marker"],
        "markerfacecolor": style["markerfacecolor"],
        "markeredgecolor": style["color"] if style["markerfacecolor"] == "white" else "white",
        "markeredgewidth": 0.9 if style["markerfacecolor"] == "white" else 0.5,
    }


def _reference_lines(fig: Figure, ax: Axes, policies: Sequence[tuple[Reference, float]]) -> None:
    """Draw references as horizontal lines, named right of the axes without overlap."""
    low, high = ax.get_ylim()
    height_pt = ax.get_position().height * fig.get_figheight() * 72.0  # before layout
    gap = 7.4 / max(height_pt, 1.0)  # one line of text, in axes units
    shown = sorted(policies, key=lambda item: item[1])
    at = [min(max((value - low) / (high - low), 0.0), 1.0) for _, value in shown]
    for (policy, value), y, spread in zip(shown, at, _spread(at, gap), strict=True):
        style = ROLE_STYLES[policy.role]
        text = policy.label
        if low <= value <= high:
            ax.axhline(value, zorder=1.5, **style)
        else:
            text += f" {'↑' if value > high else '↓'} {value:.3g}"
        ax.annotate(
            text,
            xy=(1.0, y),
            xytext=(1.045, spread),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            ha="left",
            fontsize=6.3,
            color="#222222" if policy.role in ("expert", "genie") else "#5C5C5C",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": style["color"],
                "lw": 0.6,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0.0, 0.5),
            },
        )


def _spread(at: Sequence[float], gap: float) -> list[float]:
    """Move increasing positions the least (in squares) to be ``gap`` apart and within [0, 1]."""
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


def _principal(policies: Sequence[Reference]) -> list[Reference]:
    """Random, expert, genie, and the best of static and heuristic."""
    simple = [p for p in policies if p.role in ("static", "heuristic")]
    best = max(simple, key=lambda p: p.reward.value, default=None)
    return [p for p in policies if p.role not in ("static", "heuristic") or p is best]


def _scale_ends(references: Mapping[str, Sequence[Reference]]) -> list[tuple[Reference, float]]:
    """Random at 0 and expert at 100, for the panel that averages tasks."""
    policies = next(iter(references.values()))
    ends = {"random": 0.0, "expert": 100.0}
    return [(p, ends[p.role]) for p in policies if p.role in ends]


def _share_ticks(ax: Axes, curves: Sequence[FewShot]) -> None:
    """Ticks at the measured shares: episodes above, share of the data below."""
    episodes = {float(x): float(n) for c in curves for x, n in zip(c.x, c.episodes, strict=True)}
    shares = sorted(episodes)
    counted = all(np.isfinite(list(episodes.values())))
    ticks = [f"{episodes[x]:.0f}\n{100 * x:.3g}%" if counted else f"{100 * x:.3g}%" for x in shares]
    ax.set_xticks(shares, ticks)
    ax.set_xticks([], minor=True)
    ax.set_xlabel("Target-task episodes, share of all" if counted else "Share of target data")
    ax.set_xlim(shares[0] / 1.25, shares[-1] * 1.25)


def _thousands(x: float) -> str:
    return f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}"


def _legend(
    fig: Figure,
    labels: Sequence[str],
    look: Look,
    columns: int | None,
    markers: bool = True,
) -> None:
    unique = list(dict.fromkeys(labels))
    handles: list[Line2D] = []
    for name in unique:
        options: dict[str, Any] = {"color": look[name]["color"]}
        if markers:
            options = {**_marker(look[name]), "markersize": 4.2}
        line = look[name]["linestyle"]
        handles.append(Line2D([], [], ls=line, lw=1.4, label=display(name), **options))
    longest = max(len(display(n)) for n in unique)
    width_pt = (COLUMN_WIDTH_IN if columns == 1 else PAGE_WIDTH_IN) * 72
    fit = max(1, int(width_pt // (longest * 4.4 + 34)))
    rows = -(-len(unique) // fit)
    fig.legend(
        handles=handles,
        loc="outside lower center",
        ncols=-(-len(unique) // rows),
        frameon=False,
        handlelength=2.4,
        columnspacing=1.4,
        handletextpad=0.6,
    )
