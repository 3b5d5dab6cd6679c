import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs.physics.graphs import (
    bounded_conflict_graph,
    edge_list_graph,
    is_connected_odd,
    neighbour_table,
    random_conflict_graph,
    ring_graph,
)
from networld_envs.physics.topology import (
    hex_grid,
    hex_neighbours,
    hex_translations,
    hex_window,
    num_hex_cells,
)


@pytest.mark.parametrize(("rings", "cells"), [(0, 1), (1, 7), (2, 19), (3, 37), (6, 127)])
def test_hex_neighbours_are_the_cells_at_unit_distance(rings, cells):
    positions, table = hex_grid(rings), hex_neighbours(rings)
    assert positions.shape == (cells, 2)
    assert table.shape == (cells, 6)
    assert table.dtype == np.int32
    assert num_hex_cells(rings) == cells
    for i in range(cells):
        distance = np.hypot(*(positions - positions[i]).T)
        assert set(table[i][table[i] >= 0]) == set(np.flatnonzero(np.abs(distance - 1) < 1e-9))
        count = (table[i] >= 0).sum()
        assert (table[i, count:] == -1).all()  # padding comes last


def test_hex_grid_goes_ring_by_ring():
    radius = np.hypot(*hex_grid(4).T)
    ring = np.repeat(np.arange(5), [1, 6, 12, 18, 24])
    assert (radius <= ring + 1e-9).all()
    assert (radius >= ring * np.sqrt(0.75) - 1e-9).all()
    # A smaller grid is the beginning of a larger one.
    np.testing.assert_array_equal(hex_grid(4)[:19], hex_grid(2))


def test_negative_rings_raise():
    with pytest.raises(ValueError, match=r"rings .*-1"):
        hex_grid(-1)


def brute_force_connected_odd(adjacent):
    """Walks of even and of odd length reach every node exactly when connected and not bipartite."""
    n = len(adjacent)
    even, odd = np.eye(n, dtype=bool), np.zeros((n, n), dtype=bool)
    for _ in range(2 * n + 2):
        even, odd = even | (odd @ adjacent), odd | (even @ adjacent)
    return bool(even.all() and odd.all())


@settings(max_examples=150, deadline=None)
@given(st.integers(3, 7), st.data())
def test_is_connected_odd_matches_walks(n, data):
    upper = np.array(data.draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n)))
    adjacent = np.triu(upper.reshape(n, n), 1)
    adjacent = adjacent | adjacent.T
    table = neighbour_table(adjacent, n - 1)
    assert is_connected_odd(table) == brute_force_connected_odd(adjacent)
    for i in range(n):
        assert list(table[i][table[i] >= 0]) == list(np.flatnonzero(adjacent[i]))


def test_random_conflict_graph_is_geometric_and_qualifies():
    degrees = []
    for seed in range(200):
        graph = random_conflict_graph(np.random.default_rng(seed), 6, 0.5, 5)
        delta = graph.positions[:, None] - graph.positions
        adjacent = np.hypot(delta[..., 0], delta[..., 1]) < 0.5
        np.fill_diagonal(adjacent, False)
        np.testing.assert_array_equal(graph.neighbours, neighbour_table(adjacent, 5))
        assert brute_force_connected_odd(adjacent)
        degrees.append(adjacent.sum(axis=1).mean())
    assert 2.6 < np.mean(degrees) < 3.1  # 2.9 at the default of RB


def test_random_conflict_graph_keeps_the_largest_degree():
    graph = random_conflict_graph(np.random.default_rng(0), 40, 0.25, 12)
    assert graph.neighbours.shape == (40, 12)
    with pytest.raises(ValueError, match="max_degree is 1"):
        neighbour_table(np.ones((3, 3), dtype=bool) & ~np.eye(3, dtype=bool), 1)


@pytest.mark.parametrize("make", [random_conflict_graph, bounded_conflict_graph])
@pytest.mark.parametrize(("nodes", "degree"), [(3, 2), (4, 3), (5, 2), (6, 3), (7, 2), (40, 3)])
@pytest.mark.parametrize("radius", [0.0, 0.01, 0.3, 2.0])
def test_graphs_that_no_draw_gives_are_completed(make, nodes, degree, radius):
    """Short of links or with too many, the network is connected, bounded and not bipartite."""
    graph = make(np.random.default_rng(nodes), nodes, radius, degree, max_attempts=2)
    adjacent = np.zeros((nodes, nodes), bool)
    for i, row in enumerate(graph.neighbours):
        adjacent[i, row[row >= 0]] = True
    np.testing.assert_array_equal(adjacent, adjacent.T)
    assert not adjacent.diagonal().any()
    assert brute_force_connected_odd(adjacent)
    if radius == 0.0:
        assert adjacent.sum() / 2 == nodes  # a tree and the link that closes an odd cycle


def test_a_degree_that_allows_no_graph_is_named():
    with pytest.raises(ValueError, match=r"max_degree must be at least 3 .* of 6 nodes"):
        random_conflict_graph(np.random.default_rng(0), 6, 0.5, 2, max_attempts=20)


