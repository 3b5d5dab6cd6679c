"""Steps of the fluid model against a plain-loop oracle and closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from networld_envs import ns
from networld_envs.ns.policies import STATIC_SPLIT
from networld_envs.physics.arrivals import poisson_slots
from networld_envs.physics.topology import hex_grid
from tests.helpers.ns import DEFAULT, OracleQueue, W, generators, random_action, rollout


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
    for load in (1.0, 1.2, 10.0):
        params = replace(DEFAULT, load=load)
        bits = (params.mean_arrivals * params.packet_bits).sum()
        assert bits == pytest.approx(load * W * 1e-3 * ns.spectral_efficiency(params, 1.0))


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
