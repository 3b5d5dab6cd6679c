"""Where runs execute: in processes on this machine, or as tasks of a Ray cluster.

Both backends return the outcome of every job, in any order. If a worker process dies, its
checkpoint remains and its run is repeated once. A run whose worker dies a second time is recorded
as failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, cast, get_args

import joblib

from networld_algos.bench.job import Job, Outcome, failed
from networld_algos.bench.worker import perform

Backend = Literal["local", "ray"]
BACKENDS: tuple[str, ...] = get_args(Backend)

DIED = "the worker process died twice, perhaps because memory ran out; try fewer jobs"


def local(todo: Sequence[Job], jobs: int) -> Iterator[Outcome]:
    """Run jobs in ``jobs`` joblib processes; a single process is this one.

    Args:
        todo: The jobs, longest first.
        jobs: Number of parallel processes.
    """
    left = {job.run.key: job for job in todo}
    while left:
        work = [joblib.delayed(perform)(job) for job in left.values()]
        # One job per batch: in a larger batch a run would wait for another and be reported late.
        options: dict[str, Any] = {"pre_dispatch": str(jobs), "batch_size": 1}
        pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", **options)
        try:
            for outcome in cast("Iterator[Outcome]", pool(work)):
                del left[outcome.run.key]
                yield outcome
        except BrokenProcessPool:
            # A dead worker breaks the whole pool, and joblib does not say which job killed it.
            # Each run that was in progress is repeated in its own pool.
            suspects = [job for job in left.values() if job.paths.lock(job.run).exists()]
            if not suspects:
                raise
            for job in suspects:
                yield _in_own_pool(job)
                del left[job.run.key]


def _in_own_pool(job: Job) -> Outcome:
    try:
        # With n_jobs=1 the job would run in this process.
        (outcome,) = joblib.Parallel(n_jobs=2)([joblib.delayed(perform)(job)])
    except BrokenProcessPool as error:
        return failed(job, f"{type(error).__name__}: {DIED}", str(error))
    return cast("Outcome", outcome)


def on_ray(todo: Sequence[Job], jobs: int, address: str | None) -> Iterator[Outcome]:
    """Run jobs as Ray tasks of one CPU each, at most ``jobs`` at a time.

    Every machine of the cluster needs this package, and must see the results folder and the
    datasets at the same paths. Ray repeats a task once if its worker dies.

    Args:
        todo: The jobs, longest first.
        jobs: Maximum number of concurrent tasks.
        address: Address of a running cluster, e.g. ``"auto"``; None starts one on this machine.

    Raises:
        ImportError: If Ray is not installed.
        ConnectionError: If no cluster runs at ``address``.
    """
    ray = load_ray()
    own = not ray.is_initialized()
    if own:
        # Without "local", Ray would look for a cluster address in the environment variables.
        options: dict[str, Any] = {"address": "local", "num_cpus": jobs, "include_dashboard": False}
        if address is not None:
            options = {"address": address}
        ray.init(**options, log_to_driver=False)
    try:
        remote = ray.remote(num_cpus=1, max_retries=1)(perform)
        waiting = list(reversed(todo))
        under_way: dict[Any, Job] = {}
        while waiting or under_way:
            while waiting and len(under_way) < jobs:
                job = waiting.pop()
                under_way[remote.remote(job)] = job
            ready, _ = ray.wait(list(under_way), num_returns=1)
            job = under_way.pop(ready[0])
            try:
                yield cast("Outcome", ray.get(ready[0]))
            except ray.exceptions.WorkerCrashedError as error:
                yield failed(job, f"{type(error).__name__}: {DIED}", str(error))
            except ray.exceptions.RayError as error:
                yield failed(job, f"{type(error).__name__}: {error}".splitlines()[0], str(error))
    finally:
        if own:
            ray.shutdown()


def load_ray() -> Any:
    """Import Ray.

    Raises:
        ImportError: If Ray is not installed; the message says how to install it.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("--backend ray needs Ray: pip install 'networld[ray]'") from error
    return ray
