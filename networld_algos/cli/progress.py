"""The plan of a suite, and its live progress: finished runs, running ones, time left.

A terminal shows a bar. A file or a pipe, such as the log of a batch job, gets one line per run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from networld_algos.bench import Outcome, Paths, run_suite, suite_paths, unfinished
from networld_algos.bench.backends import expected_device
from networld_algos.bench.estimate import Pace
from networld_algos.bench.runs import Run
from networld_algos.bench.suite import Suite
from networld_algos.bench.unroll import unroll
from networld_algos.cli.tables import Column, Listing, show
from networld_algos.cli.terminal import (
    Elapsed,
    Percent,
    TimeLeft,
    Words,
    console,
    make_bar,
    time_span,
)
from networld_algos.results.rows import SUPERSEDED, read_rows
from networld_algos.results.text import count
from networld_algos.training.cpu import machine

POLL_SECONDS, POLL_SECONDS_UNSEEN = 0.5, 5.0
"""Between two looks at running runs; longer where no bar is drawn, for estimates only."""
Rates = Mapping[tuple[str, str], float]
LEAST_SECONDS = 5.0  # a run is watched for this long before its speed counts


class _Watch:
    """Adds up the work of running and finished runs, and estimates the time left.

    Every run weighs as much as it is estimated to take. The first runs on this machine correct
    the estimates of the others.
    """

    def __init__(self, paths: Paths, bar: Progress, line: TaskID, pace: Pace) -> None:
        self.paths = paths
        self.bar = bar
        self.line = line
        self.pace = pace
        self.open: list[Run] = []
        self.finished: list[Run] = []
        self.resumed: set[str] = set()
        self.seen: dict[str, tuple[float, float]] = {}  # key -> time and share when first seen
        self.lock = threading.Lock()

    def start(self, runs: Sequence[Run]) -> None:
        with self.lock:
            self.open = list(runs)
            self.resumed = {r.key for r in runs if self.paths.checkpoint(r.key).exists()}
        self.bar.update(self.line, visible=bool(runs), description=_left(len(runs)))
        self.refresh()

    def done(self, outcome: Outcome) -> None:
        run = outcome.run
        with self.lock:
            self.open.remove(run)
            if outcome.stopped:
                return  # the command says how many are left
            self.finished.append(run)
            if not outcome.error and run.key not in self.resumed:
                self.pace.measured(run, outcome.seconds)
            left = len(self.open)
        self.bar.update(self.line, description=_left(left))
        seconds = self.refresh()
        console = self.bar.console
        if outcome.error:
            console.print(f"failed {run.title}: {outcome.error}", style="red")
        elif not console.is_terminal:
            span = f", about {time_span(seconds)}" if left else ""
            console.print(f"done {run.title}; {_left(left)}{span}")

    def refresh(self) -> float:
        """Update the bar; returns the estimated seconds left."""
        with self.lock:
            shares = {run.key: self._share(run) for run in self.open}
            done = sum(map(self.pace.seconds, self.finished))
            each = [(self.pace.seconds(run), shares[run.key]) for run in self.open]
            left = self.pace.wall_seconds(self.open, shares)
            self.bar.update(
                self.line,
                total=done + sum(seconds for seconds, _ in each),
                completed=done + sum(seconds * share for seconds, share in each),
                seconds_left=left,
            )
        return left

    def _share(self, run: Run) -> float:
        try:
            share = int(self.paths.progress(run).read_text()) / max(1, run.updates)
        except (OSError, ValueError):
            return 0.0
        now = time.monotonic()
        since, first = self.seen.setdefault(run.key, (now, share))
        if now - since >= LEAST_SECONDS:
            self.pace.running(run, now - since, share - first)
        return min(share, 1.0)


def _left(runs: int) -> str:
    return f"{count(runs, 'run')} left" if runs else "no runs left"


def run_with_progress(
    suite: Suite, results: Path, jobs: int, rates: Rates | None = None, **options: Any
) -> list[Outcome]:
    """`run_suite` with its progress on standard error.

    Args:
        suite: What to run.
        results: Folder of results.
        jobs: Number of parallel processes.
        rates: Rates that are known before any run, see `Pace`.
        **options: Keyword arguments of `run_suite`.
    """
    columns = (Percent(), Elapsed(), TimeLeft())
    with make_bar(Words(), *columns) as bar:
        line = bar.add_task(suite.name, total=None, visible=False)
        data_line = bar.add_task("datasets", total=None, visible=False)
        device = expected_device(options.get("device", "cpu"), options.get("backend", "local"))
        pace = Pace(jobs, device=device, rates=rates)
        watch = _Watch(suite_paths(results, suite), bar, line, pace)
        stop = threading.Event()

        def poll() -> None:
            seconds = POLL_SECONDS if bar.console.is_terminal else POLL_SECONDS_UNSEEN
            while not stop.wait(seconds):
                watch.refresh()

        def on_superseded(moved: int) -> None:
            bar.console.print(
                f"moved {count(moved, 'result file')} with other settings or of another version "
                f"to {watch.paths.root / SUPERSEDED}"
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


def show_plan(
    suite: Suite,
    results: Path,
    jobs: int,
    only: Sequence[str],
    as_json: bool,
    device: str,
    references: bool = True,
    rates: Rates | None = None,
) -> None:
    """Print every run still to be done with its estimated time, and the total of each part."""
    paths = suite_paths(results, suite)
    pace = Pace(jobs, device=device, rates=rates)
    rows_here = read_rows(paths.root) if paths.root.is_dir() else []
    pace.learn(unroll(suite), rows_here, machine())
    todo = unfinished(suite, paths, only, references)
    rows = [
        {"run": run.title, "part": run.experiment, "seconds": pace.seconds(run)} for run in todo
    ]
    wall = pace.wall_seconds(todo)
    about = {"suite": suite.name, "jobs": jobs, "wall_seconds": wall, "measured": pace.is_measured}
    if as_json:
        columns = [Column("run"), Column("part"), Column("seconds")]
        show(Listing("runs", columns, rows), as_json=True, **about)
        return
    parts: dict[str, list[float]] = {}
    for row in rows:
        parts.setdefault(row["part"], []).append(row["seconds"])
        console.print(f"{time_span(row['seconds']):>9}  {row['run']}")
    for part, each in parts.items():
        where = "on one core" if device == "cpu" else "one after another"
        console.print(f"{part}: {count(len(each), 'run')}, {time_span(sum(each))} {where}")
    source = (
        "corrected with what was measured on this machine"
        if pace.is_measured
        else "not measured on this machine yet, so it may be several times as long; "
        "the bar of the suite corrects it after the first runs"
    )
    console.print(
        f"{count(len(rows), 'run')}, about {time_span(wall)} with {count(jobs, 'job')} ({source})"
    )
