"""Compiled loops of the fluid model of network slicing, used by `networld_envs.ns.compiled`.

They add, multiply and compare in the same order as `networld_envs.ns.fluid`. Arrivals are whole
numbers, so every order of summation is exact.
"""

from __future__ import annotations

import numba  # pyright: ignore[reportMissingImports]
import numpy as np
from numpy.typing import NDArray

from networld_envs.ns.fluid_types import SUB_SLOT_S
from networld_envs.physics import arrivals

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

compile_loop = numba.njit(cache=True, error_model="numpy")
CELLS, LEFT_OVER = arrivals.CELLS, arrivals.LEFT_OVER
MAX_COUNT, RATES, STEP = arrivals.MAX_COUNT, arrivals.RATES, arrivals.STEP
LARGEST = (STEP * RATES) ** 2  # largest rate that the tables cover


@compile_loop
def nearby(table: NDArray[np.int32], utilisation: Doubles) -> Doubles:
    """`networld_envs.ns.cells.neighbour_utilisation`."""
    envs, cells = utilisation.shape
    nearby = np.empty((envs, cells))
    for e in range(envs):
        for n in range(cells):
            total = 0.0
            for neighbour in table[n]:
                if neighbour >= 0:
                    total += utilisation[e, neighbour]
            nearby[e, n] = total / 6.0
    return nearby


@compile_loop
def look_up(
    words: NDArray[np.uint16],
    rate: Doubles,
    number: NDArray[np.uint8],
    slots: int,
    counts: Doubles,
) -> tuple[Integers, Doubles, Integers, bool]:
    """First part of `networld_envs.physics.arrivals.poisson_slots`: numbers from the tables.

    Args:
        words: ``(>= T Q,)`` uint16, random.
        rate: ``(N, S)`` mean packets per slot; queue ``q = s N + n``.
        number: Table of `networld_envs.physics.arrivals`.
        slots: ``T``.
        counts: ``(T, Q)``, to be filled.

    Returns:
        Row of the table ``(Q,)``, mean of the rest in all slots ``(Q,)``, the places in ``counts``
        that are not filled yet, and whether a rate is beyond the tables.
    """
    cells, slices = rate.shape
    queues = cells * slices
    row, rest = np.empty(queues, np.int64), np.empty(queues)
    large = False
    for s in range(slices):
        for n in range(cells):
            mean, q = rate[n, s], s * cells + n
            row[q] = np.int64(min(np.sqrt(mean) / STEP, RATES - 1.0))
            grid = STEP * row[q]
            rest[q] = max(mean - grid * grid, 0.0) * slots
            if mean > LARGEST:
                rest[q], large = 0.0, True
    again = np.empty(slots * queues, np.int64)
    found = 0
    for t in range(slots):
        for q in range(queues):
            count = number[(words[t * queues + q] & (CELLS - 1)) + row[q] * CELLS]
            counts[t, q] = count
            again[found] = t * queues + q
            found += count == LEFT_OVER
    return row, rest, again[:found], large


