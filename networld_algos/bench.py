"""Run a suite: in parallel, resumable, a failing run recorded and the rest done.

``<results>/<suite>/`` holds ``<run>.jsonl`` for every finished run and ``<run>.failure.json`` for
one that raised; ``checkpoints/<run>/`` below it holds the state of runs under way and the
pre-trained models. A run whose ``.jsonl`` exists is not done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import joblib
import torch

import networld_envs
from networld_algos import ALGORITHMS, checkpoint, make
from networld_algos.base import Algorithm
from networld_algos.batch import Episodes
from networld_algos.data import load_episodes
from networld_algos.rollout import Evaluation, evaluate
from networld_algos.rows import FAILURE_SUFFIX, Failure, Row, write_failure, write_rows, write_text
from networld_algos.suites import Run, Suite
from networld_algos.train import train
from networld_envs import store
from networld_envs.policies import get_policy
from networld_envs.references import TEST_SEED, reference_rewards, reference_scores

HOLDOUT = 0.1  # share of the episodes that only health diagnostics see
SAVE_EVERY = 500  # most updates between checkpoints
FINISHED = "finished"  # file beside the model of a pre-training that came to its end


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: The run.
        error: Type and message of the exception, or "".
    """

    run: Run
    error: str


@dataclass(frozen=True)
class Paths:
    """Where the files of a suite are."""

    root: Path

    def rows(self, run: Run) -> Path:
        """Rows of a finished run."""
        return self.root / f"{run.key}.jsonl"

    def failure(self, run: Run) -> Path:
        """Record of a failed run."""
        return self.root / f"{run.key}{FAILURE_SUFFIX}"

    def checkpoint(self, key: str) -> Path:
        """State of a run under way, or the model of a finished pre-training."""
        return self.root / "checkpoints" / key

    def progress(self, run: Run) -> Path:
        """Updates done so far, for the progress bar."""
        return self.root / "checkpoints" / f"{run.key}.progress"

    def is_done(self, run: Run) -> bool:
        """Whether the run need not be done again."""
        if run.stage == "pretrain":
            return self.is_finished(self.checkpoint(run.key))
        return self.rows(run).is_file()

    @staticmethod
    def is_finished(model: Path) -> bool:
        """Whether a pre-training came to its end: a checkpoint alone may be one on the way."""
        return (model / FINISHED).is_file()


def suite_paths(results: Path, suite: Suite) -> Paths:
    """Paths of a suite below a results folder."""
    return Paths(results / suite.name)


def run_suite(
    suite: Suite,
    results: Path,
    jobs: int = 1,
    on_start: Callable[[Sequence[Run]], None] | None = None,
    on_done: Callable[[Outcome], None] | None = None,
    on_dataset: store.Progress | None = None,
) -> list[Outcome]:
    """Do every run of a suite that is not done yet.

    Args:
        suite: What to run.
        results: Folder of results; the suite's own folder is made in it.
        jobs: Processes side by side, each with one thread.
        on_start: Called once with the runs that are to be done.
        on_done: Called after each run.
        on_dataset: Progress of building datasets that are absent.

    Returns:
        The outcome of each run that was done now.
    """
    paths = suite_paths(results, suite)
    paths.root.mkdir(parents=True, exist_ok=True)
    with _alone(paths.root):
        return _run_all(suite, paths, jobs, on_start, on_done, on_dataset)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a suite's folder, so that two runners never write the same checkpoint."""
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"another process is running the suite in {folder}; wait for it or stop it"
            ) from error
        yield


