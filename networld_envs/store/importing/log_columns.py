"""Columns of imported logs against those of the task: constant, out of scale, wrong sign.

Nothing here is impossible, except a reward that falls where the task's rises; see `sign_error`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.spec import LogFacts, TaskSpec
from networld_envs.store.importing.column_ranges import COLUMN_FIELDS, Ranges, flat

FEWEST_ROWS = 200  # agent-steps without which a distribution says nothing
MOST_ROWS = 400  # of one episode that quantiles use
LAGS = tuple(range(-8, 9))
NARROW = 0.01  # of the task's values: a unit is wrong, e.g. MHz in place of Hz
ENOUGH_ROWS = 1000  # to tell a small correlation from none
UNRELATED = 0.1
CLEARLY_OPPOSITE = -0.5  # correlation; at least -0.2 in all presets and with all policies
NAMED = 4  # columns that one warning names

Arrays = Mapping[str, NDArray[Any]]


class Columns:
    """Extremes of all episodes and rows of some, gathered one episode at a time.

    Args:
        spec: The task's.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self._spec = spec
        self._wide = {"observations": True, "actions": spec.action_kind == "box"}
        self._low: dict[str, NDArray[Any]] = {}
        self._high: dict[str, NDArray[Any]] = {}
        self._rows: dict[str, list[NDArray[np.float64]]] = {name: [] for name in COLUMN_FIELDS}
        self._most_neighbours = 0
        self._agents = 0
        self._agent_steps = 0

    def add(self, fields: Arrays, sampled: bool) -> None:
        """Take in an episode; rows only of a ``sampled`` one."""
        self._agent_steps += fields["agent_rewards"].size
        heard = (fields["neighbours"] >= 0).sum(axis=1)
        self._most_neighbours = max(self._most_neighbours, int(heard.max(initial=0)))
        self._agents = len(heard)
        for name in COLUMN_FIELDS:
            array = fields[name]
            rows = array.reshape(-1, array.shape[-1] if self._wide.get(name) else 1)
            low, high = rows.min(axis=0), rows.max(axis=0)
            if name in self._low:
                low, high = np.minimum(low, self._low[name]), np.maximum(high, self._high[name])
            self._low[name], self._high[name] = low, high
            if sampled:
                at = np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int)
                self._rows[name].append(flat(rows[at], wide=True))

    @property
    def enough(self) -> bool:
        """Whether there is enough data for `warnings`."""
        return self._agent_steps >= FEWEST_ROWS

    def warnings(self, ranges: Ranges, facts: LogFacts) -> list[str]:
        """What is unlikely about the columns, compared with the task's ``ranges``."""
        found: list[str] = []
        absent = self._absent(facts)
        if (self._low["actions"] == self._high["actions"]).all():
            found.append("actions: always the same, so there is nothing to learn from them")
            absent |= {("observations", c) for c in self._spec.last_action}
            absent |= {("actions", c) for c in range(self._spec.action_dim)}
        for name in COLUMN_FIELDS:
            task = ranges[name]
            dead = self._low[name] == self._high[name]
            constant = [
                f"{self._name(name, c)} is always {self._low[name][c]:g}"
                for c in np.flatnonzero(dead).tolist()
                if (name, c) not in absent and _varies(task[:, c], float(self._low[name][c]))
            ]
            if constant:
                found.append(
                    f"{name}: constant where the task's varies: {_some(constant)}; check that it "
                    "was recorded"
                )
            rows = np.concatenate(self._rows[name])
            low, median, high = np.quantile(rows, (0.05, 0.5, 0.95), axis=0)
            least, most = task[0], task[-1]
            width = most - least
            far = ~dead & (width > 0) & ((low < least - width) | (high > most + width))
            largest = np.maximum(np.abs(self._low[name]), np.abs(self._high[name]))
            small = np.abs((median, high, largest)) < NARROW * np.abs((task[2], task[3], most))
            narrow = ~dead & small.all(axis=0)
            scaled = [
                f"{self._name(name, c)} is mostly in [{low[c]:.4g}, {high[c]:.4g}] with median "
                f"{median[c]:.4g}, the task's in [{task[1, c]:.4g}, {task[3, c]:.4g}]"
                for c in np.flatnonzero(far | narrow).tolist()
                if (name, c) not in absent
            ]
            if scaled:
                found.append(f"{name}: another scale than the task's: {_some(scaled)}; check units")
        return found

    def _absent(self, facts: LogFacts) -> set[tuple[str, int]]:
        """Columns about neighbours, or other agents, that the network does not have."""
        found = set()
        for i, column in enumerate(self._spec.obs_columns):
            if column.name in facts.unlisted_columns and self._most_neighbours >= self._agents - 1:
                found.add(("observations", i))
            for pattern in facts.neighbour_columns:
                match = re.match(pattern, column.name)
                if match and self._most_neighbours <= int(match[1] if match.groups() else 0):
                    found.add(("observations", i))
        return found

    def _name(self, field: str, column: int) -> str:
        if field == "agent_rewards":
            return "the reward"
        return f"column {self._spec.column_name(field, column)}"


