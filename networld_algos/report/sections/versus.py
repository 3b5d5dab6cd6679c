"""Paired differences between the focus method and every other method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from networld_algos.report.scoring import PLAIN
from networld_algos.report.source import Source
from networld_algos.report.summary import Final
from networld_algos.report.table import (
    Cell,
    Column,
    Table,
    interval_cell,
    panel_name,
    several_datasets,
    text_cell,
)
from networld_algos.report.verdicts import MARK_SEEDS, difference
from networld_algos.results.display import Display
from networld_algos.results.stats import Interval

PAIRED = (
    "paired by seed and network: mean [95% interval]. Positive: the first is better. Bold: the "
    f"interval excludes zero, with at least {MARK_SEEDS} seeds. There is no correction for the "
    "number of differences."
)
"""How to read a table of differences, for captions."""


def tables(source: Source, experiment: str) -> list[Table]:
    """`table` of one experiment, in a list; empty if there is none."""
    finals, rng = source.finals(experiment), source.rng(experiment, "versus")
    found = table(finals, source.focus, rng, source.display)
    return [] if found is None else [found]


def table(
    finals: Sequence[Final], focus: str, rng: np.random.Generator, display: Display
) -> Table | None:
    """Method x (task, dataset): the score of the focus method minus that of the other.

    Args:
        finals: Final scores of one experiment. Those at a level of a factor are left out.
        focus: Label of the focus method.
        rng: Source of bootstraps.
        display: Names of methods.

    Returns:
        The table; None if the method was not scored, or no other one was beside it.
    """
    scored = [f for f in finals if f.score is not None and f.factor_level == PLAIN]
    mine = {f.panel: f for f in scored if f.label == focus}
    pairs = [(f.label, f.panel, f) for f in scored if f.panel in mine and f.label != focus]
    if not pairs:
        return None
    name = display.method(focus)
    every = list(dict.fromkeys(panel for _, panel, _ in pairs))
    several = several_datasets(every)
    leads = {(label, p): difference(mine[p], f, rng) for label, p, f in pairs}
    lines: list[list[Cell]] = []
    for label in dict.fromkeys(label for label, _, _ in pairs):
        found = [leads.get((label, panel)) for panel in every]
        signs = [decided(lead) for lead in found if lead is not None]
        lines.append(
            [
                text_cell(display.method(label)),
                *(difference_cell(lead) for lead in found),
                Cell(*_share(signs.count(1), len(signs))),
                Cell(*_share(signs.count(-1), len(signs))),
            ]
        )
    columns = [
        Column(f"{name} minus", False),
        *(Column(panel_name(p, several), hint="difference in score") for p in every),
        Column("Better", hint=f"intervals above zero: {name} is better"),
        Column("Worse", hint=f"intervals below zero: {name} is worse"),
    ]
    caption = (
        f"Normalised score of {name} minus that of each other method, paired by seed and network: "
        f"mean [95% interval]. Positive: {name} is better. Bold: the interval excludes zero, with "
        f"at least {MARK_SEEDS} seeds. Better and Worse count such intervals. They are not "
        "corrected for their number: without any real difference, one in twenty would exclude zero."
    )
    return Table(f"Differences from {name}", caption, columns, lines)


def decided(lead: Interval) -> int:
    """1 if the first is better than the second, -1 if it is worse, 0 if that is open."""
    if lead.seeds < MARK_SEEDS or not math.isfinite(lead.low):
        return 0
    return int(lead.low > 0) - int(lead.high < 0)


def difference_cell(lead: Interval | None) -> Cell:
    """A paired difference, bold if it is decided; a dash for None."""
    cell = interval_cell(lead, 1, sign=True)
    return cell if lead is None else replace(cell, strong=decided(lead) != 0)


def _share(count: int, total: int) -> tuple[str, float]:
    return f"{count} of {total}", float(count)
