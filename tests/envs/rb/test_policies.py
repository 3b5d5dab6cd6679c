"""Policies: their order and what they see."""

from dataclasses import fields

import numpy as np
import pytest

from networld_envs import rb
from networld_envs.rb.policies import POLICIES
from tests.helpers.rb import DEFAULT, generators, mean_reward, rollout


def test_policies_are_ordered():
    reward = {name: mean_reward(DEFAULT, name, 64) for name in POLICIES}
    assert reward["hard"] < reward["backlog"] < reward["cap"] < reward["expert"] < reward["genie"]
    assert reward["random"] < reward["backlog"] < reward["mean"] < reward["expert"]
    assert reward["random"] == pytest.approx(-2.79, abs=0.25)
    assert reward["expert"] == pytest.approx(-0.48, abs=0.12)
    assert reward["genie"] == pytest.approx(-0.37, abs=0.12)


def test_alternation_is_good_only_on_a_bipartite_graph():
    ring = rb.PRESETS["ring6"]
    assert mean_reward(ring, "alternation", 32) > mean_reward(ring, "expert", 32) - 0.1
    assert mean_reward(DEFAULT, "alternation", 32) < mean_reward(DEFAULT, "expert", 32) - 0.5


def test_no_two_conflicting_clusters_transmit_under_the_expert():
    state = rb.reset(DEFAULT, generators(range(40)))
    table = rb.neighbours(DEFAULT, state)
    action = POLICIES["expert"].local(DEFAULT, rb.observe(DEFAULT, state), table, [], 0)
    active = action.reshape(40, 6, 4).sum(axis=2) > 0
    assert active.any(axis=1).all()
    for e in range(40):
        for c in np.flatnonzero(active[e]):
            row = state.conflicts[e, c]
            assert not active[e, row[row >= 0]].any()


@pytest.mark.parametrize("name", [n for n, p in POLICIES.items() if p.local is not None])
def test_local_policies_use_only_their_neighbourhood(name):
    policy = POLICIES[name]
    states, _ = rollout(DEFAULT, [11], 3)
    obs, table = rb.observe(DEFAULT, states[-1]), rb.neighbours(DEFAULT, states[-1])
    action = policy.local(DEFAULT, obs, table, generators([0]), 3)
    for agent in range(24):
        changed = obs.copy()
        keep = {agent, *table[0, agent][table[0, agent] >= 0].tolist()}
        far = [i for i in range(24) if i not in keep]
        changed[0, far] = 37.0
        other = policy.local(DEFAULT, changed, table, generators([0]), 3)
        assert other[0, agent] == action[0, agent]


def test_policies_act_the_same_in_a_batch():
    states, _ = rollout(DEFAULT, [0, 1, 2], 4)
    state, table = states[-1], rb.neighbours(DEFAULT, states[-1])
    obs = rb.observe(DEFAULT, state)
    one = rb.State(**{f.name: getattr(state, f.name)[1:2] for f in fields(rb.State)})
    for policy in POLICIES.values():
        if policy.local is not None:
            together = policy.local(DEFAULT, obs, table, generators([0, 1, 2]), 4)
            alone = policy.local(DEFAULT, obs[1:2], table[1:2], generators([1]), 4)
        else:
            together = policy.privileged(DEFAULT, state, generators([0, 1, 2]), 4)
            alone = policy.privileged(DEFAULT, one, generators([1]), 4)
        np.testing.assert_array_equal(together[1:2], alone)


def test_policies_run_on_one_cluster():
    params = rb.Params(num_clusters=1)
    for name in POLICIES:
        assert np.isfinite(mean_reward(params, name, 2, steps=5))


@pytest.mark.parametrize("name", [n for n, p in POLICIES.items() if p.local is not None])
def test_policies_without_a_beacon_do_what_they_do_with_one(name):
    cdmp = rb.PRESETS["cdmp"]
    states, _ = rollout(DEFAULT, [11, 12], 5)
    policy, actions = POLICIES[name], []
    for params in (DEFAULT, cdmp):
        obs, table = rb.observe(params, states[-1]), rb.neighbours(params, states[-1])
        actions.append(policy.local(params, obs, table, generators([0, 1]), 3))
    np.testing.assert_array_equal(actions[0], actions[1])
