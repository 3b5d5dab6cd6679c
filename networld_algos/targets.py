"""Returns to ask for: quantiles of those in the data, so that they can be chosen after training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

QUANTILES = 21
"""The quantiles 0, 0.05 .. 1 are kept."""


def quantile_grid(values: ArrayLike) -> Tensor:
    """The kept quantiles ``(QUANTILES,)`` float32 of ``values``."""
    grid = np.quantile(np.asarray(values, np.float64), np.linspace(0.0, 1.0, QUANTILES))
    return torch.from_numpy(grid.astype(np.float32))


def at_quantile(grid: Tensor, share: float) -> Tensor:
    """The quantile ``share`` from ``grid`` ``(QUANTILES, ...)``, linear between those kept."""
    at = share * (QUANTILES - 1)
    lower = min(int(at), QUANTILES - 2)
    return torch.lerp(grid[lower], grid[lower + 1], at - lower)
