"""Coordinated beamforming against a plain-loop oracle, closed forms and symmetries."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs import cbf
from networld_envs.policies.cbf import POLICIES, wmmse

P = cbf.Params()


def rngs(count, first=0):
    return [np.random.default_rng(first + i) for i in range(count)]


def random_actions(rng, params, envs):
    return rng.uniform(-1, 1, (envs, params.num_agents, 2 * params.antennas)).astype(np.float32)


def oracle_transmit(state, w, e):
    """Rates and rewards of environment ``e`` by the definition, one link at a time."""
    k = w.shape[1]
    power = np.zeros((k, k))
    for user in range(k):
        for station in range(k):
            h = state.channel[e, user, station].astype(complex)
            power[user, station] = abs(np.vdot(h, w[e, station].astype(complex))) ** 2
    rate = np.zeros(k)
    interference = np.zeros(k)
    for user in range(k):
        interference[user] = 1.0 + sum(power[user, s] for s in range(k) if s != user)
        rate[user] = np.log2(1 + power[user, user] / interference[user])
    reward = rate.copy()
    for station in range(k):
        for user in state.neighbours[e, station]:
            if user >= 0:
                others = 1.0 + sum(power[user, s] for s in range(k) if s not in (user, station))
                reward[station] -= np.log2(1 + power[user, user] / others) - rate[user]
    return rate, reward, interference


def test_transition_equals_the_loop_oracle():
    generators = rngs(3)
    state = cbf.reset(P, generators)
    for _ in range(3):
        actions = random_actions(np.random.default_rng(9), P, 3)
        after = cbf.transition(P, state, actions, generators)
        rewards = cbf.reward(P, state, actions, after)
        for e in range(3):
            rate, reward, _ = oracle_transmit(state, after.beamformer, e)
            np.testing.assert_allclose(after.rate[e], rate, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(rewards[e], reward, rtol=1e-3, atol=1e-3)
        state = after


def test_observation_is_what_the_table_says():
    generators = rngs(2)
    state = cbf.reset(P, generators)
    state = cbf.transition(P, state, random_actions(np.random.default_rng(1), P, 2), generators)
    obs = cbf.observe(P, state)
    n, slots = P.antennas, P.neighbours
    assert obs.shape == (2, 19, 49)
    for e, k in ((0, 0), (1, 7), (1, 18)):
        rate, _, interference = oracle_transmit(state, state.beamformer, e)
        o = obs[e, k]
        gain = state.gain[e]
        listed = state.neighbours[e, k]
        unlisted = [u for u in range(19) if u != k and u not in listed]
        np.testing.assert_allclose(o[0], np.log10(gain[k, k]), rtol=1e-5)
        np.testing.assert_allclose(o[1], np.log10(sum(gain[u, k] for u in unlisted)), rtol=1e-4)
        assert min(gain[u, k] for u in listed) >= max(gain[u, k] for u in unlisted)
        np.testing.assert_allclose(
            o[2 : 2 + 3 * slots : 3], np.log10(gain[listed, k]), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            o[3 : 2 + 3 * slots : 3] ** 2 + o[4 : 2 + 3 * slots : 3] ** 2, 1, rtol=1e-5
        )
        own = o[2 + 3 * slots : 5 + 3 * slots]
        np.testing.assert_allclose(
            own[:2], [rate[k], np.log10(interference[k])], rtol=1e-4, atol=1e-4
        )
        w = state.beamformer[e, k]
        np.testing.assert_allclose(own[2], np.linalg.norm(w) ** 2, rtol=1e-5)
        np.testing.assert_array_equal(
            o[5 + 3 * slots : 5 + 3 * slots + 2 * n], np.concatenate([w.real, w.imag])
        )
        heard = o[5 + 3 * slots + 2 * n :].reshape(slots, 3)
        np.testing.assert_allclose(heard[:, 0], rate[listed], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            heard[:, 1], np.log10(interference[listed]), rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            heard[:, 2], np.log10(gain[listed, listed]), rtol=1e-4, atol=1e-5
        )


def test_listed_angles_are_relative_to_the_own_user():
    state = cbf.reset(replace(P, shadowing_db=0.0), rngs(1))
    station = cbf.layout(P, state)[0]
    for k in (0, 4):
        own = state.user_m[0, k] - station[k]
        psi = np.pi * np.cos(np.arctan2(own[1], own[0]))
        for slot, user in enumerate(state.neighbours[0, k]):
            d = state.user_m[0, user] - station[k]
            relative = np.pi * np.cos(np.arctan2(d[1], d[0])) - psi
            seen = state.geometry[0, k, 3 + 3 * slot : 5 + 3 * slot]
            np.testing.assert_allclose(seen, [np.cos(relative), np.sin(relative)], atol=1e-5)


def test_with_all_cells_listed_the_reward_is_the_difference_reward():
    params = replace(P, neighbours=18)
    generators = rngs(2)
    state = cbf.reset(params, generators)
    actions = random_actions(np.random.default_rng(3), params, 2)
    after = cbf.transition(params, state, actions, generators)
    rewards = cbf.reward(params, state, actions, after)
    for k in (0, 5, 18):
        silent = after.beamformer.copy()
        silent[:, k] = 0
        for e in range(2):
            without, _, _ = oracle_transmit(state, silent, e)
            np.testing.assert_allclose(
                rewards[e, k], after.rate[e].sum() - without.sum(), rtol=1e-3, atol=2e-3
            )


def test_beam_phase_changes_nothing_and_the_applied_beam_is_canonical():
    state = cbf.reset(P, rngs(1))
    action = 0.5 * random_actions(np.random.default_rng(4), P, 1)
    n = P.antennas
    w = (action[..., :n] + 1j * action[..., n:]) * np.exp(0.8j)
    turned = np.concatenate([w.real, w.imag], -1).astype(np.float32)
    one = cbf.transition(P, state, action, rngs(1, 50))
    two = cbf.transition(P, state, turned, rngs(1, 50))
    np.testing.assert_allclose(one.rate, two.rate, rtol=1e-4)
    np.testing.assert_allclose(one.beamformer, two.beamformer, atol=1e-6)
    total = one.beamformer.sum(-1)
    np.testing.assert_allclose(total.imag, 0, atol=1e-6)
    assert (total.real >= 0).all()


def test_mean_channel_power_is_antennas_times_gain():
    params = replace(P, rings=0)
    generators = rngs(3000)
    state = cbf.reset(params, generators)
    power = (np.abs(state.channel[:, 0, 0]) ** 2).sum(-1) / state.gain[:, 0, 0]
    assert abs(power.mean() / params.antennas - 1) < 0.05


def test_a_single_cell_is_best_served_by_the_matched_beam():
    params = replace(P, rings=0, paths=1, angular_spread_deg=0.0)
    generators = rngs(8)
    state = cbf.reset(params, generators)
    obs, table = cbf.observe(params, state), cbf.neighbours(params, state)
    assert (table == -1).all()
    for name in ("mrt", "slnr", "expert"):
        policy = POLICIES[name].local
        after = cbf.transition(params, state, policy(params, obs, table, generators, 0), rngs(8, 9))
        full = np.log2(1 + (np.abs(state.channel[:, 0, 0]) ** 2).sum(-1))
        np.testing.assert_allclose(after.rate[:, 0], full, rtol=1e-4, err_msg=name)


def test_wmmse_sum_rate_never_falls():
    state = cbf.reset(P, rngs(6))
    _, history = wmmse(state.channel.astype(complex), 30)
    assert (np.diff(history, axis=0) >= -1e-9 * history[1:]).all()
    assert (history[-1] > history[0]).all()


def test_policies_rank_as_published():
    """Random < MRT < SLNR < WMMSE (Ge et al., Fig. 5), and the local expert below the genie."""
    mean = {}
    for name in ("random", "mrt", "slnr", "expert", "genie"):
        generators = rngs(24, 300)
        state = cbf.reset(P, generators)
        total = 0.0
        for step in range(6):
            policy = POLICIES[name]
            if policy.privileged:
                actions = policy.privileged(P, state, generators, step)
            else:
                obs, table = cbf.observe(P, state), cbf.neighbours(P, state)
                actions = policy.local(P, obs, table, generators, step)
            state = cbf.transition(P, state, actions, generators)
            total += state.rate.mean()
        mean[name] = total / 6
    assert mean["random"] < mean["mrt"] < mean["slnr"] < mean["expert"] < mean["genie"]


def test_local_policies_ignore_what_lies_beyond_the_neighbours():
    generators = rngs(1, 5)
    state = cbf.reset(P, generators)
    obs, table = cbf.observe(P, state), cbf.neighbours(P, state)
    for policy in POLICIES.values():
        if policy.local is None or policy.role == "random":
            continue
        before = policy.local(P, obs, table, generators, 0)
        agent = 3
        near = {agent, *table[0, agent].tolist()}
        changed = obs.copy()
        for other in set(range(19)) - near:
            changed[0, other] = obs[0, (other + 1) % 19]
        after = policy.local(P, changed, table, generators, 0)
        np.testing.assert_array_equal(after[0, agent], before[0, agent], err_msg=policy.name)


@settings(max_examples=25, deadline=None)
@given(
    rings=st.integers(0, 2),
    antennas=st.integers(1, 6),
    slots=st.integers(0, 8),
    power_dbm=st.sampled_from([-200.0, 0.0, 38.0, 60.0]),
    correlation=st.sampled_from([0.0, 0.64, 1.0]),
    spread=st.sampled_from([0.0, 3.0, 360.0]),
    scale=st.sampled_from([0.0, 1e-6, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_legal_inputs_never_leave_the_spaces(
    rings, antennas, slots, power_dbm, correlation, spread, scale, seed
):
    params = replace(
        P,
        rings=rings,
        antennas=antennas,
        neighbours=slots,
        power_dbm=power_dbm,
        correlation=correlation,
        angular_spread_deg=spread,
    )
    generators = rngs(1, seed)
    state = cbf.reset(params, generators)
    space, box = cbf.observation_space(params), cbf.action_space(params)
    for name, policy in POLICIES.items():
        obs, table = cbf.observe(params, state), cbf.neighbours(params, state)
        assert obs.shape[-1] == cbf.spec(params).obs_dim
        assert all(space.contains(row) for row in obs[0])
        if policy.privileged:
            actions = policy.privileged(params, state, generators, 0)
        else:
            actions = policy.local(params, obs, table, generators, 0)
        assert all(box.contains(row) for row in actions[0]), name
        actions = actions * np.float32(scale)
        after = cbf.transition(params, state, actions, generators)
        rewards = cbf.reward(params, state, actions, after)
        assert np.isfinite(rewards).all()
        assert ((np.abs(after.beamformer) ** 2).sum(-1) <= 1 + 1e-5).all()
        assert (rewards <= after.rate + 1e-4).all()
        state = after


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rings", -1),
        ("rings", 1.5),
        ("antennas", 0),
        ("power_dbm", float("nan")),
        ("min_distance_m", 0.0),
        ("max_distance_m", 5.0),
        ("correlation", 1.2),
        ("shadowing_db", "8"),
        ("paths", True),
    ],
)
def test_illegal_parameters_are_named_with_their_value(field, value):
    with pytest.raises((ValueError, TypeError), match=rf"{field}.*{value}"):
        cbf.Params(**{field: value})