def _run_all(
    suite: Suite,
    paths: Paths,
    jobs: int,
    on_start: Callable[[Sequence[Run]], None] | None,
    on_done: Callable[[Outcome], None] | None,
    on_dataset: store.Progress | None,
) -> list[Outcome]:
    todo = [run for run in suite.runs() if not paths.is_done(run)]
    if on_start is not None:
        on_start(todo)
    for dataset_id in sorted({i for run in todo for i in _dataset_ids(run)}):
        if not store.is_local(dataset_id):
            store.obtain(dataset_id, jobs, on_dataset)
    outcomes = []
    stages = ("pretrain", "reference", "train")
    ordered = sorted(todo, key=lambda run: (stages.index(run.stage), -run.cost))
    first = [run for run in ordered if not run.pretraining]
    then = [run for run in ordered if run.pretraining]
    for part in (first, then):
        task = joblib.delayed(_guarded)
        work = (task(run, paths, os.getpid(), dict(ALGORITHMS)) for run in part)
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
        for outcome in cast("Iterator[Outcome]", parallel(work)):
            outcomes.append(outcome)
            if on_done is not None:
                on_done(outcome)
    return outcomes


def _guarded(run: Run, paths: Paths, runner: int, algorithms: dict[str, Any]) -> Outcome:
    """Do one run; an exception becomes a record, not the end of the suite.

    ``algorithms`` is the runner's table: a worker is a new process, and does not have the entries
    that the user has added.
    """
    torch.set_num_threads(1)
    ALGORITHMS.update(algorithms)
    try:
        do_run(run, paths, runner)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        record = Failure(
            suite=run.suite, run=run.title, error=text, traceback=traceback.format_exc()
        )
        write_failure(paths.failure(run), record)
        return Outcome(run, text)
    paths.failure(run).unlink(missing_ok=True)
    return Outcome(run, "")


def do_run(run: Run, paths: Paths, runner: int) -> None:
    """Do one run and write its files.

    Args:
        run: The run.
        paths: Where its files are.
        runner: Process id of the suite's runner; a worker ends when that process is gone.
    """
    if run.stage == "reference":
        write_rows(paths.rows(run), [_reference_row(run)])
    else:
        _train_run(run, paths, runner)


def _reference_row(run: Run) -> Row:
    rewards = reference_rewards(run.task, run.algorithm, _eval_seeds(run))
    return _row(
        run,
        kind="reference",
        role=get_policy(run.task, run.algorithm).role,
        dataset=None,
        config_hash=None,
        fraction=None,
        episodes=None,
        updates=None,
        is_last=True,
        episode_returns=tuple(rewards.tolist()),
    )


def _train_run(run: Run, paths: Paths, runner: int) -> None:
    """Train, evaluate at the run's marks, save there and between; resume where it stopped."""
    data = [_training_data(run, task) for task in run.data_tasks]
    fitted = [part[0] for part in data]
    folder = paths.checkpoint(run.key)
    if checkpoint.exists(folder):
        algorithm, saved = checkpoint.load(folder)
    else:
        algorithm = _new_model(run, paths, fitted)
        saved = {"updates": 0, "seconds": 0.0, "rows": []}
    rows = [Row.from_dict(values) for values in saved["rows"]]
    done, seconds = int(saved["updates"]), float(saved["seconds"])
    marks = _marks(run)
    for mark in sorted({*marks, *range(SAVE_EVERY, run.updates, SAVE_EVERY)}):
        if mark <= done:
            continue
        begin = time.perf_counter()
        train(
            algorithm,
            fitted,
            mark,
            run.seed,
            first=done,
            on_update=lambda update, _: _on_update(run, paths, update, runner),
        )
        done, seconds = mark, seconds + time.perf_counter() - begin
        if run.evaluations and mark in marks:
            heldout = data[-1][1]
            rows.append(_evaluated_row(run, algorithm, len(fitted[-1]), heldout, done, seconds))
        extra = {
            "updates": done,
            "seconds": seconds,
            "rows": [json.loads(row.to_json()) for row in rows],
        }
        checkpoint.save(algorithm, folder, extra)
    if run.stage == "pretrain":
        write_text(folder / FINISHED, run.title + "\n")
    else:
        write_rows(paths.rows(run), rows)
        shutil.rmtree(folder)
    paths.progress(run).unlink(missing_ok=True)


