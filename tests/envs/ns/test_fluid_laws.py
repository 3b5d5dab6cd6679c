"""What holds at any parameters of the fluid model: conservation, bounds, symmetries."""

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs import ns
from networld_envs.ns import fluid
from networld_envs.ns.policies import POLICIES
from networld_envs.physics.arrivals import poisson_slots
from networld_envs.physics.topology import hex_grid
from tests.helpers.ns import DEFAULT, check_laws, generators, random_action, rollout


@settings(max_examples=60, deadline=None)
@given(
    rings=st.integers(0, 2),
    load=st.sampled_from([0.0, 1e-6, 0.3, 0.8, 5.0, 1e3]),
    sigma=st.sampled_from([0.0, 1.0, 3.0]),
    interference=st.sampled_from([0.0, 0.15, 1e6]),
    deadlines=st.tuples(*[st.sampled_from([1, 2, 3, 10, 25, 60])] * 3),
    sub_slots=st.integers(1, 30),
    weights=st.tuples(*[st.sampled_from([0.0, 0.5, 1e6])] * 3).filter(any),
    extra=st.sampled_from([(0.0, 0.0, 0.95), (0.1, 0.0, 0.5), (-2.0, 3.0, 1.0), (0.0, 7.0, 0.0)]),
    hotspots=st.integers(0, 3),
    split=st.sampled_from([None, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)]),
    seed=st.integers(0, 1000),
)
def test_packets_are_conserved_and_bounds_hold(
    rings,
    load,
    sigma,
    interference,
    deadlines,
    sub_slots,
    weights,
    extra,
    hotspots,
    split,
    seed,
):
    se_weight, penalty, target = extra
    params = ns.Params(
        rings=rings,
        load=load,
        demand_sigma=sigma,
        interference=interference,
        deadlines_ms=deadlines,
        sub_slots=sub_slots,
        slice_weights=weights,
        se_weight=se_weight,
        violation_penalty=penalty,
        ssr_target=target,
        hotspots=hotspots,
    )
    states, rewards = rollout(params, [seed, seed + 1], 4, split)
    check_laws(params, states)
    most = ns.spectral_efficiency(params, 0.0) * abs(se_weight)
    assert (rewards >= -penalty - most * (se_weight < 0) - 1e-5).all()
    assert (rewards <= 1 + most * (se_weight > 0) + 1e-5).all()
    if load == 0.0:
        np.testing.assert_allclose(rewards, 1.0, rtol=1e-6)
        assert all((state.packets == 0).all() for state in states)
    if split == (0.0, 0.0, 0.0):
        assert all((state.in_time == 0).all() for state in states)


@pytest.mark.parametrize(
    "values",
    [
        {"bandwidth_hz": 1e12, "layers": 1e3, "load": 1e3, "packet_bits": (1.0, 1.0, 1.0)},
        {"bandwidth_hz": 1.0, "packet_bits": (1e9, 1e9, 1e9), "layers": 1e-3},
        {"noise": 1e-9, "interference": 0.0, "demand_sigma": 3.0},
        {"noise": 1e6, "interference": 1e6, "load": 1e3},
        {"demand_tau": 1e-3, "load_shares": (0.0, 0.0, 1.0)},
        {"demand_tau": 1e9, "load_shares": (1.0, 0.0, 0.0), "deadlines_ms": (1, 1, 1)},
        {"sub_slots": 1, "deadlines_ms": (1000, 1, 500)},
        {"hotspots": 5, "hotspot_gain": 1e3, "hotspot_width": 0.05, "load": 1e3},
        {"hotspots": 1, "hotspot_width": 1e3, "hotspot_tau": 1e-3},
    ],
)
def test_legal_extremes_stay_finite(values):
    params = ns.Params(rings=1, **{"sub_slots": 20, **values})
    for split in (None, (0.0, 0.0, 0.0), (0.4, 0.3, 0.3)):
        states, rewards = rollout(params, [1, 2], 3, split)
        check_laws(params, states)
        assert np.isfinite(rewards).all()
    obs, table = ns.observe(params, states[-1]), ns.neighbours(params, states[-1])
    for policy in POLICIES.values():
        if policy.local is not None:
            action = policy.local(params, obs, table, generators([3, 4]), 0)
        else:
            action = policy.privileged(params, states[-1], generators([3, 4]), 0)
        assert all(ns.action_space(params).contains(a) for a in action.reshape(-1, 3))


