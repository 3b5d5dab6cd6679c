import json
from dataclasses import asdict, fields, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs import ns
from networld_envs.ns import fluid
from networld_envs.ns.policies import POLICIES, STATIC_SPLIT, tune_static
from networld_envs.physics.arrivals import poisson_slots
from networld_envs.physics.queueing import serve_before_deadline
from networld_envs.physics.topology import hex_grid
from networld_envs.policies import usable_policies

DEFAULT = ns.Params()
W = DEFAULT.bandwidth_hz


def generators(seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def random_action(params, rng):
    shape = (1, params.num_agents, 3)
    return rng.uniform(0, params.bandwidth_hz, shape).astype(np.float32)


def rollout(params, seeds, steps, split=None):
    """States and rewards; actions are the same for a seed whatever the batch."""
    rngs, own = generators(seeds), generators([[seed, 1] for seed in seeds])
    states, rewards = [ns.reset(params, rngs)], []
    for _ in range(steps):
        if split is None:
            action = np.concatenate([random_action(params, rng) for rng in own])
        else:
            shape = (len(seeds), params.num_agents, 3)
            action = np.broadcast_to(np.float32(split) * np.float32(params.bandwidth_hz), shape)
        states.append(ns.transition(params, states[-1], action, rngs))
        rewards.append(ns.reward(params, states[-2], action, states[-1]))
    return states, np.stack(rewards)


def mean_reward(params, name, episodes, steps=50):
    policy = POLICIES[name]
    rngs, own = generators(range(episodes)), generators([[s, 2] for s in range(episodes)])
    state = ns.reset(params, rngs)
    table, space = ns.neighbours(params, state), ns.action_space(params)
    total = 0.0
    for t in range(steps):
        if policy.local is not None:
            action = policy.local(params, ns.observe(params, state), table, own, t)
        else:
            action = policy.privileged(params, state, own, t)
        assert space.contains(action[0, 0])
        after = ns.transition(params, state, action, rngs)
        total += ns.reward(params, state, action, after).mean(dtype=np.float64)
        state = after
    return total / steps


# -- The slow, obvious model -----------------------------------------------------------------


class OracleQueue:
    """Cohorts of packets, each with the sub-slot it arrived in."""

    def __init__(self, deadline):
        self.deadline, self.cohorts, self.now = deadline, [], 0

    def slot(self, arrivals, service):
        self.cohorts.append([self.now, arrivals])
        served = 0.0
        for cohort in self.cohorts:  # oldest first
            part = min(cohort[1], service - served)
            cohort[1] -= part
            served += part
        late = [c for c in self.cohorts if self.now - c[0] + 1 >= self.deadline]
        self.cohorts = [c for c in self.cohorts if self.now - c[0] + 1 < self.deadline]
        self.now += 1
        return served, sum(c[1] for c in late)

    @property
    def queued(self):
        return sum(c[1] for c in self.cohorts)


def test_transition_equals_the_oracle():
    params = ns.Params(rings=1, sub_slots=30, deadlines_ms=(10, 4, 2))
    rng, twin, choose = (np.random.default_rng(s) for s in (3, 3, 4))
    state = ns.reset(params, [rng])
    ns.reset(params, [twin])
    queues = [[OracleQueue(d) for d in params.deadlines_ms] for _ in range(7)]
    spots = hex_grid(1)
    mean = params.mean_arrivals
    for _ in range(12):
        action = random_action(params, choose)
        after = ns.transition(params, state, action, [rng])
        rate = mean * np.exp(state.log_demand[0] - 0.5 * params.demand_sigma**2)
        arrivals = poisson_slots(twin, rate.T.ravel(), 30).reshape(30, 3, 7).transpose(0, 2, 1)
        noise = twin.standard_normal((7, 3))
        for n in range(7):
            near = [j for j in range(7) if 0.5 < np.hypot(*(spots[j] - spots[n])) < 1.5]
            u = sum(state.utilisation[0, j] for j in near) / 6
            eta = 2 * np.log2(1 + 1 / (0.01 + 0.15 * u))
            wanted = [float(x) for x in action[0, n]]
            scale = min(1.0, 10e6 / sum(wanted))
            bits_served, ratios = 0.0, []
            for s in range(3):
                hz = wanted[s] * scale
                service = hz * eta * 1e-3 / params.packet_bits[s]
                done = [queues[n][s].slot(float(arrivals[t, n, s]), service) for t in range(30)]
                in_time, expired = (sum(column) for column in zip(*done, strict=True))
                assert after.in_time[0, n, s] == pytest.approx(in_time, abs=1e-8)
                assert after.expired[0, n, s] == pytest.approx(expired, abs=1e-8)
                assert after.backlog[0, n, s, 0] == pytest.approx(queues[n][s].queued, abs=1e-8)
                assert after.allocation_hz[0, n, s] == pytest.approx(hz)
                bits_served += in_time * params.packet_bits[s]
                settled = in_time + expired
                ratios.append(in_time / settled if settled > 0 else 1.0)
                x = np.exp(-1 / 20) * state.log_demand[0, n, s]
                x += np.sqrt(1 - np.exp(-2 / 20)) * noise[n, s]
                assert after.log_demand[0, n, s] == pytest.approx(x)
            assert after.utilisation[0, n] == pytest.approx(bits_served / (10e6 * eta * 0.03))
            reward = ns.reward(params, state, action, after)[0, n]
            assert reward == pytest.approx(np.mean(ratios), abs=1e-6)
        np.testing.assert_array_equal(after.packets[0], arrivals.sum(axis=0))
        np.testing.assert_array_equal(after.packets_before, state.packets)
        state = after


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.floats(0.0, 5.0),
    st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=12), min_size=1, max_size=3),
)
def test_deadline_service_equals_cohorts(deadline, service, intervals):
    queue, backlog = OracleQueue(deadline), np.zeros((7, 1))
    for arrivals in intervals:
        before = backlog[0, 0]
        result = serve_before_deadline(
            np.array(arrivals, dtype=float)[:, None],
            np.array([service]),
            [deadline],
            backlog,
        )
        done = [queue.slot(float(a), service) for a in arrivals]
        in_time, expired = (sum(column) for column in zip(*done, strict=True))
        backlog = result.backlog
        assert result.in_time[0] == pytest.approx(in_time, abs=1e-9)
        assert result.expired[0] == pytest.approx(expired, abs=1e-9)
        assert backlog[0, 0] == pytest.approx(queue.queued, abs=1e-9)
        left = result.in_time[0] + result.expired[0] + backlog[0, 0]
        assert before + sum(arrivals) == pytest.approx(left, abs=1e-9)
        assert (backlog[max(deadline - 1, 0) :, 0] == 0).all()
        assert (np.diff(backlog[:, 0]) <= 0).all()


