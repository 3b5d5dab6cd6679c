"""Do one run of a suite: train, validate, evaluate, save checkpoints, and write its rows."""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from networld_algos.base import Algorithm
from networld_algos.bench.evaluator import learned_rows, reference_rows
from networld_algos.bench.job import Job, Outcome, failed
from networld_algos.bench.paths import FINISHED, Paths
from networld_algos.bench.runs import Run
from networld_algos.data.episodes import HOLDOUT, Episodes
from networld_algos.data.identity import recorded_hashes, refuse_other_data, rounded_from
from networld_algos.data.load import load_episodes
from networld_algos.data.shuffle import shuffled
from networld_algos.files import locked, write_text
from networld_algos.registry import ALGORITHMS, make, make_config
from networld_algos.results.loggers.log import Log
from networld_algos.results.rows import Row, write_rows
from networld_algos.training import checkpoint
from networld_algos.training.cpu import configure_cpu
from networld_algos.training.epochs import epochs_per_update
from networld_algos.training.near import (
    MOST_HELD_OUT,
    HeldOut,
    Pull,
    check,
    hold_out,
    pull_to_start,
)
from networld_algos.training.run import Progress, Training, finish, resume, run_training
from networld_algos.training.start import find_model, start_from
from networld_envs.simulator import restore_tasks

SAVE_EVERY = 500  # maximum number of updates between checkpoints
VALIDATION = 0.1  # share of the episodes that early stopping validates on


def perform(job: Job) -> Outcome:
    """Do a run. An exception is recorded and does not end the suite.

    After the deadline of the job, a training is saved and stops, and no run starts. A run that only
    scores a policy or a model ends first; it has no checkpoints.
    """
    os.environ.update(job.environment)
    configure_cpu(torch.device(job.device).type)
    ALGORITHMS.update(job.algorithms)
    run, paths, started = job.run, job.paths, time.perf_counter()
    if job.is_late:
        return Outcome(run, "", stopped=True)
    finished = True
    try:
        restore_tasks(job.tasks)
        # A worker of a runner that was killed may still be ending.
        with locked(paths.lock(run), remove=True):
            if not (paths.is_done(run) and (paths.has_model(run.key) or not job.keep)):
                finished = _do(job)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, torch.OutOfMemoryError):
            text = f"{type(error).__name__}: the memory of {job.device} is full; use fewer --jobs"
        return failed(job, text, traceback.format_exc())
    finally:
        if job.device != "cpu":
            torch.cuda.empty_cache()  # for the runs that share the device
    paths.failure(run).unlink(missing_ok=True)
    return Outcome(run, "", time.perf_counter() - started, stopped=not finished)


def _do(job: Job) -> bool:
    """Do a run; returns whether it is finished, and not stopped by the deadline."""
    run = job.run
    if run.stage == "reference":
        write_rows(job.paths.rows(run), reference_rows(run))
    elif run.stage == "evaluate":
        write_rows(job.paths.rows(run), _rows_of_another_model(job))
    else:
        with Log(job.log, job.paths.logs(run)) as log:
            return _train_run(job, log)
    return True


def _train_run(job: Job, log: Log) -> bool:
    """Train, evaluate and save; resume where an earlier process stopped.

    Returns:
        Whether the run is finished.
    """
    run, paths = job.run, job.paths
    hashes = recorded_hashes(run.dataset_ids)
    data = [_training_data(run, *of) for of in zip(run.data_tasks, run.dataset_ids, strict=True)]
    whole, fitted = [part[0] for part in data], [part[0] for part in data]
    episodes, heldout = len(whole[-1]), data[-1][1]
    fitted[-1], validation = _hold_out(run, whole[-1])

    def start() -> Algorithm:
        return _new_model(run, paths, whole)

    def evaluate(algorithm: Algorithm, progress: Progress) -> list[dict[str, Any]]:
        extra = {}
        if run.anchor and isinstance(validation, HeldOut) and progress.is_over(run.updates):
            extra["tuned_share"] = check(start().to(job.device), algorithm, validation)
        rows = learned_rows(run, algorithm, heldout, progress)
        rows = [replace(row, extra={**row.extra, **extra}) for row in rows]
        log.scores(rows)
        return [json.loads(row.to_json()) for row in rows]

    training = Training(
        fitted,
        run.updates,
        run.seed,
        save_every=SAVE_EVERY,
        evaluate=evaluate,
        evaluations=run.evaluations,
        validation=validation,
        patience=run.patience,
    )
    folder = paths.checkpoint(run.key)
    algorithm, progress = resume(folder, start, device=job.device)
    progress.episodes = episodes
    progress.about["epochs_per_update"] = epochs_per_update(algorithm, fitted)
    progress.about |= _data_identity(run, paths, progress, hashes)
    log.start(progress.updates, run.updates, {"name": run.title, **asdict(run)})
    pull = None
    if run.anchor:
        strength = run.anchor / len(fitted[-1])
        pull = pull_to_start(algorithm, start(), _model_of(run, paths)[0], strength)
    note = _on_update(job, log, pull)
    if not run_training(training, algorithm, progress, folder, note, lambda: job.is_late):
        return False
    if run.stage != "pretrain":
        write_rows(paths.rows(run), [Row.from_dict(values) for values in progress.rows])
    if run.stage == "pretrain" or job.keep:
        finish(algorithm, progress, folder)
        write_text(folder / FINISHED, run.title + "\n")
    else:
        shutil.rmtree(folder)
    paths.progress(run).unlink(missing_ok=True)
    return True


