"""Queues: shared capacity, random access with conflicts, finite buffers, service with deadlines.

The results of an environment depend only on its own numbers: sums run over fixed axes, and nothing
is mixed across the leading (batch) axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def largest_remainder(
    requests: NDArray[np.int64], capacity: int, tie_break: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Grant integer requests, scaled down in proportion if they exceed the capacity.

    The units lost to rounding down go to the largest fractional parts, one unit each (Hamilton's
    method). With integer arithmetic, a group that exceeds the capacity gets exactly ``capacity``.

    Args:
        requests: ``(..., K)`` non-negative int64, one group per row.
        capacity: Units that one group shares, at least 0.
        tie_break: ``(..., K)`` in [0, 1): among equal fractional parts, the largest value wins.

    Returns:
        ``(..., K)`` int64, at most ``requests``; the sum of a row is at most ``capacity``.
    """
    total = requests.sum(axis=-1, keepdims=True)
    scaled = requests * capacity
    divisor = np.maximum(total, 1)
    floor = scaled // divisor
    key = (scaled - floor * divisor) + tie_break
    rank = np.argsort(np.argsort(-key, axis=-1), axis=-1)
    left_over = capacity - floor.sum(axis=-1, keepdims=True)
    return np.where(total > capacity, floor + (rank < left_over), requests)


def success_probability(
    load: NDArray[np.float64], neighbours: NDArray[np.int32], conflict: float
) -> NDArray[np.float64]:
    """Probability that no conflicting cluster hits a transmission.

    ``p_c = prod over neighbours c' of (1 - conflict * load_c')``: each neighbour occupies a random
    share ``load_c'`` of the blocks, and destroys a block that it hits with probability
    ``conflict``.

    Args:
        load: ``(E, C)`` share of the frame each cluster occupies, in [0, 1].
        neighbours: ``(E, C, D)`` int32, padded with -1.
        conflict: In [0, 1]; 0 decouples the clusters.

    Returns:
        ``(E, C)`` float64.
    """
    num_envs, degree = neighbours.shape[0], neighbours.shape[2]
    # Index -1 reads the appended column: padding survives with probability 1.
    survive = np.concatenate([1.0 - conflict * load, np.ones((num_envs, 1))], axis=1)
    env = np.arange(num_envs, dtype=np.int64)[:, None]
    probability = np.ones_like(load)
    for slot in range(degree):
        probability *= survive[env, neighbours[:, :, slot]]
    return probability


