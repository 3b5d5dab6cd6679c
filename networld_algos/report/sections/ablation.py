"""Section "Ablations": the contribution of each part of a method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from networld_algos.report import summary
from networld_algos.report.axes import (
    arranged,
    grid,
    interval_bar,
    name_lines,
    title,
)
from networld_algos.report.scoring import Panel, grouped
from networld_algos.report.sections import comparison_tables
from networld_algos.report.source import Section, Source
from networld_algos.report.style import (
    ROLE_STYLES,
    Look,
    drawing,
)
from networld_algos.report.summary import Final
from networld_algos.report.table import (
    SCORE_HINT,
    Column,
    Table,
    interval_cell,
    interval_text,
    panel_name,
    several_datasets,
    text_cell,
    verdict,
)
from networld_algos.results import stats
from networld_algos.results.display import Display
from networld_algos.results.stats import MATTERS, Floats, Interval
from networld_algos.results.text import count, minus

MEAN: Panel = ("mean over tasks", "")
"""Stands for the average over panels."""


@dataclass(frozen=True)
class AblationChange:
    """One ablation compared with the full method.

    Attributes:
        panel: (task, dataset), or `MEAN`.
        algorithm: Key in ``ALGORITHMS``, which is also the label of the full method.
        label: Name of the ablation.
        score: Its normalised score.
        base: Normalised score of the full method over the same seeds.
        change: ``score - base``, paired by seed and network.
    """

    panel: Panel
    algorithm: str
    label: str
    score: Interval
    base: Interval
    change: Interval


def make(source: Source) -> Section:
    """The contribution of each part of a method."""
    section = Section("ablation", "Ablations")
    finals = source.finals("ablation")
    found = ablations(finals, source.rng("ablation", "changes"))
    if not found:
        section.finding = "Nothing is compared: the full method is missing."
        section.text.append(
            "Differences can be shown only if this experiment includes the full method, labelled "
            "with the name of its algorithm, with at least one seed of each ablation."
        )
        section.parts.append(comparison_tables.details(finals, source.display))
        return section
    section.finding = finding(found, source.display)
    figures = source.forms("ablations", lambda columns: figure(found, source.look, columns))
    section.parts.append(
        source.picture(
            "ablations",
            figures,
            describe(found, source.display),
            "Change in normalised score when one part of the method is removed or replaced, "
            "paired by training seed and network. Marker: mean. Bar: 95% interval. Left of the "
            "line: worse than the full method.",
        )
    )
    section.parts += [
        table(found, source.display),
        comparison_tables.details(finals, source.display),
    ]
    return section


def finding(found: Sequence[AblationChange], display: Display) -> str:
    """How many changes of a method matter, and which costs most."""
    single = [a for a in found if a.panel != MEAN] or list(found)
    verdicts = Counter(verdict(a.change) for a in single)
    text = (
        f"Of {count(len(single), 'change')} to a method, {verdicts['loss']} cost score, "
        f"{verdicts['gain']} add to it, {verdicts['level']} are level with it within "
        f"{MATTERS:g} point, and {verdicts['undecided'] + verdicts['one seed']} are undecided."
    )
    losses = [a for a in single if verdict(a.change) == "loss"]
    if losses:
        worst = min(losses, key=lambda a: a.change.value)
        several = several_datasets([a.panel for a in found])
        text += (
            f" The largest loss: {display.method(worst.label)} on "
            f"{panel_name(worst.panel, several)}, {minus(interval_text(worst.change, 1))} points."
        )
    return text


def ablations(finals: Sequence[Final], rng: np.random.Generator) -> list[AblationChange]:
    """Every ablation on every panel, over the seeds that it shares with the full method.

    With several panels, their mean follows.
    """
    whole = {(f.panel, f.algorithm): f for f in finals if f.label == f.algorithm}
    out: list[AblationChange] = []
    every = list(dict.fromkeys(f.panel for f in finals))
    for (algorithm, label), group in grouped(finals, lambda f: (f.algorithm, f.label)):
        by_panel: list[dict[int, tuple[Floats, Floats]]] = []
        for f in group:
            base = whole.get((f.panel, algorithm))
            if base is None or label == algorithm or not (pairs := summary.pairs(f, base)):
                continue
            mine, theirs = zip(*pairs.values(), strict=True)
            out.append(
                AblationChange(
                    f.panel,
                    algorithm,
                    label,
                    stats.seed_interval(mine, rng),
                    stats.seed_interval(theirs, rng),
                    stats.paired_interval(mine, theirs, rng),
                )
            )
            by_panel.append(pairs)
        if len(every) > 1 and len(by_panel) == len(every):
            out += _mean_over_panels(algorithm, label, by_panel, rng)
    return out


def _mean_over_panels(
    algorithm: str,
    label: str,
    by_panel: Sequence[dict[int, tuple[Floats, Floats]]],
    rng: np.random.Generator,
) -> list[AblationChange]:
    """The line of `MEAN`; empty if the panels share no seed."""
    seeds = sorted(set.intersection(*(set(p) for p in by_panel)))
    if not seeds:
        return []
    mine, theirs = ([[p[s][i] for s in seeds] for p in by_panel] for i in (0, 1))
    differences = [stats.differences(*pair) for pair in zip(mine, theirs, strict=True)]
    return [
        AblationChange(
            MEAN,
            algorithm,
            label,
            stats.mean_interval(mine, rng),
            stats.mean_interval(theirs, rng),
            stats.mean_interval(differences, rng, paired=True),
        )
    ]


def figure(found: Sequence[AblationChange], look: Look, columns: int | None = None) -> Figure:
    """Forest plot: change in score of each ablation, paired by seed, with its 95% interval."""
    panels = arranged([a.panel for a in found])
    labels = list(dict.fromkeys(a.label for a in found))
    with drawing():
        fig, axes = grid(len(panels), columns, height_in=0.75 + 0.2 * len(labels))
        for ax, panel in zip(axes, panels, strict=True):
            for a in (a for a in found if a.panel == panel):
                interval_bar(ax, a.change, labels.index(a.label), look[a.algorithm])
            ax.axvline(0.0, zorder=1, **ROLE_STYLES["expert"])
            ax.margins(x=0.07)
            name_lines(ax, labels, look.display)
            ax.set_title(title(panel, panels, look.display), loc="left")
            ax.set_xlabel("Change in score")
    return fig


def table(found: Sequence[AblationChange], display: Display) -> Table:
    """Task x ablation: score, score of the full method, and the paired change."""
    several = several_datasets([a.panel for a in found])
    lines = [
        [
            text_cell(panel_name(a.panel, several)),
            text_cell(display.method(a.label)),
            interval_cell(a.score, 1),
            interval_cell(a.base, 1),
            interval_cell(a.change, 1, sign=True),
            text_cell(verdict(a.change)),
        ]
        for a in found
    ]
    columns = [
        Column("Task", False),
        Column("Ablation", False),
        Column("Score", hint=SCORE_HINT),
        Column("Full method", hint="score of the full method over the same seeds"),
        Column("Change", hint="ablation minus full method, paired by seed and network"),
        Column("Verdict", False),
    ]
    caption = (
        "Normalised score of each ablation and of the full method, and their difference, paired "
        "by training seed and network: mean [95% interval]. A gain or loss is an interval that "
        "excludes zero. There is no correction for the number of ablations."
    )
    return Table("Ablations", caption, columns, lines)


def describe(found: Sequence[AblationChange], display: Display) -> str:
    """Alternative text of the forest plot."""
    changes = [
        f"{display.method(a.label)} {interval_text(a.change, 1)} on {panel_name(a.panel, True)}"
        for a in found
    ]
    return (
        "Forest plot of the change in normalised score when one part is changed, mean and 95% "
        f"interval: {'; '.join(changes)}."
    )