def _data_identity(
    run: Run, paths: Paths, progress: Progress, now: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Hashes of all data behind a model, that of the model it starts from included.

    Returns:
        ``data_hashes`` and ``data_rounded`` of `networld_algos.results.rows.Row`.

    Raises:
        ValueError: If a dataset was replaced since the run or that model was started.
    """
    earlier = [(paths.checkpoint(run.key), progress.about)]
    start = paths.checkpoint(run.start)
    if run.start and checkpoint.exists(start):
        earlier.insert(0, (start, checkpoint.read_extra(start)))
    found: dict[str, str] = {}
    rounded: dict[str, str] = {}
    for folder, extra in earlier:
        before = extra.get("data_hashes", {})
        refuse_other_data(before, now, str(folder), "remove this folder to start it again")
        found |= before
        rounded |= extra.get("data_rounded", {})
    return {
        "data_hashes": {**found, **now},
        "data_rounded": {**rounded, **rounded_from(run.dataset_ids)},
    }


def _new_model(run: Run, paths: Paths, data: Sequence[Episodes]) -> Algorithm:
    """A new model, or a trained one that goes on with the data; prepared in both cases.

    A trained model that does not know the target task is given it. One that does goes on with
    another deployment of it. It is on the CPU, where `Algorithm.adapt` and `Algorithm.prepare` put
    what they add.
    """
    if run.start:
        algorithm, _ = _model_of(run, paths)
        if run.task in algorithm.specs:
            origin = find_model(paths.checkpoint(run.start), run.algorithm)
            config = make_config(run.algorithm, run.config)
            updates = max(1, run.updates)
            return start_from(origin, data[-1], updates, config=config, seed=run.seed)
        algorithm.config = make_config(run.algorithm, run.config)
        algorithm.adapt(data[0].spec)
    else:
        algorithm = make(run.algorithm, [d.spec for d in data], run.config, seed=run.seed)
    for episodes in data:
        algorithm.prepare(episodes, max(1, run.updates))
    return algorithm


def _model_of(run: Run, paths: Paths, device: str = "cpu") -> tuple[Algorithm, Progress]:
    """The trained model that a run starts from, and how it was trained."""
    if not paths.has_model(run.start):
        raise ValueError(
            f"this run starts from a training that is not finished: {run.start}; "
            "see why that one failed, then start the suite again"
        )
    algorithm, extra = checkpoint.load(paths.checkpoint(run.start), device=device)
    return algorithm, Progress.from_extra(extra)


def _hold_out(run: Run, few: Episodes) -> tuple[Episodes, Episodes | HeldOut | None]:
    """What to train on, and what to validate on; see `networld_algos.bench.parts.FewShot`."""
    if run.patience:
        rest, some = few.split(VALIDATION, run.seed)
        if some is not None:
            some = some.first(MOST_HELD_OUT)
        return hold_out(rest, some, run.seed)
    stops = ALGORITHMS[run.algorithm][1].validation_loss is not Algorithm.validation_loss
    return few.split(VALIDATION, run.seed) if run.early_stop and stops else (few, None)


def _training_data(run: Run, task: str, dataset_id: str) -> tuple[Episodes, Episodes | None]:
    """Training and held-out episodes; the latter are None if the dataset is a single episode.

    Episodes are held out before the fraction is taken. Smaller training sets therefore lie inside
    larger ones, and every fraction is diagnosed on the same episodes.
    """
    episodes = load_episodes(dataset_id, task, episodes=run.data_episodes, seed=run.seed)
    fitted, heldout = episodes.split(HOLDOUT, run.seed)
    fitted = fitted.fraction(run.fraction, run.seed)
    return (shuffled(fitted, run.seed) if run.shuffled else fitted), heldout


def _on_update(job: Job, log: Log, pull: Pull | None) -> Callable[[int, dict[str, float]], None]:
    """Pull the weights, log the losses and record progress."""

    def note(update: int, losses: dict[str, float]) -> None:
        if pull is not None:
            pull.step()
        log.losses(update, losses)
        if update % 50 == 0:
            path = job.paths.progress(job.run)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(update))

    return note


def _rows_of_another_model(job: Job) -> list[Row]:
    """Rows of a run that scores the model of another run, the one it starts from."""
    algorithm, progress = _model_of(job.run, job.paths, job.device)
    last = Row.from_dict(progress.rows[-1]).extra
    rows = learned_rows(job.run, algorithm, None, progress)
    return [replace(row, extra={**last, **row.extra}) for row in rows]
