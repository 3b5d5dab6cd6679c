"""What a station does when its model has no decision: a heuristic of the task. No torch.

A task names it in `networld_envs.spec.About.fallback`. It uses the agent's own observation alone,
so nothing that it needs can be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.policies import get_policy
from networld_envs.simulator import TASKS, about, make_params


class Heuristic:
    """A task's fallback policy for one station.

    Args:
        task: Name of the task.
        params: The task's parameters.
        slots: Slots ``D`` of the neighbour table.

    Attributes:
        name: Name of the policy.
    """

    def __init__(self, task: str, params: Any, slots: int) -> None:
        self.name, self.params = about(task).fallback, params
        policy = get_policy(task, self.name, params)
        assert policy.local is not None
        self._local = policy.local
        self._nobody = np.full((1, 1, slots), -1, np.int32)
        self._rngs = [np.random.default_rng(0)]

    def __call__(self, observation: NDArray[np.float32], slot: int) -> NDArray[Any]:
        """The action for an observation ``(O,)``."""
        rows = observation[None, None]
        return self._local(self.params, rows, self._nobody, self._rngs, slot)[0, 0]


def heuristic(
    task: str, slots: int, preset: str = "default", params: Mapping[str, Any] | None = None
) -> Heuristic | None:
    """The fallback of a task, None if it has none that can act.

    Args:
        task: Name of the task.
        slots: Slots ``D`` of the neighbour table.
        preset: Preset of the task's parameters.
        params: Parameters that differ from the preset.

    Raises:
        ValueError: If there is no such preset.
    """
    if task not in TASKS or not about(task).fallback:
        return None
    made = make_params(task, preset, **(params or {}))
    policy = get_policy(task, about(task).fallback)
    if policy.local is None or not policy.needs(made):
        return None
    return Heuristic(task, made, slots)
