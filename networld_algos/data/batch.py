"""The `Batch` that every algorithm trains on, and the sampler that cuts it from episodes.

Axes: ``K`` episodes, ``B`` windows, ``T`` steps, ``N`` agents, ``D`` neighbour slots, ``O``
observation, ``A`` action. Step ``t`` of a window starting at step ``s`` of an episode::

    obs[t]  = o_{s+t}         t = 0 .. T   (one more than actions)
    actions[t], rewards[t]    t = 0 .. T-1 (chosen at, and received after, obs[t])
    mask[t] = s + t < length  False marks padding: obs repeats the last one, the rest is zero
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networld_algos.data.episodes import Episodes
from networld_algos.data.symmetry import FEW_EPISODES, Renumbering


@dataclass(frozen=True)
class Batch:
    """Windows of one task. A window has every agent of its environment.

    Attributes:
        obs: ``(B, T+1, N, O)`` float32.
        actions: ``(B, T, N, A)`` float32 for box actions, ``(B, T, N)`` int64 otherwise.
        rewards: ``(B, T, N)`` float32, per agent.
        returns_to_go: ``(B, T, N)`` float32, undiscounted sum of rewards to the episode's end.
        terminated: ``(B, T)`` bool; only this stops a bootstrap.
        truncated: ``(B, T)`` bool.
        mask: ``(B, T)`` bool, True where the step is real.
        neighbours: ``(B, N, D)`` int64, padded with -1.
        timesteps: ``(B, T)`` int64, index of the step in its episode.
        task: Name of the task that all windows come from.
    """

    obs: Tensor
    actions: Tensor
    rewards: Tensor
    returns_to_go: Tensor
    terminated: Tensor
    truncated: Tensor
    mask: Tensor
    neighbours: Tensor
    timesteps: Tensor
    task: str

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device; itself if it is there already."""
        if self.obs.device == torch.device(device):
            return self
        moved = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


def _gather(
    values: NDArray[Any], rows: NDArray[np.integer[Any]], steps: NDArray[np.integer[Any]]
) -> NDArray[Any]:
    """``values[rows, steps]`` as one `take` of whole steps, which is faster than two indices."""
    flat = np.asarray(values).reshape(-1, *values.shape[2:])  # (K * T, ...), a view
    return flat.take(rows * values.shape[1] + steps, axis=0)


class WindowSampler:
    """Draws windows of ``T`` steps uniformly over all (episode, first step) pairs.

    Windows may run past the end of an episode; the steps beyond it are padded and masked. If the
    task is symmetric under reflection (`TaskSpec.mirrored_obs`), each window is reflected with
    probability one half, which doubles the number of networks in the data. If it has entities whose
    order means nothing, they can be renumbered, see `networld_algos.data.symmetry`.

    Args:
        episodes: Episodes to cut windows from.
        window: Steps ``T`` of a window.
        batch_size: Windows ``B`` in a batch.
        renumber: Whether to renumber entities; None renumbers those of up to `FEW_EPISODES`.
        weights: ``(K,)`` how often windows of an episode are drawn, relative to those of another of
            the same length; None draws all alike.
    """

    def __init__(
        self,
        episodes: Episodes,
        window: int,
        batch_size: int,
        *,
        renumber: bool | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if len(episodes) == 0:
            raise ValueError("cannot sample windows from zero episodes")
        self.episodes = episodes
        self.window = window
        self.batch_size = batch_size
        spec = episodes.spec
        self.mirror = bool(spec.mirrored_obs)
        if renumber is None:
            renumber = len(episodes) <= FEW_EPISODES
        self._renumbering = Renumbering(spec) if renumber else None
        self._obs_sign = torch.ones(spec.obs_dim)
        self._obs_sign[list(spec.mirrored_obs)] = -1.0
        self._action_sign = torch.ones(spec.action_dim)
        self._action_sign[list(spec.mirrored_action)] = -1.0
        self._ends = np.cumsum(episodes.lengths)  # (K,): real steps up to the end of each episode
        self._weighted_ends: NDArray[np.float64] | None = None
        if weights is not None:
            self._weighted_ends = np.cumsum(episodes.lengths * weights)
        rewards = episodes.rewards * episodes.step_mask[:, :, None]
        to_go = np.cumsum(rewards[:, ::-1], axis=1)[:, ::-1]
        self._returns_to_go = np.ascontiguousarray(to_go, np.float32)

    def sample(self, rng: np.random.Generator) -> Batch:
        """Draw one batch. All randomness comes from ``rng``."""
        if self._weighted_ends is None:
            flat = rng.integers(self._ends[-1], size=self.batch_size)
            episode = np.searchsorted(self._ends, flat, side="right")
            first = flat - (self._ends[episode] - self.episodes.lengths[episode])
        else:
            at: NDArray[np.float64] = rng.random(self.batch_size) * float(self._weighted_ends[-1])
            last = len(self.episodes) - 1  # a product may be rounded up to the very end
            episode = np.searchsorted(self._weighted_ends[:last], at, side="right")
            first = rng.integers(self.episodes.lengths[episode])
        batch = self.windows(episode, first)
        if self.mirror:
            self._reflect(batch, rng)
        if self._renumbering:
            self._renumbering.apply(batch.obs, batch.actions, rng)
        return batch

    def _reflect(self, batch: Batch, rng: np.random.Generator) -> None:
        """Reflect each window with probability one half, in place."""
        reflected = torch.as_tensor(rng.random(len(batch.obs)) < 0.5)[:, None, None, None]
        batch.obs.mul_(torch.where(reflected, self._obs_sign, 1.0))
        batch.actions.mul_(torch.where(reflected, self._action_sign, 1.0))

    def windows(self, episode: NDArray[np.integer[Any]], first: NDArray[np.integer[Any]]) -> Batch:
        """The windows that start at step ``first`` of each ``episode``, both ``(B,)``."""
        data = self.episodes
        length = data.lengths[episode][:, None]
        steps = first[:, None] + np.arange(self.window + 1)
        at = np.minimum(steps, length)  # (B, T+1), clamped to the final observation
        real = steps[:, :-1] < length  # (B, T)
        step = np.minimum(steps[:, :-1], length - 1)
        rows = episode[:, None]
        beyond = np.flatnonzero(~real)  # flat positions of the padding

        def cut(values: NDArray[Any]) -> Tensor:
            out = _gather(values, rows, step)
            if beyond.size:
                out.reshape(real.size, -1)[beyond] = 0
            return torch.as_tensor(out)

        return Batch(
            obs=torch.as_tensor(_gather(data.obs, rows, at)),
            actions=cut(data.actions),
            rewards=cut(data.rewards),
            returns_to_go=cut(self._returns_to_go),
            terminated=cut(data.terminated),
            truncated=cut(data.truncated),
            mask=torch.as_tensor(real),
            neighbours=torch.as_tensor(data.neighbours[episode].astype(np.int64)),
            timesteps=torch.as_tensor(step.astype(np.int64)),
            task=data.spec.task,
        )
