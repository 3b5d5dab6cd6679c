"""The jobs that workers receive, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from networld_algos.bench.paths import Paths
from networld_algos.bench.runs import Run
from networld_algos.results.folder import Failure, write_failure
from networld_algos.training.cpu import SWITCH

ENVIRONMENT = ("MINARI_DATASETS_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", SWITCH)
"""Environment variables that workers on other machines must share with the runner."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: The run.
        error: Type and message of the exception, or "".
        seconds: How long the run took; it may have started from a checkpoint.
    """

    run: Run
    error: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """One run and everything a worker process, perhaps on another machine, needs to do it.

    Attributes:
        run: The run.
        paths: Where its files are.
        keep: Keep the trained model for other runs.
        algorithms: The runner's table of algorithms. A worker is a new process and lacks the
            algorithms that the user has added.
        tasks: Name -> file of the suite's user-defined tasks, which a worker lacks as well.
        environment: The runner's values of the variables in `ENVIRONMENT`.
        tensorboard: Write losses and scores for TensorBoard.
    """

    run: Run
    paths: Paths
    keep: bool
    algorithms: Mapping[str, Any]
    tasks: Mapping[str, str]
    environment: Mapping[str, str]
    tensorboard: bool = False


def failed(job: Job, error: str, details: str) -> Outcome:
    """Record a failed run."""
    record = Failure(suite=job.run.suite, run=job.run.title, error=error, traceback=details)
    write_failure(job.paths.failure(job.run), record)
    return Outcome(job.run, error)
