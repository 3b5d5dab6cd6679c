"""One episode of a table as arrays over steps and agents: sampling, doubled rows, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.tables.mapping import Mapping, Source
from networld_envs.store.importing.tables.reading import TableReader

LINE, AGENT, TIME, FIRST_VALUE = range(4)
"""Columns of the rows that `Gridder.grid` takes; values follow."""
CLOSE = 1e-9  # of a step
MOST_ROUNDING = 0.1  # of a step
MOST_EMPTY = 50  # cells of the grid for each row, beyond a million
FREE_CELLS = 1_000_000


@dataclass(frozen=True)
class Grid:
    """An episode as arrays. ``U`` are the steps at which there is any row.

    Attributes:
        steps: ``(U,)`` int64, numbers of the steps, increasing.
        times: ``(U,)`` time of each step.
        lines: ``(U, N)`` int64, row in the table; -1 where there is none.
        obs: ``(U, N, O)`` float64; NaN where there is no value.
        actions: ``(U, N, A)`` float64, likewise, of the row of that step.
        rewards: ``(U, N)`` float64, likewise; zeros if the task computes the reward.
        changed: What was changed -> how often.
    """

    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    lines: NDArray[np.int64]
    obs: NDArray[np.float64]
    actions: NDArray[np.float64]
    rewards: NDArray[np.float64]
    changed: dict[str, int]


class Gridder:
    """Makes a `Grid` of each episode.

    Args:
        mapping: What the columns mean, and what to do about faults.
        agents: Labels of the agents, in the order of the dataset.
        order: Index of each agent code of the table in ``agents``.
        reader: Knows where a row is, and how times are written.
    """

    def __init__(
        self,
        mapping: Mapping,
        agents: Sequence[str],
        order: NDArray[np.int64],
        reader: TableReader,
    ) -> None:
        self._mapping, self._agents, self._order, self._reader = mapping, agents, order, reader
        self._column = {name: i for i, name in enumerate(mapping.columns)}

    def grid(self, label: str, rows: NDArray[np.float64]) -> Grid:
        """The grid of an episode.

        Args:
            label: The episode, for errors.
            rows: ``(n, 3 + C)`` in any order.

        Raises:
            DatasetError: For irregular times and doubled rows that the mapping does not allow.
        """
        n = len(self._agents)
        agent = self._order[rows[:, AGENT].astype(np.int64)]
        resample = self._mapping.time.irregular == "resample"
        close = self._rounding(rows[:, TIME])
        step, start, moved = (
            self._resampled(rows, agent, close) if resample else self._steps(rows, close)
        )
        changed = {"moved": moved}
        order = np.lexsort((rows[:, LINE], rows[:, TIME], agent, step))
        order = order[step[order] >= 0]
        rows, agent, step = rows[order], agent[order], step[order]
        same = (step[1:] == step[:-1]) & (agent[1:] == agent[:-1])
        doubled = same & ((rows[1:, TIME] == rows[:-1, TIME]) | (not resample))
        if doubled.any():
            self._check_doubled(rows, doubled)
            changed["doubled"] = int(doubled.sum())
        changed["thinned"] = int(same.sum() - doubled.sum())
        last = np.append(~same, True)
        rows, agent, step = rows[last], agent[last], step[last]
        steps, at = np.unique(step, return_inverse=True)
        if len(steps) * n > MOST_EMPTY * len(rows) + FREE_CELLS:
            raise DatasetError(
                f"episode {label!r}: {n} agents have {len(rows)} rows at {len(steps)} different "
                f"steps, so that most are missing; check column {self._mapping.agent.column!r} of "
                "[agent], and step and irregular of [time]"
            )
        lines = np.full((len(steps), n), -1, np.int64)
        lines[at, agent] = rows[:, LINE].astype(np.int64)
        values = np.full((len(steps), n, len(self._column)), np.nan)
        values[at, agent] = rows[:, FIRST_VALUE:]
        m = self._mapping
        obs = self._taken(values, lines, m.observations)
        held = self._hold(steps, obs) if m.rows.hold else 0
        reward = np.zeros(lines.shape)
        if not m.reward.task:
            reward = self._taken(values, lines, (m.reward,))[..., 0]
        return Grid(
            steps=steps,
            times=(start + m.time.step * steps).astype(np.float64),
            lines=lines,
            obs=obs,
            actions=self._taken(values, lines, m.actions),
            rewards=reward,
            changed={key: count for key, count in {**changed, "held": held}.items() if count},
        )

    def _rounding(self, time: NDArray[np.float64]) -> float:
        """What rounding may add to a time, in steps; seconds since 1970 have 2.4e-7 between them.

        Raises:
            DatasetError: If steps are too short to be told apart.
        """
        m = self._mapping.time
        found = max(CLOSE, 4.0 * float(np.spacing(np.abs(time).max())) / m.step)
        if found > MOST_ROUNDING:
            raise DatasetError(
                f"column {m.column!r}: steps of {m.step:g} cannot be told apart at times like "
                f"{time[0]:.17g}, which are rounded to {found * m.step / 4:.1g}; subtract the time "
                "at which the log begins, or correct step in [time]"
            )
        return found

    def _steps(
        self, rows: NDArray[np.float64], close: float
    ) -> tuple[NDArray[np.int64], float, int]:
        """Step of each row, where every row must be close to one."""
        time, m = rows[:, TIME], self._mapping.time
        start = float(time.min())
        exact = (time - start) / m.step
        step = np.rint(exact)
        off = np.abs(exact - step)
        wrong = off > m.tolerance + close
        if wrong.any():
            i = int(np.argmin(np.where(wrong, rows[:, LINE], np.inf)))
            own = np.sort(time[rows[:, AGENT] == rows[i, AGENT]])
            spacing = f"{np.median(np.diff(own)):g}" if len(own) > 1 else "unknown"
            written = self._reader.time_text
            raise DatasetError(
                f"{self._at(rows[i])}, column {m.column!r}: time {written(time[i])} is "
                f"{off[i]:.2f} steps from the nearest step {written(start + m.step * step[i])}, "
                f"which is more than tolerance = {m.tolerance:g}. The median spacing of this "
                f"agent's rows is {spacing}; in [time], correct step = {m.step:g}, or set "
                'irregular = "resample"'
            )
        return step.astype(np.int64), start, 0

    def _resampled(
        self, rows: NDArray[np.float64], agent: NDArray[np.int64], close: float
    ) -> tuple[NDArray[np.int64], float, int]:
        """Step of each row: the first one that is not before it; -1 for rows outside the grid."""
        time, dt = rows[:, TIME], self._mapping.time.step
        first = np.full(len(self._agents), np.inf)
        last = np.full(len(self._agents), -np.inf)
        np.minimum.at(first, agent, time)
        np.maximum.at(last, agent, time)
        first, last = first[np.isfinite(first)], last[np.isfinite(last)]
        # Agents that start within a step of each other start together, when the last has started.
        start = float(first.max() if np.ptp(first) < dt else first.min())
        end = float(last.min() if np.ptp(last) < dt else last.max())
        exact = (time - start) / dt
        step = np.ceil(exact - close)
        step[step > np.ceil((end - start) / dt - close)] = -1
        moved = int((np.abs(exact - step)[step >= 0] > max(1e-6, close)).sum())
        return np.maximum(step, -1).astype(np.int64), start, moved

    def _check_doubled(self, rows: NDArray[np.float64], doubled: NDArray[np.bool_]) -> None:
        rule = self._mapping.rows.duplicates
        first, second = rows[:-1][doubled], rows[1:][doubled]
        values = first[:, FIRST_VALUE:], second[:, FIRST_VALUE:]
        differs = ~((values[0] == values[1]) | (np.isnan(values[0]) & np.isnan(values[1])))
        wrong = differs.any(axis=1) | (rule == "refuse")
        if rule == "last" or not wrong.any():
            return
        i = int(np.argmin(np.where(wrong, second[:, LINE], np.inf)))
        where = np.flatnonzero(differs[i])
        how = f"differs in column {list(self._column)[where[0]]!r}" if len(where) else "is equal"
        remedy = '"last" keeps the last row' if len(where) else '"equal" drops exact copies'
        raise DatasetError(
            f"{self._at(second[i])}: a second row of this agent at time "
            f"{self._reader.time_text(second[i, TIME])}; the first, "
            f"{self._reader.place(int(first[i, LINE]))}, {how}. Remove one, or set duplicates "
            f"in [rows]: {remedy}"
        )

    def _taken(
        self,
        values: NDArray[np.float64],
        lines: NDArray[np.int64],
        sources: Sequence[Source],
    ) -> NDArray[np.float64]:
        """Columns of the task, ``(U, N, columns)``."""
        found = np.empty((*lines.shape, len(sources)))
        for i, source in enumerate(sources):
            if source.constant is None:
                scale = 1.0 if source.scale is None else source.scale
                found[..., i] = values[..., self._column[source.column]] * scale + source.offset
            else:
                found[..., i] = np.where(lines >= 0, source.constant, np.nan)
        return found

    def _hold(self, steps: NDArray[np.int64], obs: NDArray[np.float64]) -> int:
        """Fill missing observations, in place, with values of at most ``hold`` steps before."""
        missing = np.isnan(obs)
        if not missing.any():
            return 0
        number = np.arange(len(steps)).reshape(-1, 1, 1)
        last = np.maximum.accumulate(np.where(missing, -1, number), axis=0)
        fill = missing & (last >= 0) & (steps[number] - steps[last] <= self._mapping.rows.hold)
        obs[fill] = np.take_along_axis(obs, np.maximum(last, 0), axis=0)[fill]
        return int(fill.sum())

    def _at(self, row: NDArray[np.float64]) -> str:
        agent = self._agents[self._order[int(row[AGENT])]]
        return f"{self._reader.place(int(row[LINE]))} (agent {agent!r})"


def complete(grid: Grid, mapping: Mapping) -> NDArray[np.bool_]:
    """Whether the step from each of a grid's steps to the next is complete, ``(U - 1,)``."""
    obs: NDArray[np.bool_] = np.logical_not(np.isnan(grid.obs).any(axis=(1, 2)))
    found = obs[:-1] & obs[1:] & (np.diff(grid.steps) == 1)
    for i, source in enumerate(mapping.actions):
        found &= ~np.isnan(of_steps(grid.actions[..., i], source)).any(axis=1)
    return found & ~np.isnan(of_steps(grid.rewards, mapping.reward)).any(axis=1)


def of_steps(rows: NDArray[np.float64], source: Source) -> NDArray[np.float64]:
    """What was logged for each step but the last: in its row, or in the next one."""
    return rows[1:] if source.row == "next" else rows[:-1]
