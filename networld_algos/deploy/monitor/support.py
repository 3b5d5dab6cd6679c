"""Support of the training data: observations like those, and actions that were taken there.

An observation is out of support if the nearest of a sample of training observations is farther
away than for 99 of 100 training observations of other episodes. An action is out of support if it
differs from each action taken at the `NEAR` nearest observations of the sample by more than in 99
of 100 cases. Columns are scaled to unit deviation and distances are Euclidean. With many columns,
everything is far from everything, and only large changes of single columns are noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from networld_envs.spec import TaskSpec

SAMPLE = 2_048
"""Rows of the training data that are kept."""
NEAR = 16
"""Nearest observations whose actions count as taken there."""
QUANTILE = 0.99
CHUNK = 1_024  # rows that are compared with the sample together


@dataclass(frozen=True)
class Support:
    """A sample of the training data, and the largest usual distances from it.

    Attributes:
        centre: ``(O,)`` mean of each column of the observation.
        scale: ``(O,)`` its standard deviation; 1 for a constant column.
        obs: ``(S, O)`` sample, as observed.
        actions: ``(S, F)`` features of its actions, see `action_features`.
        far: Distance beyond which an observation is out of support.
        unlike: Distance beyond which an action is.
    """

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    obs: NDArray[np.float32]
    actions: NDArray[np.float32]
    far: float = np.inf
    unlike: float = np.inf

    def distances(
        self, obs: NDArray[np.float32], actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distances ``(R,)`` of observations and of actions from the sample.

        Args:
            obs: ``(R, O)``; a value that is not finite is infinitely far away.
            actions: ``(R, F)`` features.
        """
        kept = (self.obs - self.centre) / self.scale
        near = min(NEAR, len(kept))
        found_obs, found_actions = np.full(len(obs), np.inf), np.full(len(obs), np.inf)
        finite = np.flatnonzero(np.isfinite(obs).all(axis=1) & np.isfinite(actions).all(axis=1))
        for at in np.split(finite, range(CHUNK, len(finite), CHUNK)):
            apart = cdist((obs[at] - self.centre) / self.scale, kept)  # (C, S)
            nearest = np.argpartition(apart, near - 1, axis=1)[:, :near]
            found_obs[at] = apart.min(axis=1, initial=np.inf)
            differ = self.actions[nearest] - actions[at][:, None]  # (C, NEAR, F)
            found_actions[at] = np.sqrt((differ**2).sum(axis=-1)).min(axis=1, initial=np.inf)
        return found_obs, found_actions

    def outside(
        self, obs: NDArray[np.float32], actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which observations, and which actions, ``(R,)`` are out of support."""
        of_obs, of_actions = self.distances(obs, actions)
        return of_obs > self.far, of_actions > self.unlike


def action_features(actions: NDArray[Any], spec: TaskSpec) -> NDArray[np.float32]:
    """Actions ``(R, F)`` as numbers that have distances.

    Box and ordered actions are scaled to [0, 1]. A discrete action is one of F vectors that are all
    at distance 1 from each other.

    Args:
        actions: ``(R, A)``, or ``(R,)`` for discrete and ordered actions.
        spec: The task.

    Raises:
        ValueError: If a discrete action is out of range.
    """
    rows = np.asarray(actions).reshape(-1, spec.action_dim)
    if spec.action_kind != "discrete":
        low, high = np.array(spec.action_low), np.array(spec.action_high)
        width = np.where(high > low, high - low, 1.0)
        return ((rows - low) / width).astype(np.float32)
    choice = rows[:, 0].astype(np.int64)
    if choice.size and not 0 <= choice.min() <= choice.max() < spec.num_choices:
        raise ValueError(
            f"actions of task {spec.task!r} must be in 0 .. {spec.num_choices - 1}, got "
            f"{choice.min()} .. {choice.max()}"
        )
    return (np.eye(spec.num_choices, dtype=np.float32) / np.float32(np.sqrt(2.0)))[choice]
