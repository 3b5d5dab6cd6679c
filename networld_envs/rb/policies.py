"""Behaviour and reference policies of RB, from weak to strong.

Local policies see what an agent sees: its observation and those of the nodes of conflicting
clusters. All nodes of a cluster hear the same beacon, so they reach the same decision. In ``cdmp``,
which has no beacon, they add up the queues of the nodes they hear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.physics.queueing import success_probability
from networld_envs.rb import task
from networld_envs.spec import Policy

QUEUE = task.OBSERVATION.index("queue")
CLUSTER_BACKLOG = task.OBSERVATION.index("cluster_backlog")

Rngs = Sequence[np.random.Generator]
Obs = NDArray[np.float32]
Table = NDArray[np.int32]
Actions = NDArray[np.int64]


def level_queues(
    params: task.Params, queue: NDArray[Any], cluster_backlog: NDArray[Any], capacity: float
) -> Actions:
    """Requests that bring the queues of a cluster to one level with ``capacity`` RBs.

    ``x_i = q_i - max(B - capacity, 0) / K``, rounded and clipped to [0, F]. A node can compute this
    alone, from its queue and the beacon. The head scales down requests that exceed the frame.

    Args:
        params: Parameters of the task.
        queue: ``(E, N)`` packets.
        cluster_backlog: ``(E, N)`` packets ``B`` in the node's cluster.
        capacity: RBs the cluster wants to occupy.
    """
    excess = np.maximum(np.asarray(cluster_backlog, dtype=np.float64) - capacity, 0.0)
    request = np.rint(queue - excess / params.nodes_per_cluster)
    return np.clip(request, 0, params.resource_blocks).astype(np.int64)


def random(params: task.Params, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """Uniform requests up to twice the fair share of the frame."""
    del neighbours, step
    most = min(2 * params.resource_blocks // params.nodes_per_cluster, params.resource_blocks)
    return np.stack([rng.integers(0, most + 1, size=obs.shape[1]) for rng in rngs])


def hard(params: task.Params, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """Always the fair share of the frame."""
    del neighbours, rngs, step
    share = params.resource_blocks // params.nodes_per_cluster
    return np.full(obs.shape[:2], share, dtype=np.int64)


def backlog(params: task.Params, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """One RB per waiting packet."""
    del neighbours, rngs, step
    return np.minimum(obs[..., QUEUE].astype(np.int64), params.resource_blocks)


def cap(
    params: task.Params, obs: Obs, neighbours: Table, rngs: Rngs, step: int, *, share: float = 0.5
) -> Actions:
    """Levelled queues within a fixed share of the frame."""
    del rngs, step
    own = _own_backlog(params, obs, neighbours)
    return level_queues(params, obs[..., QUEUE], own, share * params.resource_blocks)


def alternation(params: task.Params, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """Even clusters transmit in even frames, odd ones in odd frames, despite conflicts."""
    del rngs
    active = (_cluster(params, obs.shape[1]) + step) % 2 == 0
    own = _own_backlog(params, obs, neighbours)
    return _transmit(params, obs, own, np.broadcast_to(active, obs.shape[:2]))


def mean(params: task.Params, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """Transmit when the backlog of a node's own cluster is at least the neighbours' mean."""
    del rngs, step
    own = _own_backlog(params, obs, neighbours)
    theirs, present, _ = _their_backlogs(params, obs, neighbours)
    average = (theirs * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
    return _transmit(params, obs, own, own >= average)


def expert(params: task.Params, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """Longest queue first: transmit when no conflicting cluster has a larger backlog.

    Between equal backlogs, the cluster with the lower index transmits.
    """
    del rngs, step
    own = _own_backlog(params, obs, neighbours)
    theirs, present, cluster = _their_backlogs(params, obs, neighbours)
    earlier = cluster < _cluster(params, obs.shape[1])[:, None]
    loses = (theirs > own[..., None]) | ((theirs == own[..., None]) & earlier)
    return _transmit(params, obs, own, ~(loses & present).any(axis=-1))


def genie(
    params: task.Params, state: task.State, rngs: Rngs, step: int, *, sweeps: int = 10
) -> Actions:
    """Clusters switch on and off in turn until the whole graph's weighted service stops growing.

    Maximises ``sum_c B_c min(B_c, F) p_c`` over the active set (max-weight scheduling, Tassiulas
    and Ephremides, 1992) by best response. Each change raises the sum, so this converges.
    """
    del rngs, step
    nodes, frame = params.nodes_per_cluster, params.resource_blocks
    envs = np.arange(len(state.queue))
    backlogs = state.queue.reshape(len(envs), -1, nodes).sum(axis=2)  # (E, C)
    full_load = np.minimum(backlogs, frame) / frame
    weight = backlogs * full_load
    active = _longest_first(backlogs, state.conflicts)
    for _ in range(sweeps):
        before = active.copy()
        for c in range(params.num_clusters):
            value = []
            for choice in (False, True):
                active[:, c] = choice
                value.append(_weighted_service(params, state.conflicts, active, full_load, weight))
            active[:, c] = value[1] > value[0]
        if (active == before).all():
            break
    own = np.repeat(backlogs, nodes, axis=1)
    requests = level_queues(params, state.queue, own, frame)
    return requests * np.repeat(active, nodes, axis=1)


def _weighted_service(
    params: task.Params,
    conflicts: NDArray[np.int32],
    active: NDArray[np.bool_],
    full_load: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    success = success_probability(active * full_load, conflicts, params.conflict)
    return (weight * active * success).sum(axis=1)


def _longest_first(backlogs: NDArray[np.int64], conflicts: NDArray[np.int32]) -> NDArray[np.bool_]:
    """``(E, C)``: whether no conflicting cluster has a larger backlog; ties to lower indices."""
    theirs, present = _gather(backlogs, conflicts)
    own = backlogs[..., None]
    earlier = conflicts < np.arange(backlogs.shape[1])[:, None]
    return ~(present & ((theirs > own) | ((theirs == own) & earlier))).any(axis=-1)


def _cluster(params: task.Params, num_agents: int) -> NDArray[np.int64]:
    return np.arange(num_agents) // params.nodes_per_cluster


def _own_backlog(params: task.Params, obs: Obs, neighbours: Table) -> NDArray[np.float32]:
    """Packets ``(E, N)`` waiting in each node's cluster."""
    if params.observation == "beacon":
        return obs[..., CLUSTER_BACKLOG]
    mates, _ = _gather(obs[..., QUEUE], neighbours[..., : params.nodes_per_cluster - 1])
    return obs[..., QUEUE] + mates.sum(axis=-1)


