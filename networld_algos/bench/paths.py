"""Where the files of a suite are.

``<results>/<suite>/`` holds ``<run>.jsonl`` for every finished run and ``<run>.failure.json`` for
every failed one. ``checkpoints/<run>/`` below it holds the state of unfinished runs, and the models
that other runs start from or score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from networld_algos.bench.runs import Run
from networld_algos.results.folder import FAILURE_SUFFIX

FINISHED = "finished"  # file beside a model whose training came to its end

RESULT = re.compile(rf"(?P<key>(?P<stem>.+)-[0-9a-f]{{8}})(\.jsonl|{re.escape(FAILURE_SUFFIX)})")
"""Names of rows and failures, see `networld_algos.bench.runs.Run.key`."""


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
