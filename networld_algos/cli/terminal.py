"""What the commands write to a terminal with: one console and progress bars."""

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
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

PIPED_WIDTH = 200  # columns of a file or a pipe, where a cropped table could not be widened
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)


@contextmanager
def progress_bar(unit: str) -> Iterator[Progress]:
    """A progress bar with the time left, on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=console.quiet)) as bar:
        yield bar


@contextmanager
def download_bar() -> Iterator[Progress]:
    """The same for bytes, with their speed."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=console.quiet)) as bar:
        yield bar


def shown_in(bar: Progress, description: str) -> Callable[[int, int], None]:
    """A function of (done, total) that moves a new line of ``bar``, seen from the first call."""
    line = bar.add_task(description, total=None, visible=False)
    return lambda done, total: bar.update(line, completed=done, total=total, visible=True)


def time_span(seconds: float) -> str:
    """A duration in words."""
    if seconds > 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def score_text(mean: float, low: float, high: float) -> str:
    """A mean and its interval, in columns."""
    return f"{mean:9.3f}  [{low:.3f}, {high:.3f}]"


def task_name(task: str) -> str:
    """The name of a task; one given as ``path/to/file.py`` is added first.

    Raises:
        ValueError: For an unknown task, or a file that holds none.
    """
    from networld_envs.simulator import add_task, task_module

    if task.endswith(".py"):
        return add_task(task)
    task_module(task)
    return task
