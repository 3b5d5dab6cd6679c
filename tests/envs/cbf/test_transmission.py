"""Rates, rewards and beams against a plain-loop oracle and closed forms."""

from dataclasses import replace

import numpy as np

from networld_envs import cbf
from tests.helpers.cbf import P, oracle_transmit, play, random_actions, rngs


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


def test_powers_beyond_double_precision_give_finite_losses():
    params = cbf.Params(power_dbm=150.0)
    before, actions, after = play(params)
    assert after.interference_plus_noise.max() > 1e16
    assert np.isfinite(cbf.reward(params, before, actions, after)).all()


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