def _their_backlogs(
    params: task.Params, obs: Obs, neighbours: Table
) -> tuple[NDArray[np.float32], NDArray[np.bool_], Table]:
    """Backlogs of the clusters heard, which entries exist, and the clusters' indices."""
    nodes = params.nodes_per_cluster
    if params.observation == "beacon":
        return *_gather(obs[..., CLUSTER_BACKLOG], neighbours), neighbours // nodes
    table = neighbours[..., nodes - 1 :]
    shape = (*table.shape[:2], params.cluster_degree, nodes)
    queues, present = (x.reshape(shape) for x in _gather(obs[..., QUEUE], table))
    return queues.sum(axis=-1), present[..., 0], table.reshape(shape)[..., 0] // nodes


def _transmit(
    params: task.Params, obs: Obs, own: NDArray[np.float32], active: NDArray[np.bool_]
) -> Actions:
    return level_queues(params, obs[..., QUEUE], own, params.resource_blocks) * active


def _gather(values: NDArray[Any], table: Table) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """``values (E, N)`` at ``table (E, N, D)``, and where the table has an entry."""
    env = np.arange(len(values))[:, None, None]
    return values[env, table], table >= 0


POLICIES: dict[str, Policy] = {
    p.name: p
    for p in (
        Policy("random", "random", "uniform requests up to twice the fair share", local=random),
        Policy("hard", "heuristic", "always the fair share", local=hard),
        Policy("backlog", "heuristic", "one block per waiting packet", local=backlog),
        Policy("alternation", "heuristic", "even and odd clusters in turn", local=alternation),
        Policy("mean", "heuristic", "transmit when above the neighbours' mean", local=mean),
        Policy("cap", "static", "levelled queues within half the frame", local=cap),
        Policy("expert", "expert", "longest queue first among neighbours", local=expert),
        Policy("genie", "genie", "max-weight activation of the whole graph", privileged=genie),
    )
}
