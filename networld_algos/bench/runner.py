"""Run a suite in parallel. A stopped suite resumes; a failed run is recorded and the rest continue.

`networld_algos.bench.worker` does a run, and `networld_algos.bench.backends` decides where. A run
whose rows exist is not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

from networld_algos.bench import backends
from networld_algos.bench.estimate import run_seconds
from networld_algos.bench.job import Job, Outcome
from networld_algos.bench.looks import current_display
from networld_algos.bench.paths import Paths
from networld_algos.bench.runs import Run
from networld_algos.bench.same_data import refuse_replaced_data
from networld_algos.bench.suite import Suite
from networld_algos.bench.unroll import unroll
from networld_algos.bench.worker import perform
from networld_algos.registry import ALGORITHMS
from networld_algos.results.folder import COMMITTED, record_command, write_display
from networld_algos.results.loggers.log import Log, absolute
from networld_algos.results.rows import SUPERSEDED
from networld_algos.training.cpu import shared_environment
from networld_algos.training.device import DEVICES, resolve_device, shared_devices
from networld_envs import store
from networld_envs.simulator import added_tasks
from networld_envs.store.workers import Workers


def suite_paths(results: Path, suite: Suite) -> Paths:
    """Paths of a suite below a results folder."""
    return Paths(results / suite.name)


def unfinished(
    suite: Suite, paths: Paths, only: Iterable[str] = (), references: bool = True
) -> list[Run]:
    """Runs that are still to be done. Runs that others start from come first.

    A pre-training, or a training whose rows exist, is repeated only if its model is gone and a run
    that is still to be done needs it.

    Args:
        suite: The suite.
        paths: Where its files are.
        only: Parts to run; all by default.
        references: Whether reference policies are scored here, see `run_suite`.
    """
    runs = [run for run in unroll(suite, only) if references or run.stage != "reference"]
    todo = [run for run in runs if run.stage != "pretrain" and not paths.is_done(run)]
    keys = {run.key for run in todo}
    needed = {run.start for run in todo if run.start and not paths.has_model(run.start)}
    again = [run for run in runs if run.key in needed - keys]
    return [*again, *todo]


def set_aside(suite: Suite, paths: Paths) -> int:
    """Set aside results of a suite's runs that are from other settings or another version.

    They are moved to the folder `networld_algos.results.rows.SUPERSEDED`, so that nothing is lost
    and a report does not find two results of one run.

    Args:
        suite: The whole suite, since a report also shows parts and seeds that are not run now.
        paths: Where its files are.

    Returns:
        Number of files moved.
    """
    stale = paths.stale(unroll(suite))
    folder = paths.root / SUPERSEDED
    if stale:
        folder.mkdir(exist_ok=True)
    for path in stale:
        path.replace(folder / path.name)
    return len(stale)


def run_suite(
    suite: Suite,
    results: Path,
    jobs: int = 1,
    on_start: Callable[[Sequence[Run]], None] | None = None,
    on_done: Callable[[Outcome], None] | None = None,
    on_dataset: store.Progress | None = None,
    on_superseded: Callable[[int], None] | None = None,
    *,
    only: Iterable[str] = (),
    seeds: int | None = None,
    backend: str = "local",
    ray_address: str | None = None,
    log: Sequence[str] = (),
    command: Sequence[str] = (),
    device: str = "cpu",
    runs_per_gpu: int = backends.RUNS_PER_GPU,
    time_limit_s: float | None = None,
    references: bool = True,
) -> list[Outcome]:
    """Do every run of a suite that is not done yet.

    Args:
        suite: The suite.
        results: Folder of results; the suite gets a subfolder.
        jobs: Number of parallel processes, each with one thread. They share the GPUs, if any.
        on_start: Called once with the runs that are to be done.
        on_done: Called after each run.
        on_dataset: Called with the progress of building missing datasets.
        on_superseded: Called with the number of files that `set_aside` moved, if any.
        only: Parts of the suite to run, see `networld_algos.bench.suite.PARTS`; all by default.
        seeds: Number of training seeds of each part to run; all by default.
        backend: ``"local"`` for processes on this machine, ``"ray"`` for tasks of a Ray cluster.
        ray_address: Address of a running Ray cluster; None starts one on this machine.
        log: Loggers, see `networld_algos.results.loggers`. They write the losses and scores of
            each training to ``<results>/<suite>/logs``.
        command: The arguments after ``networld``, recorded beside the results for the report.
        device: Where models train and act, see `networld_algos.training.device.DEVICES`. The
            simulator stays on the CPU. A run that was stopped may go on with another device.
        runs_per_gpu: On a Ray cluster, how many runs share a GPU.
        time_limit_s: After this time, trainings save and stop, and no run starts. The same call
            goes on later, on this machine or another, see `networld_algos.bench.archive`.
        references: Whether reference policies are scored here. If not, their rows are copies of
            committed ones, see `networld_algos.bench.submission.committed`.

    Returns:
        The outcomes of the runs that this call did or, after the time limit, left.

    Raises:
        ValueError: If a part, the backend, the device or a number is invalid, or another process
            is running the suite in the same folder, a dataset was replaced since earlier runs, or
            the folder has copies of committed results and the suite would make its own.
        networld_envs.store.workers.WorkerDiedError: If no worker can start.
        ImportError: If the extra for Ray or a logger is missing.
    """
    check_options(suite, jobs, only, backend, ray_address, log, device, runs_per_gpu, time_limit_s)
    deadline = None if time_limit_s is None else time.time() + time_limit_s
    # The machines of a Ray cluster may have GPUs that this one lacks.
    devices = ("cpu",) if backend == "ray" else shared_devices(resolve_device(device))
    now = suite.first_seeds(seeds)
    paths = suite_paths(results.absolute(), suite)
    every = unroll(suite)
    kept = {run.start for run in every}
    if references and (paths.root / COMMITTED).is_dir():
        raise ValueError(
            f"{paths.root} has copies of committed results, and a report would find two results of "
            "one run: go on with --against-committed, or choose another folder with --results"
        )
    paths.root.mkdir(parents=True, exist_ok=True)
    with paths.sole_user():
        refuse_replaced_data(every, paths)
        if command:
            record_command(paths.root, command)
        write_display(paths.root, current_display())
        moved = set_aside(suite, paths)
        if moved and on_superseded is not None:
            on_superseded(moved)
        todo = unfinished(now, paths, only, references)
        if on_start is not None:
            on_start(todo)
        ids = sorted({i for run in todo for i in run.dataset_ids})
        missing = [dataset_id for dataset_id in ids if not store.is_local(dataset_id)]
        for dataset_id in missing:
            store.obtain(dataset_id, jobs, on_dataset)
        if missing:
            refuse_replaced_data(every, paths)
        stages = ("pretrain", "reference", "train", "evaluate")
        ordered = sorted(todo, key=lambda run: (stages.index(run.stage), -run_seconds(run)))
        loggers = tuple(map(absolute, log))  # workers may have another working directory
        tasks = {name: path for name, path in added_tasks().items() if name in suite.tasks}
        work = [
            Job(
                run=run,
                paths=paths,
                keep=run.key in kept,
                algorithms=dict(ALGORITHMS),
                tasks=tasks,
                environment=shared_environment(),
                log=loggers,
                device=devices[i % len(devices)],
                deadline=deadline,
            )
            for i, run in enumerate(ordered)
        ]
        outcomes: list[Outcome] = []
        with Workers(perform, jobs) as workers:  # they start when there is work for them
            for part in ([w for w in work if not w.run.start], [w for w in work if w.run.start]):
                stopped = {outcome.run.key for outcome in outcomes if outcome.stopped}
                waits = [w for w in part if w.run.start in stopped]
                part = [w for w in part if w.run.start not in stopped]
                if backend == "ray":
                    done = backends.on_ray(part, jobs, ray_address, device, runs_per_gpu)
                else:
                    done = backends.local(part, workers)
                for outcome in chain(done, (Outcome(w.run, "", stopped=True) for w in waits)):
                    outcomes.append(outcome)
                    if on_done is not None:
                        on_done(outcome)
        return outcomes


def check_options(
    suite: Suite,
    jobs: int,
    only: Iterable[str],
    backend: str,
    ray_address: str | None,
    log: Sequence[str] = (),
    device: str = "cpu",
    runs_per_gpu: int = backends.RUNS_PER_GPU,
    time_limit_s: float | None = None,
) -> None:
    """Raise for options that `run_suite` does not accept, before anything is written."""
    unroll(suite, only)
    if backend not in backends.BACKENDS:
        raise ValueError(f"backend must be one of {backends.BACKENDS}, got {backend!r}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if ray_address is not None and backend != "ray":
        raise ValueError(f"ray_address={ray_address!r} needs backend 'ray', not {backend!r}")
    if runs_per_gpu < 1:
        raise ValueError(f"runs_per_gpu must be at least 1, got {runs_per_gpu}")
    if time_limit_s is not None and not time_limit_s > 0:
        raise ValueError(f"the time limit must be positive, got {time_limit_s:g} s")
    if backend == "ray":
        backends.load_ray()
    if backend != "ray" or device not in DEVICES:
        resolve_device(device)
    Log(log, ".")  # raises for an unknown logger and a missing library
