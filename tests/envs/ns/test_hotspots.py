"""Hotspots of demand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs import ns
from networld_envs.ns import fluid
from networld_envs.physics.topology import hex_grid
from tests.helpers.ns import mean_reward, rollout


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2),
    st.integers(0, 3),
    st.floats(0.0, 20.0),
    st.floats(0.1, 5.0),
    st.integers(0, 99),
)
def test_the_hotspot_field_equals_the_oracle(rings, hotspots, gain, width, seed):
    params = ns.Params(rings=rings, hotspots=hotspots, hotspot_gain=gain, hotspot_width=width)
    centre = np.random.default_rng(seed).normal(size=(2, 3, hotspots, 2))
    factor = fluid.hotspot_factor(params, centre)
    for e in range(2):
        for n, spot in enumerate(hex_grid(rings)):
            for s in range(3):
                expected = 1.0
                for h in range(hotspots):
                    square = sum((centre[e, s, h] - spot) ** 2)
                    expected += gain * np.exp(-square / (2 * width**2))
                assert factor[e, n, s] == pytest.approx(expected)


def test_hotspots_multiply_the_demand_and_drift():
    plain = replace(ns.PRESETS["hotspots"], hotspots=0)
    params = ns.PRESETS["hotspots"]
    states, _ = rollout(params, range(32), 12)
    for state in states[:2]:
        base = plain.mean_arrivals * np.exp(state.log_demand - 0.5)
        factor = fluid.hotspot_factor(params, state.hotspot)
        np.testing.assert_allclose(fluid.arrival_rate(params, state), base * factor)
    place = np.stack([state.hotspot.ravel() for state in states])
    spread = 0.5 * 2.5  # half the radius of two rings
    assert place.std() == pytest.approx(spread, rel=0.1)
    assert place.mean() == pytest.approx(0.0, abs=0.3)
    for lag in (1, 6):
        correlation = (place[lag:] * place[:-lag]).mean() / spread**2
        assert correlation == pytest.approx(np.exp(-lag / 10), abs=0.2)


def test_hotspots_are_harder_and_keep_the_order_of_policies():
    names = ("random", "static", "expert", "genie")
    values = [mean_reward(ns.PRESETS["hotspots"], name, 12) for name in names]
    assert values == sorted(values)
    np.testing.assert_allclose(values, (0.746, 0.842, 0.865, 0.878), atol=0.03)
