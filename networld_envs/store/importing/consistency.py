"""Whether the arrays of imported logs fit together, and fit the task.

`networld_envs.store.importing.log_checks` looks at single values. This module compares arrays with
each other. What cannot be is an error, and what is only unlikely is a warning:

==================  ======================================  =======================================
check               error                                   warning
==================  ======================================  =======================================
last action         its columns in the next observation     some of its columns differ from the
                    do not show the actions, or show them   action, or are not exactly equal
                    some steps earlier or later
columns             one is larger than another that it      constant where the task's varies, or
                    cannot exceed                           on another scale
reward              outside the task's range, or falling    agrees better with the observations of
                    where the task's rises                  another step
neighbours          one-sided where the task's relation     agents without any neighbour
                    is symmetric, or too many
episodes                                                    two are equal
==================  ======================================  =======================================

The facts are the task's: `networld_envs.spec.LogFacts`, ``last_action`` and ``reward_column`` of
its `TaskSpec`, and `networld_envs.store.importing.column_ranges`. A check whose facts a task does
not state is skipped, and the report says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.simulator import about, task_module
from networld_envs.spec import LogFacts, TaskSpec
from networld_envs.store.ids import DatasetError, listed
from networld_envs.store.importing.column_ranges import column_ranges
from networld_envs.store.importing.last_action import LastAction
from networld_envs.store.importing.log_checks import LogError
from networld_envs.store.importing.log_columns import FEWEST_ROWS, Columns, Correlation

SAMPLED_EPISODES = 64  # evenly spaced, for quantiles and correlations
ROUNDING = 1e-5

Arrays = Mapping[str, NDArray[Any]]


class LogWarning(UserWarning):
    """Something in imported logs is unlikely."""


@dataclass(frozen=True)
class Report:
    """What the checks of an imported log say. Errors are raised instead.

    Attributes:
        warnings: What is unlikely, one sentence each.
        skipped: Checks that were not made, and why.
        changed: What the import changed or left out because the mapping of a table says so.
    """

    warnings: tuple[str, ...]
    skipped: tuple[str, ...]
    changed: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, list[str]]:
        """Plain types only, for a dataset's metadata."""
        kept = {"warnings": list(self.warnings), "skipped": list(self.skipped)}
        return {**kept, "changed": list(self.changed)} if self.changed else kept


