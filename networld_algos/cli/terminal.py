r"""Terminal output of the commands: the only place that knows how text reaches a terminal.

What a user wrote is shown as it is. Square brackets are not read as markup, nor words between
colons as emoji, and control characters appear as escapes such as ``\x1b``.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from networld_algos.results.text import visible

PLAIN = {"markup": False, "emoji": False, "highlight": False}  # options of rich
NARROW, WIDE = 70, 100  # characters of a terminal, between which bars have 20 of them


class PlainConsole(Console):
    """A console that interprets nothing; long lines are left to the terminal to wrap."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**PLAIN, "soft_wrap": True, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed passes here, also in tables."""
        return super().render_str(visible(text), **{**options, **PLAIN})


console = PlainConsole()


def say_error(text: str) -> None:
    """Write a message to standard error."""
    print(visible(text), file=sys.stderr)


class Words(ProgressColumn):
    """The description of a bar; it wraps rather than losing its end."""

    def __init__(self) -> None:
        super().__init__(Column(ratio=1, overflow="fold"))

    def render(self, task: Task) -> Text:
        """The description as it is."""
        return Text(visible(task.description), overflow="fold")


class Details(ProgressColumn):
    """The field ``details`` of a bar, cut where the line ends."""

    def __init__(self) -> None:
        super().__init__(Column(ratio=1, no_wrap=True, overflow="ellipsis"))

    def render(self, task: Task) -> Text:
        """The details as they are."""
        return Text(visible(str(task.fields.get("details", ""))), no_wrap=True, overflow="ellipsis")


class TimeLeft(ProgressColumn):
    """``0:01:30 left``; nothing once all is done, or while no speed is known."""

    max_refresh = 0.5

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """The time left."""
        seconds = task.fields.get("seconds_left", task.time_remaining)
        if task.finished or seconds is None:
            return Text("")
        return Text(f"{clock(seconds)} left", style="progress.remaining")


class Counted(ProgressColumn):
    """What a bar counts."""

    def __init__(self, unit: str) -> None:
        super().__init__(Column(no_wrap=True))
        self.unit = unit

    def render(self, task: Task) -> Text:
        """The unit."""
        return Text(self.unit)


class Percent(ProgressColumn):
    """The share of the work that is done; nothing while the work is not known."""

    def render(self, task: Task) -> Text:
        """The share."""
        return Text("" if task.total is None else f"{task.percentage:3.0f}%", no_wrap=True)


class Elapsed(ProgressColumn):
    """The time since the start."""

    def render(self, task: Task) -> Text:
        """The time."""
        seconds = task.finished_time if task.finished else task.elapsed
        return Text("" if seconds is None else clock(seconds), no_wrap=True)


@contextmanager
def progress_bar(unit: str) -> Iterator[Progress]:
    """A progress bar on standard error, with the time left."""
    columns = (_fixed(MofNCompleteColumn), Counted(unit), _fixed(TimeElapsedColumn))
    with make_bar(Words(), *columns, TimeLeft()) as bar:
        yield bar


@contextmanager
def training_bar() -> Iterator[Progress]:
    """A progress bar on standard error that keeps bar, count and time on a narrow terminal.

    The field ``details`` of its line, such as losses, gets the rest of the width.
    """
    columns = (_fixed(MofNCompleteColumn), Counted("updates"), _fixed(TimeElapsedColumn))
    with make_bar(None, *columns, TimeLeft(), Details()) as bar:
        yield bar


@contextmanager
def download_bar() -> Iterator[Progress]:
    """A progress bar on standard error for a download, with its speed."""
    columns = (_fixed(DownloadColumn), _fixed(TransferSpeedColumn))
    with make_bar(Words(), *columns, TimeLeft()) as bar:
        yield bar


def make_bar(first: ProgressColumn | None, *columns: ProgressColumn, **options: Any) -> Progress:
    """A bar on standard error as wide as the terminal: a text, the bar, and these columns."""
    stderr = PlainConsole(stderr=True, quiet=console.quiet)
    width = 10 if stderr.width < NARROW else 20 if stderr.width < WIDE else 40
    bar = BarColumn(bar_width=width, table_column=Column(no_wrap=True))
    every = (bar, *columns) if first is None else (first, bar, *columns)
    return Progress(*every, console=stderr, expand=True, **options)


def _fixed(kind: Callable[..., ProgressColumn]) -> ProgressColumn:
    return kind(table_column=Column(no_wrap=True))


def shown_in(bar: Progress, description: str) -> Callable[[int, int], None]:
    """Add a line to ``bar``; returns its update, ``f(done, total)``. The first call shows it."""
    line = bar.add_task(description, total=None, visible=False)
    return lambda done, total: bar.update(line, completed=done, total=total, visible=True)


def clock(seconds: float) -> str:
    """A duration as ``h:mm:ss``."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def time_span(seconds: float) -> str:
    """A duration in words, from seconds to years."""
    for size, unit in ((31_557_600, "years"), (86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.0f} s"


def command_text(*words: object) -> str:
    """A command as it is typed, with quotes where a shell needs them."""
    return shlex.join(map(str, words))


def number_text(value: float) -> str:
    """A number with four significant digits; zero has no sign."""
    return f"{value + 0.0:.4g}"


def interval_text(ends: Sequence[float]) -> str:
    """An interval as ``[low, high]``."""
    low, high = ends
    return f"[{low:.3f}, {high:.3f}]"


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
