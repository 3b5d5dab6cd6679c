"""Subsets of a dataset: fractions and splits."""

from __future__ import annotations

import numpy as np
import pytest


def test_fractions_are_nested_and_splits_disjoint(toy):
    data = toy("box").collect(20)
    seen: set[float] = set()
    for fraction in (0.001, 0.1, 0.3, 1.0):
        part = data.fraction(fraction, seed=3)
        names = {float(x) for x in part.obs[:, 0, 0, 0]}
        assert seen <= names
        assert len(part) == max(1, round(fraction * 20))
        seen = names
    train, held = data.split(0.1, seed=0)
    assert len(train) == 18
    assert not set(train.obs[:, 0, 0, 0]) & set(held.obs[:, 0, 0, 0])
    single = data.take(np.arange(1))
    assert single.split(0.1, seed=0) == (single, None)
    with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\], got 0"):
        data.fraction(0.0, seed=0)