class Consistency:
    """Checks episodes one at a time, and then the log as a whole.

    Args:
        task: Name of the task.
        preset: Name of the preset of its parameters.
        params: The parameters.
        episodes: How many episodes will be added.
    """

    def __init__(self, task: str, preset: str, params: Any, episodes: int) -> None:
        spec: TaskSpec = task_module(task).spec(params)
        self._facts: LogFacts = about(task).logs
        self._spec = spec
        self._sampled = {
            *np.linspace(0, episodes - 1, min(episodes, SAMPLED_EPISODES)).round().astype(int)
        }
        self._index = {column.name: i for i, column in enumerate(spec.obs_columns)}
        self._ranges = column_ranges(task, preset)
        self._last_action = LastAction(params, spec, self._facts)
        self._columns = Columns(spec)
        self._correlation = Correlation(spec, self._facts)
        self._seen: dict[bytes, int] = {}
        self._equal: list[str] = []
        self._alone = ""
        self._table: NDArray[Any] | None = None

    def add(self, number: int, fields: Arrays) -> None:
        """Check an episode whose types, shapes and bounds are right.

        Args:
            number: Number of the episode.
            fields: Its arrays, as `networld_envs.store.importing.log_checks.checked` returns them.

        Raises:
            DatasetError: If something about it is impossible; names step, agent and column.
        """
        sampled = number in self._sampled
        try:
            self._check_neighbours(number, fields["neighbours"])
            self._check_reward(fields["agent_rewards"])
            self._last_action.add(fields, sampled)
            self._check_order(fields["observations"])
        except DatasetError as error:
            at = (error.step, error.agent) if isinstance(error, LogError) else ()
            raise LogError(f"episode {number}: {error}", *at) from error
        self._columns.add(fields, sampled)
        if sampled:
            self._correlation.add(fields)
        digest = hashlib.blake2b(digest_size=16)
        for name in ("observations", "actions", "agent_rewards", "neighbours"):
            digest.update(np.ascontiguousarray(fields[name]).data)
        first = self._seen.setdefault(digest.digest(), number)
        if first != number:
            self._equal.append(f"{number} to {first}")

    def report(self) -> Report:
        """What is unlikely about the whole log.

        Raises:
            DatasetError: If something about it is impossible.
        """
        if self._correlation and (why := self._correlation.sign_error()):
            raise DatasetError(why)
        found, skipped = self._last_action.finish()
        if self._spec.reward_column is None or (
            self._spec.reward_column.low is None and self._spec.reward_column.high is None
        ):
            skipped.append("range of the reward: the task does not state one")
        if self._correlation:
            found += self._correlation.warnings()
        else:
            skipped.append("sign of the reward: the task names no column that it rises with")
        if self._ranges is None:
            skipped.append("range of each column: none are recorded for this task and preset")
        elif not self._columns.enough:
            skipped.append(f"range of each column: fewer than {FEWEST_ROWS} steps of agents")
        else:
            found += self._columns.warnings(self._ranges, self._facts)
        if not self._facts.symmetric_neighbours:
            skipped.append("symmetry of neighbours: the task does not require it")
        if self._alone:
            found.append(
                f"neighbours: some agents have no neighbour and are nobody's, first {self._alone}; "
                "check that the table is complete"
            )
        if self._equal:
            found.append(
                f"equal episodes: {listed(self._equal)}; keep one of each, since copies count twice"
            )
        return Report(tuple(found), tuple(skipped))

    def _check_reward(self, rewards: NDArray[Any]) -> None:
        """Rewards are inside the range that the task states."""
        column = self._spec.reward_column
        if column is None:
            return
        low = -np.inf if column.low is None else column.low - ROUNDING * max(1.0, abs(column.low))
        high = np.inf if column.high is None else column.high + ROUNDING * max(1, abs(column.high))
        wrong = (rewards < low) | (rewards > high)
        if wrong.any():
            step, agent = (int(i) for i in np.argwhere(wrong)[0])
            flipped = ((-rewards >= low) & (-rewards <= high)).all()
            remedy = (
                "with the other sign all of the episode's are inside: multiply agent_rewards by -1"
                if flipped
                else "compute them as the task does"
            )
            raise LogError(
                f"step {step}, agent {agent}: agent_rewards is {rewards[step, agent]:g}, but the "
                f"task's are in {column.range}; {remedy}",
                step,
                agent,
            )

    def _check_order(self, obs: NDArray[Any]) -> None:
        """Columns that cannot exceed others do not."""
        for less, more in self._facts.at_most:
            if less not in self._index or more not in self._index:
                continue
            a, b = self._index[less], self._index[more]
            wrong = obs[..., a] > obs[..., b] + ROUNDING * np.maximum(np.abs(obs[..., b]), 1.0)
            if wrong.any():
                step, agent = (int(i) for i in np.argwhere(wrong)[0])
                first, second = (self._spec.column_name("observations", i) for i in (a, b))
                raise LogError(
                    f"step {step}, agent {agent}: observations column {first} is "
                    f"{obs[step, agent, a]:g}, more than column {second}, which is "
                    f"{obs[step, agent, b]:g}; check the order and the units of the columns",
                    step,
                    agent,
                )

    def _check_neighbours(self, number: int, table: NDArray[Any]) -> None:
        """The table is one that the task's geometry allows."""
        if self._table is not None and np.array_equal(table, self._table):
            return
        self._table = table
        agents, slots = len(table), self._spec.neighbour_slots
        heard = (table >= 0).sum(axis=1)
        if self._facts.limited_neighbours and (heard > slots).any():
            agent = int(np.argmax(heard > slots))
            raise LogError(
                f"agent {agent}: neighbours lists {heard[agent]} agents, but the task allows at "
                f"most {slots}; keep the nearest",
                agent=agent,
            )
        at, slot = np.nonzero(table >= 0)
        other = table[at, slot].astype(np.int64)
        if self._facts.symmetric_neighbours:
            one_sided = ~np.isin(other * agents + at, at * agents + other)
            if one_sided.any():
                i = int(np.argmax(one_sided))
                raise LogError(
                    f"agent {at[i]}: neighbours lists agent {other[i]}, but agent {other[i]} does "
                    f"not list agent {at[i]}, although the relation is symmetric in this task; add "
                    "the missing entry or remove this one",
                    agent=int(at[i]),
                )
        alone = np.ones(agents, bool)
        alone[at] = alone[other] = False
        if agents > 1 and alone.any():
            first = f"agent {int(np.argmax(alone))} in episode {number}"
            self._alone = self._alone or first
