"""The preset of Ge et al. (2020): observation, reward, codebook and published figures."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs import cbf
from networld_envs.cbf import ge2020
from networld_envs.cbf.policies import POLICIES
from networld_envs.policies.references import measure
from tests.helpers.cbf import GE2020, oracle_transmit, play, rngs


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
