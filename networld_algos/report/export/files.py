"""Every table, figure and run of a report as files: for a paper, or for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from networld_algos.files import write_text
from networld_algos.report.export.csv_table import table_csv
from networld_algos.report.export.frame import write_frame
from networld_algos.report.export.latex import table_latex
from networld_algos.report.table import Table
from networld_algos.results.rows import Row
from networld_algos.results.text import file_stem

FIGURES, TABLES = "figures", "tables"


def write_tables(tables: Sequence[tuple[str, Table]], rows: Sequence[Row], folder: Path) -> None:
    """Write ``tables/*.csv``, ``tables/*.tex`` and the files of all runs.

    Figures are written as they are drawn, see `networld_algos.report.source.Source.picture`.

    Args:
        tables: All tables of the page, each with the anchor of its section.
        rows: All rows of the suite.
        folder: Folder for all files. Files of an earlier export are replaced one by one.
    """
    for stem, table in names(tables).items():
        write_text(folder / TABLES / f"{stem}.csv", table_csv(table))
        write_text(folder / TABLES / f"{stem}.tex", table_latex(table, f"tab:{stem}"))
    write_frame(rows, folder)


def names(tables: Sequence[tuple[str, Table]]) -> dict[str, Table]:
    """A file name without suffix for every table: its section and its title."""
    found: dict[str, Table] = {}
    for section, table in tables:
        stem = plain = f"{section}_{file_stem(table.title.lower()) or 'table'}"
        number = 1
        while stem in found:
            number += 1
            stem = f"{plain}_{number}"
        found[stem] = table
    return found
