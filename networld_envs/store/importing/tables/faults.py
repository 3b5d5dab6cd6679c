"""What is missing in a grid, as an error that names file, row and column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.tables.grid import Grid, of_steps
from networld_envs.store.importing.tables.mapping import Mapping, Source
from networld_envs.store.importing.tables.reading import TableReader

REMEDY = (
    'add what is missing, or set gaps = "split" in [rows], which cuts the episode there and leaves '
    "the incomplete steps out"
)


class Faults:
    """Describes gaps of a log.

    Args:
        mapping: What the columns mean.
        agents: Labels of the agents, in the order of the dataset.
        first_lines: The row of the table that first names each of them.
        reader: Knows where a row is, and how times are written.
    """

    def __init__(
        self,
        mapping: Mapping,
        agents: Sequence[str],
        first_lines: Sequence[int],
        reader: TableReader,
    ) -> None:
        self._mapping, self._agents, self._first_lines = mapping, agents, first_lines
        self._place, self._time = reader.place, reader.time_text

    def gap(self, grid: Grid, at: int, label: str) -> DatasetError:
        """Why the step from row ``at`` of a grid to the next is not complete.

        Args:
            grid: The episode.
            at: Index in ``grid.steps``.
            label: The episode.
        """
        missing = int(grid.steps[at + 1] - grid.steps[at]) - 1
        if missing:
            before, after = (int(grid.lines[i].max()) for i in (at, at + 1))
            text = (
                f"{self._place(after)}, column {self._mapping.time.column!r}: no agent has a row "
                f"between time {self._time(grid.times[at])} ({self._place(before)}) and "
                f"{self._time(grid.times[at + 1])}: {missing} steps of "
                f"{self._mapping.time.step:g} are missing; correct step in [time], {REMEDY}"
            )
            return DatasetError(text)
        for i in (at, at + 1):
            absent = np.isnan(grid.obs[i])  # (N, O)
            if absent.any():
                agent, column = (int(x) for x in np.argwhere(absent)[0])
                source = self._mapping.observations[column]
                remedy = f"{REMEDY}, or hold = 1 or more, which repeats the last observation"
                return self._cell(grid, i, agent, source, label, remedy)
        sources = [*enumerate(self._mapping.actions), (None, self._mapping.reward)]
        for i, source in sources:
            rows = grid.rewards if i is None else grid.actions[..., i]
            absent = np.isnan(of_steps(rows, source)[at])
            if absent.any():
                row = at + (source.row == "next")
                return self._cell(grid, row, int(np.argmax(absent)), source, label, REMEDY)
        raise AssertionError("the step is complete")

    def _cell(
        self, grid: Grid, row: int, agent: int, source: Source, label: str, remedy: str
    ) -> DatasetError:
        """A missing cell, or a missing row."""
        name = self._agents[agent]
        line = int(grid.lines[row, agent])
        if line >= 0:
            return DatasetError(
                f"{self._place(line)} (agent {name!r}), column {source.column!r}: the cell is "
                f"empty; {remedy}"
            )
        there = grid.lines[:, agent] >= 0
        where = f"time {self._time(grid.times[row])}"
        if not there.any():
            first = self._place(self._first_lines[agent])
            how = f"agent {name!r}, first named in {first}, has no row in episode {label!r}"
        elif not there[:row].any():
            first = int(np.argmax(there))
            how = (
                f"agent {name!r} appears only at time {self._time(grid.times[first])} "
                f"({self._place(int(grid.lines[first, agent]))}), later than others in episode "
                f"{label!r}"
            )
        elif not there[row:].any():
            how = f"agent {name!r} vanishes before {where} ({self._last(grid, row, agent)})"
        else:
            how = f"agent {name!r} has no row at {where} ({self._last(grid, row, agent)})"
        others = f"; every agent needs a row in every step: {remedy}, or list in keep of [agent] "
        return DatasetError(f"{self._first(grid, row)}: {how}{others}the agents that are there")

    def _last(self, grid: Grid, row: int, agent: int) -> str:
        before = np.flatnonzero(grid.lines[:row, agent] >= 0)
        return f"its last row before is {self._place(int(grid.lines[before[-1], agent]))}"

    def _first(self, grid: Grid, row: int) -> str:
        """A row of another agent at the same step."""
        lines: NDArray[np.int64] = grid.lines[row]
        return self._place(int(lines[lines >= 0].min()))
