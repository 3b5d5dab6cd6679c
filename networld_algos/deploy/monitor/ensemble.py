"""Disagreement of a model's ensemble about decisions that were taken.

MA-IQL, and MA-CQL for box actions, train two critics. Where they were trained on similar decisions,
they agree. An algorithm of your own joins in with a method ``disagreement(obs, neighbours, carry,
actions)`` that returns ``(E, N)``.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networld_algos.base import Algorithm, Carry
from networld_algos.data.episodes import Episodes

MOST_ROWS = 100_000  # decisions that one call computes together


@runtime_checkable
class Ensemble(Protocol):
    """A model of which several parts answer the same question."""

    def disagreement(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, actions: Tensor
    ) -> Tensor | None:
        """How far the parts differ about ``actions``, ``(E, N)``; None if there is only one part.

        Args:
            obs: ``(E, N, O)`` float32.
            neighbours: ``(E, N, D)`` int64, padded with -1.
            carry: History, as for ``act``. It is not changed.
            actions: ``(E, N, A)`` float32 or ``(E, N)`` int64.
        """
        ...


@torch.no_grad()
def disagreements(model: Algorithm, episodes: Episodes) -> list[NDArray[np.float32]]:
    """Disagreement ``(T, N)`` about each decision of each episode; empty without an ensemble.

    Every step is a start of its own, without lost or late messages.

    Args:
        model: A trained model that knows the task.
        episodes: The decisions.
    """
    if not isinstance(model, Ensemble):
        return []
    found: list[NDArray[np.float32]] = []
    device = next(model.parameters()).device
    together = max(1, MOST_ROWS // episodes.spec.num_agents)
    for k, steps in enumerate(episodes.lengths.tolist()):
        parts = []
        table = torch.as_tensor(episodes.neighbours[k]).long().to(device)
        for first in range(0, steps, together):
            at = slice(first, min(first + together, steps))
            obs = _tensor(episodes.obs[k, at], device)
            carry = model.initial_carry(len(obs), episodes.spec.task)
            actions = _tensor(episodes.actions[k, at], device)
            tables = table.expand(len(obs), *table.shape)
            parts.append(model.disagreement(obs, tables, carry, actions))
        if parts[0] is None:
            return []
        found.append(torch.cat(parts).cpu().numpy())
    return found


def _tensor(values: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
