"""What a worker is sent, where a run's files are, and how it ended.

``<results>/<suite>/`` holds ``<run>.jsonl`` for every finished run and ``<run>.failure.json`` for
one that failed; ``checkpoints/<run>/`` below it holds the state of runs under way, and the models
that other runs start from or score.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networld_algos.cpu import SWITCH
from networld_algos.rows import FAILURE_SUFFIX, Failure, write_failure
from networld_algos.runs import Run

FINISHED = "finished"  # file beside a model whose training came to its end
RESULT = re.compile(rf"(?P<key>(?P<stem>.+)-[0-9a-f]{{8}})(\.jsonl|{re.escape(FAILURE_SUFFIX)})")
"""Names of rows and failures, see `networld_algos.runs.Run.key`."""
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
class Paths:
    """Where the files of a suite are."""

    root: Path

    def rows(self, run: Run) -> Path:
        """Rows of a finished run."""
        return self.root / f"{run.key}.jsonl"

    def failure(self, run: Run) -> Path:
        """Record of a failed run."""
        return self.root / f"{run.key}{FAILURE_SUFFIX}"

    def stale(self, runs: Iterable[Run]) -> list[Path]:
        """Rows and failures of these runs that were made with other settings or another version.

        Several runs may share a stem, as pre-trainings do: what belongs to one of them is not
        stale.
        """
        current = {run.key: run.stem for run in runs}
        stems = set(current.values())
        return [
            path
            for path in sorted(self.root.iterdir())
            if (named := RESULT.fullmatch(path.name))
            and named["stem"] in stems
            and named["key"] not in current
        ]

    def checkpoint(self, key: str) -> Path:
        """State of a run under way, or the model of a finished one."""
        return self.root / "checkpoints" / key

    def progress(self, run: Run) -> Path:
        """Updates done so far, for the progress bar."""
        return self.root / "checkpoints" / f"{run.key}.progress"

    def lock(self, run: Run) -> Path:
        """Held by the process that does the run; left behind by one that died."""
        return self.root / "checkpoints" / f"{run.key}.lock"

    def events(self, run: Run) -> Path:
        """TensorBoard's files."""
        return self.root / "tensorboard" / run.key

    def is_done(self, run: Run) -> bool:
        """Whether the run need not be done again for its own sake."""
        if run.stage == "pretrain":
            return self.has_model(run.key)
        return self.rows(run).is_file()

    def has_model(self, key: str) -> bool:
        """Whether a training came to its end: a checkpoint alone may be one on the way."""
        return (self.checkpoint(key) / FINISHED).is_file()


@dataclass(frozen=True)
class Job:
    """What a worker process, perhaps on another machine, is sent.

    Attributes:
        run: What to do.
        paths: Where its files are.
        keep: Leave the trained model for other runs.
        algorithms: The runner's table: a worker is a new process, and does not have the entries
            that the user has added.
        environment: Variables of `ENVIRONMENT` that are set where the runner is.
        runner: Process id of the runner where workers are its children, which end when it does.
        tensorboard: Write losses and scores for TensorBoard.
    """

    run: Run
    paths: Paths
    keep: bool
    algorithms: Mapping[str, Any]
    environment: Mapping[str, str]
    runner: int | None = None
    tensorboard: bool = False


def failed(job: Job, error: str, details: str) -> Outcome:
    """Record that a run failed."""
    record = Failure(suite=job.run.suite, run=job.run.title, error=error, traceback=details)
    write_failure(job.paths.failure(job.run), record)
    return Outcome(job.run, error)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a run: a worker whose runner was killed may still be at it when the next one starts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                mine = path.stat().st_ino == os.fstat(handle.fileno()).st_ino
            except FileNotFoundError:
                mine = False
            if not mine:
                continue  # the one before has removed the file that was waited for
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
