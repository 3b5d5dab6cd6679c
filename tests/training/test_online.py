"""A model collects episodes in a deployment and goes on training on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos.training import online
from networld_algos.training.checkpoint import load, save
from networld_algos.training.online import Known, OnlineConfig, adapt_online, collect, explored
from networld_algos.training.start import find_model
from networld_algos.training.train import train
from tests.helpers.algorithms import assert_same_state, prepared


@pytest.fixture(scope="module")
def data(toy):
    return toy("box").collect(8)


@pytest.fixture(scope="module")
def model(data):
    made = prepared("ma-iql", data, total=60)
    train(made, [data], 60, 0)
    return made


CONFIG = OnlineConfig(episodes=6, rounds=3, updates=8)


def run(model, data, config=CONFIG, **more):
    return adapt_online(model, "toy", config, Known(data), offline=data, max_cycles=6, **more)


def test_a_round_collects_and_the_next_trains(model, data):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    seen = []
    found = run(model, data, on_update=lambda update, metrics: seen.append(update))
    assert seen == list(range(1, 9))
    assert [len(r) for r in found.rewards] == [2, 2, 2]
    assert len(found.episodes) == 6
    assert found.episodes.truncated[:, -1].all()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    again = run(model, data)
    np.testing.assert_array_equal(again.episodes.actions, found.episodes.actions)
    other = run(model, data, seed=1)
    assert not np.array_equal(other.episodes.obs[:, 0], found.episodes.obs[:, 0])


def test_a_model_that_earns_less_falls_back(model, data, monkeypatch):
    def spoil(algorithm, *args, **kwargs):
        with torch.no_grad():
            for p in algorithm.parameters():
                p.normal_(0, 3)

    config = OnlineConfig(episodes=16, rounds=2, updates=2)
    kept = run(model, data, config)
    monkeypatch.setattr(online, "train", spoil)
    spoilt = run(model, data, config)
    assert spoilt.rewards[1].mean() < kept.rewards[1].mean()
    assert not spoilt.kept
    assert_same_state(spoilt.model, model)


def test_far_from_the_data_the_trained_model_acts_without_exploring(toy, model, data):
    strange = prepared("ma-iql", data, seed=5)
    nowhere, everywhere = Known(data), Known(data)
    nowhere.limit, everywhere.limit = -1.0, np.inf
    found = {
        name: collect(a, model, "toy", range(4), where, share, 5, data)
        for name, a, where, share in (
            ("fallback", strange, nowhere, 0.5),
            ("trained", model, everywhere, 0.0),
            ("strange", strange, everywhere, 0.0),
        )
    }
    acts = {name: c.episodes.actions for name, c in found.items()}
    np.testing.assert_array_equal(acts["fallback"], acts["trained"])
    assert not np.array_equal(acts["strange"], acts["trained"])
    assert [c.unknown for c in found.values()] == [1.0, 0.0, 0.0]


def test_states_of_the_data_are_known_and_far_ones_are_not(data):
    known = Known(data)
    share = known(torch.as_tensor(data.obs)).float().mean()
    assert 0.95 < share <= 1.0
    assert not known(torch.as_tensor(data.obs) * 50 + 1e4).any()
    one = torch.as_tensor(data.obs.copy())
    one[..., 0] += 1e3  # a single column far out
    assert not known(one).any()


@pytest.mark.parametrize("kind", ["box", "ordered", "discrete"])
def test_explored_actions_are_legal_and_differ(kind, toy):
    spec = toy(kind).spec
    actions = toy(kind).collect(2).actions[:, 0]
    for share in (0.0, 1.0):
        moved = explored(actions, spec, share, np.random.default_rng(0))
        assert moved.dtype == actions.dtype
        assert moved.min() >= min(spec.action_low)
        assert moved.max() <= max(spec.action_high)
        assert np.array_equal(moved, actions) == (share == 0.0)


def test_a_saved_model_is_adapted_and_saved(model, data, tmp_path):
    save(model, tmp_path / "a")
    found, said = find_model(tmp_path / "a", "ma-iql"), []
    how = {"say": said.append, "kind": "box"}
    online.train_online(found, data, CONFIG, tmp_path / "b", **how)
    assert [line.split(",")[0] for line in said[:3]] == [f"round {k}: 2 episodes" for k in range(3)]
    made, extra = load(tmp_path / "b")
    assert made.name == "ma-iql"
    assert extra["online"]["episodes"] == 6
    with pytest.raises(ValueError, match="an online training is not resumed"):
        online.train_online(found, data, CONFIG, tmp_path / "b")
    other = replace(data, spec=replace(data.spec, task="toy-2"))
    with pytest.raises(ValueError, match="does not know task 'toy-2', so it cannot collect"):
        online.train_online(found, other, CONFIG, tmp_path / "c")


def test_what_does_not_fit_is_refused(model, data):
    with pytest.raises(ValueError, match=r"obs_dim=5, but this deployment has 4"):
        run(model, data, kind="ordered")
    with pytest.raises(ValueError, match="episodes"):
        replace(CONFIG, episodes=5)
