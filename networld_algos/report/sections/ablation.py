"""Section "Ablations": the contribution of each part of a method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
from networld_algos.results.aggregates import mean_interval
from networld_algos.results.display import Display
from networld_algos.results.stats import ENOUGH_SEEDS, MATTERS, Floats, Interval
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
        base: Name of what it is compared with, see `base_of`.
        score: Its normalised score.
        base_score: Normalised score of ``base`` over the same seeds.
        change: ``score - base_score``, paired by seed and network.
        is_same: Whether both earn the same on every network with every seed.
    """

    panel: Panel
    algorithm: str
    label: str
    base: str
    score: Interval
    base_score: Interval
    change: Interval
    is_same: bool = False

    @property
    def verdict(self) -> str:
        """What the change says, see `networld_algos.report.table.verdict`."""
        return "no effect" if self.is_same else verdict(self.change)


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
    if lost := without_base(finals):
        several = several_datasets([f.panel for f in finals])
        names = [f"{source.display.method(f.label)}, {panel_name(f.panel, several)}" for f in lost]
        section.text.append(
            f"Not compared, because what they change was not scored there: {'; '.join(names)}."
        )
    if not all(a.is_same for a in found):
        figures = source.forms("ablations", lambda columns: figure(found, source.look, columns))
        section.parts.append(
            source.picture(
                "ablations",
                figures,
                describe(found, source.display),
                "Change in normalised score when one part of a method is removed or replaced, "
                "paired by training seed and network. Marker: mean. Bar: 95% interval. Left of the "
                "line: worse than the full method or, for a variant of the plans, than the plans.",
            )
        )
    section.parts += [
        table(found, source.display),
        comparison_tables.details(finals, source.display),
    ]
    return section


def finding(found: Sequence[AblationChange], display: Display) -> str:
    """How many changes of a method matter, and which costs most."""
    every = [a for a in found if a.panel != MEAN]
    single = [a for a in every if not a.is_same]
    verdicts = Counter(a.verdict for a in single)
    text = (
        f"Of {count(len(single), 'change')} to a method, {verdicts['loss']} cost score, "
        f"{verdicts['gain']} add to it, {verdicts['level']} are level with it within "
        f"{MATTERS:g} point, and {verdicts['undecided'] + verdicts['few seeds']} are undecided."
    )
    if same := len(every) - len(single):
        what = f"{count(same, 'change')} {'has' if same == 1 else 'have'} no effect"
        more = f"{what}: the score is the same on every network."
        text = f"{text} A further {more}" if single else more
    losses = [a for a in single if a.verdict == "loss"]
    if losses:
        worst = min(losses, key=lambda a: a.change.value)
        several = several_datasets([a.panel for a in found])
        text += (
            f" The largest loss: {display.method(worst.label)} on "
            f"{panel_name(worst.panel, several)}, {minus(interval_text(worst.change, 1))} points."
        )
    return text


def ablations(finals: Sequence[Final], rng: np.random.Generator) -> list[AblationChange]:
    """Every ablation on every panel, over the seeds that it shares with what it is compared with.

    With several panels, their mean follows.
    """
    at = {(f.panel, f.algorithm, f.label): f for f in finals}
    out: list[AblationChange] = []
    every = list(dict.fromkeys(f.panel for f in finals))
    for (algorithm, label), group in grouped(finals, lambda f: (f.algorithm, f.label)):
        base = base_of(label, algorithm, [f.label for f in finals if f.algorithm == algorithm])
        found = [
            (f.panel, both)
            for f in group
            if label != base
            and (other := at.get((f.panel, algorithm, base))) is not None
            and (both := summary.pairs(f, other))
        ]
        for panel, both in found:
            mine, theirs = zip(*both.values(), strict=True)
            out.append(
                AblationChange(
                    panel,
                    algorithm,
                    label,
                    base,
                    stats.seed_interval(mine, rng),
                    stats.seed_interval(theirs, rng),
                    stats.paired_interval(mine, theirs, rng),
                    _is_same(both),
                )
            )
        # What changes nothing on a task says nothing about the mean over tasks.
        is_everywhere = len(found) == len(every) > 1 and not any(_is_same(b) for _, b in found)
        if is_everywhere and (mean := _mean_over_panels(algorithm, label, base, found, rng)):
            out.append(mean)
    return out


