"""Where runs execute: in processes on this machine, or as tasks of a Ray cluster.

Both backends return the outcome of every job, in any order. If a worker process dies, another takes
its place and resumes the run from its checkpoint. A run that kills
`networld_envs.store.workers.DEATHS` workers is recorded as failed, and the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, cast, get_args

from networld_algos.bench.job import Job, Outcome, failed
from networld_algos.bench.worker import perform
from networld_algos.training.device import resolve_device
from networld_envs.store.workers import DEATHS, WorkerDiedError, Workers

Backend = Literal["local", "ray"]
BACKENDS: tuple[str, ...] = get_args(Backend)

RUNS_PER_GPU = 8
"""Runs that share a GPU of a Ray cluster: one alone leaves most of it idle."""

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


def on_ray(
    todo: Sequence[Job],
    jobs: int,
    address: str | None,
    device: str = "cpu",
    runs_per_gpu: int = RUNS_PER_GPU,
) -> Iterator[Outcome]:
    """Run jobs as Ray tasks of one CPU each, at most ``jobs`` at a time.

    On GPUs, every task but a reference policy's also asks for its share of a GPU, and Ray shows it
    that GPU only.

    Every machine of the cluster needs this package, and must see the results folder and the
    datasets at the same paths. Ray repeats a task whose worker dies.

    Args:
        todo: The jobs, longest first.
        jobs: Maximum number of concurrent tasks.
        address: Address of a running cluster, e.g. ``"auto"``; None starts one on this machine.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for GPUs if the cluster has any.
        runs_per_gpu: How many tasks share a GPU.

    Raises:
        ValueError: If ``device`` is ``"cuda"`` and the cluster has no GPU.
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
        device = _ray_device(ray, device)
        remote = ray.remote(num_cpus=1, max_retries=DEATHS - 1)(perform)
        on_gpu = remote.options(num_gpus=1 / runs_per_gpu) if device == "cuda" else remote
        waiting = list(reversed(todo))
        under_way: dict[Any, Job] = {}
        while waiting or under_way:
            while waiting and len(under_way) < jobs:
                job = waiting.pop()
                task = remote if job.run.stage == "reference" else on_gpu
                under_way[task.remote(replace(job, device=device))] = job
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


def expected_device(device: str, backend: str) -> str:
    """``"cpu"`` or ``"cuda"``, as far as this machine can tell, for estimates.

    Raises:
        ValueError: If the runs are to be local and the device is not there.
    """
    if backend == "ray":
        return "cpu" if device == "cpu" else "cuda"
    return resolve_device(device)


def _ray_device(ray: Any, device: str) -> str:
    """``"cpu"`` or ``"cuda"``, by what the cluster has; a task for a missing GPU would wait."""
    if device == "cpu":
        return device
    if ray.cluster_resources().get("GPU", 0) > 0:
        return "cuda"
    if device == "auto":
        return "cpu"
    raise ValueError(
        "device 'cuda' cannot be used: the Ray cluster has no GPU. Add a machine with one, start "
        "Ray there with --num-gpus, or use --device cpu"
    )


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
