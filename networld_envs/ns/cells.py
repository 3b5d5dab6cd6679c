"""Shared by both models of network slicing: the grid of cells and the meaning of an action."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.physics.topology import hex_neighbours


@lru_cache(maxsize=8)
def hex_table(rings: int) -> NDArray[np.int32]:
    """Adjacent cells ``(N, 6)``, padded with -1; read only."""
    table = hex_neighbours(rings)
    table.setflags(write=False)
    return table


def neighbour_utilisation(rings: int, utilisation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the neighbours' utilisation over 6, ``(E, N)``; nothing interferes from outside."""
    table = hex_table(rings)
    padded = np.zeros((len(utilisation), utilisation.shape[1] + 1))
    padded[:, :-1] = utilisation
    return padded[:, table].sum(axis=-1) / 6.0  # -1 reads the zero column


def applied_allocation(bandwidth_hz: float, actions: NDArray[Any]) -> NDArray[np.float64]:
    """Scale allocations down to the band: ``b <- b min(1, W / sum b)``, ``(..., 3)`` Hz."""
    wanted = np.asarray(actions, dtype=np.float64)
    total = wanted[..., 0] + wanted[..., 1] + wanted[..., 2]
    scale = bandwidth_hz / np.maximum(total, bandwidth_hz)
    return wanted * scale[..., None]


def satisfaction_ratio(
    in_time: NDArray[np.float64], expired: NDArray[np.float64]
) -> NDArray[np.float64]:
    """SSR: packets in time over packets in time or expired, 1 if there are none."""
    settled = in_time + expired
    return np.divide(in_time, settled, out=np.ones_like(settled), where=settled > 0.0)