def test_a_deadline_counts_the_slot_of_arrival():
    """Three packets, one served per slot, two slots allowed: two are in time, one expires."""
    result = serve_before_deadline(
        np.array([[3.0], [0.0], [0.0]]), np.ones(1), [2], np.zeros((1, 1))
    )
    assert result.in_time[0] == 2.0
    assert result.expired[0] == 1.0


# -- Laws ------------------------------------------------------------------------------------


def check_laws(params, states):
    space = ns.observation_space(params)
    for before, after in pairwise(states):
        inflow = before.backlog[..., 0] + after.packets
        outflow = after.in_time + after.expired + after.backlog[..., 0]
        np.testing.assert_allclose(inflow, outflow, rtol=1e-9, atol=1e-9)
        assert (after.in_time >= 0).all()
        assert (after.expired >= 0).all()
        assert (after.backlog >= 0).all()
        assert (after.allocation_hz.sum(axis=-1) <= params.bandwidth_hz * (1 + 1e-12)).all()
        obs = ns.observe(params, after)
        assert all(space.contains(o) for o in obs.reshape(-1, obs.shape[-1]))


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


def test_no_bandwidth_gives_exactly_zero():
    states, rewards = rollout(DEFAULT, [0, 1], 4, split=(0, 0, 0))
    assert (rewards == 0).all()
    assert all((state.in_time == 0).all() for state in states)
    assert (states[-1].utilisation == 0).all()
    # One slice without bandwidth does not touch the others.
    _, rewards = rollout(DEFAULT, [0, 1], 4, split=(0.5, 0.5, 0))
    assert (rewards <= np.float32(2 / 3)).all()


