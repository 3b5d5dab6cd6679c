"""Observations against their tables."""

from dataclasses import replace

import numpy as np

from networld_envs import cbf
from tests.helpers.cbf import P, oracle_transmit, play, random_actions, rngs


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
