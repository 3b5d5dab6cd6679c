"""A trained model that decides for all agents of a network: NumPy in, NumPy out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from networld_algos.base import Algorithm
from networld_algos.deploy.interface import Interface
from networld_algos.deploy.loading import read


class Policy:
    """Decides for every agent of one network, step by step, and keeps their history.

    Args:
        algorithm: The model; it is put into evaluation mode.
        interface: What `networld_algos.deploy.engine.interface_of` says about it.
        seed: Seed of the model's own randomness.
        message_delay: Steps that messages take.

    Attributes:
        interface: Sizes and bounds.
    """

    def __init__(
        self, algorithm: Algorithm, interface: Interface, seed: int = 0, message_delay: int = 0
    ) -> None:
        self.interface = interface
        self._algorithm, self._seed, self._delay = algorithm.eval(), seed, message_delay
        self._device = next(algorithm.parameters()).device
        self.reset()

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        task: str | None = None,
        seed: int = 0,
        message_delay: int = 0,
        device: str = "cpu",
    ) -> Policy:
        """Read a trained model.

        Args:
            source: Folder written by `networld train`, ``pretrained:NAME`` or ``hf://owner/name``.
            task: The task, if the model has several.
            seed: Seed of the model's own randomness, for models that sample.
            message_delay: Steps that messages take; 0 uses those of the same step.
            device: Where to compute, e.g. ``"cuda"``.

        Raises:
            ValueError: If there is no usable checkpoint, or the task is not known.
            OSError: If the Hub cannot be reached.
        """
        loaded = read(source, task, device)
        return cls(loaded.algorithm, loaded.interface, seed, message_delay)

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.interface.task

    def reset(self, seed: int | None = None) -> None:
        """Start an episode: forget the history.

        Args:
            seed: New seed of the model's randomness; by default, its stream goes on. The first
                episode starts with the seed that the policy was made with.
        """
        if seed is not None or not hasattr(self, "_generator"):
            self._seed = self._seed if seed is None else seed
            self._generator = torch.Generator(device=self._device).manual_seed(self._seed)
        self._carry: dict[str, Any] | None = None
        self._shape: tuple[int, ...] = ()

    def act(self, observations: ArrayLike, neighbours: ArrayLike) -> NDArray[Any]:
        """The action of every agent.

        Args:
            observations: ``(N, O)`` of all agents, or ``(E, N, O)`` of ``E`` networks at once.
            neighbours: ``(N, D)`` or ``(E, N, D)`` integers: for each agent, the row numbers of its
                1-hop neighbours, padded with -1. An entry that is -1 in one step counts as a lost
                message. The order of the entries must stay the same in an episode.

        Returns:
            ``(N, A)`` or ``(E, N, A)`` float32, or ``(N,)`` or ``(E, N)`` int64, legal.

        Raises:
            ValueError: If a shape is wrong or changes within an episode, a value of an observation
                is not finite, or an entry of the table names no agent. The history is unchanged.
        """
        obs = self._checked(observations)
        table = self._table(neighbours, obs)
        shape = (*obs.shape[:2], table.shape[2])
        if self._carry is not None and shape != self._shape:
            raise ValueError(
                f"networks, agents and neighbour slots are {shape}, but were {self._shape} before; "
                "call reset() before another network"
            )
        carry = self._carry
        if carry is None:
            carry = self._algorithm.initial_carry(len(obs), self.task)
            if self._delay:
                carry["delay"] = self._delay
        with torch.no_grad():
            chosen, self._carry = self._algorithm.act(
                torch.from_numpy(obs).to(self._device),
                torch.from_numpy(table).to(self._device),
                carry,
                self._generator,
            )
        self._shape = shape
        actions = chosen.cpu().numpy()
        return actions[0] if np.ndim(observations) == 2 else actions

    def _checked(self, observations: ArrayLike) -> NDArray[np.float32]:
        try:
            obs = np.array(observations, dtype=np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"observations must be numbers, {self.interface.obs_dim} for each agent: {error}"
            ) from error
        if obs.ndim not in (2, 3) or obs.shape[-1] != self.interface.obs_dim or not obs.size:
            raise ValueError(
                f"observations of task {self.task!r} have shape (N, {self.interface.obs_dim}) or "
                f"(E, N, {self.interface.obs_dim}), got {obs.shape}"
            )
        if not np.isfinite(obs).all():
            where = [int(i) for i in np.argwhere(~np.isfinite(obs))[0]]
            raise ValueError(
                f"observations must be finite, got {obs[tuple(where)]} at agent {where[-2]}, "
                f"column {where[-1]}"
            )
        return obs if obs.ndim == 3 else obs[None]

    def _table(self, neighbours: ArrayLike, obs: NDArray[np.float32]) -> NDArray[np.int64]:
        given = np.asarray(neighbours)
        table = given if given.ndim == 3 else given[None]
        if not given.size:  # no agent has a slot for a neighbour; NumPy reads [[]] as real numbers
            table = table.astype(np.int64)
        if table.ndim != 3 or table.shape[:2] != obs.shape[:2] or table.dtype.kind not in "iu":
            raise ValueError(
                f"neighbours must be integers of shape (N, D) or (E, N, D) for (E, N) = "
                f"{obs.shape[:2]}, got shape {given.shape} of {given.dtype}"
            )
        if ((table < -1) | (table >= obs.shape[1])).any():
            wrong = table[(table < -1) | (table >= obs.shape[1])][0]
            raise ValueError(
                f"neighbours must be in -1 .. {obs.shape[1] - 1}, got {wrong}; -1 is an empty entry"
            )
        return table.astype(np.int64)