@compile_loop
def draw_again(
    counts: Doubles, again: Integers, row: Integers, left_over: Doubles, uniform: Doubles
) -> None:
    """Second part: draw the numbers not in the tables, by bisection in the row's distribution."""
    queues = counts.shape[1]
    for i in range(len(again)):
        place = again[i]
        r = row[place % queues]
        key = r + uniform[i]
        low, high = 0, len(left_over)
        while low < high:
            middle = (low + high) // 2
            if left_over[middle] <= key:
                low = middle + 1
            else:
                high = middle
        counts[place // queues, place % queues] = low - r * MAX_COUNT


@compile_loop
def scatter(counts: Doubles, scattered: Integers, slot: Integers) -> None:
    """Third part: add the packets of the rest to their slots."""
    i = 0
    for q in range(counts.shape[1]):
        for _ in range(scattered[q]):
            counts[slot[i], q] += 1.0
            i += 1


@compile_loop
def serve(
    counts: Doubles,
    service: Doubles,
    deadlines: Integers,
    backlog: Doubles,
    packets: Doubles,
    in_time: Doubles,
    expired: Doubles,
    left: Doubles,
) -> None:
    """`networld_envs.physics.queueing.serve_before_deadline` of one environment.

    Args:
        counts: ``(T, S N)`` arrivals.
        service: ``(N, S)``.
        deadlines: ``(S,)``.
        backlog: ``(N, S, G)``.
        packets: ``(N, S)``, to be filled with all arrivals.
        in_time: ``(N, S)``, to be filled, as are the next two.
        expired: ``(N, S)``.
        left: ``(N, S, G)``.
    """
    slots, queues = counts.shape
    cells, slices, ages = backlog.shape
    arrived = np.zeros(queues)
    start, rate, lost = np.empty(queues), np.empty(queues), np.zeros(queues)
    cumulative = np.empty((ages + slots, queues))  # row ages-1+t is A(t), from H(0) = 0
    for s in range(slices):
        for n in range(cells):
            q = s * cells + n
            start[q], rate[q] = backlog[n, s, 0], service[n, s]
            for g in range(ages):
                cumulative[ages - 1 - g, q] = backlog[n, s, g]
    level, ceiling = np.zeros(queues), np.empty(queues)  # H(t) - service t
    for t in range(slots):
        for q in range(queues):
            arrived[q] += counts[t, q]
            cumulative[ages + t, q] = arrived[q] + start[q]
        for s in range(slices):
            past = cumulative[ages + 1 - deadlines[s] + t]
            for q in range(s * cells, (s + 1) * cells):
                drift = (t + 1.0) * rate[q]
                ceiling[q] = cumulative[ages + t, q] - drift
                floor = past[q] - drift
                lost[q] += max(floor - level[q], 0.0)
                level[q] = max(min(level[q], ceiling[q]), floor)
    for s in range(slices):
        for n in range(cells):
            q = s * cells + n
            departed = level[q] + slots * rate[q]
            if level[q] == ceiling[q]:
                departed = cumulative[ages + slots - 1, q]
            departed = max(departed, cumulative[ages + slots - deadlines[s], q])
            packets[n, s] = arrived[q]
            expired[n, s] = lost[q]
            in_time[n, s] = max(departed - lost[q], 0.0) if rate[q] > 0.0 else 0.0
            for g in range(ages):
                left[n, s, g] = max(cumulative[slots + ages - 1 - g, q] - departed, 0.0)


@compile_loop
def service(
    actions: NDArray[np.float32], efficiency: Doubles, band_hz: float, bits: Doubles
) -> tuple[Doubles, Doubles]:
    """Applied allocation and packets per sub-slot, both ``(E, N, S)``."""
    allocation = np.empty(actions.shape)
    service = np.empty(actions.shape)
    for e in range(actions.shape[0]):
        for n in range(actions.shape[1]):
            wanted = actions[e, n].astype(np.float64)
            total = wanted[0] + wanted[1] + wanted[2]
            scale = band_hz / max(total, band_hz)
            per_hz = efficiency[e, n] * SUB_SLOT_S
            for s in range(3):
                allocation[e, n, s] = wanted[s] * scale
                service[e, n, s] = allocation[e, n, s] * per_hz / bits[s]
    return allocation, service


@compile_loop
def outcome(
    in_time: Doubles, expired: Doubles, efficiency: Doubles, bits: Doubles, band_s_hz: float
) -> tuple[Doubles, Doubles]:
    """SSR ``(E, N, S)`` and utilisation ``(E, N)``."""
    envs, cells, slices = in_time.shape
    ssr, utilisation = np.ones((envs, cells, slices)), np.empty((envs, cells))
    for e in range(envs):
        for n in range(cells):
            served = in_time[e, n, 0] * bits[0] + in_time[e, n, 1] * bits[1]
            served += in_time[e, n, 2] * bits[2]
            utilisation[e, n] = min(served / (efficiency[e, n] * band_s_hz), 1.0)
            for s in range(slices):
                settled = in_time[e, n, s] + expired[e, n, s]
                if settled > 0.0:
                    ssr[e, n, s] = in_time[e, n, s] / settled
    return ssr, utilisation


@compile_loop
def observe(
    packets: Doubles,
    before: Doubles,
    allocation: Doubles,
    ssr: Doubles,
    efficiency: Doubles,
    backlog: Doubles,
    nearby: Doubles,
    bits: Doubles,
) -> NDArray[np.float32]:
    """Observations ``(E, N, 23)``; the columns are in `networld_envs.ns`."""
    envs, cells, slices = packets.shape
    obs = np.empty((envs, cells, 23), np.float32)
    for e in range(envs):
        for n in range(cells):
            row = obs[e, n]
            for s in range(slices):
                row[s] = packets[e, n, s]
                row[3 + s] = packets[e, n, s] * bits[s]
                row[6 + s] = before[e, n, s]
                row[9 + s] = before[e, n, s] * bits[s]
                row[12 + s] = allocation[e, n, s]
                row[15 + s] = ssr[e, n, s]
                row[19 + s] = backlog[e, n, s, 0]
            row[18] = efficiency[e, n]
            row[22] = nearby[e, n]
    return obs
