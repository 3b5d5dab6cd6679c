"""Sortable tables of a report, and the text of numbers and intervals in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from networld_algos.report.scoring import FactorLevel, Panel
from networld_algos.report.style import factor_name, level_text
from networld_algos.report.summary import quality
from networld_algos.results.networks import FAILED_BELOW
from networld_algos.results.stats import ENOUGH_SEEDS, MATTERS, Interval
from networld_algos.results.text import capital, markdown, minus

DASH = "\N{EN DASH}"
LONG = 12
"""Tables with more lines open on a click."""
SCORE_HINT = "100 (S - random) / (expert - random), mean [95% interval]"
FAILED_HINT = f"share of networks, of all seeds, with a score below {FAILED_BELOW:g}"


@dataclass(frozen=True)
class Cell:
    """Content and sorting key of a table cell.

    Attributes:
        text: Printed text.
        order: Sorting key, a number in numeric columns. None sorts last.
        note: Second line in small type, e.g. an interval.
        strong: Whether the text is bold.
        mark: Short superscript, e.g. a rank.
        limits: Limits of the interval in ``note``, with all their digits.
    """

    text: str
    order: float | str | None
    note: str = ""
    strong: bool = False
    mark: str = ""
    limits: tuple[float, float] | None = None

    @property
    def key(self) -> str:
        """The sorting key on the page; empty for none."""
        if isinstance(self.order, float):
            return f"{self.order:.7g}"
        return "" if self.order is None else str(self.order)


@dataclass(frozen=True)
class Column:
    """Heading of a column."""

    name: str
    numeric: bool = True
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A sortable table.

    Attributes:
        title: Heading.
        caption: How to read it.
        columns: Headings.
        lines: One list of cells per line.
        folded: Whether it opens only on a click.
        is_open: Whether it is open although it has more than `LONG` lines.
    """

    title: str
    caption: str
    columns: list[Column]
    lines: list[list[Cell]]
    folded: bool = False
    is_open: bool = False

    @property
    def is_folded(self) -> bool:
        """Whether the table opens only on a click."""
        return self.folded or (len(self.lines) > LONG and not self.is_open)

    @property
    def is_roomy(self) -> bool:
        """Whether an interval fits beside its estimate on a wide screen."""
        return sum(any(line[i].note for line in self.lines) for i in range(len(self.columns))) <= 4

    @classmethod
    def of_text(cls, title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
        """A table of plain strings."""
        cells = [[Cell(text, text) for text in line] for line in lines]
        return cls(title, "", [Column(c, numeric=False) for c in columns], cells)

    @property
    def markdown(self) -> str:
        """The table as Markdown: title, caption and lines."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cells) + " |"

        ruler = ["---:" if column.numeric else "---" for column in self.columns]
        heads = [line([markdown(column.name) for column in self.columns]), line(ruler)]
        body = [line([_plain(cell) for cell in cells]) for cells in self.lines]
        above = [f"### {markdown(self.title)}", *([markdown(self.caption)] if self.caption else [])]
        return "\n\n".join([*above, "\n".join([*heads, *body])])

    def to_dict(self) -> dict[str, Any]:
        """The table for JSON. A cell has its text and, if it has them, note, value and limits."""
        return {
            "title": self.title,
            "caption": self.caption,
            "columns": [column.name for column in self.columns],
            "lines": [[_cell_dict(cell) for cell in line] for line in self.lines],
        }


def _cell_dict(cell: Cell) -> dict[str, Any]:
    found: dict[str, Any] = {"text": cell.text}
    if isinstance(cell.order, (int, float)) and math.isfinite(cell.order):
        found["value"] = cell.order
    if cell.limits is not None:
        found["low"], found["high"] = cell.limits
    return found | ({"note": cell.note} if cell.note else {})


def _plain(cell: Cell) -> str:
    """A cell as one line of Markdown, with the bold type and marks of the page."""
    text = f"**{markdown(cell.text)}**" if cell.strong else markdown(cell.text)
    mark = f"<sup>{markdown(cell.mark)}</sup>" if cell.mark else ""
    return f"{text}{mark} {markdown(cell.note)}".strip()


def interval_text(interval: Interval, digits: int) -> str:
    """``value [low, high]``, with the sign of how the interval was computed."""
    value = f"{interval.value:.{digits}f}"
    return f"{value} {limits_text(interval, digits)}".strip()


def limits_text(interval: Interval, digits: int) -> str:
    """``[low, high]`` and the sign of `Interval.sign`; only the sign without limits.

    Where a limit would round to a boundary of the verdicts, zero or `MATTERS`, and is not equal to
    it, it has up to two more digits, to show its side.
    """
    if not math.isfinite(interval.low):
        return interval.sign
    low, high = (_off_boundary(x, digits) for x in (interval.low, interval.high))
    return f"[{low}, {high}] {interval.sign}".strip()


def _off_boundary(limit: float, digits: int) -> str:
    text = f"{limit:.{digits}f}"
    for more in (1, 2):
        if limit == float(text) or abs(float(text)) not in (0.0, MATTERS):
            break
        text = f"{limit:.{digits + more}f}"
    return text


def interval_cell(
    interval: Interval | None, digits: int, *, starred: bool = False, sign: bool = False
) -> Cell:
    """The value, with the limits as its note; a dash for None.

    Args:
        interval: The interval.
        digits: Number of digits after the decimal point.
        starred: Whether an asterisk follows the value.
        sign: Whether a positive value has a plus sign.
    """
    if interval is None:
        return Cell(DASH, None)
    form = f"{'+' if sign else ''}.{digits}f"
    text = format(interval.value, form) + ("*" if starred else "")
    bounded = math.isfinite(interval.low) and math.isfinite(interval.high)
    limits = (interval.low, interval.high) if bounded else None
    note = minus(limits_text(interval, digits))
    return Cell(minus(text), interval.value, note, limits=limits)


def number_cell(value: float | None, digits: int | None) -> Cell:
    """A number with ``digits`` decimals (None: three significant digits); a dash for none."""
    if value is None or not math.isfinite(value):
        return Cell(DASH, None)
    text = f"{value:.3g}" if digits is None else f"{value:,.{digits}f}"
    return Cell(minus(text), value)


def text_cell(text: str) -> Cell:
    """A cell of a text column, sorted without regard to case."""
    return Cell(text, text.lower())


def episodes_text(count: float) -> str:
    """``"1 episode"``, ``"16 episodes"``."""
    return f"{count:.3g} episode{'' if count == 1 else 's'}"


def panel_name(panel: Panel, several: bool) -> str:
    """Task in capitals, followed by the quality of its data if ``several``."""
    task = panel[0].upper() if panel[1] else capital(panel[0])
    return f"{task}, {quality(panel)}" if several and panel[1] else task


def several_datasets(panels: Sequence[Panel]) -> bool:
    """Whether any task occurs with more than one dataset."""
    return len(set(panels)) > len({task for task, _ in panels})


def verdict(change: Interval) -> str:
    """What an interval of a change says.

    ``"level"`` if all of it is within `MATTERS` of zero, else ``"gain"`` or ``"loss"`` if it
    excludes zero, else ``"undecided"``. ``"few seeds"`` if there are not `ENOUGH_SEEDS`.
    """
    if change.seeds < ENOUGH_SEEDS or not math.isfinite(change.low):
        return "few seeds"
    if change.low > -MATTERS and change.high < MATTERS:
        return "level"
    if change.low > 0:
        return "gain"
    return "loss" if change.high < 0 else "undecided"


def factor_level_cell(factor_level: FactorLevel) -> Cell:
    """A factor and its level in words, a dash for none."""
    factor, level = factor_level
    if factor is None or level is None:
        return Cell(DASH, "")
    text = f"{factor_name(factor)} {level_text(factor, level)}".strip()
    return Cell(text, f"{factor} {level:012.4f}")