class Correlation:
    """Correlation of the reward with columns of the observation, at every lag.

    Args:
        spec: The task's.
        facts: The task's; ``reward_rises_with`` says which columns.
    """

    def __init__(self, spec: TaskSpec, facts: LogFacts) -> None:
        index = {column.name: i for i, column in enumerate(spec.obs_columns)}
        signs = {name: s for name, s in facts.reward_rises_with.items() if name in index}
        self._names = [spec.column_name("observations", index[name]) for name in signs]
        self._columns = [index[name] for name in signs]
        self._signs = np.array(list(signs.values()), np.float64)
        self._shown = facts.reward_shown
        self._sums = np.zeros((len(LAGS), 6))

    def __bool__(self) -> bool:
        return bool(self._columns)

    def add(self, fields: Arrays) -> None:
        """Take in an episode."""
        if not self._columns:
            return
        shown = fields["observations"][1:, :, self._columns].astype(np.float64) @ self._signs
        reward = fields["agent_rewards"].astype(np.float64)
        for i, lag in enumerate(LAGS):
            x, y = shifted(shown, reward, lag)
            terms = (np.ones_like(x), x, y, x * x, y * y, x * y)
            self._sums[i] += [term.sum() for term in terms]

    def sign_error(self) -> str | None:
        """Why the reward must have the wrong sign, or None."""
        found = self._values()[LAGS.index(0)]
        if found > CLEARLY_OPPOSITE:
            return None
        verb = "falls" if self._signs[0] > 0 else "rises"
        return (
            f"agent_rewards have the wrong sign: the reward {verb} with observations column "
            f"{' and '.join(self._names)} of the next step (correlation "
            f"{found * self._signs[0]:.2f}), against the task; multiply agent_rewards by -1"
        )

    def warnings(self) -> list[str]:
        """A shift between rewards and observations that is more likely than none."""
        squares = self._values() ** 2
        best = int(np.argmax(squares))
        if self._sums[:, 0].min() >= ENOUGH_ROWS and 0.0 < squares[best] < UNRELATED**2:
            return [
                "agent_rewards hardly depend on observations column "
                f"{' and '.join(self._names)}, unlike the task's; check that they belong together"
            ]
        none = LAGS.index(0)
        if not self._shown or best == none or squares[best] < 0.5:
            return []
        if 1.0 - squares[best] > 0.5 * (1.0 - squares[none]):
            return []
        return [
            f"agent_rewards agree with observations column {' and '.join(self._names)} best when "
            f"they are moved by {steps(LAGS[best])}; check that the reward at step t is the one "
            "for the action at step t"
        ]

    def _values(self) -> NDArray[np.float64]:
        """Correlation at each lag; 0 where one side is constant or there are too few rows."""
        count, x, y, xx, yy, xy = self._sums.T
        n = np.maximum(count, 1.0)
        spread = np.maximum(xx / n - (x / n) ** 2, 0.0) * np.maximum(yy / n - (y / n) ** 2, 0.0)
        size = np.abs(xx / n) * np.abs(yy / n)
        good = (count >= FEWEST_ROWS) & (spread > 1e-18 * size)
        return np.where(good, (xy / n - x * y / n**2) / np.sqrt(np.where(good, spread, 1.0)), 0.0)


def shifted(
    shown: NDArray[Any], caused: NDArray[Any], lag: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The overlap of two sequences ``(T, ...)`` where ``shown`` comes ``lag`` steps later."""
    if lag >= 0:
        return shown[lag:], caused[: max(len(caused) - lag, 0)]
    return shown[: max(len(shown) + lag, 0)], caused[-lag:]


def steps(lag: int) -> str:
    """A shift that undoes ``lag``, in words."""
    plural = "" if abs(lag) == 1 else "s"
    return f"{abs(lag)} step{plural} {'later' if lag > 0 else 'earlier'}"


def _varies(task: NDArray[np.float64], value: float) -> bool:
    """Whether a column that is always ``value`` differs from the task's, given its quantiles."""
    least, low, median, high, most = task
    often = (low == median or median == high) and np.isclose(value, median, rtol=1e-3)
    return bool(least < most and not often)


def _some(items: Sequence[str]) -> str:
    more = f"; and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return "; ".join(items[:NAMED]) + more
