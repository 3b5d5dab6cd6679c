"""Everything in a report that a user wrote, made printable before anything is drawn or written.

Labels, tasks, datasets, versions and errors come from files of results, and may hold any
character. `networld_algos.results.text` says what becomes of them. Figures do not read ``$`` as
maths (`networld_algos.report.style.STYLE`), and the template escapes HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from networld_algos.results.display import Display
from networld_algos.results.folder import Failure
from networld_algos.results.rows import Row
from networld_algos.results.text import name, visible

TEXTS = tuple(f.name for f in fields(Row) if f.name not in ("kind", "role", "eval_seed_set"))


def plain_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows whose texts are printable and in one line. Names that differ stay different."""
    return [_plain_row(row) for row in rows]


def _plain_row(row: Row) -> Row:
    found = {key: value for key in TEXTS if isinstance(value := getattr(row, key), str)}
    changed = {key: name(value) for key, value in found.items() if name(value) != value}
    if any(name(key) != key for key in row.extra):
        return replace(row, extra={name(k): v for k, v in row.extra.items()}, **changed)
    return replace(row, **changed) if changed else row


def plain_display(display: Display) -> Display:
    """The same looks under the names that `plain_rows` gives to tasks and algorithms."""
    tasks = {
        name(task): replace(look, title=name(look.title), reward_label=name(look.reward_label))
        for task, look in display.tasks.items()
    }
    algorithms = {
        name(algorithm): replace(look, title=name(look.title))
        for algorithm, look in display.algorithms.items()
    }
    return Display(tasks, algorithms)


def plain_rewards(rewards: Mapping[str, float]) -> dict[str, float]:
    """The same values under the names that `plain_rows` gives to datasets."""
    return {name(dataset): value for dataset, value in rewards.items()}


def plain_failures(failures: Sequence[Failure]) -> list[Failure]:
    """Failures whose texts are printable; a traceback keeps its lines."""
    return [
        Failure(
            suite=name(f.suite),
            run=name(f.run),
            error=visible(f.error),
            traceback=visible(f.traceback),
        )
        for f in failures
    ]
