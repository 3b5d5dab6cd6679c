"""Live progress of a suite: finished runs, progress of running ones, time left.

A terminal shows a bar. A file or a pipe, such as the log of a batch job, gets one line per run.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from networld_algos.bench import Outcome, Paths, run_suite, suite_paths
from networld_algos.bench.estimate import run_seconds
from networld_algos.bench.runs import Run
from networld_algos.bench.suite import Suite
from networld_algos.cli.terminal import time_span
from networld_algos.results.rows import SUPERSEDED

POLL_SECONDS = 0.5
SPEED_SECONDS = 120  # the time left is estimated from the speed over this long


class _Watch:
    """Adds up the work of running and finished runs, weighted by their estimated cost."""

    def __init__(self, paths: Paths, bar: Progress, line: TaskID) -> None:
        self.paths = paths
        self.bar = bar
        self.line = line
        self.open: list[Run] = []
        self.finished = 0.0
        self.lock = threading.Lock()

    def start(self, runs: Sequence[Run]) -> None:
        with self.lock:
            self.open = list(runs)
        self.bar.update(self.line, total=sum(run_seconds(run) for run in runs))

    def done(self, outcome: Outcome) -> None:
        with self.lock:
            self.open.remove(outcome.run)
            self.finished += run_seconds(outcome.run)
            left = len(self.open)
        self.bar.update(self.line, description=f"{left} runs left")
        self.refresh()
        console, title = self.bar.console, escape(outcome.run.title)
        if outcome.error:
            console.print(f"[red]failed[/] {title}: {escape(outcome.error)}")
        elif not console.is_terminal:
            remaining = self.bar.tasks[self.line].time_remaining
            span = "" if not left or remaining is None else f", about {time_span(remaining)}"
            console.print(f"done {title}; {left} runs left{span}")

    def refresh(self) -> None:
        with self.lock:
            partly = sum(run_seconds(run) * self._share(run) for run in self.open)
            self.bar.update(self.line, completed=self.finished + partly)

    def _share(self, run: Run) -> float:
        try:
            return int(self.paths.progress(run).read_text()) / max(1, run.updates)
        except (OSError, ValueError):
            return 0.0


def run_with_progress(suite: Suite, results: Path, jobs: int, **options: Any) -> list[Outcome]:
    """`run_suite` with its progress on standard error.

    Args:
        suite: What to run.
        results: Folder of results.
        jobs: Number of parallel processes.
        **options: Keyword arguments of `run_suite`.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    console = Console(stderr=True, soft_wrap=True)
    with Progress(*columns, console=console, speed_estimate_period=SPEED_SECONDS) as bar:
        line = bar.add_task(suite.name, total=None)
        data_line = bar.add_task("datasets", total=None, visible=False)
        watch = _Watch(suite_paths(results, suite), bar, line)
        stop = threading.Event()

        def poll() -> None:
            while not stop.wait(POLL_SECONDS):
                watch.refresh()

        def on_superseded(count: int) -> None:
            console.print(
                f"moved {count} result files with other settings or of another version to "
                f"{escape(str(watch.paths.root / SUPERSEDED))}"
            )

        def on_dataset(done: int, total: int) -> None:
            bar.update(data_line, completed=done, total=total, visible=done < total)

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        try:
            return run_suite(
                suite,
                results,
                jobs,
                on_start=watch.start,
                on_done=watch.done,
                on_dataset=on_dataset,
                on_superseded=on_superseded,
                **options,
            )
        finally:
            stop.set()
            thread.join()
