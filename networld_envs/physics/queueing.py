"""Queues: shared capacity, random access with conflicts, finite buffers, service with deadlines.

Every result of an environment depends on that environment's numbers only: sums run over fixed
axes and nothing is mixed across the leading (batch) axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def largest_remainder(
    requests: NDArray[np.int64], capacity: int, tie_break: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Grant integer requests; scale them down in proportion where they exceed the capacity.

    What rounding down leaves over goes, one unit each, to the largest fractional parts
    (Hamilton's method). Integer arithmetic: a group that exceeds gets exactly ``capacity``.

    Args:
        requests: ``(..., K)`` non-negative int64, one group per row.
        capacity: Units that one group shares, at least 0.
        tie_break: ``(..., K)`` in [0, 1): of equal fractional parts the larger one wins.

    Returns:
        ``(..., K)`` int64, at most ``requests``, at most ``capacity`` in a row.
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

    ``p_c = prod over neighbours c' of (1 - conflict * load_c')``: each neighbour occupies a
    share ``load_c'`` of the blocks at random and destroys a block it hits with probability
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
    """Lindley's recursion with a finite buffer: service first, then arrivals, excess dropped.

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
        in_time: ``(...)`` packets served within their deadline.
        expired: ``(...)`` packets removed because they were too old.
        backlog: ``(..., G)`` what is left, by age, in the form of the argument.
    """

    in_time: NDArray[np.float64]
    expired: NDArray[np.float64]
    backlog: NDArray[np.float64]


def serve_before_deadline(
    arrivals: NDArray[np.float64],
    service: NDArray[np.float64],
    deadlines: NDArray[np.int64],
    backlog: NDArray[np.float64],
) -> DeadlineService:
    """Fluid queues served oldest first, in slots, with a deadline on each packet's age.

    In a slot packets arrive, then up to ``service`` packets leave, oldest first, then packets
    that have been there for ``d`` slots, counting the one they arrived in, expire. With
    cumulative arrivals ``A(t)`` and cumulative departures ``H(t)``, served or expired::

        M(t) = min(H(t-1) + service, A(t))      after service
        H(t) = max(M(t), A(t-d+1))              after expiry

    so a packet that arrives in slot t leaves in time in one of the slots t .. t+d-1, or expires.

    Args:
        arrivals: ``(T, ..., S)`` packets arriving in each of ``T`` slots, ``S`` queue classes.
        service: ``(..., S)`` packets that can be served in one slot, constant over the ``T``.
        deadlines: ``(S,)`` deadline ``d`` in slots, 1 .. G+1.
        backlog: ``(..., S, G)`` packets queued at the start that arrived at least ``g`` slots
            before the last one, ``g = 0 .. G-1``: not increasing in ``g``, zero from ``d-1`` on.

    Returns:
        Packets served in time ``(..., S)``, expired ``(..., S)`` and the new ``backlog``. It
        conserves: ``backlog[..., 0] + sum(arrivals) == in_time + expired + new[..., 0]``.
    """
    slots = arrivals.shape[0]
    ages = backlog.shape[-1]
    # Cumulative arrivals counted from H(0) = 0: row ages-1+t is A(t). In the rows of the past,
    # packets that have left already are floored at zero, where they cannot bind.
    cumulative = np.empty((ages + slots, *arrivals.shape[1:]))
    cumulative[:ages] = np.moveaxis(backlog, -1, 0)[::-1]
    np.cumsum(arrivals, axis=0, out=cumulative[ages:])
    cumulative[ages:] += backlog[..., 0]

    after_service = cumulative[ages:].copy()
    after_expiry = np.empty((slots + 1, *arrivals.shape[1:]))
    after_expiry[0] = 0.0
    for index, deadline in enumerate(deadlines.tolist()):
        first = ages + 1 - deadline  # row of A(1-d+1)
        after_expiry[1:, ..., index] = cumulative[first : first + slots, ..., index]
    reach = np.empty_like(service)
    for before, served, after in zip(
        after_expiry[:-1], after_service, after_expiry[1:], strict=True
    ):
        np.add(before, service, out=reach)
        np.minimum(served, reach, out=served)
        np.maximum(after, served, out=after)

    in_time = (after_service - after_expiry[:-1]).sum(axis=0)
    expired = (after_expiry[1:] - after_service).sum(axis=0)
    left = np.maximum(cumulative[slots:] - after_expiry[-1], 0.0)[::-1]
    return DeadlineService(in_time, expired, np.moveaxis(left, 0, -1).copy())
