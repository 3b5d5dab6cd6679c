"""Metrics as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from networld_algos.files import write_text
from networld_algos.results.loggers.interface import Values

FILE = "metrics.csv"
COLUMNS = ("updates", "name", "value")


class CsvLogger:
    """Writes ``metrics.csv`` with the columns updates, name and value.

    Each call of `log` is on its way to the disk when it returns, so a process that is killed loses
    no more than the line that it was writing. `start` removes such a line, and those of updates
    that come again. ``pandas.read_csv(file).pivot(index="updates", columns="name",
    values="value")`` is one column for each name.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.file: TextIO | None = None

    def start(self, done: int, about: Mapping[str, Any]) -> None:
        """Keep the complete lines up to update ``done``, and append from there."""
        del about
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, _text([COLUMNS, *_kept(self.path, done)]))
        self.file = self.path.open("a", encoding="utf-8", newline="")

    def log(self, updates: int, values: Values) -> None:
        """Append one line for each number."""
        assert self.file is not None
        self.file.write(_text((updates, name, repr(value)) for name, value in values.items()))
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


def _text(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _kept(path: Path, done: int) -> list[list[str]]:
    """The complete lines of a file up to update ``done``; none if there is no file."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    complete = text[: text.rfind("\n") + 1]
    rows = csv.reader(io.StringIO(complete))
    return [r for r in rows if len(r) == len(COLUMNS) and r[0].isdigit() and int(r[0]) <= done]
