"""Tables of the commands: for people in a terminal of any width, or as JSON.

With ``--json``, a command writes one object to standard output: its facts by name, and one list of
objects per table. The keys of such an object are those of the table's columns. Values are numbers,
texts, true, false, lists, or null where there is none; numbers are not rounded. Keys may be added
in later versions, but keep their meaning.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.cells import cell_len
from rich.table import Table

from networld_algos.cli import terminal
from networld_algos.results.text import visible

AsJson = Annotated[bool, tyro.conf.arg(name="json")]
"""Type of the option ``--json``."""
LEAST_PROSE = 24  # characters that a column of prose keeps before the table becomes a list


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: Its name in JSON.
        heading: Its name in a terminal; by default, the key with spaces.
        text: How a value is shown; a list by default with commas.
        none: How None is shown.
        right: Whether the values are aligned at the right.
        prose: Whether the text may wrap. The text of other columns is always in one piece.
    """

    key: str
    heading: str = ""
    text: Callable[[Any], str] = str
    none: str = ""
    right: bool = False
    prose: bool = False

    @property
    def shown(self) -> str:
        """The heading."""
        return self.heading or self.key.replace("_", " ")

    def cell(self, row: Mapping[str, Any]) -> str:
        """The text of a row in this column."""
        value = row.get(self.key)
        if isinstance(value, (list, tuple)) and self.text is str:
            value = ", ".join(map(str, value))
        return self.none if value is None else visible(self.text(value))


@dataclass(frozen=True)
class Listing:
    """A table.

    Attributes:
        key: Its name in JSON.
        columns: Its columns; the first one names the row.
        rows: Column's key -> value.
        title: Line above it in a terminal.
        strong: The value in the first column of a row that is printed in bold.
    """

    key: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    strong: str | None = None


def show(*listings: Listing, as_json: bool = False, **facts: Any) -> None:
    """Print tables, or one JSON object with the tables and ``facts``.

    Args:
        *listings: The tables.
        as_json: Whether to print JSON.
        **facts: Further values of the JSON object.
    """
    if as_json:
        tables = {
            found.key: [{c.key: row.get(c.key) for c in found.columns} for row in found.rows]
            for found in listings
        }
        print(json.dumps(_finite({**facts, **tables}), indent=1, allow_nan=False))
        return
    for found in listings:
        if found.title:
            terminal.console.print(found.title, style="italic")
        _show(found)


def _show(found: Listing) -> None:
    cells = [[c.cell(row) for c in found.columns] for row in found.rows]
    widths = [
        max(_width(text) for text in (c.shown, *(line[i] for line in cells)))
        for i, c in enumerate(found.columns)
    ]
    console = terminal.console
    natural = sum(widths) + 3 * len(widths) + 1
    width = console.width if console.is_terminal else natural  # a file has room for everything
    prose = [i for i, c in enumerate(found.columns) if c.prose and widths[i] > LEAST_PROSE]
    least = natural - sum(widths[i] - LEAST_PROSE for i in prose)
    if least > width:
        _show_list(found, cells, width)
        return
    table = Table()
    for i, c in enumerate(found.columns):
        table.add_column(
            c.shown, justify="right" if c.right else "left", no_wrap=i not in prose, overflow="fold"
        )
    for row, line in zip(found.rows, cells, strict=True):
        strong = found.strong is not None and row[found.columns[0].key] == found.strong
        table.add_row(*line, style="bold" if strong else None)
    wide = terminal.PlainConsole(
        width=min(natural, width),
        soft_wrap=False,
        quiet=console.quiet,
        force_terminal=console.is_terminal,
        no_color=console.no_color,
    )
    wide.print(table)


def _show_list(found: Listing, cells: Sequence[Sequence[str]], width: int) -> None:
    """One paragraph per row: its name, then its other values, with nothing cut."""
    for line in cells:
        terminal.console.print(line[0], style="bold")
        named = [
            f"{c.shown} {text}".replace("\n", " ")
            for c, text in zip(found.columns[1:], line[1:], strict=True)
            if text
        ]
        for part in textwrap.wrap(
            "; ".join(named),
            max(width - 4, 20),
            break_long_words=False,
            break_on_hyphens=False,
        ):
            terminal.console.print(f"    {part}")


def _width(text: str) -> int:
    return max((cell_len(line) for line in text.splitlines()), default=0)


def _finite(value: Any) -> Any:
    """The value with null for numbers that are not finite, which JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
