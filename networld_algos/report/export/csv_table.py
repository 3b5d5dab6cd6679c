"""Tables as CSV, for programs and spreadsheets.

Texts stand in quotes, and a text that a spreadsheet would read as a formula starts with an
apostrophe, see `networld_algos.results.text.spreadsheet`. Numbers have all their digits.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence

from networld_algos.report.table import DASH, Cell, Column, Table
from networld_algos.results.text import name, spreadsheet

Value = str | int | float | None

NUMBER = re.compile(r"[+\N{MINUS SIGN}-]?[\d,.]+(e[+-]?\d+)?%?")
"""The text of a cell that says no more than its number."""


def csv_text(heads: Sequence[str], lines: Sequence[Sequence[Value]]) -> str:
    """Lines of CSV; None and values that are not finite are empty fields."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for line in (heads, *lines):
        writer.writerow([_field(value) for value in line])
    return buffer.getvalue()


def _field(value: Value) -> Value:
    if isinstance(value, str):
        return spreadsheet(name(value))
    return value if value is not None and math.isfinite(value) else ""


def table_csv(table: Table) -> str:
    """A table of the page.

    A numeric column is followed by ``"... low"`` and ``"... high"`` if it has intervals, and by
    ``"... note"`` if the page says more than numbers, for example a mark, ``"not reached"`` or the
    sign of an interval.
    """
    heads: list[str] = []
    columns: list[list[Value]] = []
    for i, column in enumerate(table.columns):
        for suffix, values in _columns(column, [line[i] for line in table.lines]).items():
            heads.append(f"{column.name} {suffix}".strip())
            columns.append(values)
    lines = list(zip(*columns, strict=True)) if table.lines else []
    return csv_text(heads, lines)


def _columns(column: Column, cells: Sequence[Cell]) -> dict[str, list[Value]]:
    """Suffix of the heading -> values, for one column of the page."""
    if not column.numeric:
        texts = [f"{cell.text} {cell.note}".strip() for cell in cells]
        return {"": ["" if text == DASH else text for text in texts]}
    found: dict[str, list[Value]] = {"": [_number(cell) for cell in cells]}
    if any(cell.limits for cell in cells):
        found["low"] = [cell.limits[0] if cell.limits else None for cell in cells]
        found["high"] = [cell.limits[1] if cell.limits else None for cell in cells]
    notes: list[Value] = [_note(cell) for cell in cells]
    return found | ({"note": notes} if any(notes) else {})


def _number(cell: Cell) -> float | None:
    known = isinstance(cell.order, int | float) and math.isfinite(cell.order)
    return cell.order if known else None  # pyright: ignore[reportReturnType]


def _note(cell: Cell) -> str:
    """What the page says besides the number and its limits."""
    text = "" if cell.text == DASH or NUMBER.fullmatch(cell.text) else cell.text
    note = cell.note.rpartition("]")[2].strip() if cell.limits else cell.note
    return " ".join(part for part in (text, cell.mark, note) if part)
