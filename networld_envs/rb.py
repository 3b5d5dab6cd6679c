"""Resource-block scheduling in clustered ad hoc networks, MF-TDMA medium access (task ``rb``).

Nodes form clusters. Each frame (one step, 20 ms) every node asks its cluster head for resource
blocks (RBs) out of the ``channels x slots`` of the frame. Clusters whose heads are close use the
same spectrum without a common scheduler, so what one cluster occupies destroys what its
neighbours send. Nodes must find out, from their own and their neighbours' reports, who should
transmit when; all share the cost of long queues.

Model
-----
In frame t node i of cluster c requests ``x_i`` RBs. With ``F = channels * slots``::

    g_i   = x_i, scaled down with largest remainders where a cluster's requests exceed F
    u_c   = sum of g_i in c / F                                      cluster load
    p_c   = prod over conflicting clusters c' of (1 - kappa u_c')    success probability
    S_i   ~ Binomial(min(g_i, q_i), p_c)                             packets served; 1 RB each
    m_c   changes state with probability burst_flip                  cluster burst, 2 states
    a_i   ~ Poisson(rho F w_i m_c)                                   arrivals
    q_i  <- min(q_i - S_i + a_i, buffer), the excess d_i is dropped

``w_i`` are log-normal and sum to 1 in a cluster; ``m_c`` is ``burst_low`` or ``burst_high``.
Equal remainders are drawn by lot. At reset the bursts start in either state; cluster c starts with
backlogs ``floor(s_c U_i)``, ``s_c ~ U(0, 1)``, ``U_i ~ U(0, initial_backlog + 1)``.

Every node belongs to one cluster: there are no gateways. ``topology`` says which clusters are in
conflict:

* ``random``: heads uniform in the unit square, in conflict when nearer than ``conflict_radius``,
  drawn again until the graph is connected and not bipartite. For a few clusters.
* ``bounded``: the same for any number of clusters. Sides grow as ``sqrt(num_clusters / 6)`` in
  units of ``conflict_radius``, no cluster has more than ``max_degree`` conflicts, and parts are
  joined by their shortest links (`networld_envs.physics.graphs.bounded_conflict_graph`).
* ``ring``: each cluster conflicts with the next and the previous one.
* ``edges``: the given list of pairs of clusters.

Observation (8 numbers, packet counts as they are)
--------------------------------------------------

===== ================ ======================================================== ================
index name             meaning                                                  range
===== ================ ======================================================== ================
0     arrivals         packets that arrived in the last frame                   [0, inf)
1     queue            packets waiting                                          [0, buffer]
2     grant            RBs granted in the last frame                            [0, F]
3     served           packets served in the last frame                         [0, F]
4     cluster_backlog  packets waiting in the own cluster (the head's beacon)   [0, K buffer]
5     cluster_load     share of the last frame the own cluster occupied         [0, 1]
6     success_ratio    served / sent in the last frame, 0 when nothing was sent [0, 1]
7     request          RBs requested in the last frame: the last action         [0, F]
===== ================ ======================================================== ================

Observation ``cdmp`` is arrivals and queue alone (2 numbers), as in the planner of [P]; there is no
beacon then, and the last action is not observed.

Action: ``Discrete(F + 1)``, RBs requested, an ordered integer.

Neighbours: the nodes of conflicting clusters (static; not the own cluster, which the beacon
covers; without a beacon, in ``cdmp``, the other nodes of the own cluster come first). Agent ``i``
is node ``i % K`` of cluster ``i // K``, ``K = nodes_per_cluster``.

Reward of an agent::

    r_i = -queue_cost q_i - drop_cost d_i - unused_cost max(g_i - q_i(before), 0)

Parameters
----------

================== =============== ========= ===================================================
name               unit            default   source
================== =============== ========= ===================================================
num_clusters       clusters        6         [P] 24 nodes
nodes_per_cluster  nodes           4         [P] 24 nodes
channels           channels        4         [P]
slots              slots           10        [P]
topology                           random    [C] or ``bounded``, ``ring``, ``edges``
edges              pairs           none      [C] conflicting clusters, for ``edges``
conflict_radius    sides of square 0.5       [C] mean degree 2.9
max_degree         clusters        none      [C] none: ``num_clusters - 1``; ring 2,
                                             bounded 6, edges: the graph's
conflict           probability     0.7       [C] kappa
buffer             packets         50        [C]
load               of F            0.17      [C] rho, mean arrivals per cluster and frame
weight_sigma       log-normal      0.5       [C]
burst_low          of the mean     0.2       [C]
burst_high         of the mean     1.8       [C]
burst_flip         probability     0.06      [C]
initial_backlog    packets         25        [C]
observation                        beacon    [C] or ``cdmp`` [P]
queue_cost         1/packet        0.1       [C]
drop_cost          1/packet        0.5       [C]
unused_cost        1/RB            0.01      [C]
================== =============== ========= ===================================================

Episodes end by truncation only. Presets: ``default``; ``cdmp``, the default network seen as in [P];
``ring6``, six clusters on a ring at load 0.20; ``nodes12`` (3 clusters), ``nodes96`` (24) and
``nodes1000`` (250) of bounded degree.

Sources: [P] Meng et al., "Conditional diffusion model with OOD mitigation as high-dimensional
offline resource allocation planner in clustered ad hoc networks", IEEE Trans. Commun. 73(12),
2025, for the frame and the number of nodes; the multi-agent model is ours [C].

Version history: v0, first version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from networld_envs.physics.graphs import (
    ConflictGraph,
    bounded_conflict_graph,
    edge_list_graph,
    random_conflict_graph,
    ring_graph,
)
from networld_envs.physics.queueing import finite_queue, largest_remainder, success_probability
from networld_envs.rb_model import LAST_ACTION, OBSERVATION, Params, State
from networld_envs.spec import TaskSpec

__all__ = [
    "AGENT",
    "NAME",
    "OBSERVATION",
    "PRESETS",
    "Params",
    "State",
    "action_space",
    "global_state",
    "layout",
    "metrics",
    "neighbours",
    "observation_space",
    "observe",
    "reset",
    "reward",
    "spec",
    "transition",
]

NAME = "rb"
AGENT = "node"
BOUNDED_RADIUS = 0.4
"""Gives graphs of bounded degree about the mean degree of the default: 2.8 with 24 clusters."""

PRESETS: dict[str, Params] = {
    "default": Params(),
    "cdmp": Params(observation="cdmp"),
    "ring6": Params(topology="ring", load=0.20),
    "nodes12": Params(num_clusters=3),
    "nodes96": Params(num_clusters=24, topology="bounded", conflict_radius=BOUNDED_RADIUS),
    "nodes1000": Params(num_clusters=250, topology="bounded", conflict_radius=BOUNDED_RADIUS),
}


def spec(params: Params) -> TaskSpec:
    """Sizes and bounds for learners."""
    return TaskSpec(
        task=NAME,
        num_agents=params.num_agents,
        obs_dim=len(params.columns),
        action_kind="ordered",
        action_dim=1,
        action_low=(0.0,),
        action_high=(float(params.resource_blocks),),
        neighbour_slots=_mates(params) + params.cluster_degree * params.nodes_per_cluster,
        last_action=tuple(i for i, name in enumerate(params.columns) if name in LAST_ACTION),
    )


def observation_space(params: Params) -> Box:
    """Observation of one agent, float32; counts end at the largest finite float32."""
    unbounded = np.finfo(np.float32).max  # Gymnasium's checker refuses an infinite bound
    frame, buffer = params.resource_blocks, params.buffer
    high = [unbounded, buffer, frame, frame, params.nodes_per_cluster * buffer, 1.0, 1.0, frame]
    high = high[: len(params.columns)]
    return Box(np.zeros(len(high), np.float32), np.array(high, np.float32), dtype=np.float32)


def action_space(params: Params) -> Discrete:
    """Action of one agent: RBs requested, 0 .. F."""
    return Discrete(params.resource_blocks + 1)


def reset(params: Params, rngs: Sequence[np.random.Generator]) -> State:
    """New topologies, weights, burst states and backlogs.

    Args:
        params: Parameters of the task.
        rngs: One generator per environment.

    Raises:
        ValueError: If no admissible conflict graph is found (see `random_conflict_graph`).
    """
    clusters, nodes, agents = params.num_clusters, params.nodes_per_cluster, params.num_agents
    graphs: list[ConflictGraph] = []
    weights = np.empty((len(rngs), agents))
    burst = np.empty((len(rngs), clusters), dtype=np.bool_)
    queue = np.empty((len(rngs), agents), dtype=np.int64)
    for e, rng in enumerate(rngs):
        graphs.append(_conflict_graph(params, rng))
        raw = np.exp(params.weight_sigma * rng.standard_normal((clusters, nodes)))
        weights[e] = (raw / raw.sum(axis=1, keepdims=True)).ravel()
        burst[e] = rng.random(clusters) < 0.5
        scale = np.repeat(rng.random(clusters), nodes)
        queue[e] = np.floor(scale * (params.initial_backlog + 1) * rng.random(agents))
    none = np.zeros((len(rngs), agents), dtype=np.int64)
    return State(
        heads=np.stack([graph.positions for graph in graphs]),
        conflicts=np.stack([graph.neighbours for graph in graphs]),
        weights=weights,
        burst=burst,
        queue=queue,
        arrivals=none,
        requests=none,
        grants=none,
        sent=none,
        served=none,
        dropped=none,
    )


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """What every agent sees, ``(E, N, 8)`` float32; ``(E, N, 2)`` in ``cdmp``."""
    if params.observation == "cdmp":
        return np.stack([state.arrivals, state.queue], axis=-1).astype(np.float32)
    obs = np.empty((*state.queue.shape, len(OBSERVATION)), dtype=np.float32)
    nodes = params.nodes_per_cluster
    obs[..., 0] = state.arrivals
    obs[..., 1] = state.queue
    obs[..., 2] = state.grants
    obs[..., 3] = state.served
    obs[..., 4] = _cluster_sum(params, state.queue).repeat(nodes, axis=1)
    obs[..., 5] = _cluster_sum(params, state.grants).repeat(nodes, axis=1)
    obs[..., 5] /= params.resource_blocks
    obs[..., 6] = state.served / np.maximum(state.sent, 1)
    obs[..., 7] = state.requests
    return obs


def transition(
    params: Params,
    state: State,
    actions: NDArray[np.integer[Any]],
    rngs: Sequence[np.random.Generator],
) -> State:
    """One frame.

    Args:
        params: Parameters of the task.
        state: State at the start of the frame.
        actions: ``(E, N)`` integers in [0, F].
        rngs: One generator per environment.
    """
    envs, agents = state.queue.shape
    clusters, nodes, frame = params.num_clusters, params.nodes_per_cluster, params.resource_blocks
    uniform = np.stack([rng.random(agents + clusters) for rng in rngs])  # lots, then bursts
    requests = actions.astype(np.int64)
    grouped = (envs, clusters, nodes)
    grants = largest_remainder(
        requests.reshape(grouped), frame, uniform[:, :agents].reshape(grouped)
    ).reshape(envs, agents)
    load = _cluster_sum(params, grants) / frame
    success = success_probability(load, state.conflicts, params.conflict)
    success = success.repeat(nodes, axis=1)
    burst = state.burst ^ (uniform[:, agents:] < params.burst_flip)
    mean_arrivals = _mean_arrivals(params, state.weights, burst)
    sent = np.minimum(grants, state.queue)
    served = np.empty_like(sent)
    arrivals = np.empty_like(sent)
    for e, rng in enumerate(rngs):
        served[e] = rng.binomial(sent[e], success[e])
        arrivals[e] = rng.poisson(mean_arrivals[e])
    queue, dropped = finite_queue(state.queue, served, arrivals, params.buffer)
    return State(
        heads=state.heads,
        conflicts=state.conflicts,
        weights=state.weights,
        burst=burst,
        queue=queue,
        arrivals=arrivals,
        requests=requests,
        grants=grants,
        sent=sent,
        served=served,
        dropped=dropped,
    )


def reward(
    params: Params, state: State, actions: NDArray[np.integer[Any]], next_state: State
) -> NDArray[np.float32]:
    """Reward of every agent, ``(E, N)`` float32."""
    del state, actions
    unused = next_state.grants - next_state.sent
    cost = (
        params.queue_cost * next_state.queue
        + params.drop_cost * next_state.dropped
        + params.unused_cost * unused
    )
    return (-cost).astype(np.float32)


def neighbours(params: Params, state: State) -> NDArray[np.int32]:
    """Nodes of conflicting clusters, ``(E, N, D K)`` int32, padded with -1 at the end.

    In ``cdmp`` the ``K - 1`` other nodes of the own cluster come first.
    """
    nodes = params.nodes_per_cluster
    envs, clusters, degree = state.conflicts.shape
    table = state.conflicts[..., None] * nodes + np.arange(nodes, dtype=np.int32)
    table[state.conflicts < 0] = -1
    table = np.repeat(table.reshape(envs, clusters, degree * nodes), nodes, axis=1)
    if not _mates(params):
        return table
    member = np.arange(nodes, dtype=np.int32)
    mates = (member[:, None] + member[1:]) % nodes  # (K, K - 1)
    own = np.arange(clusters, dtype=np.int32)[:, None, None] * nodes + mates
    own = np.broadcast_to(own.reshape(clusters * nodes, nodes - 1), (*table.shape[:2], nodes - 1))
    return np.concatenate([own, table], axis=2)


def metrics(params: Params, state: State) -> dict[str, NDArray[Any]]:
    """What the last frame did, each ``(E, N)``; zeros right after reset."""
    del params
    return {
        "arrivals": state.arrivals,
        "request": state.requests,
        "grant": state.grants,
        "sent": state.sent,
        "served": state.served,
        "dropped": state.dropped,
    }


def global_state(params: Params, state: State) -> NDArray[np.float32]:
    """Everything that matters, ``(E, 9 N + 2 C)`` float32, for centralised training.

    All observations (with beacon, whatever ``observation`` is), the mean arrivals of every node in
    the present burst state, and the heads' positions.
    """
    envs = len(state.queue)
    parts = (
        observe(replace(params, observation="beacon"), state).reshape(envs, -1),
        _mean_arrivals(params, state.weights, state.burst),
        state.heads.reshape(envs, -1),
    )
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")


def layout(params: Params, state: State) -> NDArray[np.float64]:
    """Positions for drawing, ``(E, N, 2)``: the nodes of a cluster on a circle around its head."""
    angle = 2.0 * np.pi * (np.arange(params.nodes_per_cluster) + 0.5) / params.nodes_per_cluster
    circle = 0.05 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (K, 2)
    positions = state.heads[:, :, None] + circle
    return positions.reshape(len(state.heads), params.num_agents, 2)


def _conflict_graph(params: Params, rng: np.random.Generator) -> ConflictGraph:
    clusters, degree = params.num_clusters, params.cluster_degree
    if params.topology == "ring":
        return ring_graph(clusters, degree)
    if params.topology == "edges":
        return edge_list_graph(clusters, params.edges or (), degree)
    make = bounded_conflict_graph if params.topology == "bounded" else random_conflict_graph
    return make(rng, clusters, params.conflict_radius, degree)


def _mates(params: Params) -> int:
    """Nodes of the own cluster in the neighbour table: without a beacon all the others."""
    return params.nodes_per_cluster - 1 if params.observation == "cdmp" else 0


def _cluster_sum(params: Params, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum over the nodes of each cluster: ``(E, N)`` to ``(E, C)``."""
    return values.reshape(-1, params.num_clusters, params.nodes_per_cluster).sum(axis=2)


def _mean_arrivals(
    params: Params, weights: NDArray[np.float64], burst: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Mean packets per frame of every node in the present burst state, ``(E, N)``."""
    level = np.where(burst, params.burst_high, params.burst_low)
    per_cluster = params.load * params.resource_blocks * level
    return weights * per_cluster.repeat(params.nodes_per_cluster, axis=1)
