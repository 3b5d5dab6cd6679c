"""Limits that a monitored number exceeds in one of a hundred windows of unchanged data.

Decisions of one network resemble each other, and the more networks or days a window covers, the
closer it comes to the training data. Textbook limits for independent samples ignore both. Here,
random windows of the training data are compared with the rest of it, as a permutation test does.
What they exceed in a share `FALSE_ALARMS` of the cases is the limit for windows of that size.

A unit is one episode of the whole network, or of one station. A window holds units of one group:
of the network, or of the same station. It is assumed that the episodes to come are drawn like those
in the training data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from networld_algos.deploy.monitor.bins import stability_index

FALSE_ALARMS = 0.01
"""Share of windows of unchanged data that exceed a limit."""
WINDOWS = 1_000
"""Random windows of each size; ten of them exceed the limit."""
FEWEST_UNITS = 8
"""Units of training data without which no limit is calibrated."""
SMALLEST_INDEX = 0.05
"""Smallest limit of a stability index: a smaller shift is real, but too small to matter."""
USUAL_INDEX = 0.25
"""Limit of a stability index without calibration, the usual rule of thumb for a large shift."""
TYPICAL = 0.95  # quantile that makes the indices of columns comparable


@dataclass(frozen=True)
class Limits:
    """Limits for windows of several sizes.

    Attributes:
        sizes: ``(S,)`` units in a window, ascending; empty without calibration.
        values: ``(S, ...)`` the limits.
    """

    sizes: NDArray[np.int64]
    values: NDArray[np.float64]

    def at(self, units: int) -> NDArray[np.float64] | None:
        """The limits for a window of ``units``: those of the largest size that is not larger.

        They are too wide for windows between two sizes, never too narrow. None without calibration.
        """
        fitting = np.flatnonzero(self.sizes <= units)
        return None if fitting.size == 0 else self.values[fitting[-1]]


def _selections(
    groups: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[int, NDArray[np.float64]]]:
    """Window size, and ``(WINDOWS, U)`` 1.0 where a unit is in a window."""
    names, members = np.unique(groups, return_counts=True)
    if len(groups) < FEWEST_UNITS:
        return []
    found, size, every = [], 1, np.arange(WINDOWS)[:, None]
    while size <= max(members.min() // 2, 1):
        keys = rng.random((WINDOWS, len(groups)))
        keys += groups != rng.choice(names, WINDOWS)[:, None]  # members of the group come first
        selected = np.zeros(keys.shape)
        selected[every, keys.argsort(axis=1)[:, :size]] = 1.0
        found.append((size, selected))
        size *= 2
    return found


def index_limits(
    counts: NDArray[np.int64], groups: NDArray[np.int64], rng: np.random.Generator
) -> Limits:
    """Limits ``(S, O)`` of the stability index of each column.

    The largest index of all columns, each relative to its typical value, exceeds its limit in a
    share `FALSE_ALARMS` of the windows, so the alarm of a whole table has that rate.

    Args:
        counts: ``(U, O, bins)`` histograms of the units.
        groups: ``(U,)`` group of each unit.
        rng: Draws the windows.
    """
    units, columns, bins = counts.shape
    flat = counts.reshape(units, -1).astype(np.float64)
    total = flat.sum(axis=0)
    sizes, values = [], []
    for size, selected in _selections(groups, rng):
        window = selected @ flat
        shape = (WINDOWS, columns, bins)
        index = stability_index(window.reshape(shape), (total - window).reshape(shape))
        typical = np.maximum(np.quantile(index, TYPICAL, axis=0), 1e-6)  # (O,)
        factor = np.quantile((index / typical).max(axis=1), 1.0 - FALSE_ALARMS)
        sizes.append(size)
        values.append(np.maximum(factor * typical, SMALLEST_INDEX))
    return Limits(np.array(sizes, np.int64), np.reshape(values, (len(sizes), columns)))


def mean_limits(
    values: NDArray[np.float64], groups: NDArray[np.int64], rng: np.random.Generator
) -> Limits:
    """Limits ``(S,)`` of the mean over a window.

    Args:
        values: ``(U,)`` one value per unit.
        groups: ``(U,)`` group of each unit.
        rng: Draws the windows.
    """
    sizes, found = [], []
    for size, selected in _selections(groups, rng):
        sizes.append(size)
        found.append(float(np.quantile(selected @ values / size, 1.0 - FALSE_ALARMS)))
    return Limits(np.array(sizes, np.int64), np.array(found, np.float64))
