"""Where runs are done: in processes of this machine, or as tasks of a Ray cluster.

Both give the outcome of every job, in any order. A worker process that dies loses nothing: what it
had saved is there, its run is done once more, and one that kills its worker again is recorded as
failed.
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

DIED = "the worker process died twice, perhaps killed for want of memory; try fewer jobs"


def local(todo: Sequence[Job], jobs: int) -> Iterator[Outcome]:
    """Do jobs in ``jobs`` processes through joblib; a single one is this process.

    Args:
        todo: What to do, the longest first.
        jobs: Processes side by side.
    """
    left = {job.run.key: job for job in todo}
    while left:
        work = [joblib.delayed(perform)(job) for job in left.values()]
        # One by one: in a batch, a long run would wait for another, and be reported late.
        options: dict[str, Any] = {"pre_dispatch": str(jobs), "batch_size": 1}
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", **options)
        try:
            for outcome in cast("Iterator[Outcome]", parallel(work)):
                del left[outcome.run.key]
                yield outcome
        except BrokenProcessPool:
            # A dead worker takes the pool with it. Whose fault it was is not known: each run that
            # was under way is done again with a pool of its own.
            suspects = [job for job in left.values() if job.paths.lock(job.run).exists()]
            if not suspects:
                raise
            for job in suspects:
                yield _alone(job)
                del left[job.run.key]


def _alone(job: Job) -> Outcome:
    try:
        # One process would be this one.
        (outcome,) = joblib.Parallel(n_jobs=2)([joblib.delayed(perform)(job)])
    except BrokenProcessPool as error:
        return failed(job, f"{type(error).__name__}: {DIED}", str(error))
    return cast("Outcome", outcome)


def on_ray(todo: Sequence[Job], jobs: int, address: str | None) -> Iterator[Outcome]:
    """Do jobs as Ray tasks of one CPU each, at most ``jobs`` at a time.

    Every machine of the cluster needs this package and the same view of the results folder and of
    the datasets. Ray itself does a task whose worker died once more.

    Args:
        todo: What to do, the longest first.
        jobs: Tasks at a time.
        address: Of a running cluster, e.g. ``"auto"``; None starts one on this machine.

    Raises:
        ImportError: If Ray is not installed.
        ConnectionError: If there is no cluster at ``address``.
    """
    ray = load_ray()
    own = not ray.is_initialized()
    if own:
        # "local", because Ray would otherwise look for a cluster in the environment.
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
    """The module.

    Raises:
        ImportError: If Ray is not installed; says how to install it.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("--backend ray needs Ray: pip install 'networld[ray]'") from error
    return ray
