"""A dataset in memory: whole episodes of one task as padded arrays.

Axes: ``K`` episodes, ``T`` steps, ``N`` agents, ``D`` neighbour slots, ``O`` observation, ``A``
action.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networld_algos.data.streams import Stream
from networld_envs.spec import TaskSpec

HOLDOUT = 0.1
"""Share of the episodes that training sets aside; only health diagnostics use them."""
HEALTH_EPISODES = 16
"""Most episodes that health diagnostics are measured on."""


@dataclass(frozen=True)
class Episodes:
    """A dataset of one task as padded arrays, read once.

    Attributes:
        spec: Sizes and bounds of the task.
        obs: ``(K, T+1, N, O)`` float32.
        actions: ``(K, T, N, A)`` float32 or ``(K, T, N)`` int64.
        rewards: ``(K, T, N)`` float32.
        terminated: ``(K, T)`` bool.
        truncated: ``(K, T)`` bool.
        neighbours: ``(K, N, D)`` int32, padded with -1.
        lengths: ``(K,)`` int64, steps of each episode; later steps are padding.
    """

    spec: TaskSpec
    obs: NDArray[np.float32]
    actions: NDArray[Any]
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    neighbours: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def step_mask(self) -> NDArray[np.bool_]:
        """``(K, T)``: True where a step is real."""
        steps: NDArray[np.int64] = np.arange(self.actions.shape[1], dtype=np.int64)
        return np.less(steps, self.lengths[:, None])

    @property
    def returns(self) -> NDArray[np.float64]:
        """``(K,)``: undiscounted return of each episode, averaged over agents."""
        team: NDArray[np.float64] = self.rewards.mean(axis=2, dtype=np.float64)  # (K, T)
        returns: NDArray[np.float64] = np.where(self.step_mask, team, 0.0).sum(axis=1)
        return returns

    @property
    def action_range(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest value of each action column over real steps, both ``(A,)``.

        Columns that change sign in reflected windows have the range of both signs.
        """
        actions = self.actions[self.step_mask]
        rows = torch.as_tensor(actions.reshape(-1, self.spec.action_dim), dtype=torch.float32)
        low, high = rows.amin(0), rows.amax(0)
        mirrored = list(self.spec.mirrored_action)
        high[mirrored] = torch.maximum(high[mirrored], -low[mirrored])
        low[mirrored] = -high[mirrored]
        return low, high

    def take(self, index: NDArray[np.integer[Any]]) -> Episodes:
        """The episodes at ``index``, in that order; memory-mapped arrays stay on disk."""
        return replace(
            self,
            obs=_take(self.obs, index),
            actions=_take(self.actions, index),
            rewards=_take(self.rewards, index),
            terminated=_take(self.terminated, index),
            truncated=_take(self.truncated, index),
            neighbours=_take(self.neighbours, index),
            lengths=self.lengths[index],
        )

    def first(self, most: int) -> Episodes:
        """The first ``most`` episodes, or all if there are fewer."""
        return self.take(np.arange(min(most, len(self))))

    def training_parts(self, episodes: int, seed: int) -> tuple[Episodes, Episodes | None]:
        """Training and held-out episodes of `networld train`, see `split`.

        Args:
            episodes: How many are used in all.
            seed: Seed of the training.
        """
        used = self if episodes == len(self) else self.fraction(episodes / len(self), seed)
        return used.split(HOLDOUT, seed)

    def fraction(self, fraction: float, seed: int) -> Episodes:
        """A random share of the episodes, nested: a smaller share lies inside a larger one.

        Args:
            fraction: Share in (0, 1]; at least one episode is kept.
            seed: Order of the episodes. Equal seeds give nested subsets.

        Raises:
            ValueError: If ``fraction`` is not in (0, 1].
        """
        return self.take(nested_subset(len(self), fraction, seed))

    def split(self, holdout: float, seed: int) -> tuple[Episodes, Episodes | None]:
        """Split by episode into (train, held out), with at least one episode in each.

        Args:
            holdout: Share of episodes held out, in (0, 1).
            seed: Chooses which ones.

        Returns:
            Both parts. If there is only one episode, it is for training and the second part is
            None.

        Raises:
            ValueError: If ``holdout`` is not in (0, 1).
        """
        if not 0.0 < holdout < 1.0:
            raise ValueError(f"holdout must be in (0, 1), got {holdout}")
        count = held_out(len(self), holdout)
        if not count:
            return self, None
        order = np.random.default_rng([seed, Stream.HOLDOUT]).permutation(len(self))
        return self.take(np.sort(order[count:])), self.take(np.sort(order[:count]))


def held_out(total: int, holdout: float = HOLDOUT) -> int:
    """How many of ``total`` episodes are held out, see `Episodes.split`; 0 of a single one."""
    return min(max(1, round(holdout * total)), total - 1)


def kept(total: int, fraction: float) -> int:
    """How many episodes a share of ``total`` has, see `Episodes.fraction`."""
    return max(1, round(fraction * total))


def nested_subset(total: int, fraction: float, seed: int) -> NDArray[np.int64]:
    """Ascending indices of the episodes that a share of ``total`` has, see `Episodes.fraction`."""
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"fraction must be in (0, 1], got {fraction}")
    order = np.random.default_rng([seed, Stream.SUBSET]).permutation(total)
    return np.sort(order[: kept(total, fraction)])


def disk_array(shape: tuple[int, ...], dtype: Any, folder: Path) -> NDArray[Any]:
    """Zeros in a memory-mapped file in ``folder``; the file is deleted with the array."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".networld-") as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def _take(array: NDArray[Any], index: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Entries along the first axis; a memory-mapped array is copied to an unnamed file on disk."""
    if not isinstance(array, np.memmap):
        return array[index]
    folder = Path(str(array.filename)).parent
    out = disk_array((len(index), *array.shape[1:]), array.dtype, folder)
    for row, k in enumerate(index):
        out[row] = array[k]
    return out
