"""Do one trial: train with its settings, score the model on validation networks, perhaps end early.

A final is a trial's training once more, from another seed, scored at its end on other networks. A
trial or final that is interrupted has its checkpoint in its folder and goes on from there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from networld_algos.base import Algorithm
from networld_algos.data.episodes import HOLDOUT, Episodes
from networld_algos.data.load import load_episodes
from networld_algos.registry import ALGORITHMS, make, make_config
from networld_algos.results.stats import normalised_score
from networld_algos.training.cpu import configure_cpu, training_clock
from networld_algos.training.evaluate import evaluate
from networld_algos.training.run import Progress, Training, resume, run_training
from networld_algos.training.stopping import signals_stop
from networld_algos.training.train import train
from networld_algos.training.tuning.storage import load_optuna, open_storage, pruner_of, trial_id
from networld_algos.training.tuning.subject import Options, Subject
from networld_envs.simulator import restore_tasks

SAVE_EVERY = 500  # updates between checkpoints, besides those after evaluations
MEASURE = 0.05  # share of a trial's time, at most, in which the time of an update is measured
MEASURE_S = 5.0  # seconds, at most, of the same

State = Literal["complete", "pruned", "failed", "stopped"]


@dataclass(frozen=True)
class Job:
    """One trial or final, and all that a worker process needs to do it.

    Attributes:
        subject: The algorithm and its data.
        options: Options of the search.
        database: File of the search.
        number: Number of the trial of this subject in it.
        params: The settings to try.
        updates: Number of updates; None measures how many fit into `Options.minutes`.
        folder: Where the training is saved until it ends.
        network: Preset and parameters of the validation networks.
        ends: Rewards of the random and the expert policy there, scores 0 and 100; None if the task
            lacks one of them, and the score is the reward.
        algorithms: The table of algorithms, with those that the user has added.
        tasks: Name -> file of tasks that the user has added.
        environment: Environment variables to share with workers.
        is_final: Whether it is a final.
    """

    subject: Subject
    options: Options
    database: Path
    number: int
    params: dict[str, Any]
    updates: int | None
    folder: Path
    network: dict[str, Any]
    ends: tuple[float, float] | None
    algorithms: Mapping[str, Any]
    tasks: Mapping[str, str]
    environment: Mapping[str, str]
    is_final: bool = False

    @property
    def training_seed(self) -> int:
        """Seed of the training."""
        return self.options.training_seed + self.is_final

    @property
    def networks(self) -> Sequence[int]:
        """Seeds of the networks that the model is scored on."""
        return self.options.final_seeds if self.is_final else self.options.validation_seeds


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
        state: ``"stopped"`` if it is not at its end; it then goes on another time.
        score: Last score on validation networks; None if there is none.
        seconds: Time in updates.
        error: Why it failed.
        signal: Number of a signal that the training has received, or 0.
    """

    state: State
    score: float | None = None
    seconds: float = 0.0
    error: str = ""
    signal: int = 0


def perform(job: Job) -> Result:
    """Do a trial. Settings that cannot be trained make it fail; the search goes on."""
    os.environ.update(job.environment)
    configure_cpu(job.options.device)
    ALGORITHMS.update(job.algorithms)
    restore_tasks(job.tasks)
    try:
        result = _train(job)
    except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        result = Result("failed", error=f"{type(error).__name__}: {error}".splitlines()[0])
    if result.state != "stopped":
        shutil.rmtree(job.folder, ignore_errors=True)
    return result


def _train(job: Job) -> Result:
    subject, options, seed = job.subject, job.options, job.training_seed
    data = _data(subject.dataset, subject.task, seed)
    config = make_config(subject.algorithm, {**subject.base, **job.params})

    def start(updates: int) -> Algorithm:
        model = make(subject.algorithm, data.spec, config, seed)
        model.prepare(data, updates)
        return model.to(options.device)

    updates = job.updates or _updates_in(60.0 * options.minutes, start, data, options)
    model, found = resume(job.folder, lambda: start(updates), device=options.device)
    evaluations = 1 if job.is_final else options.evaluations
    with _reporting(job, updates) as report:

        def score(model: Algorithm, done: Progress) -> list[dict[str, Any]]:
            value, step = _score(job, model), len(done.rows) + 1
            if report(value, step) and step < evaluations:
                raise _PrunedError
            return [{"updates": done.updates, "score": value}]

        for step, row in enumerate(found.rows, 1):  # of an earlier process
            report(row["score"], step)
        training = Training([data], updates, seed, SAVE_EVERY, score, evaluations)
        state: State = "pruned"
        with signals_stop() as stop, suppress(_PrunedError):
            done = run_training(training, model, found, job.folder, should_stop=stop)
            state = "complete" if done else "stopped"
    last = found.rows[-1]["score"] if found.rows else None
    return Result(state, last, found.seconds, signal=stop.number)


class _PrunedError(Exception):
    """A trial ends early."""


@contextmanager
def _reporting(job: Job, updates: int) -> Iterator[Callable[[float, int], bool]]:
    """What records a score, and says whether the trial should end; nothing for a final."""
    if job.is_final:
        yield lambda value, step: False
        return
    optuna = load_optuna()
    with open_storage(job.database) as storage:
        pruner = pruner_of(job.options)
        study = optuna.load_study(study_name=job.subject.name, storage=storage, pruner=pruner)
        trial = optuna.trial.Trial(study, trial_id(storage, study, job.number))
        trial.set_user_attr("updates", updates)

        def report(value: float, step: int) -> bool:
            trial.report(value, step)
            return trial.should_prune()

        yield report


def _score(job: Job, model: Algorithm) -> float:
    result = evaluate(
        model,
        job.subject.task,
        job.networks,
        sampling_seed=job.options.seed,
        **job.network,
    )
    if not np.isfinite(result.mean):
        raise FloatingPointError(f"the average reward on validation networks is {result.mean}")
    return result.mean if job.ends is None else float(normalised_score(result.mean, *job.ends))


def _updates_in(seconds: float, start: Any, data: Episodes, options: Options) -> int:
    """Number of updates that take ``seconds``, from the time of the first ones.

    The time is that of `networld_algos.training.cpu.training_clock`.
    """
    clock = training_clock(options.device)
    begin, first = clock(), 0.0
    limit = min(MEASURE_S, MEASURE * seconds)
    most, ends = 1_000, [0.0]

    def enough() -> bool:
        nonlocal first
        ends.append(clock())
        first = first or ends[-1]  # the first update also prepares
        return len(ends) > 2 and ends[-1] - begin >= limit

    done = train(start(most), [data], most, options.training_seed, should_stop=enough)
    return max(options.evaluations, round(seconds * (done - 1) / (ends[-1] - first)))


@lru_cache(maxsize=1)
def _data(dataset: str, task: str, seed: int) -> Episodes:
    """Training data, without the share that `networld train` holds out as well."""
    return load_episodes(dataset, task).split(HOLDOUT, seed)[0]
