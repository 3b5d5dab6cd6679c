"""What every algorithm must do, the built-in ones and those that users add.

The table of algorithms is all these tests know: an algorithm with a new name gets every test. It
is listed below only where a default does not suit it. `examples/filtered_bc.py` stands for the
algorithms of users.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from networld_algos import ALGORITHMS
from networld_algos.data.batch import WindowSampler
from networld_algos.plugin import add_algorithm
from networld_algos.training.checkpoint import load, save
from tests.helpers.algorithms import (
    act,
    assert_same_state,
    fitting,
    generator,
    prepared,
    train,
    untrained,
)

KINDS = ("box", "discrete", "ordered")
EXAMPLE = Path(__file__).parents[2] / "examples" / "filtered_bc.py"
NAMES = [*ALGORITHMS, "filtered-bc"]
EVERY = [(name, kind) for name in NAMES for kind in KINDS]
each_name = pytest.mark.parametrize("name", NAMES)
each_kind = pytest.mark.parametrize(("name", "kind"), EVERY)

FALLING = {
    "ma-cql": ("conservative_loss",),  # the targets of the other move
    "ma-dd": ("diffusion_loss", "inverse_loss", "outlook_loss"),
}
"""Losses that fall on a batch seen again and again; of other algorithms all do."""
NO_FALLING_LOSS = {"ma-iql"}  # weights and targets move; its own test measures a likelihood
SENSITIVE = {"networld": {"planner": "diffusion", "deviation": 1.0, "guidance_weight": 1.0}}
"""What brings all networks into play where the default does not."""


@pytest.fixture(scope="module", autouse=True)
def added():
    """The example is one of the algorithms."""
    name = add_algorithm(f"{EXAMPLE}:FilteredBC")
    yield
    del ALGORITHMS[name]


@pytest.mark.parametrize(("name", "kind"), [c for c in EVERY if c[0] not in NO_FALLING_LOSS])
def test_loss_falls_when_overfitting_one_batch(toy, name, kind):
    data = toy(kind).collect(8)
    algorithm = prepared(name, data, **fitting(name, learning_rate=3e-3))
    batch = WindowSampler(data, algorithm.window, algorithm.batch_size).sample(
        np.random.default_rng(0)
    )
    history = [algorithm.update(batch, generator(0)) for _ in range(80)]
    falling = FALLING.get(name, [key for key in history[0] if key.endswith("loss")])
    assert falling
    for key in falling:
        assert history[-1][key] < 0.8 * history[0][key], key


@each_kind
def test_saved_and_resumed_training_equals_uninterrupted(toy, name, kind, tmp_path):
    task = toy(kind)
    data = task.collect(6)
    straight = prepared(name, data, total=8)
    train(straight, [data], 0, 8)
    first = prepared(name, data, total=8)
    train(first, [data], 0, 4)
    save(first, tmp_path / "run", {"update": 4})
    again, extra = load(tmp_path / "run", expect_task=task.spec)
    assert extra == {"update": 4}
    assert torch.equal(act(first, task), act(again, task))
    train(again, [data], 4, 8)
    assert_same_state(straight, again)


@each_kind
def test_actions_are_legal_for_any_number_of_agents(toy, name, kind):
    data = toy(kind, agents=19).collect(4)
    algorithm = prepared(name, data, **fitting(name, decode="sample"))
    train(algorithm, [data], 0, 2)
    low, high = torch.tensor(data.spec.action_low), torch.tensor(data.spec.action_high)
    for agents in (7, 19, 37):
        actions = act(algorithm, toy(kind, agents=agents))
        tail = (data.spec.action_dim,) if kind == "box" else ()
        assert actions.shape == (2, 3, agents, *tail)
        assert actions.dtype == (torch.float32 if kind == "box" else torch.int64)
        rows = actions.reshape(-1, data.spec.action_dim)
        assert ((rows >= low) & (rows <= high)).all()


@each_kind
def test_only_neighbours_matter(toy, name, kind):
    task = toy(kind, agents=8)
    data = task.collect(4)
    algorithm = prepared(name, data, **fitting(name, decode="sample"), **SENSITIVE.get(name, {}))
    train(algorithm, [data], 0, 3)
    obs = torch.as_tensor(task.obs(2, seed=1))
    changed = obs.clone()
    changed[:, 4] = torch.tensor([50.0, -9e3] + [1.0] * (obs.shape[-1] - 2))
    before = act(algorithm, task, obs, steps=1)[0]
    after = act(algorithm, task, changed, steps=1)[0]
    far = [i for i in range(8) if i not in (3, 4, 5)]
    assert torch.equal(before[:, far], after[:, far])
    message = algorithm.message(obs, algorithm.initial_carry(2, task.task))
    moved = algorithm.message(changed, algorithm.initial_carry(2, task.task))
    if message is None:  # then the agents beside do not know either
        assert moved is None
        assert torch.equal(before[:, [3, 5]], after[:, [3, 5]])
        return
    same = (message == moved).all(-1)
    assert same[:, far].all()
    assert not same[:, 4].any()


@each_name
def test_neighbours_do_matter_unless_turned_off(toy, name):
    task = toy("box", agents=8)
    data = task.collect(4)
    obs = torch.as_tensor(task.obs(2, seed=1))
    changed = obs.clone()
    changed[:, 4, 0] += 3.0
    switch = fitting(name, mean_field=(True, False)).get("mean_field", ())
    for config, on in [({"mean_field": value}, value) for value in switch] or [({}, None)]:
        algorithm = prepared(name, data, **config)
        train(algorithm, [data], 0, 20)
        before, after = act(algorithm, task, obs)[0], act(algorithm, task, changed)[0]
        sent = algorithm.message(obs, algorithm.initial_carry(2, task.task))
        if on is None:  # it cannot be turned off: a message says whether neighbours matter
            on = sent is not None
        assert torch.equal(before[:, 3], after[:, 3]) is not on
        assert (sent is not None) is on


@each_name
def test_randomness_comes_from_seed_and_generator_only(toy, name):
    task = toy("ordered")
    data = task.collect(4)
    drawn = fitting(name, decode="sample")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = prepared(name, data, **drawn)
    train(one, [data], 0, 2)
    first = act(one, task)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two = prepared(name, data, **drawn)
    train(two, [data], 0, 2)
    assert_same_state(one, two)
    assert torch.equal(first, act(two, task))
    if drawn:
        assert not torch.equal(first, act(two, task, seed=1))
    other = dict(prepared(name, data, seed=1).named_parameters())
    fresh = dict(prepared(name, data, seed=0).named_parameters())
    assert any(not torch.equal(other[key], fresh[key]) for key in fresh)


@each_name
def test_unknown_tasks_and_unprepared_models_are_named(toy, name):
    data = toy("box").collect(3)
    algorithm = untrained(name, data.spec)
    with pytest.raises(ValueError, match=r"\['toy'\], not for task 'cbf'"):
        algorithm.initial_carry(1, "cbf")
    batch = WindowSampler(data, algorithm.window, 2).sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"call prepare\(\)"):
        algorithm.update(batch, generator())
    with pytest.raises(ValueError, match="have obs_dim=4, the model was made for 5"):
        algorithm.prepare(toy("ordered").collect(3), 10)
    for field in fields(algorithm.config):
        if field.name in algorithm.decision_fields:
            continue
        with pytest.raises(ValueError, match=f"'{field.name}' is fixed at training"):
            algorithm.reconfigure(**{field.name: getattr(algorithm.config, field.name)})
    with pytest.raises(ValueError, match="'hiden' is unknown"):
        algorithm.reconfigure(hiden=3)
    if "decode" in algorithm.decision_fields:
        algorithm.reconfigure(decode="sample")
        assert algorithm.config.decode == "sample"
