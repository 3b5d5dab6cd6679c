"""Compiled loops of resource-block scheduling, used by `networld_envs.rb.compiled`.

They add, multiply and compare in the same order as `networld_envs.rb.task` and
`networld_envs.physics.queueing`.
"""

from __future__ import annotations

import numba  # pyright: ignore[reportMissingImports]
import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

compile_loop = numba.njit(cache=True, error_model="numpy")
MOST_NODES = 16
"""Nodes of a cluster up to which NumPy sorts by insertion, which keeps the order of equal keys."""


@compile_loop
def share_out(requests: Integers, frame: int, tie_break: Doubles, grants: Integers) -> int:
    """`networld_envs.physics.queueing.largest_remainder` of one cluster ``(K,)``.

    Args:
        requests: ``(K,)``.
        frame: Blocks to share.
        tie_break: ``(K,)``.
        grants: ``(K,)``, to be filled.

    Returns:
        The sum of the grants.
    """
    nodes, total = len(requests), 0
    for k in range(nodes):
        total += requests[k]
    if total <= frame:
        grants[:] = requests
        return total
    key = np.empty(nodes)
    left_over = frame
    for k in range(nodes):
        scaled = requests[k] * frame
        grants[k] = scaled // total
        left_over -= grants[k]
        key[k] = (scaled - grants[k] * total) + tie_break[k]
    for k in range(nodes):
        rank = 0
        for other in range(nodes):
            first = key[other] > key[k] or (key[other] == key[k] and other < k)
            rank += first
        grants[k] += rank < left_over
    return frame


@compile_loop
def before_draws(
    requests: Integers,
    uniform: Doubles,
    queue: Integers,
    conflicts: NDArray[np.int32],
    weights: Doubles,
    burst: NDArray[np.bool_],
    frame: int,
    conflict: float,
    flip: float,
    arrivals: tuple[float, float],
) -> tuple[Integers, Integers, Doubles, NDArray[np.bool_], Doubles]:
    """What a frame needs before packets get through and arrive.

    Args:
        requests: ``(E, N)``.
        uniform: ``(E, N + C)`` in [0, 1): tie breaks, then bursts.
        queue: ``(E, N)``.
        conflicts: ``(E, C, D)``, padded with -1.
        weights: ``(E, N)``.
        burst: ``(E, C)``.
        frame: Blocks of a frame.
        conflict: `Params.conflict`.
        flip: `Params.burst_flip`.
        arrivals: Mean packets of a cluster per frame in the low and in the high state.

    Returns:
        Grants, packets sent and the probability that one gets through ``(E, N)``, burst ``(E, C)``,
        and mean arrivals ``(E, N)``.
    """
    (envs, agents), (_, clusters, degree) = requests.shape, conflicts.shape
    nodes = agents // clusters
    grants, sent = np.empty((envs, agents), np.int64), np.empty((envs, agents), np.int64)
    success, mean = np.empty((envs, agents)), np.empty((envs, agents))
    after = np.empty((envs, clusters), np.bool_)
    survive = np.empty(clusters)
    for e in range(envs):
        for c in range(clusters):
            own = slice(c * nodes, (c + 1) * nodes)
            total = share_out(requests[e, own], frame, uniform[e, own], grants[e, own])
            survive[c] = 1.0 - conflict * (total / frame)
            after[e, c] = burst[e, c] ^ (uniform[e, agents + c] < flip)
        for c in range(clusters):
            probability = 1.0
            for d in range(degree):
                other = conflicts[e, c, d]
                if other >= 0:
                    probability *= survive[other]
            level = arrivals[1] if after[e, c] else arrivals[0]
            for n in range(c * nodes, (c + 1) * nodes):
                success[e, n] = probability
                mean[e, n] = weights[e, n] * level
                sent[e, n] = min(grants[e, n], queue[e, n])
    return grants, sent, success, after, mean


@compile_loop
def observe(
    arrivals: Integers,
    queue: Integers,
    grants: Integers,
    served: Integers,
    sent: Integers,
    requests: Integers,
    clusters: int,
    frame: int,
) -> NDArray[np.float32]:
    """Observations ``(E, N, 8)``; the columns are in `networld_envs.rb`."""
    envs, agents = queue.shape
    nodes = agents // clusters
    obs = np.empty((envs, agents, 8), np.float32)
    for e in range(envs):
        for c in range(clusters):
            backlog = granted = 0
            for n in range(c * nodes, (c + 1) * nodes):
                backlog += queue[e, n]
                granted += grants[e, n]
            for n in range(c * nodes, (c + 1) * nodes):
                row = obs[e, n]
                row[0] = arrivals[e, n]
                row[1] = queue[e, n]
                row[2] = grants[e, n]
                row[3] = served[e, n]
                row[4] = backlog
                row[5] = np.float32(granted) / np.float32(frame)
                row[6] = served[e, n] / max(sent[e, n], 1)
                row[7] = requests[e, n]
    return obs
