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
Equal remainders are drawn by lot. At reset heads are uniform in the unit square, drawn again
until the conflict graph (heads nearer than ``conflict_radius``) is connected and not bipartite;
the bursts start in either state; cluster c starts with backlogs
``floor(s_c U_i)``, ``s_c ~ U(0, 1)``, ``U_i ~ U(0, initial_backlog + 1)``.

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

Action: ``Discrete(F + 1)``, RBs requested, an ordered integer.

Neighbours: the nodes of conflicting clusters (static; not the own cluster, which the beacon
covers). Agent ``i`` is node ``i % K`` of cluster ``i // K``, ``K = nodes_per_cluster``.

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
topology                           random    [C] or ``ring``
conflict_radius    sides of square 0.5       [C] mean degree 2.9
max_degree         clusters        none      [C] none: ``num_clusters - 1`` (ring: 2)
conflict           probability     0.7       [C] kappa
buffer             packets         50        [C]
load               of F            0.17      [C] rho, mean arrivals per cluster and frame
weight_sigma       log-normal      0.5       [C]
burst_low          of the mean     0.2       [C]
burst_high         of the mean     1.8       [C]
burst_flip         probability     0.06      [C]
initial_backlog    packets         25        [C]
queue_cost         1/packet        0.1       [C]
drop_cost          1/packet        0.5       [C]
unused_cost        1/RB            0.01      [C]
================== =============== ========= ===================================================

Episodes end by truncation only. Preset ``ring6``: six clusters on a ring at load 0.20.

Sources: [P] Meng et al., "Conditional diffusion model with OOD mitigation as high-dimensional
offline resource allocation planner in clustered ad hoc networks", IEEE Trans. Commun. 73(12),
2025, for the frame and the number of nodes; the multi-agent model is ours [C].

Version history: v0, first version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from networld_envs.physics.queueing import finite_queue, largest_remainder, success_probability
from networld_envs.physics.topology import ConflictGraph, random_conflict_graph, ring_graph
from networld_envs.spec import TaskSpec

NAME = "rb"
AGENT = "node"

OBSERVATION = (
    "arrivals",
    "queue",
    "grant",
    "served",
    "cluster_backlog",
    "cluster_load",
    "success_ratio",
    "request",
)


