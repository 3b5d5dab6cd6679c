"""Gains, fading, moving users and cells wrapped around."""

from dataclasses import replace

import numpy as np
import pytest

from networld_envs import cbf
from networld_envs.cbf import network, transmission
from networld_envs.physics.topology import hex_translations
from tests.helpers.cbf import P, random_actions, rngs


def test_mean_channel_power_is_antennas_times_gain():
    params = replace(P, rings=0)
    generators = rngs(3000)
    state = cbf.reset(params, generators)
    power = (np.abs(state.channel[:, 0, 0]) ** 2).sum(-1) / state.gain[:, 0, 0]
    assert abs(power.mean() / params.antennas - 1) < 0.05


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


@pytest.mark.parametrize("links", [None, 6])
def test_beams_keep_their_direction_while_users_move(links):
    """What users measure in the new slot is sent by the beams of before, fixed in space."""
    params = replace(P, user_speed_mps=200.0, slot_s=0.1, max_links=links)
    generators = rngs(2)
    state = cbf.reset(params, generators)
    for _ in range(3):
        action = random_actions(np.random.default_rng(1), params, 2)
        after = cbf.transition(params, state, action, generators)
        before, now = (network.own_angle(params, s.user_m) for s in (state, after))  # (E, station)
        antenna = np.arange(params.antennas)
        beam = after.beamformer * np.exp(1j * antenna * before[..., None])  # in space
        sender = np.maximum(after.stations, 0) if links else np.arange(19)[None, None]
        row = np.arange(2)[:, None, None]
        angle = np.angle(after.phasor) + now[row, sender][:, None]  # (E, L, user, link), in space
        response = np.exp(1j * antenna * angle[..., None])
        seen = (np.conj(beam)[row, sender][:, None] * response).sum(-1) / np.sqrt(angle.shape[1])
        signal, interference, _ = transmission.receive(
            params, after.gain, after.rest, after.fading, seen.astype(np.complex64)
        )
        np.testing.assert_allclose(after.signal, signal, rtol=1e-3)
        np.testing.assert_allclose(after.interference_plus_noise, interference, rtol=1e-3)
        state = after


def test_speed_zero_draws_nothing_and_a_slow_user_changes_little():
    still, slow = cbf.reset(P, rngs(2)), cbf.reset(replace(P, user_speed_mps=1e-6), rngs(2))
    np.testing.assert_array_equal(still.channel, slow.channel)
    action = random_actions(np.random.default_rng(1), P, 2)
    slow = cbf.transition(replace(P, user_speed_mps=1e-6), slow, action, rngs(2, 9))
    still = cbf.transition(P, still, action, rngs(2, 9))
    np.testing.assert_allclose(slow.channel, still.channel, rtol=1e-3, atol=1e-5)
