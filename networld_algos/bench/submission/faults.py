"""Faults of a submission, and the lines that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from networld_algos.results.rows import Row


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a submission.

    Attributes:
        file: The file, or the folder.
        lines: Lines of the file, from 1; empty for all of it.
        text: What is wrong.
    """

    file: Path
    lines: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        if not self.lines:
            return f"{self.file}: {self.text}"
        word = "line" if len(self.lines) == 1 else "lines"
        return f"{self.file}, {word} {_ranges(self.lines)}: {self.text}"


@dataclass(frozen=True)
class Line:
    """A row and its place."""

    file: Path
    number: int
    row: Row

    def __str__(self) -> str:
        return f"line {self.number} of {self.file.name}"


@dataclass
class Faults:
    """Collects faults; the same fault of several lines of a file becomes one."""

    found: dict[tuple[Path, str], list[int]] = field(default_factory=dict)

    def add(self, file: Path, text: str, *lines: int) -> None:
        """Add a fault of a file or folder, or of some of its lines."""
        self.found.setdefault((file, text), []).extend(lines)

    def add_to(self, line: Line, text: str) -> None:
        """Add a fault of a row."""
        self.add(line.file, text, line.number)

    def all(self) -> tuple[Fault, ...]:
        """Every fault, in the order in which they were found."""
        return tuple(
            Fault(file, tuple(sorted(set(lines))), text)
            for (file, text), lines in self.found.items()
        )


def _ranges(lines: Sequence[int]) -> str:
    """``"1-3, 7"`` for the lines 1, 2, 3 and 7."""
    groups: list[list[int]] = []
    for number in lines:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(str(g[0]) if len(g) == 1 else f"{g[0]}-{g[-1]}" for g in groups)
