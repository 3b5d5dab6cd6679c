"""Every algorithm can send the same messages and combine them in the same ways."""

from __future__ import annotations

import pytest
import torch

from networld_algos import ALGORITHMS, make
from networld_algos.nn.messages import AGGREGATES
from networld_algos.training.checkpoint import load, save
from networld_envs import make_vec
from tests.helpers.algorithms import act, assert_same_state, prepared, train

EVERY = [(name, kind) for name in ALGORITHMS for kind in ("box", "ordered")]
each_algorithm = pytest.mark.parametrize(("name", "kind"), EVERY)


def senders(algorithm) -> list[torch.Tensor]:
    """Copies of the weights that make and combine messages."""
    parts = (".sender.", ".log_beta", ".project.")
    named = algorithm.state_dict().items()
    return [v.clone() for k, v in named if any(p in k for p in parts) and "ema" not in k]


@each_algorithm
def test_a_learned_message_is_trained_and_saved(toy, name, kind, tmp_path):
    task = toy(kind)
    data = task.collect(6)
    changes = {"message": "learned", "aggregate": "difference", "message_dropout": 0.2}
    algorithm = prepared(name, data, total=6, **changes)
    before = senders(algorithm)
    assert before
    train(algorithm, [data], 0, 3)
    assert all(not torch.equal(a, b) for a, b in zip(before, senders(algorithm), strict=True))
    sent = algorithm.message(torch.as_tensor(task.obs(2)), algorithm.initial_carry(2, task.task))
    assert sent is not None
    assert sent.shape[-1] * sent.element_size() <= 256
    assert not sent.requires_grad
    save(algorithm, tmp_path / "run")
    again, _ = load(tmp_path / "run")
    train(algorithm, [data], 3, 6)
    train(again, [data], 3, 6)
    assert_same_state(algorithm, again)
    assert torch.equal(act(algorithm, task), act(again, task))


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_features_are_combined_in_each_way(toy, name, aggregate):
    task = toy("box")
    data = task.collect(6)
    algorithm = prepared(name, data, message="features", aggregate=aggregate)
    train(algorithm, [data], 0, 2)
    obs = torch.as_tensor(task.obs(3))
    sent = algorithm.message(obs, algorithm.initial_carry(3, task.task))
    assert sent is not None
    assert sent.shape[:2] == obs.shape[:2]
    other = obs.clone()
    other[:, 1] += 1.0
    changed = (act(algorithm, task, other, steps=1) != act(algorithm, task, obs, steps=1))[0]
    assert changed[:, 0].any()  # a neighbour of agent 1
    assert not changed[:, 3].any()


def test_a_wrong_way_to_combine_is_named(toy):
    data = toy("box").collect(4)
    for name in ALGORITHMS:
        with pytest.raises(ValueError, match=r"aggregate must be one of .*'difference'"):
            prepared(name, data, aggregate="median")


@pytest.mark.parametrize("name", ["bc", "ma-iql", "ma-cql", "ma-dt", "ma-dd"])
def test_a_message_of_features_has_at_most_256_bytes(name):
    """All pairs of features of CBF would be 98 floats."""
    wide = {"message": "features", "features": "both", "entities": "flat"}
    spec = make_vec("cbf", 1).simulator.spec
    with pytest.raises(ValueError, match="would send 392 bytes per step on task 'cbf', more than"):
        make(name, spec, wide)
    assert make(name, spec, {**wide, "features": "symlog"})
    assert make(name, spec, {**wide, "entities": "shared"})
    assert make(name, spec, {**wide, "mean_field": False})
