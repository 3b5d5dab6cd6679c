"""Many cells: of the links of a user only the strongest are kept."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from networld_envs import cbf
from networld_envs.cbf import network
from networld_envs.physics import radio
from networld_envs.physics.topology import hex_translations
from networld_envs.policies.rollout import Behaviour, rollout
from tests.helpers.cbf import GE2020, P, play, rngs


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
        interference_plus_noise = power.sum(axis=1) - own + 1.0 + before.rest[e]
        rate = np.log2(1 + own / interference_plus_noise)
        np.testing.assert_allclose(after.rate[e], rate, rtol=1e-3, atol=1e-4)
        for k in range(37):
            loss = 0.0
            for user in before.neighbours[e, k]:
                if user >= 0:
                    without = np.log2(
                        1 + own[user] / (interference_plus_noise[user] - power[user, k])
                    )
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


def test_the_truncation_table_of_the_benchmark_is_measured_on_the_same_channels():
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "throughput.py"
    spec = importlib.util.spec_from_file_location("throughput", path)
    throughput = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(throughput)
    rows = [throughput.truncation_error(5, links, seeds=3) for links in (8, 32, 90)]
    error = [row["mean_error"] for row in rows]
    assert error[0] > 4 * error[1] > 16 * error[2]
    assert error[1] < 0.02
    assert {row["mean_rate"] for row in rows} == {rows[0]["mean_rate"]}
