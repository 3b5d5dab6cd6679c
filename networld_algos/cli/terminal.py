"""Terminal output of the commands: one console, progress bars, and text for numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

PIPED_WIDTH = 200  # characters in a file or a pipe; a narrower table would be cropped for good
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)


@contextmanager
def progress_bar(unit: str) -> Iterator[Progress]:
    """A progress bar on standard error, with the time left."""
    with _bar(MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn()) as bar:
        yield bar


@contextmanager
def download_bar() -> Iterator[Progress]:
    """A progress bar on standard error for a download, with its speed."""
    with _bar(DownloadColumn(), TransferSpeedColumn()) as bar:
        yield bar


def _bar(*columns: ProgressColumn) -> Progress:
    """A bar on standard error with a description before it, these columns and the time left."""
    every = (
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*every, console=Console(stderr=True, quiet=console.quiet))


def shown_in(bar: Progress, description: str) -> Callable[[int, int], None]:
    """Add a line to ``bar``; returns its update, ``f(done, total)``. The first call shows it."""
    line = bar.add_task(description, total=None, visible=False)
    return lambda done, total: bar.update(line, completed=done, total=total, visible=True)


def time_span(seconds: float) -> str:
    """A duration in words."""
    if seconds > 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def score_text(mean: float, low: float, high: float) -> str:
    """A mean and its interval, aligned in columns."""
    return f"{mean:9.3f}  [{low:.3f}, {high:.3f}]"


def task_name(task: str) -> str:
    """The name of a task. A task given as ``path/to/file.py`` is added first.

    Raises:
        ValueError: If the task is unknown, or the file does not define one.
    """
    from networld_envs.simulator import add_task, task_module

    if task.endswith(".py"):
        return add_task(task)
    task_module(task)
    return task
