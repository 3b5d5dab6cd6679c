"""Random streams of training and evaluation."""

from __future__ import annotations

import numpy as np

from networld_algos.data.episodes import nested_subset
from networld_algos.data.streams import Stream


def test_streams_keep_their_values_because_results_depend_on_them():
    # Equal values would be an error at import: two uses would draw the same numbers.
    assert {s.name: int(s) for s in Stream} == {
        "HOLDOUT": 0x5717,
        "SUBSET": 0x5EED,
        "VALIDATION": 0x7A1,
        "MESSAGE_LOSS": 0x1055,
        "SHUFFLE": 0x5F1E,
    }


def test_subsets_and_splits_draw_from_their_own_streams(toy):
    order = np.random.default_rng([3, 0x5EED]).permutation(20)
    np.testing.assert_array_equal(nested_subset(20, 0.25, 3), np.sort(order[:5]))
    data = toy("box").collect(20)
    held = data.split(0.25, seed=3)[1]
    order = np.random.default_rng([3, 0x5717]).permutation(20)
    np.testing.assert_array_equal(held.obs, data.obs[np.sort(order[:5])])
