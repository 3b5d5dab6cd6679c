"""Coordinated beamforming against a plain-loop oracle, closed forms and symmetries."""

import importlib.util
from dataclasses import fields, replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import networld_envs
from networld_envs import cbf
from networld_envs.cbf import ge2020, network
from networld_envs.cbf.policies import POLICIES, wmmse
from networld_envs.physics import radio
from networld_envs.physics.topology import hex_translations
from networld_envs.policies import usable_policies
from networld_envs.policies.references import measure
from networld_envs.policies.rollout import Behaviour, rollout

P = cbf.Params()
GE2020 = cbf.PRESETS["ge2020"]


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
    for name in ("mrt", "slnr", "swmmse", "expert"):
        policy = POLICIES[name].local
        after = cbf.transition(params, state, policy(params, obs, table, generators, 0), rngs(8, 9))
        full = np.log2(1 + (np.abs(state.channel[:, 0, 0]) ** 2).sum(-1))
        np.testing.assert_allclose(after.rate[:, 0], full, rtol=1e-4, err_msg=name)


def test_wmmse_sum_rate_never_falls():
    state = cbf.reset(P, rngs(6))
    _, history = wmmse(state.channel.astype(complex), 30)
    assert (np.diff(history, axis=0) >= -1e-9 * history[1:]).all()
    assert (history[-1] > history[0]).all()
    state = cbf.reset(replace(P, rings=3, max_links=9), rngs(2))
    _, history = wmmse(state.channel.astype(complex), 30, state.stations, state.rest)
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


def test_statistical_wmmse_is_a_constant_beam_between_mrt_and_the_expert():
    mean, last = {}, None
    for name in ("mrt", "slnr", "swmmse", "expert"):
        played = rollout("cbf", P, Behaviour(name), range(600, 624), 16)
        mean[name] = played.rewards.mean()
        if name == "swmmse":
            last = played.actions
    np.testing.assert_allclose(last, np.broadcast_to(last[:, :1], last.shape), atol=1e-6)
    assert np.std(last[:, 0], axis=(0, 1)).min() > 1e-3  # and not one beam for all
    assert mean["mrt"] < mean["slnr"] < mean["swmmse"] < mean["expert"]


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
    csi=st.booleans(),
    wrap=st.booleans(),
    speed=st.sampled_from([0.0, 30.0]),
    links=st.sampled_from([None, 2, 5]),
    seed=st.integers(0, 2**31),
)
def test_legal_inputs_never_leave_the_spaces(
    rings, antennas, slots, power_dbm, correlation, spread, scale, csi, wrap, speed, links, seed
):
    params = replace(
        P,
        rings=rings,
        antennas=antennas,
        neighbours=slots,
        power_dbm=power_dbm,
        correlation=correlation,
        angular_spread_deg=spread,
        observation="csi" if csi else "angle",
        wrap_around=wrap,
        user_speed_mps=speed,
        max_links=links,
    )
    generators = rngs(1, seed)
    state = cbf.reset(params, generators)
    space, box = cbf.observation_space(params), cbf.action_space(params)
    for name, policy in POLICIES.items():
        obs, table = cbf.observe(params, state), cbf.neighbours(params, state)
        assert obs.shape[-1] == cbf.spec(params).obs_dim
        assert all(space.contains(row) for row in obs[0])
        if not policy.needs(params):
            continue
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
        ("observation", "image"),
        ("action", "beam"),
        ("reward_set", None),
        ("wrap_around", 1),
        ("user_speed_mps", -3.0),
        ("slot_s", 0.0),
        ("sinr_cap_db", float("inf")),
        ("power_dbm", 4000.0),
        ("noise_dbm", -4000.0),
        ("path_loss_1km_db", -4000.0),
        ("path_loss_slope_db", 4000.0),
        ("shadowing_db", 1000.0),
        ("inter_site_m", 1e9),
        ("max_links", 1),
        ("power_levels", 1),
        ("codewords", 0),
    ],
)
def test_illegal_parameters_are_named_with_their_value(field, value):
    with pytest.raises((ValueError, TypeError), match=rf"{field}.*{value}"):
        cbf.Params(**{field: value})


