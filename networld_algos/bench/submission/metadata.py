"""Who made a submission: the file ``submission.toml`` beside its rows.

::

    name = "Filtered cloning"                        # as the leaderboard shows it
    authors = ["A. Author", "B. Author"]
    date = 2026-11-28
    link = "https://example.org/filtered-cloning"
    description = "Cloning of the 30% of steps with the largest return."

Its text is shown and never interpreted: it is no Markdown and no HTML, and the link must be an
address on the web without characters that could end it.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networld_algos.results.text import name as printable
from networld_algos.results.text import suggestion

METADATA = "submission.toml"
"""Name of the file."""
LONGEST = {"name": 60, "authors": 60, "link": 200, "description": 400}
"""Characters of a text; for authors, of each of them."""
MOST_AUTHORS = 50
LARGEST = 20_000  # bytes of the file
LINK = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._~/?&=%+#@:,-]*)?")


@dataclass(frozen=True)
class Metadata:
    """What ``submission.toml`` says.

    Attributes:
        name: Name of the method.
        authors: Who made it.
        date: Day of the results.
        link: Where the method is described, or its code.
        description: The method in one or two sentences.
    """

    name: str
    authors: tuple[str, ...]
    date: datetime.date
    link: str
    description: str


class MetadataError(ValueError):
    """``submission.toml`` cannot be used; ``faults`` are (line or None, what is wrong)."""

    def __init__(self, path: Path, faults: list[tuple[int | None, str]]) -> None:
        self.faults = faults
        places = [f"{path}{f', line {line}' if line else ''}: {text}" for line, text in faults]
        super().__init__("\n".join(places))


def read_metadata(folder: Path) -> Metadata:
    """Read ``submission.toml`` in a folder.

    Raises:
        MetadataError: If it is missing or wrong; names every fault and its line.
    """
    path = folder / METADATA
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MetadataError(path, [(None, f"missing; it needs {', '.join(_CHECKS)}")]) from None
    except OSError as error:
        raise MetadataError(path, [(None, f"cannot be read: {error.strerror}")]) from None
    if len(data) > LARGEST:
        text = f"it has {len(data)} bytes; at most {LARGEST} are read"
        raise MetadataError(path, [(None, text)])
    try:
        text = data.decode("utf-8")
        values = tomllib.loads(text)
    except RecursionError:
        raise MetadataError(path, [(None, "not TOML: it is nested too deeply")]) from None
    except ValueError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else None
        raise MetadataError(path, [(line, f"not TOML: {error}")]) from None
    if faults := _faults(values, text):
        raise MetadataError(path, faults)
    authors = tuple(values.pop("authors"))
    return Metadata(**values, authors=authors)


def _faults(values: Mapping[str, Any], text: str) -> list[tuple[int | None, str]]:
    faults: list[tuple[int | None, str]] = []
    for key in values:
        if key not in _CHECKS:
            words = f"unknown key {key!r}{suggestion(key, _CHECKS)}; valid: {', '.join(_CHECKS)}"
            faults.append((_line_of(key, text), words))
    for key, check in _CHECKS.items():
        if key not in values:
            faults.append((None, f"missing key {key!r}"))
        elif fault := check(key, values[key]):
            faults.append((_line_of(key, text), f"{key} {fault}"))
    return faults


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        return f"must be a text, got {value!r}"
    if len(value) > LONGEST[key]:
        return f"has {len(value)} characters; at most {LONGEST[key]} are allowed"
    if printable(value) != value:
        return f"must be one line of printable characters, got {printable(value)!r}"
    return ""


def _authors(key: str, value: object) -> str:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_AUTHORS:
        return f'must be a list of 1 to {MOST_AUTHORS} names, such as ["A. Author"], got {value!r}'
    return next((fault for author in value if (fault := _text(key, author))), "")


def _date(_: str, value: object) -> str:
    if type(value) is not datetime.date:  # a datetime is a date, too
        return f"must be a day without quotes, such as 2026-11-28, got {value!r}"
    return ""


def _link(key: str, value: object) -> str:
    fault = _text(key, value)
    if not fault and not LINK.fullmatch(str(value)):
        return f"must be an address such as https://example.org/method, got {value!r}"
    return fault


_CHECKS = {
    "name": _text,
    "authors": _authors,
    "date": _date,
    "link": _link,
    "description": _text,
}


def _line_of(key: str, text: str) -> int | None:
    pattern = re.compile(rf"""^\s*(\[\[?\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    lines = text.splitlines()
    return next((i for i, line in enumerate(lines, start=1) if pattern.match(line)), None)