def test_abundance_satisfies_everybody():
    params = ns.Params(load=0.3, demand_sigma=0.0)
    states, rewards = rollout(params, range(8), 30, split=STATIC_SPLIT)
    assert rewards.mean() > 0.999
    assert states[-1].ssr[..., :2].min() == 1.0


def test_satisfaction_is_monotone_in_own_bandwidth():
    params = replace(DEFAULT, interference=0.0)
    state = rollout(params, [2], 3)[0][-1]
    previous = np.zeros((1, 19, 3))
    for share in np.linspace(0, 1 / 3, 12):
        action = np.full((1, 19, 3), share * W, dtype=np.float32)
        after = ns.transition(params, state, action, generators([7]))
        ratio = after.ssr
        assert (ratio >= previous - 1e-12).all()
        previous = ratio
    assert previous.mean() > 0.8


@pytest.mark.parametrize("interference", [0.0, 0.15])
def test_cells_are_coupled_through_interference_only(interference):
    params = replace(DEFAULT, interference=interference)
    first = rollout(params, [5], 3, split=STATIC_SPLIT)[0]
    rngs = generators([5])
    state = ns.reset(params, rngs)
    for _ in range(3):
        action = np.broadcast_to(np.float32(STATIC_SPLIT) * np.float32(W), (1, 19, 3)).copy()
        action[:, 1:] = 0  # the neighbours of cell 0 stay silent
        state = ns.transition(params, state, action, rngs)
    if interference == 0.0:
        np.testing.assert_array_equal(state.in_time[:, 0], first[-1].in_time[:, 0])
    else:
        assert state.spectral_efficiency[0, 0] > first[-1].spectral_efficiency[0, 0]


def test_spectral_efficiency_has_its_limits():
    assert ns.spectral_efficiency(DEFAULT, 0.0) == pytest.approx(2 * np.log2(101))
    assert ns.spectral_efficiency(DEFAULT, 1.0) == pytest.approx(2 * np.log2(1 + 1 / 0.16))
    # At load 1 the mean demand in bits fills the band of a cell among busy neighbours.
    params = replace(DEFAULT, load=1.0)
    bits = (params.mean_arrivals * params.packet_bits).sum()
    assert bits == pytest.approx(W * 1e-3 * ns.spectral_efficiency(params, 1.0))


def test_demand_is_stationary_with_the_stated_moments():
    state = ns.reset(DEFAULT, generators(range(64)))
    first = state.log_demand.copy()
    assert first.mean() == pytest.approx(0.0, abs=0.06)
    assert first.std() == pytest.approx(1.0, abs=0.05)
    expected = DEFAULT.mean_arrivals * 100 * np.ones((64, 19, 3))
    np.testing.assert_allclose(state.packets.mean(axis=(0, 1)), expected[0, 0], rtol=0.15)
    idle = np.zeros((64, 19, 3), dtype=np.float32)
    rngs = generators(range(64))
    for _ in range(5):
        state = ns.transition(DEFAULT, state, idle, rngs)
    correlation = np.corrcoef(first.ravel(), state.log_demand.ravel())[0, 1]
    assert correlation == pytest.approx(np.exp(-5 / 20), abs=0.05)


