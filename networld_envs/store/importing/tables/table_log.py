"""A table as a log: the episodes that the import reads, and where their values come from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from networld_envs.spec import LogFacts, TaskSpec, columns
from networld_envs.store.ids import DatasetError, listed
from networld_envs.store.importing.log_checks import Raw
from networld_envs.store.importing.tables.faults import Faults
from networld_envs.store.importing.tables.grid import Grid, Gridder, complete, of_steps
from networld_envs.store.importing.tables.mapping import Mapping, Source, column_names
from networld_envs.store.importing.tables.neighbour_list import neighbour_tables
from networld_envs.store.importing.tables.reading import TableReader, table_files
from networld_envs.store.importing.tables.spool import Spool

WHOLE = 1e-6  # how far a whole number may be off after it was scaled


class TableLog:
    """The episodes of a table.

    All rows are read once, into a file in ``folder``. An episode is read from there when it is
    asked for, so only one is in memory.

    Args:
        path: A CSV or Parquet file, or a folder of some.
        mapping: What its columns mean.
        spec: The task's.
        one: Observation space of one agent.
        params: Parameters of the task.
        facts: The task's; they may say how to compute the reward.
        folder: Folder for unfinished work, which the caller removes.

    Attributes:
        count: Number of episodes of the dataset.
        agents: Labels of the agents, in the order of the dataset.

    Raises:
        DatasetError: Names file, row and column, and says what to do.
    """

    def __init__(
        self,
        path: Path,
        mapping: Mapping,
        spec: TaskSpec,
        one: spaces.Box,
        params: Any,
        facts: LogFacts,
        folder: Path,
    ) -> None:
        self._mapping, self._spec, self._one = mapping, spec, one
        self._params, self._facts = params, facts
        if mapping.reward.task:
            self._check_reward()
        files = table_files(path, (mapping.path, mapping.path.parent / mapping.neighbours.file))
        self._reader = TableReader(files, mapping)
        self._spool = Spool(folder / "rows", 3 + len(mapping.columns))
        self._grid: tuple[int, Grid] | None = None
        self._changed: dict[int, dict[str, int]] = {}
        self._steps_left_out = 0
        try:
            self._read(path.name)
        except BaseException:
            self.close()
            raise

    def _read(self, name: str) -> None:
        """Read the table and the neighbours, and find the episodes."""
        mapping, reader = self._mapping, self._reader
        for block in reader.blocks():
            index = (block.lines, block.agents, block.time)
            rows = np.column_stack([*index, block.values]).astype(np.float64, copy=False)
            self._spool.add(block.episodes, rows)
        if not len(self._spool):
            raise DatasetError(f"{name} holds no rows")
        self.agents, order = _agents(reader.agents, mapping)
        # Labels of the table; those of windows of time are made up.
        named = mapping.episode.column != ""
        self._labels = {code: label if named else "" for label, code in reader.episodes.items()}
        self._labels = self._labels or {0: ""}
        tables = neighbour_tables(
            mapping,
            self.agents,
            set(reader.agents) - set(self.agents),
            list(dict.fromkeys(self._labels.values())),
        )
        self._table_of = {code: tables[label] for code, label in self._labels.items()}
        self._gridder = Gridder(mapping, self.agents, order, reader)
        first_lines = [reader.first_lines[reader.agents[label]] for label in self.agents]
        self._faults = Faults(mapping, self.agents, first_lines, reader)
        self._pieces = [(code, 0, 0) for code in self._spool.episodes]
        if mapping.rows.gaps == "split":
            self._pieces = self._split()
        self.count = len(self._pieces)

    def close(self) -> None:
        """Close the file of rows."""
        self._spool.close()

    def episode(self, k: int) -> Raw:
        """The arrays of an episode, with values inside the task's bounds.

        Raises:
            DatasetError: Names file, row and column of what is missing or out of bounds.
        """
        grid, start, stop = self._piece(k)
        m, spec = self._mapping, self._spec
        lines = grid.lines[start:stop]
        obs = grid.obs[start:stop]
        self._check(obs, lines, m.observations, "observations", self._one.low, self._one.high)
        parts = []
        for i, source in enumerate(m.actions):
            values = of_steps(grid.actions[start:stop, :, i], source)
            own = lines[1:] if source.row == "next" else lines[:-1]
            bounds = (np.array(ends[i : i + 1]) for ends in (spec.action_low, spec.action_high))
            self._check(values[..., None], own, (source,), "actions", *bounds, first=i)
            parts.append(values)
        if spec.action_kind == "box":
            actions: NDArray[Any] = np.stack(parts, axis=-1).astype(np.float32)
        else:
            actions = np.rint(parts[0]).astype(np.int64)
        if m.reward.task:
            rewards = self._computed(obs, actions, lines)
        else:
            rewards = of_steps(grid.rewards[start:stop], m.reward)
            own = lines[1:] if m.reward.row == "next" else lines[:-1]
            ends = np.array([np.finfo(np.float32).max])
            self._check(rewards[..., None], own, (m.reward,), "agent_rewards", -ends, ends)
        return {
            "observations": obs.astype(np.float32),
            "actions": actions,
            "agent_rewards": rewards.astype(np.float32),
            "neighbours": self._table_of[self._pieces[k][0]],
        }

    def place(self, k: int, step: int | None, agent: int | None) -> str:
        """Where an episode, or a step of an agent in it, stands in the table."""
        grid, start, _ = self._piece(k)
        code = self._pieces[k][0]
        label = self._labels[code]
        name = f"episode {label!r} of the table" if label else "the table"
        if step is None or agent is None:
            who = "" if agent is None else f"agent {self.agents[agent]!r} in "
            return f" [{who}{name}]"
        return f" [{self._row(grid.lines[start + step, agent], agent)}]"

    def changes(self) -> list[str]:
        """What was changed or left out, one sentence each; complete after the last episode."""
        total: Counter[str] = Counter()
        for found in self._changed.values():
            total.update(found)
        m = self._mapping
        texts = {
            "moved": f"rows were moved to the next step of {m.time.step:g} (irregular)",
            "thinned": "rows were left out because a later one belongs to the same step",
            "doubled": "rows were dropped because "
            + ("they are copies" if m.rows.duplicates == "equal" else "a later one has their time")
            + f' (duplicates = "{m.rows.duplicates}")',
            "held": f"missing observations were filled with the last value (hold = {m.rows.hold})",
        }
        found = [f"{total[key]} {text}" for key, text in texts.items() if total[key]]
        if self._reader.left_out:
            found.append(
                f"{self._reader.left_out} rows of agents that are not in keep were left out"
            )
        if self._mapping.rows.gaps == "split" and (
            self._steps_left_out or self.count != len(self._spool)
        ):
            found.append(
                f"{len(self._spool)} episodes of the table became {self.count}: "
                f"{self._steps_left_out} incomplete steps were left out"
            )
        return found

    def _piece(self, k: int) -> tuple[Grid, int, int]:
        """The grid of an episode, and the rows of it that belong to the episode."""
        code, start, stop = self._pieces[k]
        grid = self._gridded(code)
        if stop:
            return grid, start, stop
        good = complete(grid, self._mapping)
        label = self._labels[code]
        if not len(good):
            raise DatasetError(
                f"{self._reader.place(int(grid.lines.max()))}: episode {label!r} has rows of one "
                "time only; it needs two, since the last row is only an observation. Remove it, or "
                'set gaps = "split" in [rows]'
            )
        if not good.all():
            raise self._faults.gap(grid, int(np.argmin(good)), label)
        return grid, 0, len(grid.steps)

    def _gridded(self, code: int) -> Grid:
        if self._grid is None or self._grid[0] != code:
            grid = self._gridder.grid(self._labels[code], self._spool.read(code))
            self._grid = (code, grid)
            self._changed[code] = grid.changed
        return self._grid[1]

    def _split(self) -> list[tuple[int, int, int]]:
        """Every run of complete steps: episode of the table, first and last + 1 row of its grid."""
        found = []
        for code in self._spool.episodes:
            grid = self._gridded(code)
            good = complete(grid, self._mapping).astype(np.int8)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], good, [0]])))
            runs = edges.reshape(-1, 2).tolist()
            found += [(code, start, stop + 1) for start, stop in runs]
            self._steps_left_out += int(grid.steps[-1] - grid.steps[0] - good.sum())
        if not found:
            code = self._spool.episodes[0]
            grid = self._gridded(code)
            why = ""
            if len(grid.steps) > 1:
                why = f" The first fault: {self._faults.gap(grid, 0, self._labels[code])}"
            raise DatasetError(f"no step is complete, so that nothing is left.{why}")
        return found

    def _check(
        self,
        values: NDArray[np.float64],
        lines: NDArray[np.int64],
        sources: Sequence[Source],
        name: str,
        low: NDArray[Any],
        high: NDArray[Any],
        first: int = 0,
    ) -> None:
        """Values ``(T, N, columns)`` are within bounds and, for choices, whole."""
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
        wrong = (single < low) | (single > high)
        fraction = np.zeros_like(wrong)
        if name == "actions" and self._spec.action_kind != "box":
            fraction = np.abs(values - np.rint(values)) > WHOLE
        if not (wrong.any() or fraction.any()):
            return
        step, agent, column = (int(i) for i in np.argwhere(wrong | fraction)[0])
        source = sources[column]
        shown = self._shown(name, first + column)
        cell = f", column {source.column!r}" if source.column else ""
        if wrong[step, agent, column]:
            c = min(column, len(low) - 1)
            legal = columns([name], low[c : c + 1], high[c : c + 1])[0].range
            why = f"outside {legal}; check its unit, scale and offset"
        else:
            why = "but the task needs a whole number; check its scale, or round it"
        raise DatasetError(
            f"{self._row(lines[step, agent], agent)}{cell}: {shown} is "
            f"{values[step, agent, column]:g}, {why} in {self._mapping.path.name}"
        )

    def _row(self, line: Any, agent: int) -> str:
        """A row as text; one without a line repeats an observation."""
        where = self._reader.place(int(line)) if line >= 0 else "a step without a row"
        return f"{where} (agent {self.agents[agent]!r})"

    def _shown(self, name: str, column: int) -> str:
        if name == "agent_rewards":
            return "the reward"
        return f"{name} column {column_names(self._spec, name)[column]}"

    def _columns(self, obs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        names = column_names(self._spec, "observations")
        return {name: obs[..., i] for i, name in enumerate(names)}

    def _check_reward(self) -> None:
        """The task can compute its reward from its columns."""
        task, why = self._spec.task, "it states no formula"
        if self._facts.reward is not None:
            width = (self._spec.action_dim,) if self._spec.action_kind == "box" else ()
            obs = np.zeros((2, 1, self._spec.obs_dim))
            try:
                self._facts.reward(self._params, self._columns(obs), np.zeros((1, 1, *width)))
                return
            except KeyError as error:
                why = f"it needs column {error.args[0]!r}, which this preset does not observe"
            except ValueError as error:
                why = str(error)
        raise DatasetError(
            f"the mapping {self._mapping.path.name} [reward]: task {task!r} cannot compute its "
            f"reward from its columns: {why}; name the column of the reward instead"
        )

    def _computed(
        self, obs: NDArray[Any], actions: NDArray[Any], lines: NDArray[np.int64]
    ) -> NDArray[Any]:
        """The task's own reward."""
        assert self._facts.reward is not None
        rewards = self._facts.reward(self._params, self._columns(obs), actions)
        wrong = np.isnan(rewards)
        if wrong.any():
            step, agent = (int(i) for i in np.argwhere(wrong)[0])
            raise DatasetError(
                f"{self._row(lines[step + 1, agent], agent)}: the task's reward cannot be computed,"
                " because the columns of this row contradict those of the agent's row before; check"
                f" their order and units in {self._mapping.path.name}, or name a column of the "
                "reward there"
            )
        return rewards


def _agents(codes: dict[str, int], mapping: Mapping) -> tuple[list[str], NDArray[np.int64]]:
    """Labels in the order of the dataset, and the position of each code in it."""
    keep = mapping.agent.keep
    absent = [label for label in keep if label not in codes]
    if absent:
        raise DatasetError(
            f"the mapping {mapping.path.name} [agent]: keep lists {absent[0]!r}, but the log has "
            f"no such agent; its agents are {listed(sorted(codes, key=_natural))}"
        )
    labels = list(dict.fromkeys(keep)) or sorted(codes, key=_natural)
    order = np.zeros(max(codes.values(), default=-1) + 1, np.int64)
    for i, label in enumerate(labels):
        order[codes[label]] = i
    return labels, order


def _natural(label: str) -> list[Any]:
    """Sorts ``node2`` before ``node10``."""
    parts = re.split(r"(\d+)", label)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
