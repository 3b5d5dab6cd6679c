import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs.physics.topology import (
    hex_grid,
    hex_neighbours,
    is_connected_odd,
    neighbour_table,
    num_hex_cells,
    random_conflict_graph,
    ring_graph,
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


def test_impossible_conflict_graph_gives_up():
    with pytest.raises(ValueError, match=r"none of 20 random graphs of 6 nodes .*radius 0.01"):
        random_conflict_graph(np.random.default_rng(0), 6, 0.01, 5, max_attempts=20)


def test_small_graphs():
    assert (random_conflict_graph(np.random.default_rng(0), 1, 0.5, 0).neighbours.size) == 0
    np.testing.assert_array_equal(ring_graph(2, 1).neighbours, [[1], [0]])
    np.testing.assert_array_equal(ring_graph(1).neighbours, [[-1, -1]])
    np.testing.assert_array_equal(ring_graph(4).neighbours, [[1, 3], [0, 2], [1, 3], [0, 2]])
    assert is_connected_odd(ring_graph(5).neighbours)
    assert not is_connected_odd(ring_graph(6).neighbours)
