"""Packet arrivals: exact Poisson numbers for many slots at once.

A generator's own ``poisson`` costs about as much as everything else in a slotted simulation. Here
a rate is split: ``Poisson(rate) = Poisson(grid) + Poisson(rate - grid)``. The first part is looked
up in a table, computed once for every rate of a fixed grid. The second part is so small that its
packets are drawn for the whole interval and scattered over the slots. Both steps are exact.

The lookup is the condensed-table method: of ``CELLS`` equally likely cells, ``floor(CELLS p_k)``
hold the number k. The probability lost to rounding down has its own distribution, from which the
remaining cells draw. Source:
G. Marsaglia, W. W. Tsang, J. Wang, "Fast generation of discrete random variables", J. Stat. Softw.
11(3), 2004.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELLS = 1 << 11  # of each rate's table: 2 KiB, so the rates in use stay in the cache
RATES = 256
STEP = 1.0 / 32.0  # the grid is (STEP r)^2, r = 0 .. RATES-1: up to 63.5 packets per slot
MAX_COUNT = 255  # numbers 0 .. 254 are in the table; P(254) is below 1e-70 on the grid
LEFT_OVER = 255  # marks cells that hold no number


class Tables(NamedTuple):
    """One row per rate of the grid.

    Attributes:
        number: ``(RATES * CELLS,)`` uint8, the number each cell holds, or `LEFT_OVER`.
        left_over: ``(RATES * MAX_COUNT,)`` float64, ``r +`` the cumulative distribution of the
            probability lost to rounding down at rate r; increasing over the whole array.
    """

    number: NDArray[np.uint8]
    left_over: NDArray[np.float64]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The tables of all rates, computed at the first call."""
    grid = (STEP * np.arange(RATES, dtype=np.float64))[:, None] ** 2
    grid[0] = 1.0  # stands in for 0, whose row is set below
    numbers = np.arange(MAX_COUNT, dtype=np.float64)
    log_factorial = np.cumsum(np.log(np.maximum(numbers, 1.0)))
    expected = np.exp(numbers * np.log(grid) - grid - log_factorial) * CELLS  # (RATES, MAX_COUNT)
    expected[0] = np.where(numbers == 0.0, CELLS, 0.0)
    filled = np.floor(expected)
    table = np.full((RATES, CELLS), LEFT_OVER, np.uint8)
    for row, cells in zip(table, filled.astype(np.int64), strict=True):
        row[: cells.sum()] = np.repeat(numbers, cells)
    left_over = np.cumsum(expected - filled, axis=1)
    left_over /= np.maximum(left_over[:, -1:], 1e-300)
    left_over[:, -1] = 1.0
    left_over += np.arange(RATES, dtype=np.float64)[:, None]
    return Tables(table.ravel(), left_over.ravel())


def poisson_slots(
    rng: np.random.Generator, rate: NDArray[np.float64], slots: int
) -> NDArray[np.float64]:
    """Independent Poisson numbers with mean ``rate`` in each of ``slots`` slots.

    Args:
        rng: Source of randomness.
        rate: ``(Q,)`` mean per slot, not negative. Rates beyond the grid use the generator's own
            ``poisson``.
        slots: ``T``, at least 1.

    Returns:
        ``(T, Q)`` whole numbers.
    """
    table = tables()
    queues = rate.size
    row = np.minimum(np.sqrt(rate) / STEP, RATES - 1).astype(np.int64)
    beyond = np.maximum(rate - (STEP * row) ** 2, 0.0)

    size = slots * queues
    words = rng.integers(0, 0xFFFF_FFFF_FFFF_FFFF, -(-size // 4), np.uint64, endpoint=True)
    cell = words.view(np.uint16)[:size].reshape(slots, queues)
    cell &= CELLS - 1
    count = table.number[cell + row * CELLS].ravel()
    again = np.flatnonzero(count == LEFT_OVER)
    row_again = row[again % queues]
    where = np.searchsorted(table.left_over, row_again + rng.random(again.size), side="right")
    count[again] = where - row_again * MAX_COUNT

    arrivals = count.astype(np.float64)
    large = rate > (STEP * RATES) ** 2
    scattered = rng.poisson(np.where(large, 0.0, beyond * slots))
    queue = np.repeat(np.arange(queues), scattered)
    np.add.at(arrivals, rng.integers(0, slots, queue.size) * queues + queue, 1.0)
    arrivals = arrivals.reshape(slots, queues)
    if large.any():
        arrivals[:, large] = rng.poisson(rate[large], (slots, int(large.sum())))
    return arrivals