def every_params():
    """Legal parameters of every option and the combinations that exclude one another left out."""
    return st.builds(
        complete,
        rings=st.integers(0, 2),
        antennas=st.sampled_from([1, 2, 3, 4, 7]),
        neighbours=st.integers(0, 20),
        power_dbm=st.sampled_from([-200.0, 0.0, 38.0, 120.0]),
        min_distance_m=st.sampled_from([1e-3, 10.0]),
        shadowing_db=st.sampled_from([0.0, 8.0, 20.0]),
        paths=st.integers(1, 5),
        angular_spread_deg=st.sampled_from([0.0, 3.0, 360.0]),
        correlation=st.sampled_from([0.0, 0.64, 1.0]),
        observation=st.sampled_from(["angle", "csi", "ge2020"]),
        action=st.sampled_from(["box", "codebook"]),
        power_levels=st.integers(2, 6),
        codewords=st.integers(1, 9),
        reward_set=st.sampled_from(["gain", "power"]),
        wrap_around=st.booleans(),
        user_speed_mps=st.sampled_from([0.0, 30.0, 300.0]),
        sinr_cap_db=st.sampled_from([None, -10.0, 20.0]),
        max_links=st.sampled_from([None, 2, 5]),
    )


def complete(**fields):
    if fields["observation"] == "ge2020":
        fields["action"] = "codebook"
    if fields["observation"] == "ge2020" or fields["reward_set"] == "power":
        fields["max_links"] = None
    return cbf.Params(**fields)


def actions_of(params, envs, seed, kind):
    """Legal actions: random, silent or at the corners of the space."""
    rng = np.random.default_rng(seed)
    k = params.num_agents
    if params.action == "codebook":
        top = {"random": params.num_actions, "silent": 1, "extreme": 2}[kind]
        return rng.integers(0, top, (envs, k)) * (params.num_actions - 1 if top == 2 else 1)
    actions = random_actions(rng, params, envs)
    return {"random": actions, "silent": 0 * actions, "extreme": np.sign(actions)}[kind]


any_actions = st.sampled_from(["random", "silent", "extreme"])
seeds = st.integers(0, 2**31)


@settings(max_examples=60, deadline=None)
@given(params=every_params(), kind=any_actions, seed=seeds)
def test_any_parameters_keep_to_spaces_and_bounds(params, kind, seed):
    """No NaN, observations in their space, beams within power, rewards below rates."""
    generators = rngs(2, seed)
    state = cbf.reset(params, generators)
    low, high = cbf.observation_space(params).low, cbf.observation_space(params).high
    for step in range(2):
        actions = actions_of(params, 2, seed + step, kind)
        before, state = state, cbf.transition(params, state, actions, generators)
        rewards = cbf.reward(params, before, actions, state)
        obs, table = cbf.observe(params, state), cbf.neighbours(params, state)
        assert obs.shape == (2, params.num_agents, cbf.spec(params).obs_dim)
        assert obs.dtype == np.float32
        assert (obs >= low).all()
        assert (obs <= high).all()
        assert np.isfinite(rewards).all()
        assert np.isfinite(cbf.global_state(params, state)).all()
        assert (state.caused_loss >= -1e-9 * (1 + state.rate.max())).all()
        assert (rewards <= state.rate + 1e-4).all()
        assert (state.disturbance >= 1.0).all()
        power = (np.abs(state.beamformer) ** 2).sum(-1)
        assert (power <= 1 + 1e-5).all()
        assert ((table >= -1) & (table < params.num_agents)).all()
        assert (table != np.arange(params.num_agents)[:, None]).all()
        assert [f.shape for f in cbf.metrics(params, state).values()] == [
            rewards.shape,
            rewards.shape,
            (*rewards.shape, 2 * params.antennas),
        ]
        if kind == "silent":
            assert (state.rate == 0).all()
            assert (rewards == 0).all()
            assert (state.disturbance == 1.0 + state.rest).all()


@settings(max_examples=40, deadline=None)
@given(params=every_params(), kind=any_actions, seed=seeds, others=st.integers(1, 3))
def test_any_batch_is_exactly_its_members(params, kind, seed, others):
    """Bit for bit, at every size and option."""
    batch, alone = rngs(1 + others, seed), rngs(1, seed + others)
    many, one = cbf.reset(params, batch), cbf.reset(params, alone)
    for step in range(2):
        actions = actions_of(params, 1 + others, seed + step, kind)
        many = cbf.transition(params, many, actions, batch)
        one = cbf.transition(params, one, actions[-1:], alone)
    for f in fields(cbf.State):
        np.testing.assert_array_equal(
            getattr(many, f.name)[-1:], getattr(one, f.name), err_msg=f.name
        )
    np.testing.assert_array_equal(cbf.observe(params, many)[-1:], cbf.observe(params, one))


