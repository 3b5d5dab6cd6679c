"""Resource-block scheduling: the functions of the task. `networld_envs.rb` documents them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from networld_envs.rb.types import LAST_ACTION, OBSERVATION, UNITS, Params, State
from networld_envs.spec import About, Column, LogFacts, TaskSpec, columns

NAME = "rb"
AGENT = "node"
BOUNDED_RADIUS = 0.4
"""Conflict radius at which bounded graphs have about the mean degree of the default."""


def _logged_reward(
    params: Params, columns: Mapping[str, NDArray[Any]], actions: NDArray[Any]
) -> NDArray[Any]:
    """The reward of logs, ``(T, N)``: packets that were dropped follow from the others.

    NaN where more packets are queued than there can be.
    """
    del actions
    queue, grant = columns["queue"], columns["grant"]
    left = queue[:-1] - columns["served"][1:] + columns["arrivals"][1:]
    dropped, unused = left - queue[1:], np.maximum(grant[1:] - queue[:-1], 0.0)
    cost = params.queue_cost * queue[1:] + params.drop_cost * dropped + params.unused_cost * unused
    return np.where(dropped > -0.5, -cost, np.nan)  # a whole number, up to rounding


ABOUT = About(
    title="resource-block scheduling",
    compiled="networld_envs.rb.compiled",
    fallback="cap",
    reward_label="Average reward (negative cost)",
    reward_range=(-6.0, 0.0),
    recorded={"default": {}, "cdmp": {}, "ring6": {}},
    agent_counts={  # graphs of similar degree
        12: {"preset": "nodes12"},
        24: {},
        48: {"preset": "nodes96", "num_clusters": 12},
        96: {"preset": "nodes96"},
    },
    deployments={
        "ring6": "six clusters on a ring, load 0.20",
        "nodes96": "96 nodes in 24 clusters",
        "busy": "twice the load",
    },
    drifts={"load": (0.085, 0.17, 0.255, 0.34)},
    pace={"": 1.4, "medium": 0.7, "mixed": 0.7},
    logs=LogFacts(
        shown_action=lambda params, actions: {"request": actions},
        at_most=(("served", "grant"), ("grant", "request"), ("queue", "cluster_backlog")),
        reward=_logged_reward,
        reward_rises_with={"queue": -1},  # the reward is a cost, which is mainly the queue's
        reward_shown=True,
        symmetric_neighbours=True,  # two clusters are in conflict, or mates
    ),
)

PRESETS: dict[str, Params] = {
    "default": Params(),
    "cdmp": Params(observation="cdmp"),
    "ring6": Params(topology="ring", load=0.20),
    "busy": Params(load=0.34),
    "nodes12": Params(num_clusters=3),
    "nodes96": Params(num_clusters=24, topology="bounded", conflict_radius=BOUNDED_RADIUS),
    "nodes1000": Params(num_clusters=250, topology="bounded", conflict_radius=BOUNDED_RADIUS),
}


def spec(params: Params) -> TaskSpec:
    """Sizes and bounds for learners."""
    space, high = observation_space(params), (float(params.resource_blocks),)
    return TaskSpec(
        task=NAME,
        num_agents=params.num_agents,
        obs_dim=len(params.columns),
        action_kind="ordered",
        action_dim=1,
        action_low=(0.0,),
        action_high=high,
        neighbour_slots=params.neighbour_slots,
        last_action=tuple(i for i, name in enumerate(params.columns) if name in LAST_ACTION),
        obs_columns=columns([(n, UNITS[n]) for n in params.columns], space.low, space.high),
        action_columns=columns([("request", "RBs")], (0.0,), high),
        reward_column=Column("reward", "cost", high=0.0),
    )


def observation_space(params: Params) -> Box:
    """Observation of one agent, float32; counts are bounded by the largest finite float32."""
    unbounded = np.finfo(np.float32).max  # Gymnasium's checker rejects infinite bounds
    frame, buffer = params.resource_blocks, params.buffer
    high = [unbounded, buffer, frame, frame, params.nodes_per_cluster * buffer, 1.0, 1.0, frame]
    high = high[: len(params.columns)]
    return Box(np.zeros(len(high), np.float32), np.array(high, np.float32), dtype=np.float32)


def action_space(params: Params) -> Discrete:
    """Action of one agent: RBs requested, 0 .. F."""
    return Discrete(params.resource_blocks + 1)


def reset(params: Params, rngs: Sequence[np.random.Generator]) -> State:
    """Draw topologies, weights, burst states and backlogs.

    Args:
        params: Parameters of the task.
        rngs: One generator per environment.
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
    uniform = np.empty((envs, agents + clusters))  # tie breaks, then bursts
    for e, rng in enumerate(rngs):
        uniform[e] = rng.random(uniform.shape[1])
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
    return drawn(params, state, rngs, success, mean_arrivals, requests, grants, sent, burst)


def drawn(
    params: Params,
    state: State,
    rngs: Sequence[np.random.Generator],
    success: NDArray[np.float64],
    mean_arrivals: NDArray[np.float64],
    requests: NDArray[np.int64],
    grants: NDArray[np.int64],
    sent: NDArray[np.int64],
    burst: NDArray[np.bool_],
) -> State:
    """The state after a frame: draws what is received and what arrives, per node ``(E, N)``.

    Args:
        params: Parameters of the task.
        state: State at the start of the frame.
        rngs: One generator per environment.
        success: Probability that a packet is received.
        mean_arrivals: Packets.
        requests: Resource blocks that were asked for.
        grants: Resource blocks that were granted.
        sent: Packets.
        burst: ``(E, C)`` whether a cluster is in a burst.
    """
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

    In ``cdmp`` the ``K - 1`` other nodes of a node's cluster come first.
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
    """Results of the last frame, each ``(E, N)``; zeros right after reset."""
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
    """Global state, ``(E, 9 N + 2 C)`` float32, for centralised training.

    It holds all observations (with beacon, whatever ``observation`` is), the mean arrivals of every
    node in the present burst state, and the positions of the heads.
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
    """Nodes of a node's own cluster in the neighbour table: without a beacon, all other nodes."""
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
