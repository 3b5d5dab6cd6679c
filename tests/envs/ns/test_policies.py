"""Policies at the fluid model: their order and what they see."""

from dataclasses import fields

import numpy as np
import pytest

from networld_envs import ns
from networld_envs.ns.policies import POLICIES, tune_static
from networld_envs.policies import usable_policies
from tests.helpers.ns import DEFAULT, generators, mean_reward, rollout


def test_policies_are_ordered():
    names = ["random", "demand", "hard", "static", "expert", "genie"]
    assert usable_policies("ns", DEFAULT) == names
    reward = {name: mean_reward(DEFAULT, name, 32) for name in names}
    values = [reward[name] for name in names]
    assert values == sorted(values)
    assert reward["random"] == pytest.approx(0.832, abs=0.02)
    assert reward["static"] == pytest.approx(0.947, abs=0.015)
    assert reward["expert"] == pytest.approx(0.967, abs=0.015)
    assert reward["expert"] > reward["static"] + 0.01


@pytest.mark.parametrize("name", [n for n, p in POLICIES.items() if p.local is not None])
def test_local_policies_use_only_their_own_observation(name):
    policy = POLICIES[name]
    states, _ = rollout(DEFAULT, [11], 3)
    obs, table = ns.observe(DEFAULT, states[-1]), ns.neighbours(DEFAULT, states[-1])
    action = policy.local(DEFAULT, obs, table, generators([0]), 3)
    changed = obs.copy()
    changed[:, 1:] *= 0.5
    other = policy.local(DEFAULT, changed, table, generators([0]), 3)
    np.testing.assert_array_equal(other[:, 0], action[:, 0])


def test_policies_act_the_same_in_a_batch():
    state = rollout(DEFAULT, [0, 1, 2], 2)[0][-1]
    one = ns.State(**{f.name: getattr(state, f.name)[1:2] for f in fields(ns.State)})
    obs, table = ns.observe(DEFAULT, state), ns.neighbours(DEFAULT, state)
    for policy in POLICIES.values():
        if policy.local is not None:
            together = policy.local(DEFAULT, obs, table, generators([0, 1, 2]), 4)
            alone = policy.local(DEFAULT, obs[1:2], table[1:2], generators([1]), 4)
        else:
            together = policy.privileged(DEFAULT, state, generators([0, 1, 2]), 4)
            alone = policy.privileged(DEFAULT, one, generators([1]), 4)
        np.testing.assert_array_equal(together[1:2], alone)
        assert together.dtype == np.float32


@pytest.mark.parametrize(
    "params", [ns.Params(rings=0), ns.Params(rings=1, load=0.0), ns.Params(demand_sigma=0.0)]
)
def test_policies_run_at_the_edges(params):
    for name in POLICIES:
        assert 0.0 <= mean_reward(params, name, 2, steps=3) <= 1.0


def test_tuned_split_beats_others_on_its_own_seeds():
    params = ns.Params(rings=1, sub_slots=50)
    split, score = tune_static(params, range(4), steps=5, parts=10)
    assert sum(split) == pytest.approx(1.0)
    _, rewards = rollout(params, range(4), 5, split=split)
    assert score == pytest.approx(rewards.mean(dtype=np.float64), abs=1e-6)
    for other in ((1 / 3, 1 / 3, 1 / 3), (0.1, 0.1, 0.8), (0.2, 0.6, 0.2)):
        assert rollout(params, range(4), 5, split=other)[1].mean() <= score + 1e-3
