"""Cards: short texts in a grid, for results that a reader takes in at one glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from networld_algos.report.table import Table


@dataclass(frozen=True)
class Card:
    """One result.

    Attributes:
        place: What it is about, e.g. ``"CBF, expert"``.
        result: The result in a few words.
        kind: ``"won"``, ``"lost"``, ``"tie"`` or ``"open"``, for the focus method; it
            gives the card its colour.
        lines: Details, the most important first.
    """

    place: str
    result: str
    kind: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Cards:
    """Cards in a grid.

    Attributes:
        cards: In order, row by row.
        across: Cards in a row on a wide screen; 0 for as many as fit.
        table: The same content as a table, for ``tables.md`` and ``tables.json``. The page shows
            its caption under the cards.
    """

    cards: Sequence[Card]
    across: int
    table: Table
