"""Where runs execute: in processes on this machine, or as tasks of a Ray cluster.

Both backends return the outcome of every job, in any order. If a worker process dies, another takes
its place and resumes the run from its checkpoint. A run that kills
`networld_envs.store.workers.DEATHS` workers is recorded as failed, and the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast, get_args

from networld_algos.bench.job import Job, Outcome, failed
from networld_algos.bench.worker import perform
from networld_envs.store.workers import DEATHS, WorkerDiedError, Workers

Backend = Literal["local", "ray"]
BACKENDS: tuple[str, ...] = get_args(Backend)

DIED = f"{DEATHS} workers died of this run, perhaps because memory ran out; try fewer jobs"


def local(todo: Sequence[Job], workers: Workers[Job, Outcome]) -> Iterator[Outcome]:
    """Run jobs in worker processes on this machine.

    Args:
        todo: The jobs, longest first.
        workers: Processes that apply `networld_algos.bench.worker.perform`; a single one is this
            process.
    """
    for job, outcome in workers.map(todo):
        if isinstance(outcome, WorkerDiedError):
            yield failed(job, f"{type(outcome).__name__}: {DIED}", str(outcome))
        else:
            yield outcome


def on_ray(todo: Sequence[Job], jobs: int, address: str | None) -> Iterator[Outcome]:
    """Run jobs as Ray tasks of one CPU each, at most ``jobs`` at a time.

    Every machine of the cluster needs this package, and must see the results folder and the
    datasets at the same paths. Ray repeats a task whose worker dies.

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
        remote = ray.remote(num_cpus=1, max_retries=DEATHS - 1)(perform)
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
