"""One training that is saved on the way: marks, resume, best weights, old checkpoints."""

from __future__ import annotations

import pytest

from networld_algos import make
from networld_algos.bc import BC
from networld_algos.training import checkpoint
from networld_algos.training import run as run_module
from networld_algos.training.run import (
    BEST,
    Best,
    Progress,
    Training,
    best_model,
    finish,
    resume,
    run_training,
)


@pytest.fixture(scope="module")
def data(toy):
    return toy("box").collect(6)


def start(data, updates):
    model = make("bc", [data.spec], {"hidden": 8}, seed=0)
    model.prepare(data, max(1, updates))
    return model


def do(folder, data, updates=7, **changes):
    """Train in ``folder``; returns the model and its progress."""
    training = Training([data], updates, seed=0, **{"save_every": 3, **changes})
    model, progress = resume(folder, lambda: start(data, updates))
    run_training(training, model, progress, folder)
    return model, progress


@pytest.mark.parametrize(
    ("updates", "evaluations", "marks", "evaluated"),
    [
        (7, 2, [3, 4, 6, 7], {4, 7}),
        (7, 0, [3, 6, 7], set()),
        (2, 5, [1, 2], {1, 2}),  # none before the first update
        (0, 1, [0], {0}),  # a model that is not trained is evaluated all the same
    ],
)
def test_marks_of_saves_and_evaluations(data, updates, evaluations, marks, evaluated):
    training = Training(
        [data], updates, 0, save_every=3, evaluate=lambda *_: [], evaluations=evaluations
    )
    assert training.marks == marks
    assert training.evaluation_marks == evaluated
    assert training.validation_marks == set()


def test_a_stopped_training_goes_on_to_the_same_weights_and_rows(tmp_path, data, monkeypatch):
    def evaluate(model, progress):
        return [{"updates": progress.updates, "loss": model.counters["updates"]}]

    _, whole = do(tmp_path / "whole", data, evaluate=evaluate, evaluations=2)
    assert [row["updates"] for row in whole.rows] == [4, 7]

    def stops(*args, real=run_module.train, **kwargs):
        if kwargs["first"] == 4:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "train", stops)
        with pytest.raises(KeyboardInterrupt):
            do(tmp_path / "cut", data, evaluate=evaluate, evaluations=2)
    assert checkpoint.read_extra(tmp_path / "cut")["updates"] == 4
    _, cut = do(tmp_path / "cut", data, evaluate=evaluate, evaluations=2)
    assert cut.rows == whole.rows
    names = [checkpoint.weights_file(tmp_path / name) for name in ("whole", "cut")]
    assert names[0] == names[1]  # of their content


@pytest.mark.parametrize("updates", [0, 7])
def test_what_is_finished_is_not_done_again(tmp_path, data, updates):
    for _ in range(2):
        _, progress = do(tmp_path, data, updates, evaluate=lambda *_: [{"a": 1}], evaluations=1)
        assert progress.rows == [{"a": 1}]


def test_the_weights_with_the_least_validation_loss_are_scored_and_kept(
    tmp_path, data, monkeypatch
):
    losses = lambda self, *_: abs(self.counters["updates"] - 5)  # noqa: E731
    monkeypatch.setattr(BC, "validation_loss", losses)
    scored = []

    def evaluate(model, progress):
        scored.append((model.counters["updates"], progress.best))
        return []

    fitted, validation = data.split(0.5, seed=0)
    changes = {"evaluate": evaluate, "evaluations": 1, "validation": validation}
    model, progress = do(tmp_path, fitted, **changes)
    assert scored == [(5, Best(0.0, 5))]
    assert model.counters["updates"] == progress.updates == 7
    assert best_model(model, tmp_path)[0].counters["updates"] == 5
    finish(model, progress, tmp_path)
    kept, extra = checkpoint.load(tmp_path)
    assert kept.counters["updates"] == 5
    assert not any(optimizer.state for optimizer in kept.optimizers().values())
    assert not (tmp_path / BEST).exists()
    assert Progress.from_extra(extra) == progress


def test_entries_of_older_and_other_checkpoints_are_kept():
    worker = {"updates": 9, "seconds": 1.5, "rows": [{"a": 1}], "episodes": 4}
    worker |= {"best": {"validation_loss": 0.5, "best_updates": 3}}
    assert Progress.from_extra(worker) == Progress(9, 1.5, 4, [{"a": 1}], Best(0.5, 3))
    assert Progress.from_extra(worker).to_extra() == worker
    command = {"dataset": "networld/rb/expert-v0", "episodes": 4, "trained_on": 3, "updates": 9}
    found = Progress.from_extra(command)
    assert found.about == {"dataset": "networld/rb/expert-v0", "trained_on": 3}
    assert found.to_extra() == {**command, "seconds": 0.0}
