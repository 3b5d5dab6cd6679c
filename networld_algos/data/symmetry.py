"""Interchangeable entities of an observation, such as the listed users of a base station.

A task can say that some columns belong to one of several entities whose order means nothing
(`networld_envs.spec.About.entities`). Renumbering them gives another network that is as likely, and
the same actions remain right in it. Each agent has its own order, which stays within a window.

On CBF the six disturbed users are such entities. The slices of NS are not: their deadlines differ.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networld_envs.simulator import about
from networld_envs.spec import Column, TaskSpec

Table = NDArray[np.int64]

FEW_EPISODES = 100
"""Up to this many episodes, entities are renumbered by default. More of them do not need it."""


def entity_columns(columns: Sequence[Column], pattern: str) -> Table:
    """Columns of each entity ``(entities, C)``, in the same order for each.

    Args:
        columns: Columns of an observation or an action.
        pattern: Regular expression whose only group is the number of the entity.

    Raises:
        ValueError: If the entities do not have the same columns.
    """
    found: dict[int, dict[str, int]] = {}
    for index, column in enumerate(columns):
        if match := re.match(pattern, column.name):
            start, end = match.span(1)
            kind = f"{column.name[:start]}#{column.name[end:]}"
            found.setdefault(int(match[1]), {})[kind] = index
    tables = [found[number] for number in sorted(found)]
    for table in tables[1:]:
        if table.keys() != tables[0].keys():
            raise ValueError(
                f"entities of {pattern!r} have different columns: {sorted(tables[0])} and "
                f"{sorted(table)}"
            )
    rows = [[table[kind] for kind in tables[0]] for table in tables]
    return np.array(rows, np.int64).reshape(len(rows), len(tables[0]) if tables else 0)


def _patterns(spec: TaskSpec) -> Sequence[str]:
    """What the task says of its entities; one that is not in the table of tasks has none."""
    try:
        return about(spec.task).entities
    except ValueError:
        return ()


def shared_groups(spec: TaskSpec) -> list[Table]:
    """Columns ``(entities, C)`` of the observation, for each group whose entities share weights.

    Entities that have a part of the action, or show one, are left out.
    """
    groups = []
    for pattern in _patterns(spec):
        table = entity_columns(spec.obs_columns, pattern)
        acted = len(entity_columns(spec.action_columns, pattern)) > 0
        if len(table) and not acted and not np.isin(table, spec.last_action).any():
            groups.append(table)
    return groups


def own_columns(spec: TaskSpec) -> Table:
    """Columns ``(C,)`` of the observation that belong to none of the `shared_groups`."""
    taken = [table.ravel() for table in shared_groups(spec)]
    return np.setdiff1d(np.arange(spec.obs_dim), np.concatenate([np.empty(0, np.int64), *taken]))


class Renumbering:
    """Random orders of the entities of a task.

    Args:
        spec: The task.

    Attributes:
        groups: For each group of entities its columns of the observation and of the action.
    """

    def __init__(self, spec: TaskSpec) -> None:
        groups = [
            tuple(
                entity_columns(columns, pattern)
                for columns in (spec.obs_columns, spec.action_columns)
            )
            for pattern in _patterns(spec)
        ]
        self.groups = [(obs, actions) for obs, actions in groups if max(len(obs), len(actions)) > 1]
        self._widths = spec.obs_dim, spec.action_dim

    def __bool__(self) -> bool:
        return bool(self.groups)

    def apply(self, obs: Tensor, actions: Tensor, rng: np.random.Generator) -> None:
        """Renumber in place, with one order for each window, agent and group.

        Args:
            obs: ``(B, T+1, N, O)``.
            actions: ``(B, T, N, A)``, or ``(B, T, N)`` of actions that have no entities.
            rng: Draws the orders.
        """
        b, _, n, _ = obs.shape
        index = [np.tile(np.arange(width), (b, n, 1)) for width in self._widths]
        shown = [False, False]
        for tables in self.groups:
            count = max(map(len, tables))
            order = np.argsort(rng.random((b, n, count)), axis=-1)
            for i, table in enumerate(tables):
                if len(table):
                    index[i][..., table.ravel()] = table[order].reshape(b, n, -1)
                    shown[i] = True
        for i, values in enumerate((obs, actions)):
            if shown[i]:
                at = torch.as_tensor(index[i])[:, None].expand_as(values)
                values.copy_(values.gather(-1, at))
