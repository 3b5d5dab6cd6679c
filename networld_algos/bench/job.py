"""The jobs that workers receive, and how they end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from networld_algos.bench.paths import Paths
from networld_algos.bench.runs import Run
from networld_algos.results.folder import Failure, write_failure


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: The run.
        error: Type and message of the exception, or "".
        seconds: How long the run took; it may have started from a checkpoint.
        stopped: Whether the time limit stopped it, or kept it from starting. What it has done is
            saved, and the next runner goes on from there.
    """

    run: Run
    error: str
    seconds: float = 0.0
    stopped: bool = False


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
        environment: The runner's, see `networld_algos.training.cpu.shared_environment`.
        log: Loggers of losses and scores, see `networld_algos.results.loggers`.
        device: Device of the model, such as ``"cpu"`` or ``"cuda:0"``.
        deadline: Time in seconds since the epoch after which the run saves and stops; None for no
            limit. It is a time of the clock, because the runner and the workers share nothing else.
    """

    run: Run
    paths: Paths
    keep: bool
    algorithms: Mapping[str, Any]
    tasks: Mapping[str, str]
    environment: Mapping[str, str]
    log: tuple[str, ...] = ()
    device: str = "cpu"
    deadline: float | None = None

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.time() >= self.deadline


def failed(job: Job, error: str, details: str) -> Outcome:
    """Record a failed run."""
    record = Failure(suite=job.run.suite, run=job.run.title, error=error, traceback=details)
    write_failure(job.paths.failure(job.run), record)
    return Outcome(job.run, error)
