"""Section "Health": diagnostics in the final rows."""

from __future__ import annotations

from collections.abc import Sequence

from networld_algos.report.sections.cost import PARAMETERS
from networld_algos.report.source import Section, Source
from networld_algos.report.summary import Final
from networld_algos.report.table import (
    Column,
    Table,
    number_cell,
    panel_name,
    several_datasets,
    text_cell,
)
from networld_algos.results.display import Display
from networld_algos.results.rows import STATION_MS
from networld_algos.results.text import count

COMPARISON = "comparison"
FIXED = ("Experiment", "Task", "Method")
"""Columns that are no diagnostics."""


def make(source: Source) -> Section:
    """Diagnostics in the final rows."""
    section = Section("health", "Diagnostics")
    section.text.append(
        "Mean over training seeds of the values that final rows record besides the rewards."
    )
    found = [(e, f) for e in source.single_results for f in source.finals(e) if f.extra]
    compared = [(e, f) for e, f in found if e == COMPARISON]
    if table(compared, source.display) is not None and len(compared) < len(found):
        found = compared  # the others would make the page a tenth larger
        section.text.append(
            "Shown for the comparison. Those of the other experiments are in the result files."
        )
    shown = table(found, source.display)
    if shown is not None:
        quantities = len(shown.columns) - len(FIXED)
        section.finding = (
            f"{count(quantities, 'quantity', 'quantities')} beside the rewards "
            f"{'was' if quantities == 1 else 'were'} recorded, for "
            f"{count(len({line[2].text for line in shown.lines}), 'method')}."
        )
        section.parts.append(shown)
    return section


def table(found: Sequence[tuple[str, Final]], display: Display) -> Table | None:
    """Diagnostics of every method, one column per quantity; None if none was recorded."""
    shown_elsewhere = (PARAMETERS, STATION_MS)
    keys = dict.fromkeys(k for _, f in found for k in f.extra if k not in shown_elsewhere)
    several = several_datasets([f.panel for _, f in found])
    lines = [
        [
            text_cell(experiment),
            text_cell(panel_name(f.panel, several)),
            text_cell(display.method(f.label)),
            *(number_cell(f.extra.get(key), None) for key in keys),
        ]
        for experiment, f in found
        if any(key in f.extra for key in keys)
    ]
    if not lines:
        return None
    columns = [Column(name, False) for name in FIXED]
    columns += [Column(key) for key in keys]
    caption = "Diagnostics recorded with the final evaluation."
    return Table("Diagnostics", caption, columns, lines, folded=True)
