"""The table of claims in documents: generated between two markers, and never written by hand."""

from __future__ import annotations

import re
from pathlib import Path

from networld_algos.files import write_text

BEGIN, END = "<!-- claims {} -->", "<!-- /claims -->"


def replaced(text: str, path: str, table: str) -> str:
    """The text with a new table between the markers of the results at ``path``.

    Raises:
        ValueError: If the text does not have each marker exactly once; says how they look.
    """
    begin = BEGIN.format(path)
    parts = re.split(f"{re.escape(begin)}.*?{re.escape(END)}", text, flags=re.DOTALL)
    if len(parts) != 2:
        raise ValueError(
            f"expected the lines {begin!r} and {END!r} once each, in this order, found "
            f"{text.count(begin)} and {text.count(END)}"
        )
    return f"{parts[0]}{begin}\n\n{table}\n\n{END}{parts[1]}"


def replace_in(page: Path, path: str, table: str) -> bool:
    """Write a new table into a page; returns whether the page changed.

    Raises:
        ValueError: If the page lacks the markers; names the page.
    """
    old = page.read_text(encoding="utf-8")
    try:
        new = replaced(old, path, table)
    except ValueError as error:
        raise ValueError(f"{page}: {error}") from error
    if new != old:
        write_text(page, new)
    return new != old
