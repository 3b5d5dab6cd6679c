"""Observation, metrics and reward of the fluid model."""

from dataclasses import replace

import numpy as np

from networld_envs import ns
from tests.helpers.ns import DEFAULT, W, generators, rollout


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
