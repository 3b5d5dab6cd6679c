"""Do one run of a suite: train, validate, evaluate, save on the way, and write its rows."""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from networld_algos.base import Algorithm
from networld_algos.bench.evaluator import learned_rows, reference_rows
from networld_algos.bench.job import Job, Outcome, failed, held
from networld_algos.bench.paths import FINISHED, Paths
from networld_algos.bench.runs import Run
from networld_algos.bench.tensorboard import Events
from networld_algos.data.batch import WindowSampler
from networld_algos.data.episodes import HOLDOUT, Episodes
from networld_algos.data.load import load_episodes
from networld_algos.files import write_text
from networld_algos.registry import ALGORITHMS, make, make_config
from networld_algos.results.rows import Row, write_rows
from networld_algos.training import checkpoint
from networld_algos.training.cpu import configure_cpu
from networld_algos.training.train import train

SAVE_EVERY = 500  # most updates between checkpoints
VALIDATION = 0.1  # share of the episodes that early stopping looks at
VALIDATIONS = 20  # validations in a training with early stopping
VALIDATION_BATCHES = 4
BEST = "best"  # folder of the weights with the least validation loss so far


def perform(job: Job) -> Outcome:
    """Do a run; an exception becomes a record, not the end of the suite."""
    os.environ.update(job.environment)
    configure_cpu()
    ALGORITHMS.update(job.algorithms)
    run, paths = job.run, job.paths
    try:
        with held(paths.lock(run)):
            if not (paths.is_done(run) and (paths.has_model(run.key) or not job.keep)):
                _do(job)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return failed(job, text, traceback.format_exc())
    paths.failure(run).unlink(missing_ok=True)
    return Outcome(run, "")


def _do(job: Job) -> None:
    run = job.run
    if run.stage == "reference":
        write_rows(job.paths.rows(run), reference_rows(run))
    elif run.stage == "evaluate":
        write_rows(job.paths.rows(run), _rows_of_another_model(job))
    else:
        events = Events(job.paths.events(run)) if job.tensorboard else nullcontext()
        with events as log:
            _train_run(job, log)


def _train_run(job: Job, log: Events | None) -> None:
    """Train, evaluate at the run's marks, save there and between; resume where it stopped."""
    run, paths = job.run, job.paths
    data = [_training_data(run, task) for task in run.data_tasks]
    fitted, validation = [part[0] for part in data], None
    stops = ALGORITHMS[run.algorithm][1].validation_loss is not Algorithm.validation_loss
    if run.early_stop and stops and len(fitted[-1]) > 1:
        fitted[-1], validation = fitted[-1].split(VALIDATION, run.seed)
    folder = paths.checkpoint(run.key)
    if checkpoint.exists(folder):
        algorithm, saved = checkpoint.load(folder)
    else:
        algorithm = _new_model(run, paths, fitted)
        saved = {"updates": 0, "seconds": 0.0, "rows": []}
    state: dict[str, Any] = {**saved, "episodes": len(data[-1][0])}
    done = int(state["updates"])
    if log is not None:
        log.start(done)
    marks = _marks(run.updates, run.evaluations)
    checks = set(_marks(run.updates, VALIDATIONS)) if validation is not None else set[int]()
    saves = range(SAVE_EVERY, run.updates, SAVE_EVERY)
    for mark in sorted({*marks, *checks, *saves}):
        if mark <= done and run.updates:
            continue
        begin = time.perf_counter()
        train(algorithm, fitted, mark, run.seed, first=done, on_update=_on_update(job, log))
        done = mark
        state |= {"updates": done, "seconds": state["seconds"] + time.perf_counter() - begin}
        if validation is not None and mark in checks:
            _keep_best(algorithm, validation, run, folder / BEST, done)
        if run.evaluations and mark in marks:
            scored = algorithm
            if done == run.updates and checkpoint.exists(folder / BEST):
                scored, state["best"] = checkpoint.load(folder / BEST)
            rows = learned_rows(run, scored, data[-1][1], state)
            state["rows"] += [json.loads(row.to_json()) for row in rows]
            if log is not None:
                log.scores(rows)
        checkpoint.save(algorithm, folder, state)
    if run.stage != "pretrain":
        write_rows(paths.rows(run), [Row.from_dict(values) for values in state["rows"]])
    if run.stage == "pretrain" or job.keep:
        if checkpoint.exists(folder / BEST):
            algorithm, _ = checkpoint.load(folder / BEST)
        for optimizer in algorithm.optimizers().values():
            optimizer.state.clear()  # two thirds of the file, and training does not go on
        checkpoint.save(algorithm, folder, state)
        write_text(folder / FINISHED, run.title + "\n")
        shutil.rmtree(folder / BEST, ignore_errors=True)
    else:
        shutil.rmtree(folder)
    paths.progress(run).unlink(missing_ok=True)


