"""Run a suite in parallel. A stopped suite resumes; a failed run is recorded and the rest go on.

`networld_algos.bench.worker` does a run, and `networld_algos.bench.backends` decides where. A run
whose rows exist is not repeated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from networld_algos.bench import backends
from networld_algos.bench.estimate import run_seconds
from networld_algos.bench.job import ENVIRONMENT, Job, Outcome
from networld_algos.bench.looks import current_display
from networld_algos.bench.paths import Paths
from networld_algos.bench.runs import Run
from networld_algos.bench.same_data import refuse_replaced_data
from networld_algos.bench.suite import Suite
from networld_algos.bench.tensorboard import load_writer
from networld_algos.bench.unroll import unroll
from networld_algos.bench.worker import perform
from networld_algos.files import locked
from networld_algos.registry import ALGORITHMS
from networld_algos.results.folder import record_command, write_display
from networld_algos.results.rows import SUPERSEDED
from networld_envs import store
from networld_envs.simulator import added_tasks
from networld_envs.store.workers import Workers


def suite_paths(results: Path, suite: Suite) -> Paths:
    """Paths of a suite below a results folder."""
    return Paths(results / suite.name)


def unfinished(suite: Suite, paths: Paths, only: Iterable[str] = ()) -> list[Run]:
    """Runs that are still to be done. Runs that others start from come first.

    A pre-training, or a training whose rows exist, is repeated only if its model is gone and a run
    that is still to be done needs it.

    Args:
        suite: The suite.
        paths: Where its files are.
        only: Parts to run; all by default.
    """
    runs = unroll(suite, only)
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
    tensorboard: bool = False,
    command: Sequence[str] = (),
) -> list[Outcome]:
    """Do every run of a suite that is not done yet.

    Args:
        suite: The suite.
        results: Folder of results; the suite gets a subfolder.
        jobs: Number of parallel processes, each with one thread.
        on_start: Called once with the runs that are to be done.
        on_done: Called after each run.
        on_dataset: Called with the progress of building missing datasets.
        on_superseded: Called with the number of files that `set_aside` moved, if any.
        only: Parts of the suite to run, see `networld_algos.bench.suite.PARTS`; all by default.
        seeds: Number of training seeds of each part to run; all by default.
        backend: ``"local"`` for processes on this machine, ``"ray"`` for tasks of a Ray cluster.
        ray_address: Address of a running Ray cluster; None starts one on this machine.
        tensorboard: Write losses and scores to ``<results>/<suite>/tensorboard``.
        command: The arguments after ``networld``, recorded beside the results for the report.

    Returns:
        The outcomes of the runs that this call did.

    Raises:
        ValueError: If a part, the backend or the number of jobs is invalid, or another process is
            running the suite in the same folder, or a dataset was replaced since earlier runs.
        networld_envs.store.workers.WorkerDiedError: If no worker can start.
        ImportError: If the extra for Ray or TensorBoard is missing.
    """
    check_options(suite, jobs, only, backend, ray_address, tensorboard)
    now = suite.first_seeds(seeds)
    paths = suite_paths(results.absolute(), suite)
    every = unroll(suite)
    kept = {run.start for run in every}
    paths.root.mkdir(parents=True, exist_ok=True)
    with _only_runner(paths.root):
        refuse_replaced_data(every, paths)
        if command:
            record_command(paths.root, command)
        write_display(paths.root, current_display())
        moved = set_aside(suite, paths)
        if moved and on_superseded is not None:
            on_superseded(moved)
        todo = unfinished(now, paths, only)
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
        tasks = {name: path for name, path in added_tasks().items() if name in suite.tasks}
        work = [
            Job(
                run=run,
                paths=paths,
                keep=run.key in kept,
                algorithms=dict(ALGORITHMS),
                tasks=tasks,
                environment={k: os.environ[k] for k in ENVIRONMENT if k in os.environ},
                tensorboard=tensorboard,
            )
            for run in ordered
        ]
        outcomes = []
        with Workers(perform, jobs) as workers:  # they start when there is work for them
            for part in ([w for w in work if not w.run.start], [w for w in work if w.run.start]):
                if backend == "ray":
                    done = backends.on_ray(part, jobs, ray_address)
                else:
                    done = backends.local(part, workers)
                for outcome in done:
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
    tensorboard: bool,
) -> None:
    """Raise for options that `run_suite` does not accept, before anything is written."""
    unroll(suite, only)
    if backend not in backends.BACKENDS:
        raise ValueError(f"backend must be one of {backends.BACKENDS}, got {backend!r}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if ray_address is not None and backend != "ray":
        raise ValueError(f"ray_address={ray_address!r} needs backend 'ray', not {backend!r}")
    if backend == "ray":
        backends.load_ray()
    if tensorboard:
        load_writer()


@contextmanager
def _only_runner(folder: Path) -> Iterator[None]:
    """Lock a suite's folder, so that two runners never write the same checkpoint."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".lock", wait=False))
        except BlockingIOError as error:
            raise ValueError(
                f"another process is running the suite in {folder}; wait for it or stop it"
            ) from error
        yield
