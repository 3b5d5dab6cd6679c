"""Figures of the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from networld_algos.report.axes import (
    arranged,
    edge_arrows,
    grid,
    interval_bar,
    legend,
    limits,
    lines,
    name_lines,
    reference_lines,
    row_of,
    thousands,
    title,
)
from networld_algos.report.scoring import Panel, Reference
from networld_algos.report.style import ROLE_STYLES, Look, drawing
from networld_algos.report.summary import Curve, Final
from networld_algos.results.stats import Floats

LOWEST_SCORE = -30.0


def comparison_figure(
    curves: Sequence[Curve],
    references: Mapping[Panel, Sequence[Reference]],
    look: Look,
    columns: int | None = None,
    behaviours: Mapping[Panel, Reference] | None = None,
) -> Figure:
    """Average reward against updates: mean and 95% band over seeds, references as lines.

    Args:
        curves: From `networld_algos.report.summary.learning_curves`.
        references: Panel -> policies, on the networks of its curves.
        look: From `networld_algos.report.style.styles`.
        columns: Panels per row; as many as fit by default.
        behaviours: Panel -> average reward of its training data, drawn as a line as well.
    """
    panels = arranged([c.panel for c in curves])
    with drawing():
        fig, axes = grid(len(panels), columns)
        for ax, panel in zip(axes, panels, strict=False):
            mine = [c for c in curves if c.panel == panel]
            policies = list(references.get(panel, ()))
            if behaviours and panel in behaviours:
                policies.append(behaviours[panel])
            experts = [p.reward.value for p in policies if p.role == "expert"]
            ends = [c.points[-1].value for c in mine] + experts
            values = [p.value for c in mine for p in c.points]
            limits(ax, ends, values, [p.reward.value for p in policies])
            lines(ax, mine, look)
            edge_arrows(ax, mine, look)
            reference_lines(fig, ax, [(p, p.reward.value) for p in policies])
            ax.set_title(title(panel, panels, look.display), loc="left")
            ax.set_ylabel(look.display.reward_label(panel[0]))
            ax.set_xlabel("Gradient updates")
            ax.xaxis.set_major_formatter(lambda x, _: thousands(x))
            ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        legend(fig, [c.label for c in curves], look, columns)
    return fig


def score_figure(
    finals: Sequence[Final],
    look: Look,
    columns: int | None = None,
    behaviours: Mapping[Panel, Reference] | None = None,
) -> Figure:
    """Normalised score of the last checkpoint: mean, 95% interval and a tick per seed.

    All panels in a row list the methods that occur in any of them.
    """
    scored = [f for f in finals if f.score is not None]
    panels = arranged([f.panel for f in scored])
    methods = list(dict.fromkeys(f.label for f in scored))
    with drawing():
        fig, axes = grid(len(panels), columns, height_in=0.75 + 0.2 * len(methods))
        rows: dict[int, list[Panel]] = {}
        for ax, panel in zip(axes, panels, strict=True):
            rows.setdefault(row_of(ax), []).append(panel)
        for ax, panel in zip(axes, panels, strict=True):
            present = {f.label for f in scored if f.panel in rows[row_of(ax)]}
            labels = [label for label in methods if label in present]
            for final in (f for f in scored if f.panel == panel):
                y, style = labels.index(final.label), look[final.label]
                seeds, score = final.seed_scores, final.score
                if seeds is None or score is None:
                    continue
                ax.plot(seeds, [y] * len(seeds), "|", color=style["color"], ms=6, alpha=0.55)
                interval_bar(ax, score, y, style)
            marks = {"random": 0.0, "expert": 100.0}
            data = (behaviours or {}).get(panel)
            if data is not None and data.score is not None:
                marks[data.role] = data.score.value
            for role, value in marks.items():
                ax.axvline(value, zorder=1, **ROLE_STYLES[role])
            _score_limits(ax, [f for f in scored if f.panel == panel], labels)
            name_lines(ax, labels, look.display)
            ax.set_title(title(panel, panels, look.display), loc="left")
            ax.set_xlabel("Normalised score")
    return fig


def profile_figure(
    groups: Mapping[str, Mapping[str, tuple[Floats, Floats, Floats]]],
    thresholds: Floats,
    look: Look,
    columns: int | None = None,
) -> Figure:
    """Performance profiles: share of runs above each score, with bootstrap bands.

    Args:
        groups: Quality of the data -> label -> (profile, lower, upper), each ``(P,)``.
        thresholds: ``(P,)`` scores.
        look: From `networld_algos.report.style.styles`.
        columns: Panels per row.
    """
    with drawing():
        fig, axes = grid(len(groups), columns, height_in=2.55)
        for ax, (name, profiles) in zip(axes, groups.items(), strict=True):
            for label, (profile, low, high) in profiles.items():
                style = look[label]
                ax.plot(
                    thresholds,
                    profile,
                    color=style["color"],
                    ls=style["linestyle"],
                    lw=1.4 * style["weight"],
                    zorder=style["zorder"],
                    drawstyle="steps-post",
                )
                ax.fill_between(
                    thresholds, low, high, color=style["color"], alpha=0.13, lw=0, step="post"
                )
            ax.axvline(100.0, zorder=1, **ROLE_STYLES["expert"])
            ax.set_xlim(float(thresholds[0]), float(thresholds[-1]))
            ax.set_ylim(-0.02, 1.04)
            if len(groups) > 1:
                ax.set_title(f"Data: {name}", loc="left")
            ax.set_xlabel("Normalised score")
            ax.set_ylabel("Share of runs above it")
        labels = [label for profiles in groups.values() for label in profiles]
        legend(fig, labels, look, 1 if len(groups) == 1 else columns, markers=False)
    return fig


def _score_limits(ax: Axes, finals: Sequence[Final], labels: Sequence[str]) -> None:
    """Limits that show every seed from `LOWEST_SCORE` up; lower means are given at the edge."""
    seeds = [float(s) for f in finals if f.seed_scores is not None for s in f.seed_scores]
    low, high = min(0.0, *seeds), max(100.0, *seeds)
    low = max(low, LOWEST_SCORE)
    margin = 0.07 * (high - low)
    ax.set_xlim(low - margin, high + margin)
    for final in finals:
        if final.score is not None and final.score.value < low:
            y = labels.index(final.label)
            ax.text(
                low, y, f"\N{LEFTWARDS ARROW} {final.score.value:.0f}", fontsize=6.3, va="center"
            )


def principal(policies: Sequence[Reference]) -> list[Reference]:
    """Random, expert, genie, and the best of static and heuristic."""
    simple = [p for p in policies if p.role in ("static", "heuristic")]
    best = max(simple, key=lambda p: p.reward.value, default=None)
    return [p for p in policies if p.role not in ("static", "heuristic") or p is best]


def scale_ends(references: Mapping[str, Sequence[Reference]]) -> list[tuple[Reference, float]]:
    """Random at 0 and expert at 100, for the panel that averages tasks."""
    policies = next(iter(references.values()))
    ends = {"random": 0.0, "expert": 100.0}
    return [(p, ends[p.role]) for p in policies if p.role in ends]
