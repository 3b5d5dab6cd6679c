"""A tuned model stays near the trained one, and little data does not make it worse."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos.registry import BUILT_IN
from networld_algos.training import near, start
from networld_algos.training.checkpoint import save
from networld_algos.training.train import train
from tests.helpers.algorithms import assert_same_state, prepared


@pytest.fixture(scope="module")
def data(toy):
    return toy("box").collect(8)


@pytest.fixture(scope="module")
def bc(data):
    model = prepared("bc", data, total=150, hidden=32)
    train(model, [data], 150, 0)
    return model


def distance(a, b):
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return sum(float((x - y).detach().square().sum()) for x, y in pairs)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_stronger_pull_stays_nearer(name, data, tmp_path):
    first = prepared(name, data, total=2)
    save(first, tmp_path)
    found = start.find_model(tmp_path, name)
    moved = []
    for strength in (0.0, 100.0, 1e6):
        begun = start.start_from(found, data, 8)
        model = deepcopy(begun)
        pull = near.pull_to_start(model, begun, first, strength)
        train(model, [data], 8, 0, on_update=lambda u, m, pull=pull: pull.step())
        moved.append(distance(model, begun))
    assert moved[0] > moved[1] > moved[2]


def test_statistics_of_the_trained_model_stay(data):
    first = prepared("networld", data)
    model = deepcopy(first)
    near.pull_to_start(model, deepcopy(first), first, 0.0)
    train(model, [data], 3, 0)
    own, before = (m.nets.task("toy").message_standardiser for m in (model, first))
    assert torch.equal(own.mean, before.mean)


def test_decay_shrinks_matrices_alone(data):
    model = prepared("bc", data)
    (optimizer,) = model.optimizers().values()
    before = [p.detach().clone() for p in model.parameters()]
    near.decay(model, 10.0).step()
    kept = 1.0 - 10.0 * optimizer.param_groups[0]["lr"]
    for was, now in zip(before, model.parameters(), strict=True):
        torch.testing.assert_close(now.detach(), was * kept if was.dim() > 1 else was)


def test_agents_held_out_leave_team_and_tables(data):
    rest = near.without_agents(data, np.array([1, 4]))
    assert rest.spec.num_agents == 4
    np.testing.assert_array_equal(rest.obs, data.obs[:, :, [0, 2, 3, 5]])
    # On a ring 0 had neighbours 5 and 1; 2 had 1 and 3; now they are 3 and none; none and 2.
    assert rest.neighbours[0].tolist() == [[3, -1, -1], [-1, 2, -1], [1, -1, -1], [-1, 0, -1]]


def test_what_is_held_out(toy, data):
    one = data.take(np.array([0]))
    part, held = near.hold_out(one, None, seed=0)
    assert part.spec.num_agents == 4
    assert len(held.agents) == 2
    assert held.episodes is one
    same, other = near.hold_out(data, one, seed=0)
    assert same is data
    assert other.episodes is one
    assert near.hold_out(toy("box", agents=3).collect(1), None, seed=0)[1] is None


@pytest.mark.parametrize("kind", ["box", "ordered", "discrete"])
def test_the_error_of_recorded_decisions_is_zero(kind, toy):
    data = toy(kind).collect(3)
    model = prepared("bc", data)
    held = near.HeldOut(data, np.arange(6))
    noise = torch.Generator()
    own = data.actions.copy()
    for t in range(own.shape[1]):
        obs, table = torch.as_tensor(data.obs[:, t]), torch.as_tensor(data.neighbours).long()
        own[:, t] = model.act(obs, table, model.initial_carry(3, "toy"), noise)[0].numpy()
    same = near.HeldOut(replace(data, actions=own), held.agents)
    assert not near.imitation_errors(model, same).any()
    assert near.imitation_errors(model, held).min() > 0


def test_one_misleading_episode_leaves_the_trained_model(data, bc):
    rng = np.random.default_rng(0)
    wrong = data.take(np.array([0]))
    actions = rng.permuted(wrong.actions, axis=1)  # other actions than the states ask for
    part, _ = near.hold_out(replace(wrong, actions=actions), None, seed=0)
    held = near.HeldOut(wrong, np.array([1, 4]))
    tuned = deepcopy(bc)
    tuned.begin_stage(60)
    train(tuned, [part], 60, 0)
    worse = near.imitation_errors(tuned, held).mean()
    assert worse > near.imitation_errors(bc, held).mean()
    counters = dict(tuned.counters)
    assert near.check(bc, tuned, held) == 0.0
    tuned.counters = dict(bc.counters)
    assert_same_state(tuned, bc)
    assert counters["updates"] == 60


def test_a_change_that_all_agents_agree_on_is_kept(data, bc):
    turned = replace(data, actions=-data.actions)
    part, held = near.hold_out(turned.take(np.array([0])), None, seed=0)
    tuned = deepcopy(bc)
    tuned.begin_stage(100)
    train(tuned, [part], 100, 0)
    before = near.imitation_errors(bc, held).mean()
    assert near.check(bc, tuned, held) == 1.0
    assert near.imitation_errors(tuned, held).mean() < 0.9 * before


def test_a_negative_strength_is_refused(data, bc):
    with pytest.raises(ValueError, match=r"at least 0, got -1"):
        near.decay(deepcopy(bc), -1.0)
