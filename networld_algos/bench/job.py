"""What a worker is sent, and how a run ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from networld_algos.bench.paths import Paths
from networld_algos.bench.runs import Run
from networld_algos.results.folder import Failure, write_failure
from networld_algos.training.cpu import SWITCH

ENVIRONMENT = ("MINARI_DATASETS_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", SWITCH)
"""Variables that a worker on another machine needs as the runner has them."""


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
class Job:
    """What a worker process, perhaps on another machine, is sent.

    Attributes:
        run: What to do.
        paths: Where its files are.
        keep: Leave the trained model for other runs.
        algorithms: The runner's table of algorithms. A worker is a new process, without the entries
            that the user has added.
        tasks: Name -> file of the tasks of the suite that the user has added, likewise.
        environment: Variables of `ENVIRONMENT` that are set where the runner is.
        runner: Process id of the runner where workers are its children, which end when it does.
        tensorboard: Write losses and scores for TensorBoard.
    """

    run: Run
    paths: Paths
    keep: bool
    algorithms: Mapping[str, Any]
    tasks: Mapping[str, str]
    environment: Mapping[str, str]
    runner: int | None = None
    tensorboard: bool = False


def failed(job: Job, error: str, details: str) -> Outcome:
    """Record that a run failed."""
    record = Failure(suite=job.run.suite, run=job.run.title, error=error, traceback=details)
    write_failure(job.paths.failure(job.run), record)
    return Outcome(job.run, error)