@pytest.mark.parametrize("rings", [0, 1, 2, 9, 18])
@pytest.mark.parametrize("preset", ["default", "hotspots"])
def test_any_number_of_rings(rings, preset):
    params = replace(ns.PRESETS[preset], rings=rings)
    states, rewards = rollout(params, [0], 2)
    check_laws(params, states)
    assert rewards.shape == (2, 1, 1 + 3 * rings * (rings + 1))
    assert ((rewards >= 0) & (rewards <= 1)).all()


def test_laws_hold_at_the_default():
    states, _ = rollout(DEFAULT, range(4), 10)
    check_laws(DEFAULT, states)


@pytest.mark.parametrize("rings", [0, 2])
def test_a_batch_is_exactly_its_members(rings):
    params, seeds = replace(DEFAULT, rings=rings), list(range(16))
    together, rewards = rollout(params, seeds, 5)
    for e in (0, 7, 15):
        alone, reward = rollout(params, [seeds[e]], 5)
        np.testing.assert_array_equal(rewards[:, e], reward[:, 0])
        for a, b in zip(alone, together, strict=True):
            for field in fields(ns.State):
                np.testing.assert_array_equal(getattr(a, field.name)[0], getattr(b, field.name)[e])
            np.testing.assert_array_equal(
                ns.global_state(params, a)[0], ns.global_state(params, b)[e]
            )


def test_different_seeds_differ_at_reset_and_later():
    rngs = generators([0, 1])
    state = ns.reset(DEFAULT, rngs)
    assert (state.packets[0] != state.packets[1]).any()
    twin = ns.State(
        **{f.name: np.repeat(getattr(state, f.name)[:1], 2, axis=0) for f in fields(ns.State)}
    )
    after = ns.transition(DEFAULT, twin, np.full((2, 19, 3), 3e6, np.float32), rngs)
    assert (after.packets[0] != after.packets[1]).any()
    assert not np.allclose(after.log_demand[0], after.log_demand[1])


TURN = np.array([[0.5, -np.sqrt(0.75)], [np.sqrt(0.75), 0.5]])


class Turned:
    """A generator whose draws are those of another one for the network turned by 60 degrees.

    Draws are made in the old order of agents and returned in the new one; those that move
    hotspots are turned.
    """

    def __init__(self, rng, old):
        self.rng, self.old = rng, old

    def standard_normal(self, size):
        drawn = self.rng.standard_normal(size)
        return drawn[self.old] if size[0] == 19 else drawn @ TURN.T

    def poisson_slots(self, rate, slots):
        first = rate.reshape(3, 19)[:, np.argsort(self.old)].ravel()
        drawn = poisson_slots(self.rng, first, slots).reshape(slots, 3, 19)
        return drawn[:, :, self.old].reshape(slots, -1)


@pytest.mark.parametrize("preset", ["default", "hotspots"])
def test_relabelling_agents_permutes_the_results(monkeypatch, preset):
    """Turning the hexagon by 60 degrees renames the cells and keeps who is adjacent to whom."""
    params = ns.PRESETS[preset]
    spots = hex_grid(2)
    gap = np.abs((spots @ TURN.T)[None] - spots[:, None]).sum(axis=-1)
    old = gap.argmin(axis=1)
    assert (np.sort(old) == np.arange(19)).all()
    rng, twin = np.random.default_rng(2), np.random.default_rng(2)
    choose = np.random.default_rng(3)
    state = ns.reset(params, [rng])
    ns.reset(params, [twin])

    def turned(state):
        values = {f.name: getattr(state, f.name) for f in fields(ns.State)}
        hotspot = values.pop("hotspot") @ TURN.T
        return ns.State(hotspot=hotspot, **{name: value[:, old] for name, value in values.items()})

    monkeypatch.setattr(
        fluid,
        "poisson_slots",
        lambda rng, *args: getattr(rng, "poisson_slots", partial(poisson_slots, rng))(*args),
    )
    other = turned(state)
    for _ in range(5):
        action = random_action(params, choose)
        state = ns.transition(params, state, action, [rng])
        other = ns.transition(params, other, action[:, old], [Turned(twin, old)])
        expected = turned(state)
        for field in fields(ns.State):
            np.testing.assert_allclose(
                getattr(expected, field.name), getattr(other, field.name), atol=1e-7
            )
        np.testing.assert_allclose(
            ns.observe(params, state)[:, old], ns.observe(params, other), rtol=1e-5, atol=1e-5
        )