@dataclass(frozen=True)
class Params:
    """Parameters of the task; the module's table gives units and sources.

    Raises:
        ValueError: If a value is out of range.
    """

    num_clusters: int = 6
    nodes_per_cluster: int = 4
    channels: int = 4
    slots: int = 10
    topology: Literal["random", "ring"] = "random"
    conflict_radius: float = 0.5
    max_degree: int | None = None
    conflict: float = 0.7
    buffer: int = 50
    load: float = 0.17
    weight_sigma: float = 0.5
    burst_low: float = 0.2
    burst_high: float = 1.8
    burst_flip: float = 0.06
    initial_backlog: int = 25
    queue_cost: float = 0.1
    drop_cost: float = 0.5
    unused_cost: float = 0.01

    def __post_init__(self) -> None:
        inf = float("inf")
        for name, low, high in (
            ("num_clusters", 1, inf),
            ("nodes_per_cluster", 1, inf),
            ("channels", 1, inf),
            ("slots", 1, inf),
            ("buffer", 1, inf),
            ("initial_backlog", 0, self.buffer),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be an integer in [{low}, {high}], got {value!r}")
        for name, low, high in (
            ("conflict_radius", 0.0, inf),
            ("conflict", 0.0, 1.0),
            ("load", 0.0, 1e6),
            ("weight_sigma", 0.0, 10.0),
            ("burst_low", 0.0, 1e3),
            ("burst_high", 0.0, 1e3),
            ("burst_flip", 0.0, 1.0),
            ("queue_cost", 0.0, inf),
            ("drop_cost", 0.0, inf),
            ("unused_cost", 0.0, inf),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number in [{low}, {high}], got {value!r}")
            if not (low <= value <= high and value < inf):
                raise ValueError(f"{name} must be finite and in [{low}, {high}], got {value!r}")
        if self.topology not in ("random", "ring"):
            raise ValueError(f"topology must be 'random' or 'ring', got {self.topology!r}")
        lowest = min(2, self.num_clusters - 1)
        if self.max_degree is not None and not lowest <= self.max_degree < self.num_clusters:
            raise ValueError(
                f"max_degree must be None or in [{lowest}, {self.num_clusters - 1}], "
                f"got {self.max_degree!r}"
            )

    @property
    def num_agents(self) -> int:
        """Nodes ``N``."""
        return self.num_clusters * self.nodes_per_cluster

    @property
    def resource_blocks(self) -> int:
        """RBs ``F`` of a frame."""
        return self.channels * self.slots

    @property
    def cluster_degree(self) -> int:
        """Width of the table of conflicting clusters."""
        if self.max_degree is not None:
            return self.max_degree
        return min(2, self.num_clusters - 1) if self.topology == "ring" else self.num_clusters - 1


PRESETS: dict[str, Params] = {"default": Params(), "ring6": Params(topology="ring", load=0.20)}


@dataclass(frozen=True)
class State:
    """One frame boundary of ``E`` networks with ``C`` clusters and ``N = C K`` nodes.

    Attributes:
        heads: ``(E, C, 2)`` float64, positions of the cluster heads in the unit square.
        conflicts: ``(E, C, D)`` int32, conflicting clusters, padded with -1.
        weights: ``(E, N)`` float64, share of its cluster's arrivals.
        burst: ``(E, C)`` bool, True in the high state.
        queue: ``(E, N)`` int64, packets waiting.
        arrivals: ``(E, N)`` int64, packets that arrived in the last frame.
        requests: ``(E, N)`` int64, RBs requested for the last frame.
        grants: ``(E, N)`` int64, RBs granted in the last frame.
        sent: ``(E, N)`` int64, packets sent in the last frame.
        served: ``(E, N)`` int64, packets that got through.
        dropped: ``(E, N)`` int64, packets dropped at the full buffer.
    """

    heads: NDArray[np.float64]
    conflicts: NDArray[np.int32]
    weights: NDArray[np.float64]
    burst: NDArray[np.bool_]
    queue: NDArray[np.int64]
    arrivals: NDArray[np.int64]
    requests: NDArray[np.int64]
    grants: NDArray[np.int64]
    sent: NDArray[np.int64]
    served: NDArray[np.int64]
    dropped: NDArray[np.int64]


def spec(params: Params) -> TaskSpec:
    """Sizes and bounds for learners."""
    return TaskSpec(
        task=NAME,
        num_agents=params.num_agents,
        obs_dim=len(OBSERVATION),
        action_kind="ordered",
        action_dim=1,
        action_low=(0.0,),
        action_high=(float(params.resource_blocks),),
        neighbour_slots=params.cluster_degree * params.nodes_per_cluster,
    )


def observation_space(params: Params) -> Box:
    """Observation of one agent, ``(8,)`` float32; counts end at the largest finite float32."""
    unbounded = np.finfo(np.float32).max  # Gymnasium's checker refuses an infinite bound
    frame, buffer = params.resource_blocks, params.buffer
    high = [unbounded, buffer, frame, frame, params.nodes_per_cluster * buffer, 1.0, 1.0, frame]
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
        if params.topology == "ring":
            graphs.append(ring_graph(clusters, params.cluster_degree))
        else:
            graphs.append(
                random_conflict_graph(rng, clusters, params.conflict_radius, params.cluster_degree)
            )
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
    """What every agent sees, ``(E, N, 8)`` float32."""
    obs = np.empty((*state.queue.shape, len(OBSERVATION)), dtype=np.float32)
    nodes = params.nodes_per_cluster
    obs[..., 0] = state.arrivals
    obs[..., 1] = state.queue
    obs[..., 2] = state.grants
    obs[..., 3] = state.served
    obs[..., 4] = np.repeat(_cluster_sum(params, state.queue), nodes, axis=1)
    obs[..., 5] = np.repeat(_cluster_sum(params, state.grants), nodes, axis=1)
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
    success = np.repeat(success, nodes, axis=1)
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
    """Nodes of conflicting clusters, ``(E, N, D K)`` int32, padded with -1 at the end."""
    nodes = params.nodes_per_cluster
    envs, clusters, degree = state.conflicts.shape
    table = state.conflicts[..., None] * nodes + np.arange(nodes, dtype=np.int32)
    table[state.conflicts < 0] = -1
    return np.repeat(table.reshape(envs, clusters, degree * nodes), nodes, axis=1)


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

    All observations, the mean arrivals of every node in the present burst state, and the heads'
    positions (which fix the conflict graph).
    """
    envs = len(state.queue)
    parts = (
        observe(params, state).reshape(envs, -1),
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


def _cluster_sum(params: Params, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum over the nodes of each cluster: ``(E, N)`` to ``(E, C)``."""
    return values.reshape(-1, params.num_clusters, params.nodes_per_cluster).sum(axis=2)


def _mean_arrivals(
    params: Params, weights: NDArray[np.float64], burst: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Mean packets per frame of every node in the present burst state, ``(E, N)``."""
    level = np.where(burst, params.burst_high, params.burst_low)
    per_cluster = params.load * params.resource_blocks * level
    return weights * np.repeat(per_cluster, params.nodes_per_cluster, axis=1)
