"""Paths of the files of a suite.

``<results>/<suite>/`` holds ``<run>.jsonl`` for every finished run and ``<run>.failure.json`` for
every failed run. Its subfolders ``checkpoints/<run>/`` hold the state of unfinished runs, and the
models that other runs start from or score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from networld_algos.bench.runs import Run
from networld_algos.files import locked
from networld_algos.results.folder import FAILURE_SUFFIX
from networld_algos.results.rows import has_rows

FINISHED = "finished"  # file beside a fully trained model

RESULT = re.compile(rf"(?P<key>(?P<stem>.+)-[0-9a-f]{{8}})(\.jsonl|{re.escape(FAILURE_SUFFIX)})")
"""Names of row and failure files, see `networld_algos.bench.runs.Run.key`."""


@dataclass(frozen=True)
class Paths:
    """Paths of the files of a suite below its folder ``root``."""

    root: Path

    @contextmanager
    def sole_user(self) -> Iterator[None]:
        """Lock the folder, so that two processes never write the same checkpoint.

        Raises:
            ValueError: If another process runs, packs or unpacks the suite.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.root / ".lock", wait=False))
            except BlockingIOError as error:
                raise ValueError(
                    f"another process is running the suite in {self.root}; wait for it or stop it"
                ) from error
            yield

    def rows(self, run: Run) -> Path:
        """Rows of a finished run."""
        return self.root / f"{run.key}.jsonl"

    def failure(self, run: Run) -> Path:
        """Record of a failed run."""
        return self.root / f"{run.key}{FAILURE_SUFFIX}"

    def stale(self, runs: Iterable[Run]) -> list[Path]:
        """Row and failure files of these runs from other settings or another version.

        Several runs may share a stem, as pre-trainings do. A file of any current run is not stale.
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
        """State of a run in progress, or the model of a finished run."""
        return self.root / "checkpoints" / key

    def progress(self, run: Run) -> Path:
        """Updates done so far, for the progress bar."""
        return self.root / "checkpoints" / f"{run.key}.progress"

    def lock(self, run: Run) -> Path:
        """Lock of the process that does the run; a process that dies leaves the file behind."""
        return self.root / "checkpoints" / f"{run.key}.lock"

    def logs(self, run: Run) -> Path:
        """Folder of the files of loggers."""
        return self.root / "logs" / run.key

    def is_done(self, run: Run) -> bool:
        """Whether the run has its results; its model may still be missing.

        A file that is empty or damaged is no result. The run is repeated and replaces it.
        """
        if run.stage == "pretrain":
            return self.has_model(run.key)
        return has_rows(self.rows(run))

    def has_model(self, key: str) -> bool:
        """Whether a training is finished; a checkpoint alone may be of an unfinished one."""
        return (self.checkpoint(key) / FINISHED).is_file()
