"""Units of logged columns, and the factors between them."""

from __future__ import annotations

import re

PREFIXES = {
    "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
}  # fmt: skip
BASES = {
    "%": ("", 0.01),
    "bits": ("bit", 1.0),
    "B": ("bit", 8.0),
    "byte": ("bit", 8.0),
    "bytes": ("bit", 8.0),
    "packet": ("packets", 1.0),
    "RB": ("RBs", 1.0),
}
"""Other names of units: the task's name, and how many of those it is."""


def factor(given: str, wanted: str) -> float | None:
    """How many ``wanted`` units one ``given`` unit is; None if that is not known.

    Prefixes of powers of a thousand, bytes, percent, and a number in a unit, as in ``"dB/10"``
    (tens of decibels) or ``"5 bit/s/Hz"``, are understood.

    Args:
        given: Unit of the log, e.g. ``"MHz"``.
        wanted: Unit of the task, e.g. ``"Hz"``.
    """
    size, unit = _parts(wanted)
    if _parts(given)[1] == unit:  # before prefixes, so that "m" remains a metre
        return _parts(given)[0] / size
    found = {name: number for number, name in reversed(_readings(given))}
    for number, name in _readings(wanted):
        if name in found:
            return found[name] / number
    return None


def _parts(text: str) -> tuple[float, str]:
    """A number and the unit that it counts: ``"dB/10"`` is 10 dB, ``"1e-9 mW"`` a pW."""
    match = re.fullmatch(r"\s*(?:(\d[\d.]*(?:e[+-]?\d+)?)(?:\s+|$))?(.*?)(?:/(\d+))?\s*", text)
    assert match is not None  # every part is optional
    return float(match[1] or 1.0) * float(match[3] or 1.0), match[2]


def _readings(text: str) -> list[tuple[float, str]]:
    """Every way to read a unit: as it is, under another name, and with a prefix."""
    size, unit = _parts(text)
    found = [(size, unit)]
    for prefix, power in PREFIXES.items():
        if not unit.startswith(prefix):
            continue
        rest = unit.removeprefix(prefix)
        if prefix and rest:
            found.append((size * power, rest))
        if rest in BASES:
            name, number = BASES[rest]
            found.append((size * power * number, name))
    return found
