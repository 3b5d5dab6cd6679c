"""Subsets of a dataset: fractions and splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch


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


def test_mirrored_actions_have_the_range_of_both_signs(toy):
    data = toy("box").collect(3)
    data.actions[..., 0] = np.abs(data.actions[..., 0])
    low, high = data.action_range
    spec = replace(data.spec, mirrored_obs=(0,), mirrored_action=(0,))
    least, most = replace(data, spec=spec).action_range
    assert low[0] >= 0.0
    assert (least[0], most[0]) == (-high[0], high[0])
    assert torch.equal(least[1:], low[1:])
    assert torch.equal(most[1:], high[1:])
