"""A trained model as the engine of one station, see `networld_algos.deploy.interface`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from networld_algos.base import Algorithm
from networld_algos.deploy.interface import Interface


def interface_of(algorithm: Algorithm, task: str, model: int) -> Interface:
    """What a station has to know about a model.

    Args:
        algorithm: The model.
        task: One of its tasks.
        model: Identifies weights and task in messages.
    """
    spec = algorithm.known(task)
    blank = torch.zeros(1, 1, spec.obs_dim, device=next(algorithm.parameters()).device)
    with torch.no_grad():
        sent = algorithm.message(blank, algorithm.initial_carry(1, task))
    return Interface(
        task=task,
        obs_dim=spec.obs_dim,
        action_kind=spec.action_kind,
        action_low=tuple(float(v) for v in spec.action_low),
        action_high=tuple(float(v) for v in spec.action_high),
        message_width=0 if sent is None else int(sent.shape[-1]),
        message_max_age=int(getattr(algorithm.config, "message_max_age", 0)),
        model=model,
    )


class TorchEngine:
    """Decides for one agent with `networld_algos.base.Algorithm.act`.

    Args:
        algorithm: The model, in evaluation mode.
        interface: From `interface_of`.
        seed: Seed of the model's own randomness.
        row: Row of the agent in a batch.
        rows: Agents in the batch. The other rows repeat the agent's own observation; what they
            decide is not used. The arithmetic of a row, and its random numbers, are then those of
            a batch of this size.

    Raises:
        ValueError: If ``row`` is not in the batch, or the model does not take its messages from
            `networld_algos.nn.messages`.
    """

    def __init__(
        self, algorithm: Algorithm, interface: Interface, seed: int, row: int = 0, rows: int = 1
    ) -> None:
        if not 0 <= row < rows:
            raise ValueError(f"row must be in 0 .. {rows - 1}, got {row}")
        self.algorithm, self.interface = algorithm, interface
        self._seed, self._row, self._rows = seed, row, rows
        self._device = next(algorithm.parameters()).device
        self.reset()
        self._warm_up()

    def reset(self) -> None:
        """Forget the history and start the random numbers again."""
        self._generator = torch.Generator(device=self._device).manual_seed(self._seed)
        self._carry = self.algorithm.initial_carry(1, self.interface.task)

    def message(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `networld_algos.deploy.interface.Engine`."""
        with torch.no_grad():
            sent = self.algorithm.message(self._batch(observation), self._carry)
        assert sent is not None
        return sent[0, self._row].cpu().numpy()

    def decide(
        self,
        observation: NDArray[np.float32],
        held: NDArray[np.float32],
        usable: NDArray[np.float32],
    ) -> NDArray[Any]:
        """See `networld_algos.deploy.interface.Engine`."""
        before, generator = self._carry, self._generator
        inbox = (self._batch(held), self._batch(usable))  # (1, N, D, M), (1, N, D)
        table = torch.zeros(1, self._rows, len(usable), dtype=torch.int64, device=self._device)
        table[inbox[1] == 0] = -1
        given = {**before, "inbox": inbox} if self.interface.message_width else before
        with torch.no_grad():
            actions, after = self.algorithm.act(self._batch(observation), table, given, generator)
        if after.get("inbox") is not None:
            raise ValueError(
                f"{self.algorithm.name} cannot act at one station: its act() must take messages "
                "from networld_algos.nn.messages.collect and pass on the carry"
            )
        if self._carry is before:  # otherwise reset() was called while this call was running
            self._carry = after
        return actions[0, self._row].cpu().numpy()

    def _batch(self, row: NDArray[np.float32]) -> torch.Tensor:
        """``(1, N, ...)``, all rows equal."""
        one = torch.from_numpy(np.ascontiguousarray(row, np.float32)).to(self._device)
        return one.expand(1, self._rows, *one.shape).contiguous()

    def _warm_up(self) -> None:
        """Let libraries allocate and choose their kernels before the first deadline."""
        about = self.interface
        blank = np.zeros(about.obs_dim, np.float32)
        for _ in range(2):
            if about.message_width:
                self.message(blank)
            self.decide(blank, np.zeros((1, about.message_width), np.float32), np.zeros(1, "f4"))
        self.reset()