def _new_model(run: Run, paths: Paths, data: Sequence[Episodes]) -> Algorithm:
    """A fresh model, or a pre-trained one with the target task added; prepared either way."""
    if run.start:
        algorithm, _ = _model_of(run, paths)
        algorithm.config = make_config(run.algorithm, run.config)
        algorithm.adapt(data[0].spec)
    else:
        algorithm = make(run.algorithm, [d.spec for d in data], run.config, seed=run.seed)
    for episodes in data:
        algorithm.prepare(episodes, max(1, run.updates))
    return algorithm


def _model_of(run: Run, paths: Paths) -> tuple[Algorithm, dict[str, Any]]:
    if not paths.has_model(run.start):
        raise ValueError(
            f"the training that this run starts from is not finished: {run.start}; "
            "see its own failure, then start the suite again"
        )
    return checkpoint.load(paths.checkpoint(run.start))


def _training_data(run: Run, task: str) -> tuple[Episodes, Episodes]:
    """Training and held-out episodes.

    The held-out ones are set aside before the fraction is taken, so that smaller training sets lie
    inside larger ones and every fraction is diagnosed on the same episodes.
    """
    dataset_id = f"networld/{task}/{run.quality}-v0"
    episodes = load_episodes(dataset_id, task, episodes=run.data_episodes, seed=run.seed)
    fitted, heldout = episodes.split(HOLDOUT, run.seed)
    return fitted.fraction(run.fraction, run.seed), heldout


def _marks(updates: int, count: int) -> list[int]:
    """Numbers of updates, evenly spaced, the last at the end."""
    count = max(1, count)
    return [round(updates * (i + 1) / count) for i in range(count)]


def _on_update(job: Job, log: Events | None) -> Callable[[int, dict[str, float]], None]:
    """Note the progress; end a worker whose runner was killed, before a new one starts over."""

    def note(update: int, losses: dict[str, float]) -> None:
        if job.runner is not None and job.runner not in (os.getpid(), os.getppid()):
            os._exit(1)
        if log is not None:
            log.losses(update, losses)
        if update % 50 == 0:
            path = job.paths.progress(job.run)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(update))

    return note


def _keep_best(
    algorithm: Algorithm, episodes: Episodes, run: Run, folder: Path, updates: int
) -> None:
    """Save the model if its validation loss is the least so far."""
    sampler = WindowSampler(episodes, algorithm.window, algorithm.batch_size)
    rng = np.random.default_rng([run.seed, 0x7A1])  # the same windows and noise every time
    device = next(algorithm.parameters()).device
    generator = torch.Generator(device=device).manual_seed(run.seed)
    algorithm.eval()
    losses = []
    for _ in range(VALIDATION_BATCHES):
        losses.append(algorithm.validation_loss(sampler.sample(rng).to(device), generator))
    algorithm.train()
    loss = float(np.mean(losses))
    if checkpoint.exists(folder) and checkpoint.read_extra(folder)["validation_loss"] <= loss:
        return
    checkpoint.save(algorithm, folder, {"validation_loss": loss, "best_updates": updates})


def _rows_of_another_model(job: Job) -> list[Row]:
    """The conditions of a run on the model of the one it starts from."""
    algorithm, state = _model_of(job.run, job.paths)
    last = Row.from_dict(state["rows"][-1]).extra
    rows = learned_rows(job.run, algorithm, None, state)
    return [replace(row, extra={**last, **row.extra}) for row in rows]
