"""Section "Few-shot adaptation": score against data, and the gain from pre-training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
from networld_algos.report.sections import fewshot_curves
from networld_algos.report.sections.comparison_figures import principal, scale_ends
from networld_algos.report.sections.fewshot_curves import FewShotCurve, Gain
from networld_algos.report.source import Section, Source
from networld_algos.report.style import Look, drawing
from networld_algos.report.table import (
    Cell,
    Column,
    Table,
    episodes_text,
    interval_cell,
    panel_name,
    several_datasets,
    text_cell,
    verdict,
)
from networld_algos.results.display import Display

FEW_EPISODES = 5
"""`gain_sentence` covers results with at most this many target episodes."""


def make(source: Source) -> Section:
    """Score against the amount of target data, and the gain from pre-training."""
    section = Section("fewshot", "Few-shot adaptation")
    curves = fewshot_curves.fewshot_curves(source.rows, source.rng("fewshot", "curves"))
    if not curves:
        return section
    averaged = []
    if len({c.panel for c in curves}) > 1:
        averaged = fewshot_curves.average_over_tasks(curves, source.rng("fewshot", "average"))
    drawn = [*curves, *averaged]
    figures = [figure(drawn, source.references, source.look, c) for c in (None, 1)]
    section.parts.append(
        source.picture(
            "fewshot",
            figures,
            describe(drawn, source.display),
            "Normalised score at the end of training against the amount of target-task data. "
            "Smaller subsets lie inside larger ones. With early stopping, the score is that of the "
            "weights with the smallest loss on held-out episodes. Lines: mean over training seeds. "
            "Bands: 95% interval, as in the tables. "
            "Lower tick labels: share of the dataset.",
        )
    )
    section.parts.append(score_table(drawn, source.display))
    gains = fewshot_curves.pretraining_gains(curves, source.rng("fewshot", "gains"))
    if gains:
        section.text.append(gain_sentence(gains))
        section.parts.append(gain_table(gains, source.display))
    return section


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
        look: From `styles`.
        columns: Panels per row.
    """
    panels = arranged([c.panel for c in curves])
    with drawing():
        fig, axes = grid(len(panels), columns, most=2)
        for ax, panel in zip(axes, panels, strict=False):
            mine = [c for c in curves if c.panel == panel]
            policies = principal(references.get(panel[0], ()))
            scored = [(p, p.score.value) for p in policies if p.score is not None]
            values = [p.value for c in mine for p in c.points]
            if panel[0] not in references and references:  # the mean over tasks
                scored = scale_ends(references)
            ax.set_xscale("log")
            limits(ax, [100.0, *values], values, [v for _, v in scored])
            lines(ax, mine, look)
            reference_lines(fig, ax, scored)
            _share_ticks(ax, mine)
            ax.set_title(title(panel, panels, look.display), loc="left")
            ax.set_ylabel("Normalised score")
        legend(fig, [c.label for c in curves], look, columns)
    return fig


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


def score_table(curves: Sequence[FewShotCurve], display: Display) -> Table:
    """Task x method: score at each share, area under the curve, data to reach 90."""
    shares = sorted({float(x) for c in curves for x in c.x})
    several = several_datasets([c.panel for c in curves])
    order = list(dict.fromkeys(c.panel for c in curves))
    lines: list[list[Cell]] = []
    for c in sorted(curves, key=lambda c: order.index(c.panel)):
        at = {float(x): p for x, p in zip(c.x, c.points, strict=True)}
        reach = Cell("not reached", math.inf)
        if np.isfinite(c.reach):
            prefix = "≤ " if c.reach <= c.x[0] * (1 + 1e-9) else ""
            episodes = np.interp(math.log(c.reach), np.log(c.x), c.episodes)
            note = episodes_text(episodes) if np.isfinite(episodes) else ""
            reach = Cell(f"{prefix}{100 * c.reach:.2g}%", c.reach, note)
        lines.append(
            [
                text_cell(panel_name(c.panel, several)),
                text_cell(display.method(c.label)),
                *(interval_cell(at.get(share), 1) for share in shares),
                interval_cell(c.area, 1),
                reach,
            ]
        )
    columns = [
        Column("Target task", False),
        Column("Method", False),
        *(Column(f"{100 * share:.3g}%", hint="share of target data") for share in shares),
        Column("Area", hint="area under the curve over log share, in units of the score"),
        Column("Data to 90", hint="smallest share at which the mean curve reaches a score of 90"),
    ]
    caption = (
        "Normalised score at each share of target data: mean [95% interval] over training seeds. "
        "Area: area under the curve over the logarithm of the share, which is its average height. "
        "Data to 90: share of data at which the mean curve first reaches 90."
    )
    return Table("Score by share of target data", caption, columns, lines)


def gain_table(found: Sequence[Gain], display: Display) -> Table:
    """Task x share: gain from pre-training over the same method from scratch."""
    several = several_datasets([g.panel for g in found])
    lines = [
        [
            text_cell(panel_name(g.panel, several)),
            text_cell(display.method(g.label)),
            Cell(f"{100 * share:.3g}%", share, episodes_text(episodes)),
            interval_cell(change, 1, sign=True),
            text_cell(verdict(change)),
        ]
        for g in found
        for share, episodes, change in zip(g.x.tolist(), g.episodes.tolist(), g.points, strict=True)
    ]
    columns = [
        Column("Target task", False),
        Column("Method", False),
        Column("Target data", hint="share of the dataset"),
        Column("Gain", hint="score with pre-training minus score without, paired by seed"),
        Column("Verdict", False),
    ]
    caption = (
        "Gain from pre-training on the other tasks: normalised score with pre-training minus score "
        "from scratch, paired by seed: mean [95% interval]."
    )
    return Table("Gain from pre-training", caption, columns, lines)


def describe(curves: Sequence[FewShotCurve], display: Display) -> str:
    """Alternative text of the few-shot figure."""
    ends = [
        f"{display.method(c.label)} on {c.panel[0]}: {c.points[0].value:.0f} at "
        f"{100 * c.x[0]:.3g}%, {c.points[-1].value:.0f} at {100 * c.x[-1]:.3g}%"
        for c in curves
    ]
    return (
        "Line charts of normalised score against the share of target data on a log axis. "
        f"{'; '.join(ends)}."
    )


def gain_sentence(gains: Sequence[Gain]) -> str:
    """One sentence on whether pre-training helps with very few episodes."""
    cases = [
        (f"{panel_name(g.panel, False)} ({episodes_text(n)})", verdict(change))
        for g in gains
        for n, change in zip(g.episodes.tolist(), g.points, strict=True)
        if n <= FEW_EPISODES
    ]
    start = f"With at most {FEW_EPISODES} target episodes, pre-training shows"
    if not cases:
        return f"No few-shot run had {FEW_EPISODES} or fewer target episodes."
    verdicts = [found for _, found in cases]
    if set(verdicts) == {"one seed"}:
        return "Few-shot results come from a single training seed, so a gain may be due to chance."
    gained = [case for case, found in cases if found == "gain"]
    lost = [case for case, found in cases if found == "loss"]
    text = f"{start} no gain over the same method from scratch in any of {len(cases)} cases"
    if gained:
        text = (
            f"{start} a gain over the same method from scratch in {len(gained)} of {len(cases)} "
            f"cases: {', '.join(gained)}"
        )
    if lost:
        text += f"; a loss in {len(lost)}: {', '.join(lost)}"
    return text + ". It is a gain or loss if the interval over paired seeds excludes zero."
