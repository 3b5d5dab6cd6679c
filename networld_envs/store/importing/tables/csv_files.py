"""Reads CSV files as blocks of text whose lines can be counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from networld_envs.store.ids import DatasetError, listed
from networld_envs.store.importing.tables.cells import arrow
from networld_envs.store.importing.tables.mapping import Csv

BLOCK_BYTES = 4 << 20
SHOWN = 80  # characters of a wrong row in its error


def csv_batches(file: Path, needed: Sequence[str], options: Csv, mapping: str) -> Iterator[Any]:
    """Record batches with the needed columns as text, null where there is no value.

    Every line below the header is a row, also an empty one.

    Args:
        file: CSV file, or CSV compressed with gzip.
        needed: Names of columns.
        options: How the file is written.
        mapping: Name of the mapping, for errors.

    Raises:
        DatasetError: Names file and line, and says what to do.
    """
    pa = arrow()
    names = _header(file, needed, options, mapping)
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "skip"

    try:
        with _opened(file) as stream:
            batches = pa.csv.open_csv(
                stream,
                pa.csv.ReadOptions(
                    use_threads=False,  # without threads, rows have numbers
                    block_size=BLOCK_BYTES,
                    column_names=names,
                    skip_rows=1,  # the header
                    encoding=options.encoding,
                ),
                pa.csv.ParseOptions(
                    delimiter=options.delimiter,
                    ignore_empty_lines=False,
                    invalid_row_handler=refuse,
                ),
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(needed, pa.string()),
                    include_columns=list(needed),
                    null_values=["", *options.missing],
                    strings_can_be_null=True,
                ),
            )
            for batch in batches:
                _refuse_ragged(file, wrong)
                yield batch
            _refuse_ragged(file, wrong)
    except UnicodeDecodeError as error:
        _fail_encoding(file, options.encoding, error)
    except OSError as error:
        _fail_reading(file, error)
    except pa.ArrowException as error:
        if "UTF8" in str(error):
            _fail_encoding(file, options.encoding, error)
        _refuse_ragged(file, wrong)
        empty = ("Empty CSV", "Could not skip initial")  # no line below the header
        if not any(text in str(error) for text in empty):
            raise DatasetError(f"{file.name}: {error}") from error


def _opened(file: Path) -> Any:
    """The bytes of a CSV file, which are decompressed if its name ends in ``.gz``."""
    compression = "gzip" if file.name.lower().endswith(".gz") else None
    return arrow().input_stream(str(file), compression=compression)


def check_names(file: Path, names: Sequence[str], needed: Sequence[str], mapping: str) -> None:
    """Every needed column is there once.

    Raises:
        DatasetError: Names the column and lists those of the file.
    """
    for name in needed:
        if names.count(name) > 1:
            raise DatasetError(f"{file.name}: two columns are named {name!r}; rename one")
        if name not in names:
            raise DatasetError(
                f"{file.name} has no column {name!r}, which {mapping} names; its columns are "
                f"{listed(list(names))}"
            )


def _header(file: Path, needed: Sequence[str], options: Csv, mapping: str) -> list[str]:
    """Names of all columns, each once."""
    bare = options.encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    try:
        with (
            _opened(file) as stream,
            io.TextIOWrapper(
                stream, encoding="utf-8-sig" if bare else options.encoding, newline=""
            ) as text,
        ):
            names = next(csv.reader(text, delimiter=options.delimiter), [])
    except UnicodeError as error:
        _fail_encoding(file, options.encoding, error)
    except csv.Error as error:
        raise DatasetError(
            f"{file.name}, line 1: the names of the columns cannot be read ({error}); most likely "
            "a quotation mark is not closed"
        ) from error
    except OSError as error:
        _fail_reading(file, error)
    names = [name.strip() for name in names]
    if not names:
        raise DatasetError(f"{file.name} is empty; its first line must name the columns")
    if len(names) == 1 and len(needed) > 1:
        marks = [mark for mark in (";", "\t", ",", "|") if mark in names[0]]
        if marks:
            raise DatasetError(
                f"{file.name}, line 1: the only column is {names[0]!r}; set delimiter = "
                f'"{repr(marks[0])[1:-1]}" in [csv] of {mapping}'
            )
    check_names(file, names, needed, mapping)
    # Columns of the same name would be mixed up; those that are not needed get another.
    return [name if name not in names[:i] else f"{name}#{i}" for i, name in enumerate(names)]


def _refuse_ragged(file: Path, wrong: Sequence[Any]) -> None:
    for row in wrong[:1]:
        raise DatasetError(
            f"{file.name}, line {row.number}: the row has {row.actual_columns} cells and the "
            f"header {row.expected_columns}: {row.text[:SHOWN]!r}; correct or remove it (the last "
            "line of a log that was copied while it was written may be cut off)"
        )


def _fail_reading(file: Path, error: OSError) -> NoReturn:
    raise DatasetError(
        f"{file.name} cannot be read ({error}); if it was copied only in part, copy it again"
    ) from error


def _fail_encoding(file: Path, encoding: str, error: Exception) -> NoReturn:
    """Name the first line that cannot be decoded."""
    line = 0
    try:
        with io.BufferedReader(_opened(file)) as raw:
            for text in raw:
                line += 1
                try:
                    text.decode(encoding)
                except UnicodeError:
                    break
    except OSError as fault:
        _fail_reading(file, fault)
    raise DatasetError(
        f"{file.name}, line {line}: the text is not in {encoding}; save the file as UTF-8, or set "
        'encoding in [csv], e.g. encoding = "latin-1"'
    ) from error