def _new_model(run: Run, paths: Paths, data: Sequence[Episodes]) -> Algorithm:
    """A fresh model, or a pre-trained one with the target task added; prepared either way."""
    if run.pretraining:
        before = paths.checkpoint(run.pretraining)
        if not paths.is_finished(before):
            raise ValueError(f"the pre-training this run starts from is not finished: {before}")
        algorithm, _ = checkpoint.load(before)
        algorithm.adapt(data[0].spec)
    else:
        algorithm = make(run.algorithm, [d.spec for d in data], run.config, seed=run.seed)
    for episodes in data:
        algorithm.prepare(episodes, run.updates)
    return algorithm


def _training_data(run: Run, task: str) -> tuple[Episodes, Episodes]:
    """Training and held-out episodes.

    The held-out ones are set aside before the fraction is taken, so that smaller training sets lie
    inside larger ones and every fraction is diagnosed on the same episodes.
    """
    dataset_id = f"networld/{task}/{run.quality}-v0"
    episodes = load_episodes(dataset_id, task, episodes=run.data_episodes, seed=run.seed)
    fitted, heldout = episodes.split(HOLDOUT, run.seed)
    return fitted.fraction(run.fraction, run.seed), heldout


def _dataset_ids(run: Run) -> list[str]:
    return [f"networld/{task}/{run.quality}-v0" for task in run.data_tasks]


def _marks(run: Run) -> list[int]:
    """Numbers of updates after which to evaluate."""
    count = max(1, run.evaluations)
    return [round(run.updates * (i + 1) / count) for i in range(count)]


def _on_update(run: Run, paths: Paths, update: int, runner: int) -> None:
    """Note the progress; end a worker whose runner was killed, before a new one starts over."""
    if runner not in (os.getpid(), os.getppid()):
        os._exit(1)
    if update % 50 == 0:
        path = paths.progress(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(update))


def _eval_seeds(run: Run) -> range:
    return range(TEST_SEED, TEST_SEED + run.eval_episodes)


def _evaluated_row(
    run: Run,
    algorithm: Algorithm,
    episodes: int,
    heldout: Episodes,
    updates: int,
    seconds: float,
) -> Row:
    result: Evaluation = evaluate(algorithm, run.task, _eval_seeds(run), sampling_seed=run.seed)
    config = json.dumps({"algorithm": run.algorithm, **asdict(algorithm.config)}, sort_keys=True)
    is_last = updates == run.updates
    return _row(
        run,
        kind="learned",
        role=None,
        dataset=_dataset_ids(run)[-1],
        config_hash=hashlib.sha256(config.encode()).hexdigest()[:12],
        fraction=run.fraction,
        episodes=episodes,
        updates=updates,
        is_last=is_last,
        episode_returns=tuple(result.episode_rewards.tolist()),
        score=_score(run.task, result.mean),
        latency_p50_ms=result.latency_p50_ms,
        latency_p99_ms=result.latency_p99_ms,
        bytes_per_step=result.bytes_per_step,
        train_seconds=seconds,
        extra=algorithm.health(heldout) if is_last else {},
    )


def _score(task: str, reward: float) -> float:
    """Normalised by the committed scores of random and expert; a report uses the suite's own."""
    scores = reference_scores(task)
    low, high = scores["random"]["mean"], scores["expert"]["mean"]
    return 100.0 * (reward - low) / (high - low)


def _row(run: Run, **values: Any) -> Row:
    blank = {
        "score": None,
        "latency_p50_ms": None,
        "latency_p99_ms": None,
        "bytes_per_step": None,
        "train_seconds": None,
    }
    return Row(
        suite=run.suite,
        experiment=run.experiment,
        task=run.task,
        algorithm=run.algorithm,
        label=run.label,
        seed=run.seed,
        eval_seed_set="test",
        version=networld_envs.__version__,
        git_commit=_git_commit(),
        **{**blank, **values},
    )


@lru_cache(maxsize=1)
def _git_commit() -> str | None:
    """Commit of the checkout this package runs from, None for an installed wheel.

    Ends in ``-dirty`` where tracked files differ from that commit.
    """
    folder = Path(__file__).resolve().parent
    if not (folder.parent / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
