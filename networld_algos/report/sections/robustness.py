"""Section "Robustness": scores under conditions that the method was not trained for."""

from __future__ import annotations

from collections.abc import Sequence
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
from networld_algos.report.table import (
    SCORE_HINT,
    Cell,
    Column,
    Table,
    factor_level_cell,
    interval_cell,
    panel_name,
    several_datasets,
    text_cell,
)
from networld_algos.report.verdicts import difference
from networld_algos.results.display import Display
from networld_algos.results.stats import Interval
from networld_algos.results.text import slug


def make(source: Source) -> Section:
    """Score under conditions that the method was not trained for, one factor after another."""
    section = Section("robustness", "Robustness")
    section.text.append(
        "Models of the comparison, evaluated under other conditions without further training. "
        "If the condition changes the environment (number of agents, drifted traffic or channel), "
        "scores are normalised with random and expert under the same condition. Lost or late "
        "messages do not affect random and expert."
    )
    found = responses.responses(source.finals("robustness"), source.rng("robustness", "responses"))
    section.finding = finding(found, source.focus, source.display)
    for factor, group in scoring.grouped(found, lambda r: r.factor):
        name = f"robustness_{slug(factor)}"
        figures = source.forms(name, partial(figure, group, source.look))
        section.parts.append(
            source.picture(
                name,
                figures,
                responses.describe_responses(group, source.display),
                f"{factor_name(factor)}: normalised score, mean and 95% interval over training "
                "seeds and networks. Solid line: expert (100).",
            )
        )
        section.parts += [table(part, source.display) for part in _with_equal_levels(group)]
    rng = source.rng("robustness", "versus")
    versus_focus = focus_table(found, source.focus, rng, source.display)
    if versus_focus is not None:
        section.parts.append(versus_focus)
    return section


def finding(found: Sequence[Response], focus: str, display: Display) -> str:
    """The lowest score of the focus method under each factor, beside its rivals'."""
    if not found or not focus:
        return ""
    if focus not in {r.label for r in found}:
        return f"{display.method(focus)} was not scored under these conditions."
    parts = []
    for factor, group in scoring.grouped(found, lambda r: r.factor):
        mine = [(r, level, p) for r in group if r.label == focus for level, p in _levels(r)]
        if not mine:
            continue
        worst, level, score = min(mine, key=lambda m: m[2].value)
        others = [
            (p.value, r.label)
            for r in group
            if r.panel == worst.panel and r.label != focus
            for at, p in _levels(r)
            if at == level
        ]
        beside = f", {display.method(max(others)[1])} {max(others)[0]:.0f}" if others else ""
        where = f"{panel_name(worst.panel, False)}, {level_text(factor, level)}"
        parts.append(f"{factor_name(factor).lower()} {score.value:.0f} ({where}{beside})")
    return (
        f"The lowest scores of {display.method(focus)}, beside the best other: {'; '.join(parts)}."
    )


def _levels(response: Response) -> list[tuple[float, Interval]]:
    return list(zip(response.levels, response.points, strict=True))


def figure(found: Sequence[Response], look: Look, columns: int | None = None) -> Figure:
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
            ax.margins(x=0.08)
            ax.set_title(title(panel, panels, look.display), loc="left")
            ax.set_xlabel(factor_name(factor))
            ax.set_ylabel("Normalised score")
        legend(fig, [r.label for r in found], look, columns)
    return fig


def table(found: Sequence[Response], display: Display) -> Table:
    """Task x method: score at each level of one factor."""
    factor = found[0].factor
    levels = sorted({level for r in found for level in r.levels})
    several = several_datasets([r.panel for r in found])
    lines = []
    for r in found:
        at = dict(zip(r.levels, r.points, strict=True))
        lines.append(
            [
                text_cell(panel_name(r.panel, several)),
                text_cell(display.method(r.label)),
                *(interval_cell(at.get(level), 1) for level in levels),
                interval_cell(r.change, 1, sign=True),
            ]
        )
    columns = [Column("Task", False), Column("Method", False)]
    columns += [Column(level_text(factor, level), hint=SCORE_HINT) for level in levels]
    columns += [Column("First to last", hint="change in score, paired by seed and network")]
    caption = (
        f"{factor_name(factor)}: normalised score at each level, mean [95% interval] over "
        "training seeds and networks, and the change from the first to the last level, paired by "
        "seed and network."
    )
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