def finite_queue(
    queue: NDArray[np.int64],
    served: NDArray[np.int64],
    arrivals: NDArray[np.int64],
    buffer: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lindley's recursion with a finite buffer: service, then arrivals; the excess is dropped.

    Args:
        queue: Packets before the step, any shape.
        served: Packets that leave, at most ``queue``.
        arrivals: Packets that arrive.
        buffer: Packets that fit.

    Returns:
        The queue after the step and the packets dropped:
        ``queue + arrivals == served + dropped + new_queue`` exactly.
    """
    backlog = queue - served + arrivals
    dropped = np.maximum(backlog - buffer, 0)
    return backlog - dropped, dropped


class DeadlineService(NamedTuple):
    """Result of `serve_before_deadline`.

    Attributes:
        in_time: ``(S, ...)`` packets served within their deadline.
        expired: ``(S, ...)`` packets removed because they were too old.
        backlog: ``(G, S, ...)`` what is left, by age, in the form of the argument.
    """

    in_time: NDArray[np.float64]
    expired: NDArray[np.float64]
    backlog: NDArray[np.float64]


def serve_before_deadline(
    arrivals: NDArray[np.float64],
    service: NDArray[np.float64],
    deadlines: Sequence[int],
    backlog: NDArray[np.float64],
) -> DeadlineService:
    """Fluid queues served oldest first, in slots, with a deadline on each packet's age.

    In a slot packets arrive, then up to ``service`` packets leave, oldest first, then packets
    that have been there for ``d`` slots, counting the one they arrived in, expire. With
    cumulative arrivals ``A(t)`` and cumulative departures ``H(t)``, served or expired::

        M(t) = min(H(t-1) + service, A(t))      after service
        H(t) = max(M(t), A(t-d+1))              after expiry

    so a packet that arrives in slot t leaves in time in one of the slots t .. t+d-1, or expires.
    The code computes ``H(t) - service t``, which only moves when it meets a bound, so no sum is
    rounded.

    Args:
        arrivals: ``(T, S, ...)`` packets arriving in each of ``T`` slots, ``S`` queue classes.
        service: ``(S, ...)`` packets that can be served in one slot, constant over the ``T``.
        deadlines: ``S`` deadlines ``d`` in slots, each in 1 .. G+1.
        backlog: ``(G, S, ...)`` packets queued at the start that arrived at least ``g`` slots
            before the last one, ``g = 0 .. G-1``; non-increasing in ``g``, zero from ``d-1`` on.

    Returns:
        Packets served in time ``(S, ...)``, expired ``(S, ...)`` and the new ``backlog``.
        Packets are conserved: ``backlog[0] + sum(arrivals) == in_time + expired + new[0]``.
    """
    slots, ages = len(arrivals), len(backlog)
    service = np.ascontiguousarray(service)
    # Cumulative arrivals counted from H(0) = 0: row ages-1+t is A(t). Rows of the past are zero
    # at least, although packets that have left would make them negative; there they cannot bind.
    cumulative = np.empty((ages + slots, *service.shape))
    cumulative[:ages] = backlog[::-1]
    cumulative[ages:] = arrivals
    _cumulate(cumulative[ages:].reshape(slots, -1))
    cumulative[ages:] += backlog[0]

    drift = np.arange(1.0, slots + 1.0).reshape(-1, *(1,) * service.ndim) * service
    high = cumulative[ages:] - drift
    low = drift
    for index, deadline in enumerate(deadlines):
        first = ages + 1 - deadline  # row of A(1-d+1)
        past = cumulative[first : first + slots, index]
        np.subtract(past, drift[:, index], out=low[:, index])
    level = np.empty((slots + 1, *service.shape))
    level[0] = 0.0
    _clamp_in_turn(*(x.reshape(len(x), -1) for x in (low, high, level)))

    low -= level[:-1]
    expired = np.maximum(low, 0.0, out=low).sum(axis=0)
    # Departures from the level: exactly A(T) where the queue is empty, and at least A(T-d+1).
    departed = level[-1] + slots * service
    empty = level[-1] == high[-1]
    departed[empty] = cumulative[-1][empty]
    floor = np.stack([cumulative[-deadline, index] for index, deadline in enumerate(deadlines)])
    departed = np.maximum(departed, floor)
    in_time = np.where(service > 0.0, np.maximum(departed - expired, 0.0), 0.0)
    left = np.maximum(cumulative[slots:] - departed, 0.0)[::-1]
    return DeadlineService(in_time, expired, left)


def _cumulate(rows: NDArray[np.float64]) -> None:
    """Cumulative sum over the first axis in place, by doubling; ``cumsum`` is slower there."""
    shift = 1
    while shift < len(rows):
        rows[shift:] += rows[:-shift]
        shift *= 2


def _clamp_in_turn(
    low: NDArray[np.float64], high: NDArray[np.float64], level: NDArray[np.float64]
) -> None:
    """Fill ``level[t+1] = max(min(level[t], high[t]), low[t])``, row by row from ``level[0]``.

    Two successive clamps are equivalent to one clamp. Where rows are short, so that calls cost more
    than arithmetic, pairs are joined first, which halves the number of rows. The result is the
    same, because nothing is rounded.

    Args:
        low: ``(T, Q)``.
        high: ``(T, Q)``, at least ``low``.
        level: ``(T+1, Q)``; row 0 is given.
    """
    pairs = len(low) // 2
    if pairs < 4 or low.shape[1] > 128:
        for least, most, before, after in zip(low, high, level[:-1], level[1:], strict=True):
            np.minimum(before, most, out=after)
            np.maximum(after, least, out=after)
        return
    first, second = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
    both_low = np.maximum(np.minimum(low[first], high[second]), low[second])
    both_high = np.maximum(np.minimum(high[first], high[second]), low[second])
    _clamp_in_turn(both_low, both_high, level[: 2 * pairs + 1 : 2])
    level[second] = np.maximum(np.minimum(level[first], high[first]), low[first])
    if len(low) % 2:
        level[-1] = np.maximum(np.minimum(level[-2], high[-1]), low[-1])
