"""Titles, colours and markers of all tasks and algorithms, for reports.

Collecting them loads torch and the environments, which reports must not load. The runner
(`networld_algos.bench.runner`) therefore writes them to a file beside the rows.
"""

from __future__ import annotations

from networld_algos.registry import ALGORITHMS
from networld_algos.results.display import Display, MethodLook, TaskLook
from networld_envs.simulator import TASKS, about


def current_display() -> Display:
    """Looks of all tasks in ``TASKS`` and algorithms in ``ALGORITHMS``, in that order."""
    facts = {task: about(task) for task in TASKS}
    return Display(
        {task: TaskLook(fact.title, fact.reward_label) for task, fact in facts.items()},
        {name: look for name, (_, kind) in ALGORITHMS.items() if (look := _own_look(kind))},
    )


def _own_look(kind: type) -> MethodLook | None:
    """The look that the class itself defines; an inherited look would carry the base's name."""
    return vars(kind).get("look")
