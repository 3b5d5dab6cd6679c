"""Policies: their order, what they see, and the codebook where they must use it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from networld_envs import cbf, make_vec
from networld_envs.cbf.policies import POLICIES, wmmse
from networld_envs.policies import get_policy, usable_policies
from networld_envs.policies.rollout import Behaviour, rollout
from tests.helpers.cbf import GE2020, P, rngs


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


@pytest.mark.parametrize("observation", ["angle", "csi"])
def test_the_beamforming_expert_mirrors_what_is_mirrored(observation):
    vec = make_vec("cbf", 4, observation=observation)
    obs, info = vec.reset(seed=[1, 2, 3, 4])
    simulator, policy = vec.simulator, get_policy("cbf", "expert")
    spec, params = simulator.spec, simulator.params
    signs = np.ones(spec.obs_dim, np.float32)
    signs[list(spec.mirrored_obs)] = -1.0
    flips = np.ones(spec.action_dim, np.float32)
    flips[list(spec.mirrored_action)] = -1.0
    for step in range(3):
        rngs = [np.random.default_rng(k) for k in range(4)]
        assert policy.local is not None
        actions = policy.local(params, obs, info["neighbours"], rngs, step)
        rngs = [np.random.default_rng(k) for k in range(4)]
        mirrored = policy.local(params, obs * signs, info["neighbours"], rngs, step)
        assert np.abs(actions[..., list(spec.mirrored_action)]).max() > 0.1
        np.testing.assert_allclose(mirrored, actions * flips, atol=1e-5)
        obs, _, _, _, info = vec.step(actions)
