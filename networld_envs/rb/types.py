"""Parameters and state of the resource-block task; the model is in `networld_envs.rb`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.physics.graphs import edge_list_graph, smallest_degree

UNITS = {
    "arrivals": "packets",
    "queue": "packets",
    "grant": "RBs",
    "served": "packets",
    "cluster_backlog": "packets",
    "cluster_load": "",
    "success_ratio": "",
    "request": "RBs",
}
"""Unit of each column of the observation ``beacon``, in their order."""
OBSERVATION = tuple(UNITS)
LAST_ACTION = ("grant", "request")
"""Columns that show the agent's own last action."""
MOST_ENTRIES = 20_000_000
"""Largest neighbour table, numbers; a reset then takes seconds."""


@dataclass(frozen=True)
class Params:
    """Parameters of the task; the table in `networld_envs.rb` gives their sources.

    Attributes:
        num_clusters: Clusters ``C`` of the network.
        nodes_per_cluster: Nodes ``K`` of each cluster.
        channels: Frequency channels of a frame.
        slots: Time slots of a frame; a frame has ``channels * slots`` resource blocks (RBs).
        topology: Conflict graph: ``"random"``, ``"bounded"``, ``"ring"`` or ``"edges"``.
        conflict_radius: Distance below which two cluster heads are in conflict, in sides of the
            unit square.
        max_degree: Most conflicts of a cluster; None takes the usual number for the topology.
        conflict: Probability kappa that a block of a conflicting cluster destroys a packet.
        buffer: Packets that a node can queue.
        load: Mean arrivals of a cluster per frame, as a share of the frame's RBs.
        weight_sigma: Spread (log-normal sigma) of the traffic among the nodes of a cluster.
        burst_low: Traffic of a cluster in its low state, relative to the mean.
        burst_high: Traffic of a cluster in its high state, relative to the mean.
        burst_flip: Probability that a cluster changes its state in a frame.
        initial_backlog: Largest backlog of a node at the start, packets.
        queue_cost: Cost of each queued packet.
        drop_cost: Cost of each dropped packet.
        unused_cost: Cost of each granted RB that carries nothing.
        observation: What a node sees: ``"beacon"`` (8 numbers) or ``"cdmp"`` (2 numbers).
        edges: Pairs of conflicting clusters; only with topology ``"edges"``.

    Raises:
        TypeError: If a value is not a number where one is needed.
        ValueError: If a value is out of range, or the network is too large.
    """

    LIMITS: ClassVar[dict[str, tuple[float, float]]] = {
        "num_clusters": (1, 2500),
        "nodes_per_cluster": (1, 1000),
        "channels": (1, 1000),
        "slots": (1, 1000),
        "conflict_radius": (0.0, 100.0),
        "conflict": (0.0, 1.0),
        "buffer": (1, 1_000_000_000),
        "load": (0.0, 1e6),
        "weight_sigma": (0.0, 10.0),
        "burst_low": (0.0, 1e3),
        "burst_high": (0.0, 1e3),
        "burst_flip": (0.0, 1.0),
        "queue_cost": (0.0, 1e6),
        "drop_cost": (0.0, 1e6),
        "unused_cost": (0.0, 1e6),
    }
    """Smallest and largest value of each number. All combinations can be simulated, except for
    networks whose neighbour table exceeds `MOST_ENTRIES`."""

    num_clusters: int = 6
    nodes_per_cluster: int = 4
    channels: int = 4
    slots: int = 10
    topology: Literal["random", "bounded", "ring", "edges"] = "random"
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
    observation: Literal["beacon", "cdmp"] = "beacon"
    edges: Sequence[tuple[int, int]] | None = None

    def __post_init__(self) -> None:
        validate.ranges(self, self.LIMITS)
        validate.integer(self, "initial_backlog", low=0, high=self.buffer)
        validate.one_of(self, "topology", ("random", "bounded", "ring", "edges"))
        validate.one_of(self, "observation", ("beacon", "cdmp"))
        if self.max_degree is not None:
            most = self.num_clusters - 1
            random = self.topology in ("random", "bounded")
            least = smallest_degree(self.num_clusters) if random else min(2, most)
            validate.integer(self, "max_degree", low=least, high=most)
        if (self.edges is None) == (self.topology == "edges"):
            rule = f"given for topology 'edges' and only then; topology is {self.topology!r}"
            validate.fail(self, "edges", rule)
        if self.edges is not None:
            object.__setattr__(self, "edges", self._checked_edges())
        names = ("num_clusters", "nodes_per_cluster", "topology", "max_degree", "observation")
        entries = self.num_agents * self.neighbour_slots
        validate.size(self, "entries of the neighbour table", entries, MOST_ENTRIES, names)

    def _checked_edges(self) -> tuple[tuple[int, int], ...]:
        """The edges as tuples, which can be hashed; lists come e.g. from JSON."""
        given: Any = self.edges
        rule = f"pairs of different clusters in [0, {self.num_clusters - 1}], each given once"
        try:
            pairs = tuple((index(a), index(b)) for a, b in given)
        except (TypeError, ValueError):
            validate.fail(self, "edges", rule)
        if any(isinstance(end, bool) for edge in given for end in edge):
            validate.fail(self, "edges", rule)
        object.__setattr__(self, "edges", pairs)  # `cluster_degree` counts them
        try:
            edge_list_graph(self.num_clusters, pairs, self.cluster_degree)
        except ValueError as error:
            raise ValueError(f"Params.edges must be {rule}: {error}") from None
        return pairs

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
        if self.edges is not None:
            return max(Counter(end for edge in self.edges for end in edge).values(), default=0)
        widest = {"ring": 2, "bounded": 6}.get(self.topology, self.num_clusters)
        return min(widest, self.num_clusters - 1)

    @property
    def neighbour_slots(self) -> int:
        """Width of the neighbour table of the nodes.

        Without a beacon, the other nodes of a node's cluster are neighbours too.
        """
        mates = self.nodes_per_cluster - 1 if self.observation == "cdmp" else 0
        return mates + self.cluster_degree * self.nodes_per_cluster

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the observation's columns."""
        return OBSERVATION if self.observation == "beacon" else OBSERVATION[:2]


@dataclass(frozen=True)
class State:
    """One frame boundary of ``E`` networks with ``C`` clusters and ``N = C K`` nodes.

    Attributes:
        heads: ``(E, C, 2)`` float64, positions of the cluster heads in the unit square.
        conflicts: ``(E, C, D)`` int32, conflicting clusters, padded with -1.
        weights: ``(E, N)`` float64, share of each node in its cluster's arrivals.
        burst: ``(E, C)`` bool, True in the high state.
        queue: ``(E, N)`` int64, packets waiting.
        arrivals: ``(E, N)`` int64, packets that arrived in the last frame.
        requests: ``(E, N)`` int64, RBs requested for the last frame.
        grants: ``(E, N)`` int64, RBs granted in the last frame.
        sent: ``(E, N)`` int64, packets sent in the last frame.
        served: ``(E, N)`` int64, packets that got through.
        dropped: ``(E, N)`` int64, packets dropped because the buffer was full.
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