def rounding(state, params):
    """What a loss may be off by: it takes powers from sums, in double precision."""
    others = np.where(np.eye(params.num_agents, dtype=bool), 0.0, state.gain).sum(axis=-1)
    return 1e-14 * float(others.max()) * params.antennas * 10


def test_powers_beyond_double_precision_give_finite_losses():
    params = cbf.Params(power_dbm=300.0)
    before, actions, after = play(params)
    assert after.disturbance.max() > 1e20
    assert np.isfinite(cbf.reward(params, before, actions, after)).all()


@settings(max_examples=40, deadline=None)
@given(params=every_params(), seed=seeds)
def test_any_reward_of_all_others_is_the_difference_reward(params, seed):
    """With U = K - 1: the sum rate, minus what it would be if the cell kept silent."""
    k = params.num_agents
    params = replace(params, neighbours=k - 1, max_links=None)
    generators = rngs(1, seed)
    state = cbf.reset(params, generators)
    actions = actions_of(params, 1, seed, "random")
    after = cbf.transition(params, state, actions, rngs(1, 3))
    rewards = cbf.reward(params, state, actions, after)
    for agent in {0, k // 2, k - 1}:
        silent = actions.copy()
        silent[:, agent] = 0
        without = cbf.transition(params, state, silent, rngs(1, 3))
        assert without.rate[0, agent] == 0
        np.testing.assert_allclose(
            rewards[0, agent],
            (after.rate - without.rate).sum(),
            rtol=2e-5,
            atol=2e-4 + rounding(state, params),
        )


@settings(max_examples=40, deadline=None)
@given(params=every_params(), seed=seeds)
def test_any_relabelling_of_the_cells_permutes_the_outcome(params, seed):
    """Rates, losses and measurements follow the agents; ties in gain aside there are none."""
    params = replace(params, max_links=None, user_speed_mps=0.0)
    k = params.num_agents
    order = np.random.default_rng(seed).permutation(k)
    place = np.argsort(order)  # the new index of a cell
    state = cbf.reset(params, rngs(1, seed))
    if params.observation == "ge2020":
        params = replace(params, observation="angle")  # no beam depends on the cell's position
    table = state.neighbours[:, order]
    table = np.where(table >= 0, place[table], -1).astype(np.int32)
    pairs = np.ix_(order, order)
    renamed = replace(
        state,
        gain=state.gain[:, *pairs].copy(),
        phasor=state.phasor[:, :, *pairs].copy(),
        fading=state.fading[:, :, *pairs].copy(),
        neighbours=table,
        links=network.places(table),
        geometry=state.geometry[:, order],
    )
    actions = actions_of(params, 1, seed, "random")
    one = cbf.transition(replace(params, correlation=1.0), state, actions, rngs(1))
    two = cbf.transition(replace(params, correlation=1.0), renamed, actions[:, order], rngs(1))
    atol = 1e-9 + rounding(state, params)
    for name in ("rate", "caused_loss", "signal", "disturbance"):
        np.testing.assert_allclose(
            getattr(two, name), getattr(one, name)[:, order], rtol=1e-9, atol=atol, err_msg=name
        )
    if params.observation == "angle":
        np.testing.assert_allclose(
            cbf.observe(params, two), cbf.observe(params, one)[:, order], rtol=1e-5, atol=1e-6
        )


# -- Options ---------------------------------------------------------------------------------


def play(params, steps=3, envs=2, seed=0):
    """State before and after a last random step."""
    generators, own = rngs(envs, seed), rngs(envs, 90 + seed)
    state = cbf.reset(params, generators)
    for step in range(steps):
        before = state
        obs, table = cbf.observe(params, state), cbf.neighbours(params, state)
        actions = POLICIES["random"].local(params, obs, table, own, step)
        state = cbf.transition(params, state, actions, generators)
    return before, actions, state


def unit_codeword(params, state, e, k, choice):
    """The codeword by its formula, turned into the frame of station k's own user."""
    n, q, size = params.antennas, choice // params.power_levels + 1, params.codewords
    d = state.user_m[e, k] - cbf.layout(params, state)[e, k]
    psi = np.pi * d[0] / np.hypot(*d)
    phases = [np.floor(m * ((q + size / 2) % size) / (size / 16)) for m in range(1, n + 1)]
    turned = [2 * np.pi / 16 * p - i * psi for i, p in enumerate(phases)]
    return np.exp(1j * np.array(turned)) / np.sqrt(n)


def test_ge2020_observation_is_the_papers_62_features():
    generators, own = rngs(2), rngs(2, 50)
    states, choices = [cbf.reset(GE2020, generators)], []
    for _ in range(3):
        choices.append(np.stack([rng.integers(0, 40, 19) for rng in own]))
        states.append(cbf.transition(GE2020, states[-1], choices[-1], generators))
    obs = cbf.observe(GE2020, states[-1])
    assert obs.shape == (2, 19, 62)
    assert cbf.spec(GE2020).num_choices == cbf.action_space(GE2020).n == 40
    noise_mw, watts = 10**-11.4, 10**3.8

    def received(e, t, then):
        """|h_jk^H c|^2 and power [user, station] of slot t under the actions of slot ``then``."""
        gain = np.zeros((19, 19))
        for user, station in np.ndindex(19, 19):
            h = states[t].channel[e, user, station].astype(complex)
            code = unit_codeword(GE2020, states[t], e, station, choices[then][e, station])
            gain[user, station] = abs(np.vdot(h, code)) ** 2
        gain *= noise_mw / watts
        return gain, gain * watts * (choices[then][e] % 5) / 4

    for e, k in ((0, 0), (1, 5), (1, 18)):
        (gain, power), (_, earlier) = received(e, 2, 2), received(e, 1, 1)
        now_gain, now = received(e, 3, 2)
        old_gain, old = received(e, 2, 1)

        def noisy(p):
            return p.sum(axis=1) - np.diag(p) + noise_mw

        rate = np.log2(1 + np.diag(power) / noisy(power))
        earlier_rate = np.log2(1 + np.diag(earlier) / noisy(earlier))
        choice = choices[2][e, k]
        expected = [choice % 5 / 4, choice // 5, rate[k] / 5]
        expected += [now_gain[k, k] / 1e-9, old_gain[k, k] / 1e-9]
        expected += [noisy(now)[k] / 1e-7, noisy(old)[k] / 1e-7]
        for t, p, r in ((2, power, rate), (1, earlier, earlier_rate)):
            for j in sorted(set(range(19)) - {k}, key=lambda j: -p[k, j])[:5]:
                expected += [j / 18, p[k, j] / 1e-9, choices[t][e, j] // 5, r[j] / 5]
        for u in sorted(set(range(19)) - {k}, key=lambda u: -power[u, k])[:5]:
            if power[u, k] > 0:
                expected += [gain[u, k] / 1e-9, rate[u] / 5, power[u, k] / noisy(power)[u]]
        np.testing.assert_allclose(obs[e, k][: len(expected)], expected, rtol=2e-3, atol=1e-4)
        if choice % 5:  # a silent station disturbs nobody and may list anyone
            assert len(expected) == 62


def test_ge2020_reward_counts_the_users_that_received_most():
    before, actions, after = play(GE2020)
    rewards = cbf.reward(GE2020, before, actions, after)
    np.testing.assert_allclose(
        (np.abs(after.beamformer) ** 2).sum(-1), actions % 5 / 4, rtol=1e-5, atol=1e-9
    )
    for e in range(2):
        power = np.abs((np.conj(before.channel[e]) * after.beamformer[e]).sum(-1)) ** 2
        table = np.argsort(-np.where(np.eye(19, dtype=bool), -1, power), axis=0)[:5].T
        state = replace(before, neighbours=np.stack([table.astype(np.int32)] * 2))
        _, reward, _ = oracle_transmit(state, after.beamformer, e)
        np.testing.assert_allclose(rewards[e], reward, rtol=1e-3, atol=2e-3)


def test_codebook_holds_the_matched_beam_and_is_fixed_in_space_only_for_ge2020():
    beams = ge2020.codebook(3, 8)
    np.testing.assert_allclose(np.linalg.norm(beams, axis=1), 1)
    np.testing.assert_allclose(beams[3], 3**-0.5)  # mod(4 + 4, 8) = 0
    assert len(np.unique(beams.round(9), axis=0)) == 8
    choice = np.full((2, 19), 3 * 5 + 4)
    state = cbf.reset(GE2020, rngs(2))
    own = ge2020.unit_beams(replace(GE2020, observation="angle"), state.user_m, choice)
    np.testing.assert_allclose(own, 3**-0.5, atol=1e-6)
    fixed = ge2020.unit_beams(GE2020, state.user_m, choice)
    assert np.abs(fixed - own).max() > 0.1


def test_published_figures_with_the_papers_channel():
    """Ge et al.: random 3.6, MRT 6.0, SLNR 6.6, 20-iteration WMMSE 7.5 bit/s/Hz a cell."""
    for preset in ("ge2020", "ge2020_box"):
        for name, (metric, value) in cbf.ABOUT.published[preset].items():
            found = measure("cbf", name, 40, preset=preset, max_cycles=4)["metrics"][metric]
            assert found == pytest.approx(value, abs=0.3), name


@pytest.mark.parametrize("observation", ["angle", "csi"])
def test_policies_use_the_codebook_when_they_must(observation):
    params = replace(GE2020, observation=observation)
    mean = {}
    for name in usable_policies("cbf", params):
        played = rollout("cbf", params, Behaviour(name), range(300, 316), 4)
        assert played.actions.max() < 40
        mean[name] = played.rewards.mean()
    assert mean["random"] < mean["mrt"] < mean["expert"] < mean["genie"]
    with pytest.raises(ValueError, match=r"'expert' cannot act .* that can: random, genie"):
        rollout("cbf", GE2020, Behaviour("expert"), [0], 1)
    with pytest.raises(ValueError, match="observation='angle'"):
        POLICIES["expert"].local(GE2020, np.zeros((1, 19, 62)), np.zeros((1, 19, 5)), rngs(1), 0)


def test_the_genie_searches_the_codebook_only_where_it_hears_all_stations():
    few = cbf.Params(action="codebook", max_links=5)
    assert "genie" not in usable_policies("cbf", few)
    assert "genie" in usable_policies("cbf", replace(few, max_links=19))
    assert "genie" in usable_policies("cbf", replace(few, action="box"))
    for name in usable_policies("cbf", few):
        assert np.isfinite(rollout("cbf", few, Behaviour(name), [0], 1).rewards).all()


def test_csi_observation_holds_the_channels():
    params = replace(P, observation="csi")
    _, _, state = play(params)
    obs, n = cbf.observe(params, state), P.antennas
    assert obs.shape[-1] == cbf.spec(params).obs_dim == 93
    e, k = 1, 4

    def shown(h):
        h = h.astype(complex)
        h = h / np.linalg.norm(h) * np.exp(-1j * np.angle(h.sum()))
        return np.concatenate([h.real, h.imag])

    own = state.channel[e, k, k]
    np.testing.assert_allclose(obs[e, k, 0], 2 * np.log10(np.linalg.norm(own)), rtol=1e-4)
    np.testing.assert_allclose(obs[e, k, 2 : 2 + 2 * n], shown(own), atol=1e-5)
    for slot, user in enumerate(state.neighbours[e, k]):
        part = obs[e, k, 2 + 2 * n + slot * (1 + 2 * n) :][: 1 + 2 * n]
        h = state.channel[e, user, k]
        np.testing.assert_allclose(part[0], 2 * np.log10(np.linalg.norm(h)), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(part[1:], shown(h), atol=1e-4)
    reported = obs[e, k].reshape(-1)[-3 * P.neighbours :].reshape(-1, 3)
    np.testing.assert_array_equal(reported[:, 2], obs[e, state.neighbours[e, k], 0])


def test_wrapping_around_surrounds_every_cell_alike():
    """Without shadowing and with users at one place the cells of a wrapped grid are equal."""
    params = replace(
        P, wrap_around=True, shadowing_db=0.0, min_distance_m=0.001, max_distance_m=0.001
    )
    state = cbf.reset(params, rngs(2))
    power = np.sort(state.gain[0], axis=1)
    np.testing.assert_allclose(power, np.broadcast_to(power[0], power.shape), rtol=1e-3)
    # The nearest copy counts: brute force over the seven copies.
    params = replace(params, max_distance_m=200.0)
    state = cbf.reset(params, rngs(1))
    station = cbf.layout(params, state)[0]
    for user, base in ((0, 5), (7, 13), (18, 11)):
        copies = state.user_m[0, user] + hex_translations(2) * params.inter_site_m
        d_km = np.linalg.norm(copies - station[base], axis=1).min() / 1e3
        expected = 38 + 114 - 120.9 - 37.6 * np.log10(d_km)
        np.testing.assert_allclose(10 * np.log10(state.gain[0, user, base]), expected)


@pytest.mark.parametrize("links", [None, 6])
def test_users_move_at_their_speed_within_their_ring(links):
    params = replace(P, user_speed_mps=200.0, slot_s=0.1, max_links=links, min_distance_m=30.0)
    generators = rngs(2)
    state = cbf.reset(params, generators)
    straight = 0
    for _ in range(25):
        action = random_actions(np.random.default_rng(1), params, 2)
        after = cbf.transition(params, state, action, generators)
        step = np.linalg.norm(after.user_m - state.user_m, axis=-1)
        assert step.max() <= 22  # 20, or a little more around the hole in the middle
        straight += (np.abs(step - 20) < 1e-6).sum()
        from_own = np.linalg.norm(after.user_m - cbf.layout(params, after), axis=-1)
        assert from_own.min() >= 30 - 1e-6
        assert from_own.max() <= 200 + 1e-6
        np.testing.assert_allclose(np.linalg.norm(after.velocity_mps, axis=-1), 200)
        np.testing.assert_array_equal(after.neighbours, state.neighbours)
        state = after
    assert straight > 0.6 * 25 * 38
    own = state.gain[0, :, 0] if links else np.diagonal(state.gain[0])
    shadow = state.shadow_db[0, :, 0] if links else np.diagonal(state.shadow_db[0])
    from_own = np.linalg.norm(state.user_m - cbf.layout(params, state), axis=-1)[0]
    expected = 38 + 114 - 120.9 - 37.6 * np.log10(from_own / 1e3) + shadow
    np.testing.assert_allclose(10 * np.log10(own), expected)
    np.testing.assert_allclose(state.geometry[0, :, 0], np.log10(own), rtol=1e-5)


def test_speed_zero_draws_nothing_and_a_slow_user_changes_little():
    still, slow = cbf.reset(P, rngs(2)), cbf.reset(replace(P, user_speed_mps=1e-6), rngs(2))
    np.testing.assert_array_equal(still.channel, slow.channel)
    action = random_actions(np.random.default_rng(1), P, 2)
    slow = cbf.transition(replace(P, user_speed_mps=1e-6), slow, action, rngs(2, 9))
    still = cbf.transition(P, still, action, rngs(2, 9))
    np.testing.assert_allclose(slow.channel, still.channel, rtol=1e-3, atol=1e-5)


def test_sinr_cap_limits_rates_and_the_loss_caused():
    params = replace(P, sinr_cap_db=10.0)
    before, actions, after = play(params)
    free = cbf.transition(P, before, actions, rngs(2, 7))
    limit = np.log2(11)
    np.testing.assert_allclose(after.rate, np.minimum(free.rate, limit))
    assert (free.rate > limit).any()
    assert (after.caused_loss <= free.caused_loss + 1e-9).all()
    own_rate = cbf.observe(params, after)[..., 2 + 3 * P.neighbours]
    assert own_rate.max() <= limit + 1e-6


# -- Many cells ------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [False, True])
def test_kept_links_are_the_strongest_candidates(wrap):
    """Links, leftover power, listed users and leakage against loops over the candidates."""
    params = replace(P, rings=4, max_links=8, wrap_around=wrap)
    state = cbf.reset(params, rngs(1, 3))
    window = network.candidates(params)
    count = window.cells.shape[1]
    assert count < params.num_agents
    rng = np.random.default_rng(3)
    rng.random((2, 61))
    shadow_db = rng.standard_normal((61, count)) * 8
    station = cbf.layout(params, state)[0]
    shifts = hex_translations(4) * 400.0 if wrap else np.zeros((1, 2))
    gain = np.zeros((61, 61))
    inside = np.zeros((61, 61), dtype=bool)
    for user, c in np.ndindex(61, count):
        base = window.cells[user, c]
        if base < 0:
            continue
        d_km = np.linalg.norm(state.user_m[0, user] + shifts - station[base], axis=1).min() / 1e3
        loss_db = 120.9 + 37.6 * np.log10(d_km)
        gain[user, base] = 10 ** ((38 + 114 - loss_db + shadow_db[user, c]) / 10)
        inside[user, base] = True
    far = np.zeros(61)
    for user in range(61):
        for base in np.flatnonzero(~inside[user]):
            d_km = np.linalg.norm(station[user] + shifts - station[base], axis=1).min() / 1e3
            mean_db = 38 + 114 - 120.9 - 37.6 * np.log10(d_km)
            far[user] += 10 ** (mean_db / 10) * np.exp((8 * np.log(10) / 10) ** 2 / 2)
    kept = np.zeros((61, 61), dtype=bool)
    for user in range(61):
        ranked = sorted((b for b in range(61) if b != user), key=lambda b: -gain[user, b])
        expected = [user, *ranked[:7]]
        assert state.stations[0, user].tolist() == expected
        np.testing.assert_allclose(state.gain[0, user], gain[user, expected])
        kept[user, expected] = True
        np.testing.assert_allclose(state.rest[0, user], gain[user, ranked[7:]].sum() + far[user])
    for base in range(61):
        hearing = np.flatnonzero(kept[:, base] & (np.arange(61) != base))
        expected = sorted(hearing, key=lambda u: -gain[u, base])[:6]
        listed = state.neighbours[0, base]
        assert listed[listed >= 0].tolist() == expected
        for slot, user in enumerate(expected):
            link = state.links[0, base, slot]
            assert link // 8 == user
            assert state.stations[0].flat[link] == base
        others = np.delete(gain[:, base], [base, *expected]).sum() + far[base]
        np.testing.assert_allclose(state.geometry[0, base, 1], np.log10(others), rtol=1e-5)


def all_channels(params, state):
    """The channels ``(E, user, station, n)`` of a truncated state; one that is not kept is zero."""
    envs, k = state.signal.shape
    kept = state.channel
    channel = np.zeros((envs, k, k, params.antennas), complex)
    for e, user, link in np.argwhere(state.stations >= 0):
        channel[e, user, state.stations[e, user, link]] = kept[e, user, link]
    return channel


def test_truncated_transition_equals_the_oracle_with_the_rest_as_noise():
    params = replace(P, rings=3, max_links=9)
    before, actions, after = play(params)
    rewards = cbf.reward(params, before, actions, after)
    channel = all_channels(params, before)
    for e in range(2):
        w = after.beamformer[e].astype(complex)
        power = np.abs((np.conj(channel[e]) * w).sum(-1)) ** 2
        own = np.diag(power)
        disturbance = power.sum(axis=1) - own + 1.0 + before.rest[e]
        rate = np.log2(1 + own / disturbance)
        np.testing.assert_allclose(after.rate[e], rate, rtol=1e-3, atol=1e-4)
        for k in range(37):
            loss = 0.0
            for user in before.neighbours[e, k]:
                if user >= 0:
                    without = np.log2(1 + own[user] / (disturbance[user] - power[user, k]))
                    loss += without - rate[user]
            np.testing.assert_allclose(rewards[e, k], rate[k] - loss, rtol=2e-3, atol=2e-3)


def test_enough_links_change_nothing():
    one, two = (replace(P, max_links=links) for links in (None, 19))
    for a, b in zip(play(one)[1:], play(two)[1:], strict=True):
        if isinstance(a, cbf.State):
            a, b = cbf.observe(one, a), cbf.observe(two, b)
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="max_links=None or at least 61, got 32"):
        replace(GE2020, rings=4, max_links=32)


def test_truncation_to_32_links_changes_rates_by_a_hundredth_of_a_bit():
    """91 cells, all links against the 32 strongest with the others at their mean power."""
    params = replace(P, rings=5)
    state = cbf.reset(params, rngs(4))
    gain = np.where(np.eye(91, dtype=bool), np.inf, state.gain)
    kept = gain >= np.sort(gain, axis=-1)[..., -32:-31]
    power = radio.received_power(state.channel, state.beamformer[:, None])
    own = np.diagonal(power, axis1=1, axis2=2)
    full = np.log2(1 + own / (power.sum(-1) - own + 1))
    rest = np.where(kept, 0.0, state.gain).sum(-1)
    part = np.log2(1 + own / (np.where(kept, power, 0.0).sum(-1) - own + 1 + rest))
    assert np.abs(part - full).mean() < 0.02
    assert abs(part.mean() - full.mean()) < 0.01


def test_a_thousand_cells_run_and_rank_as_few_do():
    params = cbf.PRESETS["large"]
    assert params.num_agents == 1027
    mean = {}
    for name in ("random", "mrt", "slnr", "expert", "genie"):
        played = rollout("cbf", params, Behaviour(name), [5], 2)
        mean[name] = played.rewards.mean()
        assert np.isfinite(played.obs).all()
    assert mean["random"] < mean["mrt"] < mean["slnr"] < mean["expert"] < mean["genie"]
    largest = max(np.asarray(v).size for v in vars(cbf.reset(params, rngs(1))).values())
    assert largest <= 1027 * 32 * params.paths * params.antennas < 1027**2


@settings(max_examples=25, deadline=None)
@given(
    rings=st.integers(0, 2),
    antennas=st.integers(1, 4),
    slots=st.integers(0, 20),
    power_dbm=st.sampled_from([-200.0, 38.0, 60.0]),
    codewords=st.integers(1, 9),
    levels=st.integers(2, 6),
    silent=st.booleans(),
    wrap=st.booleans(),
    cap_db=st.sampled_from([None, -10.0, 20.0]),
    seed=st.integers(0, 2**31),
)
def test_legal_ge2020_inputs_never_leave_the_spaces(
    rings, antennas, slots, power_dbm, codewords, levels, silent, wrap, cap_db, seed
):
    params = replace(
        GE2020,
        rings=rings,
        antennas=antennas,
        neighbours=slots,
        power_dbm=power_dbm,
        codewords=codewords,
        power_levels=levels,
        wrap_around=wrap,
        sinr_cap_db=cap_db,
    )
    before, actions, state = play(params, 2, 1, seed)
    if silent:
        actions = np.zeros_like(actions)
        state = cbf.transition(params, before, actions, rngs(1, seed))
        assert (state.rate == 0).all()
    rewards = cbf.reward(params, before, actions, state)
    obs, space = cbf.observe(params, state), cbf.observation_space(params)
    assert np.isfinite(rewards).all()
    assert obs.shape[-1] == cbf.spec(params).obs_dim
    assert all(space.contains(row) for row in obs[0])
    genie = POLICIES["genie"].privileged(params, state, rngs(1), 0)
    assert all(cbf.action_space(params).contains(a) for a in genie[0])


@pytest.mark.parametrize(
    "kwargs",
    [
        {"preset": "ge2020"},
        {"observation": "csi", "wrap_around": True, "user_speed_mps": 10.0},
        {"rings": 3, "max_links": 8},
    ],
)
def test_options_work_in_every_view(kwargs):
    """The batch equals its members, single views included; Gymnasium's checker is content."""
    check_env(gym.make("networld/CBF-v0", **kwargs).unwrapped)
    vec = networld_envs.make_vec("cbf", 2, max_cycles=3, **kwargs)
    alone = networld_envs.make("cbf", max_cycles=3, render_mode="rgb_array", **kwargs)
    obs, _ = vec.reset(seed=[4, 5])
    own, _ = alone.reset(seed=5)
    vec.action_space.seed(0)
    for _ in range(3):
        np.testing.assert_array_equal(obs[1], np.stack(list(own.values())))
        actions = vec.action_space.sample()
        obs, *_ = vec.step(actions)
        own, *_ = alone.step(dict(zip(alone.agents, actions[1], strict=True)))
    assert alone.render().shape == (480, 640, 3)
    assert alone.state_space.contains(alone.state())


def test_the_truncation_table_of_the_benchmark_is_measured_on_the_same_channels():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "throughput.py"
    spec = importlib.util.spec_from_file_location("throughput", path)
    throughput = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(throughput)
    rows = [throughput.truncation_error(5, links, seeds=3) for links in (8, 32, 90)]
    error = [row["mean_error"] for row in rows]
    assert error[0] > 4 * error[1] > 16 * error[2]
    assert error[1] < 0.02
    assert {row["mean_rate"] for row in rows} == {rows[0]["mean_rate"]}
