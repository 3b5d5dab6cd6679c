"""The table of the first screen: one line for each algorithm, variants in a folded table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from networld_algos.report import training
from networld_algos.report.scoring import Panel, Reference
from networld_algos.report.summary import Final
from networld_algos.report.table import (
    DASH,
    FAILED_HINT,
    SCORE_HINT,
    Cell,
    Column,
    Table,
    interval_cell,
    panel_name,
    several_datasets,
    text_cell,
)
from networld_algos.report.verdicts import MARK_SEEDS, Standing, Verdict
from networld_algos.results.display import Display
from networld_algos.results.networks import FAILED_BELOW

RISING = "\N{UPWARDS ARROW}"
"""Mark of an under-trained result."""


def table(
    competing: Sequence[Final],
    found: Sequence[Verdict],
    milliseconds: Mapping[tuple[str, str], float],
    behaviours: Mapping[Panel, Reference],
    display: Display,
) -> Table:
    """Algorithm x (task, data): the score; then failed networks and what it cost.

    Costs are the minutes of training and, if timed, the milliseconds of a station's decision.

    Args:
        competing: One method for each algorithm on each panel, from
            `networld_algos.report.verdicts.representatives`.
        found: Verdicts; what the leader of a column does not beat is bold.
        milliseconds: (Task, label) -> time of one station's decision.
        behaviours: Score of each panel's training data, as the last line.
        display: Names of methods.
    """
    shown = [f for f in competing if f.score is not None]
    labels = list(dict.fromkeys(f.label for f in shown))
    every = list(dict.fromkeys(f.panel for f in shown))
    several = several_datasets(every)
    strong = {key for verdict in found for key in _not_beaten(verdict)}
    lines = [
        [
            text_cell(display.method(label)),
            *_scores(shown, label, every, strong),
            _range_cell([f.failed_percent or 0.0 for f in shown if f.label == label]),
            _range_cell(
                [f.train_seconds / 60 for f in shown if f.label == label and f.train_seconds]
            ),
            _range_cell([ms for (_, name), ms in milliseconds.items() if name == label]),
        ]
        for label in labels
    ]
    if behaviours:
        scores = [behaviours[p].score if p in behaviours else None for p in every]
        cells = [interval_cell(score, 1) for score in scores]
        lines.append([text_cell("Training data"), *cells, *[Cell(DASH, None)] * 3])
    columns = [
        Column("Method", False),
        *(Column(panel_name(p, several), hint=SCORE_HINT) for p in every),
        Column("Failed (%)", hint=f"{FAILED_HINT}: range over tasks and data"),
        Column("Training (min)", hint="median over seeds: range over tasks and data"),
        Column("One station (ms)", hint="one decision of one station alone: range over tasks"),
    ]
    if not milliseconds:  # the suite has not measured them
        columns, lines = columns[:-1], [line[:-1] for line in lines]
    caption = (
        "Normalised score of the last checkpoint on test networks: mean [95% interval]. Random is "
        f"0, the expert 100. Failed: networks on which a method scores less than {FAILED_BELOW:g}, "
        "as the range over tasks and data; the share of each and the median are in the details of "
        "the comparison."
    )
    if any(verdict.seeds >= MARK_SEEDS for verdict in found):
        caption += " Bold: the best of a column, and every method that it does not beat."
    if any(f.is_under_trained for f in shown):
        caption += (
            f" {RISING}: under-trained, its score rises by more than {training.RISE:g} point over "
            "the last quarter of its training."
        )
    if behaviours:
        caption += (
            " Training data: score of the average reward of the dataset, on its own networks."
        )
    return Table("Scores", caption, columns, lines)


def variants(finals: Sequence[Final], competing: Sequence[Final], display: Display) -> Table | None:
    """The scores of all other methods, folded; None if there are none."""
    above = {(f.panel, f.label) for f in competing}
    shown = [f for f in finals if (f.panel, f.label) not in above and f.score is not None]
    if not shown:
        return None
    every = list(dict.fromkeys(f.panel for f in shown))
    several = several_datasets(every)
    columns = [
        Column("Variant", False),
        *(Column(panel_name(p, several), hint=SCORE_HINT) for p in every),
    ]
    lines = [
        [text_cell(display.method(label)), *_scores(shown, label, every, set())]
        for label in dict.fromkeys(f.label for f in shown)
    ]
    caption = (
        "Methods that do not stand for their algorithm above, such as other decision rules and "
        "ablations. Scores as above."
    )
    return Table("Variants", caption, columns, lines, folded=True)


def _not_beaten(verdict: Verdict) -> list[tuple[str, Panel]]:
    if verdict.seeds < MARK_SEEDS:
        return []
    near = [r.final.label for r in verdict.rivals if r.standing is not Standing.BEATEN]
    return [(label, verdict.panel) for label in (verdict.leader.label, *near)]


def _scores(
    shown: Sequence[Final], label: str, panels: Sequence[Panel], strong: set[tuple[str, Panel]]
) -> list[Cell]:
    at = {f.panel: f for f in shown if f.label == label}
    cells: list[Cell] = []
    for panel in panels:
        final = at.get(panel)
        cell = interval_cell(final.score if final else None, 1)
        mark = RISING if final is not None and final.is_under_trained else ""
        cells.append(replace(cell, strong=(label, panel) in strong, mark=mark))
    return cells


def _range_cell(values: Sequence[float]) -> Cell:
    """``"3.1"`` or ``"3.1–12"``, sorted by the median; a dash for no values."""
    if not values:
        return Cell(DASH, None)
    low, high = (f"{x:.0f}" if x >= 10 else f"{x:.2g}" for x in (min(values), max(values)))
    return Cell(low if low == high else f"{low}\N{EN DASH}{high}", float(np.median(values)))