def without_base(finals: Sequence[Final]) -> list[Final]:
    """Ablations that are compared with nothing, because their base was not scored on the panel."""
    there = {(f.panel, f.label) for f in finals}
    labels = {f.algorithm: [g.label for g in finals if g.algorithm == f.algorithm] for f in finals}
    return [
        f
        for f in finals
        if (base := base_of(f.label, f.algorithm, labels[f.algorithm])) != f.label
        and (f.panel, base) not in there
    ]


def _is_same(both: Mapping[int, tuple[Floats, Floats]]) -> bool:
    """Whether two methods earn the same on every network with every seed."""
    return all(np.array_equal(mine, theirs) for mine, theirs in both.values())


def base_of(label: str, algorithm: str, labels: Sequence[str]) -> str:
    """The label that a variant is compared with.

    ``"plan, no guidance"`` is a change to ``"plan"``, if that is one of the labels. All others are
    changes to the full method, whose label is the algorithm's name.
    """
    parts = [other for other in labels if label.startswith(f"{other}, ")]
    return max(parts, key=len, default=algorithm)


def _mean_over_panels(
    algorithm: str,
    label: str,
    base: str,
    found: Sequence[tuple[Panel, dict[int, tuple[Floats, Floats]]]],
    rng: np.random.Generator,
) -> AblationChange | None:
    """The line of `MEAN`; None if panels of one task share no seed."""
    mine, theirs = (
        mean_interval(
            [(panel[0], {s: x[i] for s, x in both.items()}) for panel, both in found], rng
        )
        for i in (0, 1)
    )
    changes = [(panel[0], stats.seed_differences(both)) for panel, both in found]
    change = mean_interval(changes, rng, paired=True)
    if mine is None or theirs is None or change is None:
        return None
    return AblationChange(MEAN, algorithm, label, base, mine, theirs, change)


def figure(found: Sequence[AblationChange], look: Look, columns: int | None = None) -> Figure:
    """Forest plot: change in score of each ablation, paired by seed, with its 95% interval."""
    found = [a for a in found if not a.is_same]
    panels = arranged([a.panel for a in found])
    # Changes to the full method first, then those to one of its variants.
    first = sorted(found, key=lambda a: a.base != a.algorithm)
    labels = list(dict.fromkeys(a.label for a in first))
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
            text_cell(display.method(a.base)),
            interval_cell(a.base_score, 1),
            interval_cell(a.change, 1, sign=True),
            text_cell(a.verdict),
        ]
        for a in found
    ]
    columns = [
        Column("Task", False),
        Column("Ablation", False),
        Column("Score", hint=SCORE_HINT),
        Column("Compared with", False),
        Column("Its score", hint="over the same seeds"),
        Column("Change", hint="difference of the two scores, paired by seed and network"),
        Column("Verdict", False),
    ]
    caption = (
        "Normalised score of each ablation and of what it changes, the full method or a variant, "
        "and their difference, paired by training seed and network: mean [95% interval]. Level: "
        f"the interval is within {MATTERS:g} point of zero. Gain or loss: it is not, and excludes "
        "zero. No effect: both earn the same on every network, so there is no mean over tasks. "
        f"Few seeds: fewer than {ENOUGH_SEEDS}. There is no correction for the number of ablations."
    )
    return Table("Ablations", caption, columns, lines)


def describe(found: Sequence[AblationChange], display: Display) -> str:
    """Alternative text of the forest plot."""
    changes = [
        f"{display.method(a.label)} {interval_text(a.change, 1)} on {panel_name(a.panel, True)}"
        for a in found
        if not a.is_same
    ]
    return (
        "Forest plot of the change in normalised score when one part is changed, mean and 95% "
        f"interval: {'; '.join(changes)}."
    )
