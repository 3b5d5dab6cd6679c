"""Conflict graphs between clusters: random geometric, bounded in degree, rings and edge lists.

Graphs are neighbour tables: integer arrays ``(N, D)`` that list the neighbours first and are padded
with -1. Nothing here is called during a step: tables are computed once, at reset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ConflictGraph:
    """Nodes in the unit square and an undirected graph on them.

    Attributes:
        positions: ``(N, 2)`` float64.
        neighbours: ``(N, D)`` int32 in ascending order, padded with -1.
    """

    positions: NDArray[np.float64]
    neighbours: NDArray[np.int32]


def random_conflict_graph(
    rng: np.random.Generator,
    num_nodes: int,
    radius: float,
    max_degree: int,
    max_attempts: int = 1000,
) -> ConflictGraph:
    """Random geometric graph: nodes uniform in the unit square, adjacent when nearer than radius.

    It is drawn again until no degree exceeds ``max_degree`` and, with three nodes or more, until it
    is connected and not bipartite. On a bipartite graph it is optimal to let the two sides
    alternate blindly. If no draw qualifies, the last one is completed, see `_completed`.

    Args:
        rng: Source of the positions.
        num_nodes: Nodes ``N``, at least 1.
        radius: Conflict distance, relative to the side of the square.
        max_degree: Width ``D`` of the neighbour table.
        max_attempts: Draws before the last one is completed; fewer with more than 100 nodes.

    Returns:
        The first graph that qualifies, or the completed one.

    Raises:
        ValueError: If no graph of this degree is connected and not bipartite.
    """
    positions = np.empty((num_nodes, 2))
    for _ in range(min(max_attempts, max(10, 10**7 // num_nodes**2))):
        positions = rng.random((num_nodes, 2))
        dx, dy = (positions[:, None] - positions).transpose(2, 0, 1)
        adjacent = dx * dx + dy * dy < radius * radius  # (N, N), at reset only
        np.fill_diagonal(adjacent, False)
        if adjacent.sum(axis=1).max() > max_degree:
            continue
        table = neighbour_table(adjacent, max_degree)
        if num_nodes < 3 or is_connected_odd(table):
            return ConflictGraph(positions, table)
    return _completed(positions, radius, max_degree)


def ring_graph(num_nodes: int, max_degree: int = 2) -> ConflictGraph:
    """Nodes on a circle in the unit square, each adjacent to the next and the previous one.

    Args:
        num_nodes: Nodes ``N``, at least 1.
        max_degree: Width ``D`` of the neighbour table.

    Raises:
        ValueError: If ``max_degree`` is below the graph's degree.
    """
    positions = _circle(num_nodes)
    pairs = ((i, (i + 1) % num_nodes) for i in range(num_nodes))
    edges = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    return ConflictGraph(positions, _table_of_edges(num_nodes, edges, max_degree))


def edge_list_graph(
    num_nodes: int, edges: Sequence[tuple[int, int]], max_degree: int
) -> ConflictGraph:
    """A given graph, with its nodes placed on a circle.

    Args:
        num_nodes: Nodes ``N``.
        edges: Undirected edges, each once, as pairs of different nodes.
        max_degree: Width ``D`` of the neighbour table.

    Raises:
        ValueError: If an edge does not join two different nodes or is repeated, or if a node has
            more than ``max_degree`` neighbours.
    """
    seen: set[tuple[int, int]] = set()
    for a, b in edges:
        if not (0 <= a < num_nodes and 0 <= b < num_nodes and a != b):
            raise ValueError(
                f"edge ({a}, {b}) must join two different nodes in [0, {num_nodes - 1}]"
            )
        if (min(a, b), max(a, b)) in seen:
            raise ValueError(f"edge ({a}, {b}) is given twice")
        seen.add((min(a, b), max(a, b)))
    return ConflictGraph(_circle(num_nodes), _table_of_edges(num_nodes, sorted(seen), max_degree))


def bounded_conflict_graph(
    rng: np.random.Generator,
    num_nodes: int,
    radius: float,
    max_degree: int,
    max_attempts: int = 100,
) -> ConflictGraph:
    """Random geometric graph of bounded degree, for networks of any size; no N x N array.

    Nodes are uniform in a square whose sides grow as ``sqrt(N / 6)``, so that the mean degree
    depends on the radius alone. Pairs nearer than ``radius`` are joined, shortest first, while
    both ends have fewer than ``max_degree`` neighbours. Then the shortest links between separate
    parts are added under the same bound. With three nodes or more, the graph is drawn again until
    it is connected and not bipartite. If no draw qualifies, the last one is completed, see
    `_completed`.

    Args:
        rng: Source of the positions.
        num_nodes: Nodes ``N``, at least 1.
        radius: Conflict distance in units of the square of six nodes.
        max_degree: Largest degree ``D``, at least 2 with three nodes or more.
        max_attempts: Draws before the last one is completed; fewer with more than 250 nodes.

    Returns:
        Positions in the unit square and the table.

    Raises:
        ValueError: If no graph of this degree is connected and not bipartite.
    """
    side = max(1.0, float(np.sqrt(num_nodes / 6.0)))
    positions = np.empty((num_nodes, 2))
    for _ in range(min(max_attempts, max(10, 25_000 // num_nodes))):
        positions = rng.random((num_nodes, 2))
        edges = _bounded_edges(positions, radius / side, max_degree)
        table = _table_of_edges(num_nodes, edges, max_degree)
        if num_nodes < 3 or is_connected_odd(table):
            return ConflictGraph(positions, table)
    return _completed(positions, radius / side, max_degree)


def smallest_degree(num_nodes: int) -> int:
    """Smallest largest degree of a random graph: connected and, from three nodes, not bipartite.

    Two neighbours suffice only for a single cycle of odd length.
    """
    return min(2 if num_nodes % 2 else 3, num_nodes - 1)


def _completed(positions: NDArray[np.float64], radius: float, max_degree: int) -> ConflictGraph:
    """The graph of positions that no radius alone makes connected, not bipartite and bounded.

    The shortest links that join all nodes come first, then the shortest one that closes a cycle of
    odd length, then the pairs nearer than ``radius``, shortest first. A link is left out if one of
    its ends already has ``max_degree`` neighbours.

    Raises:
        ValueError: If no graph of this degree is connected and not bipartite.
    """
    count = len(positions)
    if max_degree < smallest_degree(count):
        raise ValueError(
            f"max_degree must be at least {smallest_degree(count)} for a connected graph of "
            f"{count} nodes that is not bipartite, got {max_degree}"
        )
    edges = set(_bounded_edges(positions, 0.0, max_degree))  # a tree: no pair is nearer than 0
    degree = np.bincount(np.array(list(edges), np.int64).ravel(), minlength=count)
    if count > 2:
        edges.add(_odd_link(positions, sorted(edges), degree, max_degree))
        degree = np.bincount(np.array(list(edges), np.int64).ravel(), minlength=count)
    for a, b in _close_pairs(positions, radius):
        if (a, b) not in edges and max(degree[a], degree[b]) < max_degree:
            edges.add((a, b))
            degree[[a, b]] += 1
    return ConflictGraph(positions, _table_of_edges(count, sorted(edges), max_degree))


def _odd_link(
    positions: NDArray[np.float64],
    tree: list[tuple[int, int]],
    degree: NDArray[np.int64],
    max_degree: int,
) -> tuple[int, int]:
    """The shortest link ``(a, b)``, a < b, that closes a cycle of odd length in a tree.

    Its ends are on the same side of the tree, and have fewer than ``max_degree`` neighbours. There
    is one from `smallest_degree` on: a path has two such nodes, and any other tree has at least
    three leaves, two of which are on the same side.
    """
    side = _two_colouring(_table_of_edges(len(positions), tree, int(degree.max())))
    colour = np.array([side[node] for node in range(len(positions))])
    best, pair = np.inf, (0, 0)
    for node in np.flatnonzero(degree < max_degree).tolist():
        others = np.flatnonzero((degree < max_degree) & (colour == colour[node]))
        others = others[others > node]
        if len(others):
            square = ((positions[others] - positions[node]) ** 2).sum(axis=1)
            if square.min() < best:
                best, pair = float(square.min()), (node, int(others[square.argmin()]))
    return pair


def _bounded_edges(
    positions: NDArray[np.float64], radius: float, max_degree: int
) -> list[tuple[int, int]]:
    """Edges ``(a, b)``, a < b, of `bounded_conflict_graph`."""
    count = len(positions)
    degree = [0] * count
    part = list(range(count))  # union-find forest of connected parts

    def root(i: int) -> int:
        while part[i] != i:
            part[i] = part[part[i]]
            i = part[i]
        return i

    edges: list[tuple[int, int]] = []
    parts, reach, inner = count, radius, True
    while True:
        for a, b in _close_pairs(positions, reach):
            apart = root(a) != root(b)
            if (inner or apart) and degree[a] < max_degree and degree[b] < max_degree:
                edges.append((a, b))
                degree[a] += 1
                degree[b] += 1
                part[root(a)] = root(b)
                parts -= apart
        if parts == 1 or reach > 1.5:  # the square's diagonal is sqrt(2)
            return sorted(edges)
        inner, reach = False, max(2.0 * reach, 1.0 / np.sqrt(count))


def _close_pairs(positions: NDArray[np.float64], radius: float) -> list[tuple[int, int]]:
    """Pairs ``(a, b)``, a < b, nearer than ``radius``, shortest first; uses square bins."""
    bins = max(1, min(int(1.0 / max(radius, 1e-9)), len(positions)))
    cell = np.minimum((positions * bins).astype(np.int64), bins - 1)
    members: dict[tuple[int, int], list[int]] = {}
    for i, (x, y) in enumerate(cell.tolist()):
        members.setdefault((x, y), []).append(i)
    found: list[tuple[float, int, int]] = []
    points = positions.tolist()
    for (x, y), here in members.items():
        near = [
            j for dx in (-1, 0, 1) for dy in (-1, 0, 1) for j in members.get((x + dx, y + dy), ())
        ]
        for a in here:
            for b in near:
                if a < b:
                    dx, dy = points[a][0] - points[b][0], points[a][1] - points[b][1]
                    if (square := dx * dx + dy * dy) < radius * radius:
                        found.append((square, a, b))
    return [(a, b) for _, a, b in sorted(found)]


def _table_of_edges(
    num_nodes: int, edges: Sequence[tuple[int, int]], max_degree: int
) -> NDArray[np.int32]:
    """Undirected edges as a padded table ``(N, D)`` int32, ascending."""
    near: list[list[int]] = [[] for _ in range(num_nodes)]
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    table = np.full((num_nodes, max_degree), -1, dtype=np.int32)
    for node, others in enumerate(near):
        if len(others) > max_degree:
            raise ValueError(
                f"node {node} has {len(others)} neighbours, max_degree is {max_degree}"
            )
        table[node, : len(others)] = sorted(others)
    return table


def _circle(num_nodes: int) -> NDArray[np.float64]:
    """``(N, 2)`` on a circle in the unit square."""
    angle = 2.0 * np.pi * np.arange(num_nodes) / num_nodes
    return 0.5 + 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def neighbour_table(adjacent: NDArray[np.bool_], max_degree: int) -> NDArray[np.int32]:
    """Adjacency matrix as a padded table.

    Args:
        adjacent: ``(N, N)`` bool, symmetric.
        max_degree: Width ``D`` of the table.

    Returns:
        ``(N, D)`` int32 in ascending order, padded with -1.

    Raises:
        ValueError: If a node has more than ``max_degree`` neighbours.
    """
    edges = [(a, b) for a, b in np.argwhere(np.triu(adjacent)).tolist()]
    return _table_of_edges(len(adjacent), edges, max_degree)


def is_connected_odd(neighbours: NDArray[np.int32]) -> bool:
    """Whether a graph is connected and has a cycle of odd length (is not bipartite).

    Args:
        neighbours: ``(N, D)`` int32, padded with -1.
    """
    side = _two_colouring(neighbours)
    odd = any(
        side[other] == side[node]
        for node in side
        for other in neighbours[node].tolist()
        if other >= 0
    )
    return odd and len(side) == len(neighbours)


def _two_colouring(neighbours: NDArray[np.int32]) -> dict[int, int]:
    """Breadth-first: node -> 0 or 1, for the nodes that node 0 is connected to."""
    side = {0: 0}
    queue = [0]
    for node in queue:
        for other in neighbours[node].tolist():
            if other >= 0 and other not in side:
                side[other] = 1 - side[node]
                queue.append(other)
    return side
