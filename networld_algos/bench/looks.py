"""How reports show the tasks and algorithms in the tables.

This needs torch and the environments, which reports do not load: `networld_algos.bench.runner`
writes the result beside the rows.
"""

from __future__ import annotations

from networld_algos.registry import ALGORITHMS
from networld_algos.results.display import Display, MethodLook, TaskLook
from networld_envs.simulator import TASKS, about


def current_display() -> Display:
    """Looks of every task in ``TASKS`` and every algorithm in ``ALGORITHMS``, in their order."""
    facts = {task: about(task) for task in TASKS}
    return Display(
        {task: TaskLook(fact.title, fact.reward_label) for task, fact in facts.items()},
        {name: look for name, (_, kind) in ALGORITHMS.items() if (look := _own_look(kind))},
    )


def _own_look(kind: type) -> MethodLook | None:
    """The look that a class itself states: an inherited one would show it under the base's name."""
    return vars(kind).get("look")
