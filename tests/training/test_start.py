"""A training that starts from a trained model, and one that is extended after its end."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from networld_algos import make
from networld_algos.nn.optim import cosine_decay
from networld_algos.registry import BUILT_IN
from networld_algos.training import checkpoint
from networld_algos.training.run import Progress, Training, extend, resume, run_training
from networld_algos.training.start import find_model, start_from
from tests.helpers.algorithms import act, assert_same_state, prepared, train


@pytest.fixture(scope="module")
def data(toy):
    return toy("box").collect(6)


def saved(folder, name, data, updates=3, **changes):
    model = prepared(name, data, total=updates, **changes)
    train(model, [data], 0, updates)
    about = {"dataset": "toy/expert-v0", "updates": updates}
    checkpoint.save(model, folder, about)
    return model


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_model_that_starts_from_another_acts_like_it_and_learns(name, toy, data, tmp_path):
    first = saved(tmp_path, name, data)
    more = replace(data, spec=replace(data.spec, num_agents=9))
    found = find_model(tmp_path, name)
    model = start_from(found, more, 5, seed=1)
    assert model.specs["toy"].num_agents == 9  # another deployment
    assert torch.equal(act(model, toy("box")), act(first, toy("box")))
    assert model.counters["updates"] == 0
    assert model.counters["total_updates"] == 5
    assert not any(optimizer.state for optimizer in model.optimizers().values())
    train(model, [more], 0, 2)
    assert found.record() == {
        "source": str(tmp_path),
        "weights": checkpoint.weights_file(tmp_path),
        "dataset": "toy/expert-v0",
        "updates": 3,
    }


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_another_task_is_added_where_the_algorithm_can_adapt(name, data, tmp_path):
    saved(tmp_path, name, data)
    other = replace(data, spec=replace(data.spec, task="toy-2"))
    found = find_model(tmp_path, name)
    if name != "networld":
        with pytest.raises(ValueError, match=r"cannot adapt to task 'toy-2'; train a new model"):
            start_from(found, other, 5)
        return
    model = start_from(found, other, 5)
    assert sorted(model.specs) == ["toy", "toy-2"]
    train(model, [other], 0, 2)
    checkpoint.save(model, tmp_path / "adapted")
    # What was adapted can be started from, too.
    again = start_from(find_model(tmp_path / "adapted", name), other, 5)
    assert sorted(again.specs) == ["toy", "toy-2"]


def test_what_does_not_fit_is_refused(toy, data, tmp_path):
    saved(tmp_path, "bc", data, hidden=8)
    with pytest.raises(ValueError, match="holds a bc model, and ma-dt cannot start from it"):
        find_model(tmp_path, "ma-dt")
    with pytest.raises(ValueError, match="no checkpoint in"):
        find_model(tmp_path / "none", "bc")
    found = find_model(tmp_path, "bc")
    with pytest.raises(ValueError, match=r"action_kind='box', but this data has 'ordered'"):
        start_from(found, toy("ordered").collect(3), 5)
    with pytest.raises(ValueError, match=r"other sizes .* different: hidden\. Leave out"):
        start_from(found, data, 5, config=replace(found.config, hidden=16))
    slower = replace(found.config, learning_rate=1e-5)
    assert start_from(found, data, 5, config=slower).config == slower


def test_a_model_that_is_replaced_meanwhile_is_refused(data, tmp_path):
    saved(tmp_path, "bc", data)
    found = find_model(tmp_path, "bc")
    saved(tmp_path, "bc", data, updates=4)
    with pytest.raises(ValueError, match="was replaced by another training meanwhile"):
        start_from(found, data, 5)


def test_parts_that_a_model_gets_have_the_statistics_of_the_data(data, tmp_path):
    saved(tmp_path, "networld", data)
    found = find_model(tmp_path, "networld")
    said = []
    more = replace(found.config, planner="diffusion", weighting="advantage", horizon=4)
    model = start_from(found, data, 5, config=more, say=said.append)
    assert "tasks.toy.returns" in said[0]
    fresh = prepared("networld", data, planner="diffusion", weighting="advantage", horizon=4)
    for nets in (model.nets, model.acting):
        own = nets.task("toy")
        assert torch.equal(own.returns.centres, fresh.nets.task("toy").returns.centres)
        assert torch.equal(own.return_std, fresh.nets.task("toy").return_std)
    assert model.counters["updates"] == 0
    train(model, [data], 0, 2)


def test_shared_networks_train_again_on_a_task_that_is_known(data, tmp_path):
    """They stand still for a while only where a task is new."""
    other = replace(data, spec=replace(data.spec, task="toy-2"))
    saved(tmp_path, "networld", data, planner="diffusion", horizon=4)
    adapted = start_from(find_model(tmp_path, "networld"), other, 5)
    assert adapted.counters["adapted"] == 1
    checkpoint.save(adapted, tmp_path / "adapted", {})
    again = start_from(find_model(tmp_path / "adapted", "networld"), other, 5)
    assert again.counters["adapted"] == 0


def do(folder, data, updates, should_stop=None):
    """Train in ``folder`` to this many updates, from wherever it is."""

    def new():
        model = make("bc", [data.spec], {"hidden": 8})
        model.prepare(data, updates)
        return model

    model, progress = resume(folder, new)
    if progress.updates and progress.about["total_updates"] != updates:
        extend(model, progress, updates)
    progress.about["total_updates"] = updates
    training = Training([data], updates, seed=0, save_every=3)
    run_training(training, model, progress, folder, should_stop=should_stop)
    return model, progress


def test_a_finished_training_can_be_extended_and_the_extension_resumed(tmp_path, data):
    do(tmp_path / "a", data, 4)
    model, progress = do(tmp_path / "a", data, 9)
    assert progress.updates == 9
    assert progress.about["restarts"] == [4]
    assert model.counters == {"updates": 5, "total_updates": 5}
    (optimizer,) = model.optimizers().values()
    rate = model.config.learning_rate * cosine_decay(4, 5)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)
    do(tmp_path / "b", data, 4)
    _, half = do(tmp_path / "b", data, 9, should_stop=lambda: True)
    assert half.updates == 5
    resumed, _ = do(tmp_path / "b", data, 9, should_stop=None)
    assert_same_state(resumed, model)
    with pytest.raises(ValueError, match="must be above the 9 that are done, got 9"):
        extend(model, progress, 9)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_algorithm_starts_its_schedule_again(name, data, tmp_path):
    model = saved(tmp_path, name, data, updates=4)
    before = [group["lr"] for o in model.optimizers().values() for group in o.param_groups]
    extend(model, Progress(updates=4), 24)
    train(model, [data], 4, 6)
    after = [group["lr"] for o in model.optimizers().values() for group in o.param_groups]
    assert all(new >= old for new, old in zip(after, before, strict=True))
    assert any(new > old for new, old in zip(after, before, strict=True))
    assert all(value.isfinite().all() for value in model.parameters())
