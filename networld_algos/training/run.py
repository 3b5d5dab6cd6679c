"""One training that is saved at intervals and can be resumed exactly.

``networld train`` and the trainings of a suite use the same loop. It stops at marks: numbers of
updates after which it validates, evaluates or saves::

    train up to the mark -> validate -> evaluate -> save

A process that is killed loses its work since the last mark; one that is asked to stop saves first
(`networld_algos.training.stopping`). A new process on the same folder resumes from there and ends
with the same weights, see `networld_algos.training.train`. A finished training can be extended, see
`extend`. Under ``torchrun`` only process 0 writes; validation and evaluation are for a single
process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from networld_algos.base import Algorithm
from networld_algos.data.batch import WindowSampler
from networld_algos.data.episodes import Episodes
from networld_algos.data.streams import Stream
from networld_algos.training import checkpoint, distributed
from networld_algos.training.cpu import keep_products, training_clock
from networld_algos.training.near import HeldOut, imitation_errors
from networld_algos.training.train import OnUpdate, ShouldStop, train

VALIDATIONS = 20  # in a training with validation episodes
VALIDATION_BATCHES = 4
EARLIEST = 0.25
"""Share of the updates before which no training ends early: averaged weights lag behind, so a loss
may seem not to fall at first."""
BEST = "best"  # subfolder of the weights with the smallest validation loss so far


@dataclass(frozen=True)
class Best:
    """The weights with the smallest validation loss so far.

    Attributes:
        validation_loss: The loss.
        best_updates: Updates done when it was measured.
    """

    validation_loss: float
    best_updates: int


@dataclass
class Progress:
    """State of a training, saved beside the weights.

    Attributes:
        updates: Updates done.
        seconds: Time spent in updates, including those of interrupted processes, by
            `networld_algos.training.cpu.training_clock`.
        episodes: Number of episodes of the target task that the training was given.
        rows: Results of the evaluations so far, as JSON types.
        best: The weights that the last evaluation scored, if they were not the final ones.
        ended: Whether the training has ended early, see `Training.patience`.
        about: Further entries of the caller, as JSON types, e.g. the name of the dataset.
    """

    updates: int = 0
    seconds: float = 0.0
    episodes: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: Best | None = None
    ended: bool = False
    about: dict[str, Any] = field(default_factory=dict)

    def is_over(self, updates: int) -> bool:
        """Whether the training is over, after all its ``updates`` or before."""
        return self.ended or self.updates == updates

    @classmethod
    def from_extra(cls, extra: dict[str, Any]) -> Progress:
        """Read the ``extra`` of a checkpoint; entries with other names go to `about`."""
        names = {f.name for f in fields(cls)} - {"about"}
        known = {name: value for name, value in extra.items() if name in names}
        if known.get("best"):
            known["best"] = Best(**known["best"])
        return cls(**known, about={k: v for k, v in extra.items() if k not in names})

    def to_extra(self) -> dict[str, Any]:
        """The ``extra`` of a checkpoint, as a flat dictionary without empty entries."""
        values = {k: v for k, v in asdict(self).items() if k != "about"}
        for name in ("rows", "best", "ended"):
            if not values[name]:
                del values[name]
        return {**self.about, **values}


Evaluate = Callable[[Algorithm, Progress], list[dict[str, Any]]]
"""Scores a model; the returned rows are added to `Progress.rows`."""


@dataclass(frozen=True)
class Training:
    """Data and length of a training, and when to save, validate and evaluate.

    Attributes:
        data: One `Episodes` per task, the target task's last.
        updates: Total number of gradient steps.
        seed: Seed of batches and noise.
        save_every: Maximum number of updates between two checkpoints.
        evaluate: Scores the model during training, or None.
        evaluations: Number of evaluations, evenly spaced, the last one at the end.
        validation: Episodes of the target task that are not trained on, or agents of them. The
            weights with the smallest loss on them are kept in the subfolder `BEST`, and the last
            evaluation scores those. The loss is `Algorithm.validation_loss` on episodes, and the
            mean of `networld_algos.training.near.imitation_errors` on what was held out for it.
            None keeps the final weights.
        patience: End after this many validations in a row without a smaller loss, but not before
            `EARLIEST`; 0 never ends early. The model is then also validated before its first
            update.
    """

    data: Sequence[Episodes]
    updates: int
    seed: int
    save_every: int
    evaluate: Evaluate | None = None
    evaluations: int = 0
    validation: Episodes | HeldOut | None = None
    patience: int = 0

    @property
    def evaluation_marks(self) -> set[int]:
        """Numbers of updates after which the model is evaluated."""
        return _spread(self.updates, self.evaluations if self.evaluate is not None else 0)

    @property
    def validation_marks(self) -> set[int]:
        """Numbers of updates after which the validation loss is measured."""
        if self.validation is None:
            return set()
        return _spread(self.updates, VALIDATIONS) | ({0} if self.patience else set())

    @property
    def marks(self) -> list[int]:
        """Numbers of updates after which the training is saved, ascending."""
        saves = range(self.save_every, self.updates, self.save_every)
        return sorted({*saves, self.updates} | self.evaluation_marks | self.validation_marks)


def resume(
    folder: Path,
    start: Callable[[], Algorithm],
    *,
    task: str | None = None,
    device: str = "cpu",
) -> tuple[Algorithm, Progress]:
    """The model of a training and its progress.

    A training that goes on uses the matrix products that it began with, see
    `networld_algos.training.cpu.keep_products`.

    Args:
        folder: Where the training is saved.
        start: Makes a new model, prepared for its data, if nothing is saved yet.
        task: Task that a saved model must support.
        device: Where to put the model.

    Raises:
        ValueError: If the checkpoint is damaged or for another task.
    """
    progress = Progress()
    if checkpoint.exists(folder):
        algorithm, extra = checkpoint.load(folder, expect_task=task, device=device)
        progress = Progress.from_extra(extra)
    else:
        algorithm = start().to(device)
    keep_products(progress.about, torch.device(device).type)
    return algorithm, progress


def run_training(
    training: Training,
    algorithm: Algorithm,
    progress: Progress,
    folder: Path,
    on_update: OnUpdate | None = None,
    should_stop: ShouldStop | None = None,
) -> bool:
    """Do the remaining part of a training.

    Args:
        training: The training.
        algorithm: From `resume`; trained in place.
        progress: From `resume`; updated in place.
        folder: Where the training is saved.
        on_update: Called with (updates done, metrics) after each update.
        should_stop: Asked after each update whether to save and end before the next one.

    Returns:
        Whether the training is finished; false if it was stopped.

    Raises:
        FloatingPointError: If a metric stops being finite, see `networld_algos.training.train`.
        ValueError: If a model that is not of this training is where its best weights are kept.
    """
    if training.validation is not None:
        _refuse_other_model(folder / BEST)
    clock = training_clock(next(algorithm.parameters()).device.type)
    for mark in training.marks:
        if progress.ended:
            break
        if mark <= progress.updates and checkpoint.exists(folder):
            continue  # done by an earlier process
        begin = clock()
        first = progress.updates
        progress.updates = train(
            algorithm,
            training.data,
            mark,
            training.seed,
            first=first,
            on_update=on_update,
            should_stop=should_stop,
        )
        progress.seconds += clock() - begin
        if progress.updates < mark:
            if distributed.is_chief():
                checkpoint.save(algorithm, folder, progress.to_extra())
            return False
        if training.validation is not None and mark in training.validation_marks:
            keep_best(algorithm, training.validation, training.seed, folder / BEST, mark)
            progress.ended = mark < training.updates and _is_out_of_patience(training, folder, mark)
        is_last = progress.ended or mark == training.updates
        if training.evaluate is not None and (is_last or mark in training.evaluation_marks):
            scored = algorithm
            if is_last:
                scored, progress.best = best_model(algorithm, folder)
            progress.rows += training.evaluate(scored, progress)
        if distributed.is_chief():
            checkpoint.save(algorithm, folder, progress.to_extra())
        if not is_last and should_stop is not None and should_stop():
            return False
    return True


def _is_out_of_patience(training: Training, folder: Path, mark: int) -> bool:
    """Whether the last validations have brought nothing better."""
    best = checkpoint.read_extra(folder / BEST)["best_updates"]
    since = sum(best < m <= mark for m in training.validation_marks)
    return 0 < training.patience <= since and mark >= EARLIEST * training.updates


def extend(algorithm: Algorithm, progress: Progress, updates: int) -> None:
    """Let a finished training go on to more updates, in place.

    The schedules start again and cover the further updates: the learning rate begins at its full
    value and decays to zero a second time, as in a warm restart (Loshchilov and Hutter, 2017).
    Weights, statistics, averages and the moments of the optimisers go on. `Progress.about` lists
    in ``restarts`` after how many updates that happened.

    Args:
        algorithm: From `resume`, after the last update.
        progress: From `resume`.
        updates: Total number of updates, including those done.

    Raises:
        ValueError: If ``updates`` is not above the number of updates done.
    """
    done = progress.updates
    if updates <= done:
        raise ValueError(f"updates must be above the {done} that are done, got {updates}")
    algorithm.begin_stage(updates - done)
    progress.about["restarts"] = [*progress.about.get("restarts", []), done]


def finish(algorithm: Algorithm, progress: Progress, folder: Path) -> None:
    """Leave only the final model in ``folder``, without the state that further training needs."""
    algorithm, _ = best_model(algorithm, folder)
    for optimizer in algorithm.optimizers().values():
        optimizer.state.clear()  # most of the file
    checkpoint.save(algorithm, folder, progress.to_extra())
    shutil.rmtree(folder / BEST, ignore_errors=True)


def _refuse_other_model(folder: Path) -> None:
    """Refuse to keep the best weights where somebody keeps a model."""
    if checkpoint.exists(folder) and checkpoint.read_extra(folder).keys() != {
        field.name for field in fields(Best)
    }:
        raise ValueError(
            f"{folder} holds the model of another training, and the best weights of this one are "
            "kept there while it runs; train into another folder, or move that model"
        )


def best_model(algorithm: Algorithm, folder: Path) -> tuple[Algorithm, Best | None]:
    """The weights with the smallest validation loss; ``algorithm`` itself without validation."""
    if not checkpoint.exists(folder / BEST):
        return algorithm, None
    device = next(algorithm.parameters()).device
    best, extra = checkpoint.load(folder / BEST, device=device)
    return best, Best(**extra)


def keep_best(
    algorithm: Algorithm, validation: Episodes | HeldOut, seed: int, folder: Path, updates: int
) -> None:
    """Save the model if its validation loss is the smallest so far.

    Args:
        algorithm: The model.
        validation: What the loss is measured on, see `Training.validation`.
        seed: Seed of the windows and the noise, which are the same every time.
        folder: Folder of the best model.
        updates: Updates done.
    """
    if isinstance(validation, HeldOut):
        loss = float(imitation_errors(algorithm, validation, seed).mean())
    else:
        loss = _validation_loss(algorithm, validation, seed)
    if checkpoint.exists(folder) and checkpoint.read_extra(folder)["validation_loss"] <= loss:
        return
    checkpoint.save(algorithm, folder, asdict(Best(loss, updates)))


def _validation_loss(algorithm: Algorithm, episodes: Episodes, seed: int) -> float:
    sampler = WindowSampler(episodes, algorithm.window, algorithm.batch_size)
    rng = np.random.default_rng([seed, Stream.VALIDATION])
    device = next(algorithm.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    algorithm.eval()
    losses = []
    for _ in range(VALIDATION_BATCHES):
        losses.append(algorithm.validation_loss(sampler.sample(rng).to(device), generator))
    algorithm.train()
    return float(np.mean(losses))


def _spread(updates: int, count: int) -> set[int]:
    """``count`` numbers of updates, evenly spaced; the last is ``updates``."""
    marks = {round(updates * (i + 1) / count) for i in range(count)}
    return marks - {0} if updates else marks  # nothing happens before the first update
