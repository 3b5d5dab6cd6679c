"""The contract of an offline multi-agent algorithm, and how one is saved and loaded.

An algorithm holds networks, statistics and optimisers. It holds no environment, logger, file or
loop: `networld_algos.train` trains it, `networld_algos.rollout` lets it act.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from networld_algos.batch import Batch, Episodes
from networld_envs.spec import TaskSpec

Carry = dict[str, Any]
"""History of an acting team, explicit. Always has ``"task"``; tensors have leading axes (E, N)."""


class Algorithm(nn.Module, ABC):
    """Base of every algorithm: parameter sharing across agents, decentralised execution.

    Args:
        specs: The tasks it is for. Most algorithms take one; NetWorld takes any number.
        config: The algorithm's own frozen dataclass.
        seed: Seeds the initial weights, and nothing else.

    Attributes:
        name: Key in `networld_algos.ALGORITHMS`.
        window: Steps ``T`` of the windows `update` wants.
        batch_size: Windows ``B`` that `update` wants.
    """

    name: ClassVar[str]

    def __init__(self, specs: Sequence[TaskSpec], config: Any, seed: int) -> None:
        super().__init__()
        if not specs:
            raise ValueError(f"{type(self).__name__} needs at least one TaskSpec, got none")
        self.specs: dict[str, TaskSpec] = {spec.task: spec for spec in specs}
        self.config = config
        self.seed = seed

    @property
    @abstractmethod
    def window(self) -> int:
        """Steps ``T`` of the windows `update` wants."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Windows ``B`` that `update` wants."""

    @abstractmethod
    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Look at one task's training data once, before the first update on it.

        Sets normalisation statistics, bin ranges and learning-rate schedules; all of it is part
        of ``state_dict``. Called once for each task.
        """

    @abstractmethod
    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """One gradient step on ``batch``; returns metrics. All randomness is ``generator``'s."""

    def initial_carry(self, num_envs: int, task: str) -> Carry:
        """History at the start of ``num_envs`` episodes of ``task``.

        Raises:
            ValueError: If the algorithm does not know ``task``.
        """
        if task not in self.specs:
            raise ValueError(
                f"this {self.name} model is for {sorted(self.specs)}, not for task {task!r}"
            )
        return {"task": task}

    @abstractmethod
    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """What each agent sends to its 1-hop neighbours before acting.

        Args:
            obs: ``(E, N, O)`` float32.
            carry: History.

        Returns:
            ``(E, N, M)``, or None when the algorithm does not communicate.
        """

    @abstractmethod
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """Choose every agent's action from its own observation and its neighbours' messages.

        Args:
            obs: ``(E, N, O)`` float32.
            neighbours: ``(E, N, D)`` int64, padded with -1.
            carry: From `initial_carry` or the previous call. It is not changed in place.
            generator: Source of all randomness.

        Returns:
            Actions ``(E, N, A)`` float32 or ``(E, N)`` int64, legal for the task, and the next
            carry.
        """

    @abstractmethod
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Named optimisers, so that a run can be saved and resumed exactly."""

    def health(self, episodes: Episodes) -> dict[str, float]:
        """Diagnostics on held-out data; empty for algorithms that have none."""
        del episodes
        return {}


def mean_over_neighbours(messages: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """Mean field: the average message over each agent's 1-hop neighbours (Yang et al., 2018).

    Args:
        messages: ``(..., N, M)``.
        neighbours: ``(..., N, D)`` int64, padded with -1, the same leading axes.

    Returns:
        Mean ``(..., N, M)``, zero for an agent without neighbours, and ``(..., N, 1)`` 1.0 where
        there is at least one neighbour.
    """
    n, d = neighbours.shape[-2:]
    m = messages.shape[-1]
    lead = neighbours.shape[:-2]
    present = (neighbours >= 0).to(messages.dtype)
    index = neighbours.clamp(min=0).reshape(*lead, n * d, 1).expand(*lead, n * d, m)
    gathered = torch.gather(messages, -2, index).reshape(*lead, n, d, m)
    count = present.sum(-1, keepdim=True)
    mean = (gathered * present.unsqueeze(-1)).sum(-2) / count.clamp(min=1.0)
    return mean, (count > 0).to(messages.dtype)
