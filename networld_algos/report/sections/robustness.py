"""Section "Robustness": scores under conditions that the method was not trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from networld_algos.report import scoring
from networld_algos.report.axes import (
    arranged,
    grid,
    legend,
    title,
)
from networld_algos.report.scoring import Panel
from networld_algos.report.sections import responses, versus
from networld_algos.report.sections.responses import Response, response_line
from networld_algos.report.source import Section, Source
from networld_algos.report.style import (
    ROLE_STYLES,
    Look,
    drawing,
    factor_name,
    level_text,
)
from networld_algos.report.summary import pairs
from networld_algos.report.table import (
    DASH,
    SCORE_HINT,
    Cell,
    Column,
    Table,
    factor_level_cell,
    interval_cell,
    limits_text,
    panel_name,
    several_datasets,
    text_cell,
    verdict,
)
from networld_algos.report.verdicts import difference
from networld_algos.results import stats
from networld_algos.results.claims.check import corrected
from networld_algos.results.display import Display
from networld_algos.results.stats import MATTERS, Interval
from networld_algos.results.text import minus, slug

VERDICTS = {
    "loss": "",
    "gain": ", no loss",
    "level": ", no loss that matters",
    "undecided": ", undecided",
    "few seeds": ", few seeds",
}
"""Verdict on the largest loss -> words after it."""


@dataclass(frozen=True)
class Worst:
    """The condition under which a model loses most.

    Attributes:
        level: Level of the factor.
        score: Normalised score there.
        change: It minus the score under the condition of the training, paired by seed and network.
            As the worst of m conditions was picked, its interval covers ``1 - 0.05 / m``.
    """

    level: float
    score: Interval
    change: Interval


Trained = Mapping[tuple[str, str], float]
"""(Task, factor) -> level of the training."""
AtWorst = Mapping[tuple[Panel, str, str], Worst | None]
"""(Panel, factor, label) -> largest loss."""


def make(source: Source) -> Section:
    """Score under conditions that the method was not trained for, one factor after another."""
    section = Section("robustness", "Robustness")
    section.text.append(
        "Models of the comparison, evaluated under other conditions without further training. "
        "If the condition changes the environment (number of agents, drifted traffic or channel), "
        "scores are normalised with random and expert under the same condition. Lost or late "
        "messages do not affect random and expert."
    )
    found = responses.responses(source.finals("robustness"))
    trained = scoring.trained_levels(source.rows)
    rng = source.rng("robustness", "worst")
    at_worst = {
        (r.panel, r.factor, r.label): worst(r, trained.get((r.panel[0], r.factor)), rng)
        for r in found
    }
    section.finding = finding(found, trained, rng, source.focus, source.display)
    for factor, group in scoring.grouped(found, lambda r: r.factor):
        name = f"robustness_{slug(factor)}"
        figures = source.forms(name, partial(figure, group, source.look, trained=trained))
        has_trained = any((r.panel[0], factor) in trained for r in group)
        section.parts.append(
            source.picture(
                name,
                figures,
                responses.describe_responses(group, source.display),
                f"{factor_name(factor)}: normalised score, mean and 95% interval over training "
                "seeds and networks. Solid line: expert (100)."
                + (" Dotted line: the condition of the training." if has_trained else ""),
            )
        )
        section.parts += [
            table(part, trained, at_worst, source.display) for part in _with_equal_levels(group)
        ]
    rng = source.rng("robustness", "versus")
    versus_focus = focus_table(found, source.focus, rng, source.display)
    if versus_focus is not None:
        section.parts.append(versus_focus)
    return section


def worst(
    response: Response, trained: float | None, rng: np.random.Generator, among: int = 0
) -> Worst | None:
    """Where a method loses most against the condition of its training.

    Args:
        response: Its scores.
        trained: Level of that condition, from `networld_algos.report.scoring.trained_levels`.
        rng: Source of bootstraps.
        among: Number of conditions among which the worst is picked; by default that of the other
            levels.

    Returns:
        The worst; None without scores at ``trained`` and at another level that share a seed.
    """
    at = dict(zip(response.levels, response.finals, strict=True))
    before = at.pop(trained, None) if trained is not None else None
    found: list[Worst] = []
    for level, final in at.items():
        if before is None or final.score is None or not (both := pairs(final, before)):
            continue
        now, then = zip(*both.values(), strict=True)
        change = stats.paired_interval(now, then, rng, confidence=corrected(among or len(at)))
        found.append(Worst(level, final.score, change))
    return min(found, key=lambda w: w.change.value, default=None)


def finding(
    found: Sequence[Response],
    trained: Trained,
    rng: np.random.Generator,
    focus: str,
    display: Display,
) -> str:
    """The worst change of the focus method under each factor, beside the best other there."""
    if not found or not focus:
        return ""
    if focus not in {r.label for r in found}:
        return f"{display.method(focus)} was not scored under these conditions."
    parts = []
    for factor, group in scoring.grouped(found, lambda r: r.factor):
        mine = [(r, trained.get((r.panel[0], factor))) for r in group if r.label == focus]
        among = sum(len(r.levels) - 1 for r, usual in mine if usual in r.levels)
        changes = [(r.panel, w) for r, usual in mine if (w := worst(r, usual, rng, among))]
        if not changes:
            continue
        panel, lost = min(changes, key=lambda pair: pair[1].change.value)
        others = [
            (score.value, r.label)
            for r in group
            if r.panel == panel and r.label != focus
            for level, score in zip(r.levels, r.points, strict=True)
            if level == lost.level
        ]
        beside = f", {display.method(max(others)[1])} {max(others)[0]:.0f}" if others else ""
        where = f"{panel_name(panel, False)}, {level_text(factor, lost.level)}"
        parts.append(
            f"{factor_name(factor).lower()} {minus(f'{lost.change.value:+.1f}')} "
            f"{minus(limits_text(lost.change, 1))}{VERDICTS[verdict(lost.change)]} "
            f"({where}: {lost.score.value:.0f}{beside})"
        )
    if not parts:
        return ""
    return (
        f"The worst change of {display.method(focus)} from the condition of its training, with its "
        f"score there and that of the best other: {'; '.join(parts)}. Intervals are wider than "
        "95%, because the worst of several conditions is picked."
    )


def figure(
    found: Sequence[Response], look: Look, columns: int | None = None, *, trained: Trained
) -> Figure:
    """Score against the levels of one factor, one panel per task; agent counts on a log axis."""
    factor = found[0].factor
    panels = arranged([r.panel for r in found])
    with drawing():
        fig, axes = grid(len(panels), columns)
        for ax, panel in zip(axes, panels, strict=True):
            mine = [r for r in found if r.panel == panel]
            for response in mine:
                response_line(ax, response, response.levels, look)
            levels = sorted({level for r in mine for level in r.levels})
            if factor == "agents":
                ax.set_xscale("log")
                ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticks(levels, [level_text(factor, level) for level in levels])
            ax.axhline(100.0, zorder=1, **ROLE_STYLES["expert"])
            if (usual := trained.get((panel[0], factor))) is not None:
                ax.axvline(usual, zorder=1, color="#666666", lw=0.9, ls=":")
            ax.margins(x=0.08)
            ax.set_title(title(panel, panels, look.display), loc="left")
            ax.set_xlabel(factor_name(factor))
            ax.set_ylabel("Normalised score")
        legend(fig, [r.label for r in found], look, columns)
    return fig


def table(
    found: Sequence[Response], trained: Trained, at_worst: AtWorst, display: Display
) -> Table:
    """Task x method: score at each level of one factor, and the largest loss.

    Args:
        found: Responses to one factor that share their levels.
        trained: Levels of the training.
        at_worst: Largest losses; the column is left out if there are none.
        display: Names of methods.
    """
    factor = found[0].factor
    levels = sorted({level for r in found for level in r.levels})
    several = several_datasets([r.panel for r in found])
    lost = [at_worst.get((r.panel, r.factor, r.label)) for r in found]
    lines = []
    for r, w in zip(found, lost, strict=True):
        at = dict(zip(r.levels, r.points, strict=True))
        lines.append(
            [
                text_cell(panel_name(r.panel, several)),
                text_cell(display.method(r.label)),
                *(interval_cell(at.get(level), 1) for level in levels),
                interval_cell(w and w.change, 1, sign=True),
                text_cell(f"{level_text(factor, w.level)}: {verdict(w.change)}" if w else DASH),
            ]
        )
    usual = {trained.get((r.panel[0], factor)) for r in found}
    columns = [Column("Task", False), Column("Method", False)]
    columns += [
        Column(level_text(factor, level) + (" (trained)" * (level in usual)), hint=SCORE_HINT)
        for level in levels
    ]
    columns += [
        Column("Largest loss", hint="change in score, paired by seed and network"),
        Column("At", False, "the level with the largest loss, and the verdict"),
    ]
    caption = (
        f"{factor_name(factor)}: normalised score at each level, mean [95% interval] over "
        "training seeds and networks."
    )
    if any(lost):
        caption += (
            " Largest loss: the change from the condition of the training to the level where it is "
            f"worst, paired by seed and network. Its interval covers 1 {DASH} 0.05/m, because "
            f"it is picked among m levels. Level: within {MATTERS:g} point of zero. Loss or gain: "
            "not level, and zero is excluded."
        )
    else:
        columns, lines = columns[:-2], [line[:-2] for line in lines]
    tasks = ", ".join(dict.fromkeys(r.panel[0].upper() for r in found))
    return Table(f"{factor_name(factor)}: {tasks}", caption, columns, lines)


def focus_table(
    found: Sequence[Response], focus: str, rng: np.random.Generator, display: Display
) -> Table | None:
    """Task x factor x level: score of the focus method minus that of every other method.

    Args:
        found: From `responses`.
        focus: Label of the focus method.
        rng: Source of bootstraps.
        display: Names of methods.

    Returns:
        The table; None if the method was not scored, or no other one was beside it.
    """
    at = {(r.factor, r.panel, r.label): dict(zip(r.levels, r.finals, strict=True)) for r in found}
    labels = [label for label in dict.fromkeys(r.label for r in found) if label != focus]
    several = several_datasets([r.panel for r in found])
    lines: list[list[Cell]] = []
    for mine in (r for r in found if r.label == focus):
        beside = [at.get((mine.factor, mine.panel, label), {}) for label in labels]
        for level, final in zip(mine.levels, mine.finals, strict=True):
            others = [finals.get(level) for finals in beside]
            if any(others):
                leads = [o and difference(final, o, rng) for o in others]
                lines.append(
                    [
                        text_cell(panel_name(mine.panel, several)),
                        factor_level_cell((mine.factor, level)),
                        *map(versus.difference_cell, leads),
                    ]
                )
    if not lines:
        return None
    name = display.method(focus)
    columns = [Column("Task", False), Column("Condition", False)]
    columns += [Column(f"Minus {display.method(x)}", hint="difference in score") for x in labels]
    caption = (
        f"Normalised score of {name} minus that of each other method under the same condition, "
        f"{versus.PAIRED}"
    )
    title = f"Differences from {name} under each condition"
    return Table(title, caption, columns, lines, folded=True)


def _with_equal_levels(found: Sequence[Response]) -> list[list[Response]]:
    """Responses grouped by the levels of their task, so that a table has no empty columns."""
    levels: dict[str, set[float]] = {}
    for r in found:
        levels.setdefault(r.panel[0], set()).update(r.levels)
    return [part for _, part in scoring.grouped(found, lambda r: frozenset(levels[r.panel[0]]))]
