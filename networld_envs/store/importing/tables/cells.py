"""Cells of Arrow's arrays as numbers, labels and times; an error says which cell is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.store.ids import DatasetError

MOST_LABELS = 1_000_000


class CellError(ValueError):
    """A cell, or with ``index`` None the whole column, cannot be used."""

    def __init__(self, index: int | None, text: str) -> None:
        super().__init__(text)
        self.index = index


def arrow() -> Any:
    """The package pyarrow, with its modules for computing, CSV and Parquet.

    Raises:
        DatasetError: If it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise DatasetError(
            "reading CSV and Parquet needs pyarrow: pip install 'networld[tables]'"
        ) from error
    return pyarrow


def numbers(cells: Any, decimal: str, missing: Sequence[str]) -> NDArray[np.float64]:
    """Numbers of a column, NaN where there is none.

    Args:
        cells: An array of any type that can hold numbers, also as text.
        decimal: Decimal mark of text.
        missing: Texts that stand for no value.

    Raises:
        CellError: For a cell that is no number, or a column of another type.
    """
    pa = arrow()
    types = pa.types
    if types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if _is_text(cells.type):
        cells = _from_text(cells, decimal, missing)
    elif types.is_boolean(cells.type):
        cells = cells.cast(pa.int8())
    elif not any(
        is_kind(cells.type)
        for is_kind in (types.is_integer, types.is_floating, types.is_decimal, types.is_null)
    ):
        raise CellError(None, f"has type {cells.type}, which is no number")
    return cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def labels(cells: Any, known: dict[str, int]) -> NDArray[np.int64]:
    """Index of each label of a column.

    Args:
        cells: An array of text, whole numbers or dates.
        known: Label -> its index; new labels are added.

    Raises:
        CellError: For an empty cell, or if there are more labels than `MOST_LABELS`.
    """
    pa = arrow()
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_nested(cells.type):
        raise CellError(None, f"has type {cells.type}, which is no name")
    if pa.types.is_floating(cells.type):  # whole numbers of a column that had empty cells
        values = cells.to_numpy(zero_copy_only=False)
        empty = np.isnan(values)  # a missing number
        if np.isinf(values).any():
            raise CellError(int(np.argmax(np.isinf(values))), "an infinite number is no name")
        cells = pa.array(values, mask=empty)
        if (values[~empty] == np.floor(values[~empty])).all():
            cells = cells.cast(pa.int64())
    if not pa.types.is_string(cells.type):
        cells = cells.cast(pa.string())
    encoded = cells.dictionary_encode()
    texts = [text.strip() for text in encoded.dictionary.to_pylist()]
    index = np.array([known.setdefault(t, len(known)) if t else -1 for t in texts] + [-1])
    found = index[encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]
    if (found < 0).any():
        raise CellError(int(np.argmax(found < 0)), "the cell is empty, but every row needs one")
    if len(known) > MOST_LABELS:
        raise CellError(None, f"has more than {MOST_LABELS} different values, too many for names")
    return found.astype(np.int64)


def seconds(cells: Any) -> tuple[NDArray[np.float64], bool]:
    """Seconds since 1970 of dates, as such or as text, all with a zone or all without.

    Returns:
        Seconds ``(n,)``, and whether the dates have a zone. Without one, they count as UTC.

    Raises:
        CellError: For a cell that is no date.
    """
    pa = arrow()
    if not _is_text(cells.type):
        zone = getattr(cells.type, "tz", None)
        count = cells.cast(pa.timestamp("ns", zone)).cast(pa.int64())
        found = count.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / 1e9
        return found, zone is not None
    cells = pa.compute.utf8_trim_whitespace(cells)
    kinds = (pa.timestamp("ns"), pa.timestamp("ns", tz="UTC"))
    ends = [_first_bad(cells, kind) for kind in kinds]
    for kind, end in zip(kinds, ends, strict=True):
        if end == len(cells):
            return seconds(cells.cast(kind))
    raise CellError(
        max(ends),
        f"{cells[max(ends)].as_py()!r} is no date like '2026-01-31 12:00:00.02', with a zone in "
        "every row or in none",
    )


def is_dated(cells: Any) -> bool:
    """Whether a column has a type of dates and times."""
    return arrow().types.is_timestamp(cells.type)


def is_text(cells: Any) -> bool:
    """Whether a column has a type of text."""
    return _is_text(cells.type)


def _is_text(kind: Any) -> bool:
    types = arrow().types
    return types.is_string(kind) or types.is_large_string(kind)


def _from_text(cells: Any, decimal: str, missing: Sequence[str]) -> Any:
    """Numbers written as text."""
    pa = arrow()
    number = pa.float64()
    if missing:
        cells = pa.compute.if_else(
            pa.compute.is_in(cells, pa.array(list(missing), cells.type)), None, cells
        )
    text = cells
    if decimal == ",":
        dotted = pa.compute.match_substring(text, ".").fill_null(False)
        if pa.compute.any(dotted).as_py():
            i = int(np.argmax(dotted.to_numpy(zero_copy_only=False)))
            raise CellError(
                i,
                f"{cells[i].as_py()!r} has a point although decimal is ','; write numbers without "
                "marks between thousands",
            )
        text = pa.compute.replace_substring(text, ",", ".")
    try:
        return text.cast(number)
    except pa.ArrowInvalid:
        text = pa.compute.utf8_trim_whitespace(text)
        i = _first_bad(text, number)
    if i == len(text):
        return text.cast(number)
    shown, remedy = cells[i].as_py(), "correct it, or list it under missing in [csv]"
    if decimal == "." and "," in shown:
        remedy = 'if the comma is the decimal mark, set decimal = "," in [csv]'
    raise CellError(i, f"{shown!r} is not a number; {remedy}")


def _first_bad(cells: Any, kind: Any) -> int:
    """Index of the first cell that cannot be cast; the number of cells if all can."""
    pa = arrow()

    def good(start: int, stop: int) -> bool:
        try:
            cells.slice(start, stop - start).cast(kind)
        except pa.ArrowInvalid:
            return False
        return True

    low, high = 0, len(cells)
    if good(low, high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(low, middle) else (low, middle)
    return low
