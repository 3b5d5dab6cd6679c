"""Where nodes stand and who is adjacent to whom: hexagonal cell grids and random conflict graphs.

Graphs travel as neighbour tables: integer arrays ``(N, D)`` padded with -1, the neighbours first.
Nothing here is called within a step; the tables are made once at reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# The six steps from a hexagon to its neighbours in axial coordinates (q, r), counter-clockwise
# from east in the plane of `_axial_to_plane`.
_HEX_STEPS = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))


def num_hex_cells(rings: int) -> int:
    """Cells of a hexagonal grid: 1, 7, 19, 37, ... for 0, 1, 2, 3, ... rings."""
    _check_rings(rings)
    return 1 + 3 * rings * (rings + 1)


def hex_grid(rings: int) -> NDArray[np.float64]:
    """Sites of a hexagonal grid around a centre.

    Args:
        rings: Rings around the centre cell; 0 is a single cell.

    Returns:
        ``(N, 2)`` positions in units of the inter-site distance, ``N = 1 + 3 rings (rings + 1)``,
        centre first, then ring by ring, counter-clockwise.

    Raises:
        ValueError: If ``rings`` is negative.
    """
    axial = np.array(_axial_cells(rings), dtype=np.float64)
    return np.stack([axial[:, 0] + 0.5 * axial[:, 1], np.sqrt(0.75) * axial[:, 1]], axis=-1)


def hex_neighbours(rings: int) -> NDArray[np.int32]:
    """Adjacent cells of each cell of `hex_grid`.

    Args:
        rings: Rings around the centre cell.

    Returns:
        ``(N, 6)`` int32, counter-clockwise from east, padded with -1 at the end of the row for
        cells on the border.

    Raises:
        ValueError: If ``rings`` is negative.
    """
    cells = _axial_cells(rings)
    index = {cell: i for i, cell in enumerate(cells)}
    table = np.full((len(cells), 6), -1, dtype=np.int32)
    for i, (q, r) in enumerate(cells):
        adjacent = [index[q + dq, r + dr] for dq, dr in _HEX_STEPS if (q + dq, r + dr) in index]
        table[i, : len(adjacent)] = adjacent
    return table


def _check_rings(rings: int) -> None:
    if rings < 0:
        raise ValueError(f"rings must be at least 0, got {rings}")


@lru_cache(maxsize=16)
def _axial_cells(rings: int) -> tuple[tuple[int, int], ...]:
    """Axial coordinates (q, r) of the cells, centre first, ring by ring."""
    _check_rings(rings)
    cells = [(0, 0)]
    for ring in range(1, rings + 1):
        q, r = ring, 0  # due east; the third step leads along the ring, counter-clockwise
        for side in range(6):
            dq, dr = _HEX_STEPS[(side + 2) % 6]
            for _ in range(ring):
                cells.append((q, r))
                q, r = q + dq, r + dr
    return tuple(cells)


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

    With three nodes or more it is drawn again until it is connected, not bipartite and within
    ``max_degree``: on a bipartite graph letting the two sides alternate blindly is optimal.

    Args:
        rng: Source of the positions.
        num_nodes: Nodes ``N``, at least 1.
        radius: Conflict distance, in sides of the square.
        max_degree: Width ``D`` of the neighbour table.
        max_attempts: Draws before giving up.

    Returns:
        The first graph that qualifies.

    Raises:
        ValueError: If none of ``max_attempts`` graphs qualifies.
    """
    for _ in range(max_attempts):
        positions = rng.random((num_nodes, 2))
        dx, dy = (positions[:, None] - positions).transpose(2, 0, 1)
        adjacent = dx * dx + dy * dy < radius * radius  # (N, N), at reset only
        np.fill_diagonal(adjacent, False)
        if adjacent.sum(axis=1).max() > max_degree:
            continue
        table = neighbour_table(adjacent, max_degree)
        if num_nodes < 3 or is_connected_odd(table):
            return ConflictGraph(positions, table)
    raise ValueError(
        f"none of {max_attempts} random graphs of {num_nodes} nodes with conflict radius {radius} "
        f"was connected, not bipartite and of degree at most {max_degree}; "
        "change the radius, the number of nodes or the largest degree"
    )


def ring_graph(num_nodes: int, max_degree: int = 2) -> ConflictGraph:
    """Nodes on a circle in the unit square, each adjacent to the next and the previous one.

    Args:
        num_nodes: Nodes ``N``, at least 1.
        max_degree: Width ``D`` of the neighbour table.

    Raises:
        ValueError: If ``max_degree`` is below the graph's degree.
    """
    angle = 2.0 * np.pi * np.arange(num_nodes) / num_nodes
    positions = 0.5 + 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    i = np.arange(num_nodes)
    adjacent = np.zeros((num_nodes, num_nodes), dtype=np.bool_)
    adjacent[i, (i + 1) % num_nodes] = True
    adjacent |= adjacent.T
    np.fill_diagonal(adjacent, False)
    return ConflictGraph(positions, neighbour_table(adjacent, max_degree))


def neighbour_table(adjacent: NDArray[np.bool_], max_degree: int) -> NDArray[np.int32]:
    """Adjacency matrix as a padded table.

    Args:
        adjacent: ``(N, N)`` bool.
        max_degree: Width ``D`` of the table.

    Returns:
        ``(N, D)`` int32 in ascending order, padded with -1.

    Raises:
        ValueError: If a node has more than ``max_degree`` neighbours.
    """
    degree = adjacent.sum(axis=1)
    if degree.max() > max_degree:
        raise ValueError(
            f"node {int(degree.argmax())} has {int(degree.max())} neighbours, "
            f"max_degree is {max_degree}"
        )
    table = np.full((len(adjacent), max_degree), -1, dtype=np.int32)
    row, column = np.nonzero(adjacent)
    first = np.cumsum(degree) - degree
    table[row, np.arange(len(row)) - first[row]] = column
    return table


def is_connected_odd(neighbours: NDArray[np.int32]) -> bool:
    """Whether a graph is connected and has a cycle of odd length (is not bipartite).

    Args:
        neighbours: ``(N, D)`` int32, padded with -1.
    """
    side = {0: 0}  # breadth-first two-colouring from node 0
    odd = False
    queue = [0]
    for node in queue:
        for other in neighbours[node].tolist():
            if other < 0:
                continue
            if other not in side:
                side[other] = 1 - side[node]
                queue.append(other)
            odd = odd or side[other] == side[node]
    return odd and len(side) == len(neighbours)
