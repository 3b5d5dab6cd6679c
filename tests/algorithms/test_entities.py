"""Every algorithm can share weights among the interchangeable entities that observations list."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos.data.symmetry import own_columns, shared_groups
from networld_algos.deploy import export
from networld_algos.nn.entities import EntityGroup
from networld_algos.registry import ALGORITHMS
from networld_algos.training.checkpoint import load, save
from networld_algos.training.start import find_model, start_from
from networld_envs.simulator import make_params, task_module
from networld_envs.spec import About, Column
from tests.helpers.algorithms import act, assert_same_state, prepared, train, untrained

PER_USER = ("gain", "cos", "sin")
FIRST = 4  # the first column of a user


def with_users(data, users):
    """The same episodes, with a list of users in front of the last column."""
    names = [f"user{u}.{what}" for u in range(users) for what in PER_USER]
    drawn = np.random.default_rng(0).normal(size=(*data.obs.shape[:-1], len(names)))
    drawn *= 1.0 + np.arange(len(names))  # slots differ in scale
    parts = [data.obs[..., :FIRST], drawn.astype(np.float32), data.obs[..., FIRST:]]
    named = tuple(map(Column, ("level", "demand", "push0", "push1", *names, "one")))
    spec = replace(data.spec, obs_dim=len(named), obs_columns=named)
    return replace(data, obs=np.concatenate(parts, axis=-1), spec=spec)


@pytest.fixture
def data(toy, monkeypatch):
    """Function from a number of users to episodes whose observations list as many."""
    module = sys.modules["tests.helpers.toy"]
    monkeypatch.setattr(module, "ABOUT", About("toy", entities=(r"user(\d)\.",)), raising=False)
    episodes = toy("box").collect(6)
    return lambda users: with_users(episodes, users)


def seen(episodes):
    return torch.as_tensor(episodes.obs[:3, 0])


def reordered(obs, users=3):
    """The same observations with the users in another order."""
    obs, at = obs.clone(), slice(FIRST, FIRST + users * len(PER_USER))
    obs[..., at] = obs[..., at].unflatten(-1, (users, -1)).roll(1, dims=-2).flatten(-2)
    return obs


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("message", ["learned", "features"])
def test_the_order_of_entities_changes_nothing(name, message, toy, data):
    model = prepared(name, data(3), entities="shared", message=message)
    train(model, [data(3)], 0, 2)
    obs = seen(data(3))
    chosen, same = (act(model, toy("box"), o) for o in (obs, reordered(obs)))
    torch.testing.assert_close(chosen, same, atol=1e-4, rtol=1e-4)
    sent = model.message(obs, model.initial_carry(3, "toy"))
    other = model.message(reordered(obs), model.initial_carry(3, "toy"))
    torch.testing.assert_close(sent, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_entities_are_like_counts_and_is_learned(name, toy, data):
    model = prepared(name, data(3), entities="shared")
    before = {k: v.clone() for k, v in model.named_parameters() if ".groups." in k}
    train(model, [data(3)], 0, 3)
    after = dict(model.named_parameters())
    assert before
    assert all(not torch.equal(v, after[k]) for k, v in before.items())
    obs = seen(data(3))
    other = obs.clone()
    other[:, 0, FIRST] += 9.0
    assert (act(model, toy("box"), obs) != act(model, toy("box"), other)).any()


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("users", [2, 5])
def test_another_number_of_entities_needs_no_other_weights(name, users, toy, data, tmp_path):
    first = prepared(name, data(3), total=3, entities="shared")
    train(first, [data(3)], 0, 3)
    save(first, tmp_path)
    said = []
    model = start_from(find_model(tmp_path, name), data(users), 5, say=said.append)
    assert "copied" in said[0]
    assert "resized" not in said[0]
    assert "new" not in said[0].partition("copied")[2]
    for key, value in first.state_dict().items():
        # The range of features also covers the new data, and the counters begin anew.
        if not key.endswith((".low", ".high", "_extra_state")):
            assert torch.equal(model.state_dict()[key], value), key
    obs = seen(data(users))
    chosen = act(model, toy("box"), obs)
    same = act(model, toy("box"), reordered(obs, users))
    torch.testing.assert_close(chosen, same, atol=1e-4, rtol=1e-4)
    train(model, [data(users)], 0, 2)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_saved_and_resumed_training_equals_uninterrupted(name, data, tmp_path):
    model = prepared(name, data(3), total=4, entities="shared")
    train(model, [data(3)], 0, 2)
    save(model, tmp_path)
    again, _ = load(tmp_path)
    for one in (model, again):
        train(one, [data(3)], 2, 4)
    assert_same_state(model, again)


def test_entities_share_statistics(data):
    model = prepared("bc", data(3), entities="shared")
    (group,) = (m for m in model.modules() if isinstance(m, EntityGroup))
    features = group.features(torch.as_tensor(data(3).obs))  # (K, T+1, N, users, F)
    assert features.shape[-2:] == (3, 2 * len(PER_USER))
    rows = features.flatten(0, -2)
    torch.testing.assert_close(rows.mean(0), torch.zeros(6), atol=0.05, rtol=0)
    torch.testing.assert_close(rows.std(0), torch.ones(6), atol=0.05, rtol=0)
    spread = features.flatten(0, -3).std(0)
    assert (spread[2] > 1.5 * spread[0]).any()  # slots keep their own scale


def test_entities_that_act_stay_features(data):
    spec = data(3).spec
    assert len(shared_groups(spec)[0]) == 3
    assert list(own_columns(spec)) == [0, 1, 2, 3, 13]
    acting = replace(spec, action_columns=(Column("user0.push"), Column("user1.push")))
    shown = replace(spec, last_action=(FIRST,))
    for other in (acting, shown, replace(spec, task="not-in-the-table")):
        assert shared_groups(other) == []
        assert list(own_columns(other)) == list(range(spec.obs_dim))


@pytest.mark.parametrize("changes", [{"mean_field": False}, {"planner": "diffusion", "dim": 8}])
def test_networld_combines_entities_without_messages_and_in_plans(changes, toy, data):
    model = prepared("networld", data(3), entities="shared", weighting="advantage", **changes)
    train(model, [data(3)], 0, 2)
    obs = seen(data(3))
    other = obs.clone()
    other[:, 0, FIRST] += 9.0
    assert (act(model, toy("box"), obs) != act(model, toy("box"), other)).any()
    assert model.health(data(3))


def test_a_task_without_entities_is_trained_beside_one_with_them(toy, data):
    plain = toy("ordered").collect(4)
    plain = replace(plain, spec=replace(plain.spec, task="other"))
    model = untrained("networld", [data(3).spec, plain.spec], entities="shared")
    for episodes in (data(3), plain):
        model.prepare(episodes, 4)
    train(model, [data(3), plain], 0, 4)


def cbf(**changes):
    return task_module("cbf").spec(make_params("cbf", rings=1, neighbours=4, **changes))


@pytest.mark.parametrize("name", ["bc", "networld"])
def test_a_model_that_combines_entities_is_exported(name, tmp_path):
    pytest.importorskip("onnxscript")
    save(untrained(name, cbf(), entities="shared"), tmp_path)
    export(tmp_path, tmp_path / "onnx")  # compares both on random inputs


@pytest.mark.parametrize(
    ("preset", "groups"),
    [({}, 1), ({"observation": "csi"}, 1), ({"observation": "ge2020", "action": "codebook"}, 2)],
)
def test_every_observation_of_cbf_lists_entities(preset, groups):
    spec = cbf(**preset)
    model = untrained("bc", spec)  # by default they share weights
    assert sum(isinstance(m, EntityGroup) for m in model.modules()) == groups
    assert len(own_columns(spec)) < spec.obs_dim / 2


def test_without_entities_the_setting_changes_nothing():
    spec = task_module("ns").spec(make_params("ns"))
    for name in ("bc", "networld"):
        assert_same_state(*(untrained(name, spec, entities=how) for how in ("flat", "shared")))