def test_allocation_is_scaled_down_but_never_up():
    action = np.array([[[W, W, 2e6], [1e6, 2e6, 3e6], [0, 0, 0]]], dtype=np.float32)
    applied = ns.applied_allocation(W, action)
    np.testing.assert_allclose(applied[0, 0], np.array([10, 10, 2]) / 22 * W)
    np.testing.assert_array_equal(applied[0, 1:], action[0, 1:])


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


# -- Hotspots --------------------------------------------------------------------------------


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


# -- Symmetry --------------------------------------------------------------------------------

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


# -- Interfaces ------------------------------------------------------------------------------


def test_observation_has_the_documented_columns():
    states, _ = rollout(DEFAULT, [1, 2], 3)
    obs, state, before = ns.observe(DEFAULT, states[-1]), states[-1], states[-2]
    assert obs.shape == (2, 19, ns.spec(DEFAULT).obs_dim)
    assert obs.dtype == np.float32
    bits = np.array(DEFAULT.packet_bits)
    expected = {
        "packets": state.packets,
        "bits": state.packets * bits,
        "packets_before": before.packets,
        "bits_before": before.packets * bits,
        "allocation_hz": state.allocation_hz,
        "ssr": ns.metrics(DEFAULT, state)["ssr"],
        "spectral_efficiency": state.spectral_efficiency[..., None],
        "backlog": state.backlog[..., 0],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(obs[..., ns.OBSERVATION[name]], value, rtol=1e-6)
    # The last column fixes the next interval's spectral efficiency.
    after = ns.transition(DEFAULT, state, np.zeros((2, 19, 3), np.float32), generators([0, 0]))
    np.testing.assert_allclose(
        ns.spectral_efficiency(DEFAULT, obs[..., 22]), after.spectral_efficiency, rtol=1e-5
    )
    assert ns.neighbours(DEFAULT, state).shape == (2, 19, 6)
    assert ns.layout(DEFAULT, state).shape == (2, 19, 2)


def test_metrics_are_zero_after_reset():
    state = ns.reset(DEFAULT, generators([1]))
    assert all((value == 0).all() for value in ns.metrics(DEFAULT, state).values())
    assert (ns.observe(DEFAULT, state)[..., ns.OBSERVATION["packets"]] > 0).any()


def test_reward_options():
    states, base = rollout(DEFAULT, [0], 2)
    ratio = states[-1].ssr
    weighted = replace(DEFAULT, slice_weights=(0.0, 0.0, 2.0))
    nothing = np.zeros((1, 19, 3), np.float32)
    np.testing.assert_allclose(
        ns.reward(weighted, states[-2], nothing, states[-1]), ratio[..., 2], rtol=1e-6
    )
    extra = replace(DEFAULT, se_weight=0.1, violation_penalty=0.5, ssr_target=0.9)
    bits = (states[-1].in_time * DEFAULT.packet_bits).sum(axis=-1)
    expected = base[-1] + 0.1 * bits / (W * 0.1) - 0.5 * (ratio < 0.9).mean(axis=-1)
    np.testing.assert_allclose(
        ns.reward(extra, states[-2], nothing, states[-1]), expected, rtol=1e-5
    )


# -- Policies --------------------------------------------------------------------------------


def test_policies_are_ordered():
    names = ["random", "demand", "hard", "static", "expert", "genie"]
    assert usable_policies("ns", DEFAULT) == names
    reward = {name: mean_reward(DEFAULT, name, 32) for name in names}
    values = [reward[name] for name in names]
    assert values == sorted(values)
    assert reward["random"] == pytest.approx(0.832, abs=0.02)
    assert reward["static"] == pytest.approx(0.947, abs=0.015)
    assert reward["expert"] == pytest.approx(0.967, abs=0.015)
    assert reward["expert"] > reward["static"] + 0.01


@pytest.mark.parametrize("name", [n for n, p in POLICIES.items() if p.local is not None])
def test_local_policies_use_only_their_own_observation(name):
    policy = POLICIES[name]
    states, _ = rollout(DEFAULT, [11], 3)
    obs, table = ns.observe(DEFAULT, states[-1]), ns.neighbours(DEFAULT, states[-1])
    action = policy.local(DEFAULT, obs, table, generators([0]), 3)
    changed = obs.copy()
    changed[:, 1:] *= 0.5
    other = policy.local(DEFAULT, changed, table, generators([0]), 3)
    np.testing.assert_array_equal(other[:, 0], action[:, 0])


def test_policies_act_the_same_in_a_batch():
    state = rollout(DEFAULT, [0, 1, 2], 2)[0][-1]
    one = ns.State(**{f.name: getattr(state, f.name)[1:2] for f in fields(ns.State)})
    obs, table = ns.observe(DEFAULT, state), ns.neighbours(DEFAULT, state)
    for policy in POLICIES.values():
        if policy.local is not None:
            together = policy.local(DEFAULT, obs, table, generators([0, 1, 2]), 4)
            alone = policy.local(DEFAULT, obs[1:2], table[1:2], generators([1]), 4)
        else:
            together = policy.privileged(DEFAULT, state, generators([0, 1, 2]), 4)
            alone = policy.privileged(DEFAULT, one, generators([1]), 4)
        np.testing.assert_array_equal(together[1:2], alone)
        assert together.dtype == np.float32


@pytest.mark.parametrize(
    "params", [ns.Params(rings=0), ns.Params(rings=1, load=0.0), ns.Params(demand_sigma=0.0)]
)
def test_policies_run_at_the_edges(params):
    for name in POLICIES:
        assert 0.0 <= mean_reward(params, name, 2, steps=3) <= 1.0


def test_tuned_split_beats_others_on_its_own_seeds():
    params = ns.Params(rings=1, sub_slots=50)
    split, score = tune_static(params, range(4), steps=5, parts=10)
    assert sum(split) == pytest.approx(1.0)
    _, rewards = rollout(params, range(4), 5, split=split)
    assert score == pytest.approx(rewards.mean(dtype=np.float64), abs=1e-6)
    for other in ((1 / 3, 1 / 3, 1 / 3), (0.1, 0.1, 0.8), (0.2, 0.6, 0.2)):
        assert rollout(params, range(4), 5, split=other)[1].mean() <= score + 1e-3


# -- Parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rings", -1),
        ("rings", 1.5),
        ("bandwidth_hz", 0.0),
        ("packet_bits", (320.0, 6480.0)),
        ("packet_bits", (0.0, 1.0, 1.0)),
        ("load_shares", (0.5, 0.5, 0.5)),
        ("load_shares", "all"),
        ("load_shares", (0.2, 0.3, "0.5")),
        ("deadlines_ms", (10, 0, 2)),
        ("deadlines_ms", (10.0, 10, 2)),
        ("load", -0.1),
        ("load", float("nan")),
        ("demand_sigma", -1.0),
        ("demand_tau", 0.0),
        ("interference", -0.1),
        ("noise", 0.0),
        ("layers", 0),
        ("sub_slots", 0),
        ("slice_weights", (0.0, 0.0, 0.0)),
        ("violation_penalty", -1.0),
        ("ssr_target", 1.5),
        ("se_weight", "a lot"),
        ("hotspots", -1),
        ("hotspots", 1.5),
        ("hotspot_gain", -1.0),
        ("hotspot_width", 0.0),
        ("hotspot_tau", float("inf")),
    ],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises((ValueError, TypeError), match=name) as error:
        ns.Params(**{name: value})
    assert repr(value) in str(error.value)


def test_parameters_survive_json():
    values = json.loads(json.dumps(asdict(DEFAULT)))
    assert isinstance(values["deadlines_ms"], list)
    assert ns.Params(**values) == DEFAULT
