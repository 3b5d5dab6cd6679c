"""Hexagonal cell grids: sites, adjacent cells, windows around a cell, tiling of the plane.

Graphs are neighbour tables: integer arrays ``(N, D)`` that list the neighbours first and are padded
with -1. Nothing here is called during a step: tables are computed once, at reset.
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
    return _axial_to_plane(_axial_cells(rings))


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


def hex_translations(rings: int) -> NDArray[np.float64]:
    """Displacements of the seven nearest copies of a hexagonal grid that tiles the plane.

    A grid of ``N = 3 R^2 + 3 R + 1`` cells repeats under the axial step (2R+1, -R) and its
    rotations by 60 degrees, the cluster shifts of cellular reuse planning.

    Args:
        rings: Rings ``R`` around the centre cell.

    Returns:
        ``(7, 2)`` displacements in units of the inter-site distance, zero first.
    """
    return _axial_to_plane(_axial_translations(rings))


@dataclass(frozen=True)
class HexWindow:
    """The cells around every cell of a hexagonal grid, by displacement.

    Attributes:
        cells: ``(N, C)`` int32 cell at each displacement, -1 outside the grid; the cell first.
        displacement: ``(C, 2)`` in units of the inter-site distance.
        opposite: ``(C,)`` index of the reverse displacement: with ``j = cells[i, c]``,
            ``cells[j, opposite[c]]`` is ``i``.
    """

    cells: NDArray[np.int32]
    displacement: NDArray[np.float64]
    opposite: NDArray[np.int64]


@lru_cache(maxsize=16)
def hex_window(rings: int, window: int, wrap_around: bool = False) -> HexWindow:
    """Cells within ``window`` rings of each cell; work and memory grow as ``N``, not ``N^2``.

    Args:
        rings: Rings of the grid.
        window: Rings around each cell; at most ``rings`` when wrapping around, where every cell
            then appears once.
        wrap_around: Join the borders, see `hex_translations`.

    Raises:
        ValueError: If ``window`` is negative, or larger than ``rings`` when wrapping around.
    """
    if window < 0 or (wrap_around and window > rings):
        raise ValueError(f"window must be in [0, {rings if wrap_around else 'inf'}], got {window}")
    index: dict[tuple[int, int], int] = {}
    shifts = _axial_translations(rings) if wrap_around else ((0, 0),)
    for i, (q, r) in enumerate(_axial_cells(rings)):
        for dq, dr in shifts:
            index[q + dq, r + dr] = i
    steps = _axial_cells(window)
    cells = np.array(
        [[index.get((q + dq, r + dr), -1) for dq, dr in steps] for q, r in _axial_cells(rings)],
        dtype=np.int32,
    )
    place = {step: c for c, step in enumerate(steps)}
    opposite = np.array([place[-dq, -dr] for dq, dr in steps], dtype=np.int64)
    return HexWindow(cells, hex_grid(window), opposite)


@lru_cache(maxsize=16)
def _axial_translations(rings: int) -> tuple[tuple[int, int], ...]:
    """The zero shift and the six shortest shifts of the tiling, axial coordinates."""
    _check_rings(rings)
    q, r = 2 * rings + 1, -rings
    shifts = [(0, 0)]
    for _ in range(6):
        shifts.append((q, r))
        q, r = -r, q + r  # a turn by 60 degrees
    return tuple(shifts)


def _axial_to_plane(cells: tuple[tuple[int, int], ...]) -> NDArray[np.float64]:
    """Positions ``(C, 2)`` of axial coordinates, in units of the inter-site distance."""
    axial = np.array(cells, dtype=np.float64)
    return np.stack([axial[:, 0] + 0.5 * axial[:, 1], np.sqrt(0.75) * axial[:, 1]], axis=-1)


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