def test_small_graphs():
    assert (random_conflict_graph(np.random.default_rng(0), 1, 0.5, 0).neighbours.size) == 0
    np.testing.assert_array_equal(ring_graph(2, 1).neighbours, [[1], [0]])
    np.testing.assert_array_equal(ring_graph(1).neighbours, [[-1, -1]])
    np.testing.assert_array_equal(ring_graph(4).neighbours, [[1, 3], [0, 2], [1, 3], [0, 2]])
    assert is_connected_odd(ring_graph(5).neighbours)
    assert not is_connected_odd(ring_graph(6).neighbours)


@pytest.mark.parametrize("rings", [0, 1, 2, 3])
def test_the_grid_tiles_the_plane_under_its_translations(rings):
    """The seven copies are disjoint, and together leave no gap around the middle one."""
    grid, shifts = hex_grid(rings), hex_translations(rings)
    assert shifts.shape == (7, 2)
    length = np.hypot(*shifts[1:].T)
    np.testing.assert_allclose(length**2, len(grid))  # |(2R+1, -R)|^2 = N in axial coordinates
    copies = (shifts[:, None] + grid).reshape(-1, 2)
    gap = np.hypot(*(copies[:, None] - copies).transpose(2, 0, 1)) + 10 * np.eye(len(copies))
    assert gap.min() > 1 - 1e-9
    # Every cell of the middle copy has all six neighbours in some copy.
    near = np.abs(np.hypot(*(grid[:, None] - copies).transpose(2, 0, 1)) - 1) < 1e-9
    assert (near.sum(axis=1) == 6).all()


@pytest.mark.parametrize(("rings", "window", "wrap"), [(3, 2, False), (3, 3, True), (2, 5, False)])
def test_hex_window_holds_the_cells_at_its_displacements(rings, window, wrap):
    found, grid = hex_window(rings, window, wrap), hex_grid(rings)
    assert (found.cells[:, 0] == np.arange(len(grid))).all()
    shifts = hex_translations(rings) if wrap else np.zeros((1, 2))
    for i, c in np.ndindex(*found.cells.shape):
        target = grid[i] + found.displacement[c]
        apart = np.hypot(*(grid[:, None] + shifts - target).transpose(2, 0, 1)).min(axis=1)
        at = np.flatnonzero(apart < 1e-9)
        assert found.cells[i, c] == (at[0] if len(at) else -1)
        if len(at):
            assert found.cells[at[0], found.opposite[c]] == i
    if wrap:  # rings around a cell, wrapped, are the whole grid
        np.testing.assert_array_equal(
            np.sort(found.cells, axis=1), np.tile(np.arange(len(grid)), (len(grid), 1))
        )
    with pytest.raises(ValueError, match=r"window must be in .*-1"):
        hex_window(rings, -1, wrap)


@pytest.mark.parametrize("nodes", [3, 6, 24, 250])
def test_bounded_conflict_graphs_qualify_at_any_size(nodes):
    for seed in range(4):
        degree = min(5, nodes - 1)
        graph = bounded_conflict_graph(np.random.default_rng(seed), nodes, 0.5, degree)
        assert graph.neighbours.shape == (nodes, degree)
        assert is_connected_odd(graph.neighbours)
        edges = {(i, j) for i, row in enumerate(graph.neighbours.tolist()) for j in row if j >= 0}
        assert all((j, i) in edges for i, j in edges)
        assert all(i != j for i, j in edges)


def test_bounded_conflict_graph_joins_all_close_pairs_that_the_bound_allows():
    graph = bounded_conflict_graph(np.random.default_rng(3), 60, 0.5, 59)
    side = np.sqrt(60 / 6)
    delta = graph.positions[:, None] - graph.positions
    apart = np.hypot(delta[..., 0], delta[..., 1]) * side
    close = (apart < 0.5) & ~np.eye(60, dtype=bool)
    joined = np.zeros_like(close)
    for i, row in enumerate(graph.neighbours):
        joined[i, row[row >= 0]] = True
    assert joined[close].all()
    extra = joined & ~close
    assert extra.sum() / 2 < 60  # only what makes it connected
    with pytest.raises(ValueError, match=r"max_degree must be at least 2 .* of 9 nodes"):
        bounded_conflict_graph(np.random.default_rng(0), 9, 0.5, 1)


def test_edge_lists_make_the_graph_they_say():
    graph = edge_list_graph(4, [(2, 0), (0, 1), (3, 0)], 3)
    np.testing.assert_array_equal(
        graph.neighbours, [[1, 2, 3], [0, -1, -1], [0, -1, -1], [0, -1, -1]]
    )
    assert graph.positions.shape == (4, 2)
    for edges, text in (
        ([(0, 4)], r"\(0, 4\)"),
        ([(1, 1)], r"\(1, 1\)"),
        ([(0, 1), (1, 0)], "twice"),
    ):
        with pytest.raises(ValueError, match=text):
            edge_list_graph(4, edges, 3)
    with pytest.raises(ValueError, match="node 0 has 3 neighbours, max_degree is 2"):
        edge_list_graph(4, [(2, 0), (0, 1), (3, 0)], 2)
