"""Reads tables block by block, and knows where each row stands in its file."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from networld_envs.store.ids import DatasetError, listed
from networld_envs.store.importing.tables import cells
from networld_envs.store.importing.tables.cells import CellError, arrow
from networld_envs.store.importing.tables.csv_files import check_names, csv_batches
from networld_envs.store.importing.tables.mapping import Mapping

CSV = (".csv", ".csv.gz")
ENDINGS = (*CSV, ".parquet")
BLOCK_ROWS = 1 << 16  # of a Parquet file

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """Rows of a table.

    Attributes:
        lines: ``(n,)`` int64, for `TableReader.place`.
        time: ``(n,)`` float64.
        agents: ``(n,)`` int64, index in `TableReader.agents`.
        episodes: ``(n,)`` int64, index in `TableReader.episodes`.
        values: ``(n, C)`` float64, one column for each of ``Mapping.columns``; NaN where there is
            no value.
    """

    lines: NDArray[np.int64]
    time: NDArray[np.float64]
    agents: NDArray[np.int64]
    episodes: NDArray[np.int64]
    values: NDArray[np.float64]


def is_table(path: Path) -> bool:
    """Whether a path is a table by its name, or a folder, which may hold some."""
    return path.name.lower().endswith(ENDINGS) or path.is_dir()


def is_csv(file: Path) -> bool:
    """Whether a table is a CSV file by its name, and not a Parquet file."""
    return file.name.lower().endswith(CSV)


def table_files(path: Path, beside: Sequence[Path] = ()) -> list[Path]:
    """The file itself, or the tables of a folder in the order of their names.

    Names that begin with a dot or an underscore, such as ``_SUCCESS``, are not read.

    Args:
        path: File or folder.
        beside: Files that are no part of the table and may be in the folder, such as the mapping.

    Raises:
        DatasetError: If there is no table, or the folder holds both kinds or anything else.
    """
    if not path.is_dir():
        if not path.is_file():
            raise DatasetError(f"there is no file {path}")
        return [path]
    known = {file.resolve() for file in beside}
    found = sorted(p for p in path.iterdir() if p.name[0] not in "._" and p.resolve() not in known)
    files = [p for p in found if p.is_file() and is_table(p)]
    if not files:
        raise DatasetError(f"the folder {path} holds no table; tables end in {', '.join(ENDINGS)}")
    if others := [f"{p.name}/" if p.is_dir() else p.name for p in found if p not in files]:
        raise DatasetError(
            f"the folder {path} also holds {listed(others)}, which would not be read; tables end "
            f"in {', '.join(ENDINGS)} and lie in the folder itself; move the rest elsewhere"
        )
    if len(set(map(is_csv, files))) > 1:
        raise DatasetError(f"the folder {path} holds CSV and Parquet files; import one kind")
    return files


class TableReader:
    """Reads files of one table, a block at a time.

    Args:
        files: CSV or Parquet files of the same columns.
        mapping: Which columns to read, and how.

    Attributes:
        agents: Labels of the agents met so far -> their index.
        episodes: Labels of the episodes met so far -> their index.
        first_lines: The line that first names each agent.
        left_out: Rows so far of agents that are not kept.

    Raises:
        DatasetError: If pyarrow is not installed.
    """

    def __init__(self, files: list[Path], mapping: Mapping) -> None:
        arrow()
        self.agents: dict[str, int] = {}
        self.episodes: dict[str, int] = {}
        self.first_lines: list[int] = []
        self.left_out = 0
        self._files, self._mapping = files, mapping
        self._starts: list[int] = []  # what is added to the lines of each file
        self._first_time: float | None = None
        self._zoned: bool | None = None  # whether dates have a time zone
        m = mapping
        self._labels = [m.agent.column, *([m.episode.column] if m.episode.column else [])]
        self._needed = list(dict.fromkeys([m.time.column, *self._labels, *m.columns]))

    def place(self, line: int) -> str:
        """A row of `Block.lines` as text: file and line (CSV) or row (Parquet), from 1."""
        i = bisect.bisect_right(self._starts, line - 1) - 1
        word = "line" if is_csv(self._files[i]) else "row"
        return f"{self._files[i].name}, {word} {line - self._starts[i]}"

    def time_text(self, seconds: float) -> str:
        """A time of `Block.time` as text: a date, if the table has dates."""
        if self._zoned is None:
            return f"{seconds:.15g}"
        date = np.datetime64(round(1e6 * seconds), "us").astype(datetime)
        return f"{date.isoformat(' ')}{' UTC' if self._zoned else ''}"

    def blocks(self) -> Iterator[Block]:
        """All rows of all files, in their order.

        Raises:
            DatasetError: Names file, row and column, and says what to do.
        """
        end = 0
        for file in self._files:
            self._starts.append(end)
            line = end + (2 if is_csv(file) else 1)  # below the header
            for batch in self._csv(file) if is_csv(file) else self._parquet(file):
                block = self._block(batch, np.arange(line, line + batch.num_rows))
                line += batch.num_rows
                if len(block.lines):
                    yield block
            end = line

    def _csv(self, file: Path) -> Iterator[Any]:
        return csv_batches(file, self._needed, self._mapping.csv, self._mapping.path.name)

    def _parquet(self, file: Path) -> Iterator[Any]:
        pa = arrow()
        try:
            with pa.parquet.ParquetFile(str(file)) as source:
                names = list(source.schema_arrow.names)
                check_names(file, names, self._needed, self._mapping.path.name)
                yield from source.iter_batches(BLOCK_ROWS, columns=self._needed, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"{file.name}: {error}; if the file is damaged, write it again"
            ) from error

    def _block(self, batch: Any, lines: NDArray[np.int64]) -> Block:
        """The rows of a record batch that are not empty, and whose agent is kept."""
        m = self._mapping
        batch, lines = self._without_empty(batch, lines)
        agents = self._get(batch, m.agent.column, lines, lambda c: cells.labels(c, self.agents))
        for code in range(len(self.first_lines), len(self.agents)):
            self.first_lines.append(int(lines[np.argmax(agents == code)]))
        if m.agent.keep:
            kept = np.isin(agents, [self.agents[a] for a in m.agent.keep if a in self.agents])
            self.left_out += int((~kept).sum())
            batch = batch.filter(arrow().array(kept))
            lines, agents = lines[kept], agents[kept]
        time = self._get(batch, m.time.column, lines, self._time)
        if m.episode.column:
            episodes = self._get(
                batch, m.episode.column, lines, lambda c: cells.labels(c, self.episodes)
            )
        else:
            episodes = self._windows(time)
        values = np.empty((len(lines), len(m.columns)))
        for i, name in enumerate(m.columns):
            values[:, i] = self._get(batch, name, lines, self._numbers)
        return Block(lines, time, agents, episodes, values)

    def _without_empty(self, batch: Any, lines: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        """Without rows that have no value at all, such as empty lines of a CSV file."""
        if all(batch.column(name).null_count for name in self._needed):
            full = np.zeros(len(lines), bool)
            for name in self._needed:
                full |= batch.column(name).is_valid().to_numpy(zero_copy_only=False)
            return batch.filter(arrow().array(full)), lines[full]
        return batch, lines

    def _get(self, batch: Any, name: str, lines: NDArray[np.int64], read: Callable[[Any], T]) -> T:
        """What ``read`` makes of a column; its errors get the row and the column."""
        try:
            return read(batch.column(name))
        except CellError as error:
            if error.index is None:
                file = self._files[len(self._starts) - 1].name
                raise DatasetError(f"{file}: column {name!r} {error}") from error
            self._fail(int(lines[error.index]), name, str(error))
        except arrow().ArrowException as error:
            file = self._files[len(self._starts) - 1].name
            raise DatasetError(
                f"{file}: column {name!r} has type {batch.column(name).type} and a value that "
                f"cannot be read: {error}"
            ) from error

    def _numbers(self, column: Any) -> NDArray[np.float64]:
        # In a CSV file, cells without a value have been found when it was parsed.
        options = self._mapping.csv
        missing = () if is_csv(self._files[0]) else ("", *options.missing)
        return cells.numbers(column, options.decimal, missing)

    def _time(self, column: Any) -> NDArray[np.float64]:
        """Time of each row, in seconds if it is a date."""
        as_date = self._mapping.time.format == "timestamp" and cells.is_text(column)
        dates = as_date or cells.is_dated(column)
        try:
            found = self._dates(column) if dates else self._numbers(column)
        except CellError as error:
            if dates or error.index is None:
                raise
            raise CellError(
                error.index, f'{error}; for dates, set format = "timestamp" in [time]'
            ) from error
        wrong = ~np.isfinite(found)
        if wrong.any():
            raise CellError(
                int(np.argmax(wrong)), "the row has no time; remove the row or add its time"
            )
        return found

    def _dates(self, column: Any) -> NDArray[np.float64]:
        """Seconds of dates, which have a zone in all blocks or in none."""
        found, zoned = cells.seconds(column)
        if len(found) and self._zoned not in (None, zoned):
            has, had = ("a", "none") if zoned else ("no", "one")
            raise CellError(
                0, f"the date has {has} time zone, and the rows before have {had}; write all alike"
            )
        self._zoned = zoned if len(found) else self._zoned
        return found

    def _windows(self, time: NDArray[np.float64]) -> NDArray[np.int64]:
        """Episode of each row where the table names none: the only one, or windows of time."""
        if not len(time) or not self._mapping.episode.steps:
            return np.zeros(len(time), np.int64)
        if self._first_time is None:
            self._first_time = float(time[0])
        step = np.rint((time - self._first_time) / self._mapping.time.step)
        windows, at = np.unique(step // self._mapping.episode.steps, return_inverse=True)
        codes = [self.episodes.setdefault(f"{w:.0f}", len(self.episodes)) for w in windows.tolist()]
        return np.array(codes, np.int64)[at]

    def _fail(self, line: int, column: str, text: str) -> NoReturn:
        raise DatasetError(f"{self.place(line)}, column {column!r}: {text}")
