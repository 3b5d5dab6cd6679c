"""Entities whose order means nothing are renumbered in training."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos.data import batch as batches
from networld_algos.data.batch import WindowSampler
from networld_algos.data.episodes import Episodes
from networld_algos.data.symmetry import Renumbering, entity_columns
from networld_algos.nn.features import ObsFeatures
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.simulator import make_params, task_module
from networld_envs.spec import About, Column


def collect(task, policy, episodes=2, steps=4, **params):
    made = make_params(task, **params)
    played = rollout(task, made, Behaviour(policy), range(episodes), steps)
    flags = np.zeros((episodes, steps), bool)
    return Episodes(
        spec=task_module(task).spec(made),
        obs=played.obs,
        actions=played.actions,
        rewards=played.rewards,
        terminated=flags,
        truncated=flags,
        neighbours=played.neighbours,
        lengths=np.full(episodes, steps),
    )


@pytest.fixture(scope="module")
def data():
    return collect("cbf", "expert", rings=1, neighbours=4)


def entities(obs, spec):
    """Columns of the entities ``(..., U, C)``, and all others."""
    table = entity_columns(spec.obs_columns, r"(?:user|cell)(\d+)\.")
    others = np.setdiff1d(np.arange(spec.obs_dim), table)
    return obs[..., table], obs[..., others]


def drawn(data, *, renumber):
    sampler = WindowSampler(replace(data, spec=replace(data.spec, mirrored_obs=())), 3, 8)
    sampler = WindowSampler(sampler.episodes, 3, 8, renumber=renumber)
    return sampler.sample(np.random.default_rng(3))


def test_what_is_told_of_a_user_and_of_its_cell_moves_together(data):
    plain, other = drawn(data, renumber=False), drawn(data, renumber=True)
    (was, rest), (now, same) = (entities(b.obs.numpy(), data.spec) for b in (plain, other))
    assert was.shape[-2:] == (4, 6)  # gain, angle, and three reports, of four users
    np.testing.assert_array_equal(rest, same)
    np.testing.assert_array_equal(plain.actions, other.actions)
    orders = set()
    for b in range(len(was)):
        for n in range(was.shape[2]):
            order = [int(np.flatnonzero((was[b, 0, n] == row).all(-1))[0]) for row in now[b, 0, n]]
            if len(np.unique(was[b, 0, n], axis=0)) < 4:
                continue  # empty slots are alike
            assert sorted(order) == [0, 1, 2, 3]
            np.testing.assert_array_equal(was[b, :, n][:, order], now[b, :, n])  # in all steps
            orders.add(tuple(order))
    assert len(orders) > 4


def test_the_expert_does_not_care_about_the_order(data):
    expert = task_module("cbf").POLICIES["expert"].local
    params = make_params("cbf", rings=1, neighbours=4)
    obs = torch.as_tensor(data.obs.copy())
    Renumbering(data.spec).apply(obs, torch.zeros(0), np.random.default_rng(0))
    rngs = [np.random.default_rng(0)] * len(obs)
    was, now = (expert(params, o[:, 1], data.neighbours, rngs, 1) for o in (data.obs, obs.numpy()))
    np.testing.assert_allclose(was, now, atol=1e-5)


def test_by_default_few_episodes_are_renumbered(data, monkeypatch):
    def default():
        sampler = WindowSampler(data, 3, 8)
        return sampler.sample(np.random.default_rng(3)).obs

    few = default()
    monkeypatch.setattr(batches, "FEW_EPISODES", 1)
    many = default()
    assert not torch.equal(few, many)


def test_renumbered_entities_are_within_the_range_of_flat_features(data):
    """Users are listed by their gain, so each column has a range of its own in the data."""
    features = ObsFeatures(data.spec.obs_dim, "both")
    features.fit(data)
    obs = torch.as_tensor(data.obs.copy())
    Renumbering(data.spec).apply(obs, torch.zeros(0), np.random.default_rng(0))
    torch.testing.assert_close(features(obs), features.unclipped(obs))
    tight = ObsFeatures(data.spec.obs_dim, "both", np.arange(data.spec.obs_dim))
    tight.fit(data)
    assert not torch.allclose(tight(obs), tight.unclipped(obs))


@pytest.mark.parametrize("task", ["rb", "ns"])
def test_a_task_without_entities_is_left_alone(task):
    spec = task_module(task).spec(make_params(task))
    assert not Renumbering(spec)
    assert not Renumbering(replace(spec, task="not-in-the-table"))


def test_columns_of_the_action_move_with_their_entity(toy, monkeypatch):
    module = sys.modules["tests.helpers.toy"]
    about = About("toy", entities=(r"\w+\.(\d)",))
    monkeypatch.setattr(module, "ABOUT", about, raising=False)
    data = toy("box").collect(3)
    shown = [Column("level"), Column("demand"), Column("last.0"), Column("last.1"), Column("one")]
    spec = replace(
        data.spec,
        obs_columns=tuple(shown),
        action_columns=(Column("push.0"), Column("push.1")),
    )
    data = replace(data, spec=spec)
    plain = WindowSampler(data, 3, 8, renumber=False).sample(np.random.default_rng(1))
    other = WindowSampler(data, 3, 8, renumber=True).sample(np.random.default_rng(1))
    swapped = other.actions[..., 0] != plain.actions[..., 0]
    assert torch.equal(
        other.actions, torch.where(swapped[..., None], plain.actions.flip(-1), plain.actions)
    )
    shown = [2, 3]
    assert torch.equal(
        other.obs[:, 0, :, shown],
        torch.where(
            swapped[:, 0, :, None], plain.obs[:, 0, :, shown].flip(-1), plain.obs[:, 0, :, shown]
        ),
    )
    assert 0.3 < swapped[:, 0].float().mean() < 0.7


def test_entities_with_different_columns_are_refused():
    columns = [Column("user0.gain"), Column("user1.gain"), Column("user1.angle")]
    with pytest.raises(ValueError, match=r"different columns: \['user#.gain'\] and"):
        entity_columns(columns, r"user(\d+)\.")
