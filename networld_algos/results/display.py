"""Display of a suite's methods and tasks: titles, colours, markers and axis labels.

An algorithm defines its look as `networld_algos.base.Algorithm.look`, a task in its ``ABOUT``. A
suite writes both to ``display.json`` beside the rows, so that a report need not import them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

BUILT_IN = ("networld", "bc", "ma-iql", "ma-cql", "ma-dt", "ma-dd")
"""Names of the package's algorithms. A report cannot read `networld_algos.registry.ALGORITHMS`,
which loads torch."""
COLOUR = re.compile(r"#[0-9A-F]{6}")
MARKERS = ("o", "s", "^", "v", "D", "<", ">", "p", "P", "h", "H", "X", "8", "*", "d")
"""Filled Matplotlib markers; variants of a method are drawn with a white face."""


@dataclass(frozen=True)
class MethodLook:
    """How an algorithm is shown in figures and tables.

    Attributes:
        title: Its name as printed, e.g. ``"MA-IQL"``.
        colour: ``"#RRGGBB"`` in capitals; None assigns an unused colour.
        marker: One of `MARKERS`; None assigns an unused one.

    Raises:
        ValueError: If the title is empty, or the colour or the marker is not valid.
    """

    title: str
    colour: str | None = None
    marker: str | None = None

    def __post_init__(self) -> None:
        _check_text("title", self.title)
        if self.colour is not None and not COLOUR.fullmatch(self.colour):
            raise ValueError(f"colour must be '#RRGGBB' in capitals, got {self.colour!r}")
        if self.marker is not None and self.marker not in MARKERS:
            raise ValueError(f"marker must be one of {' '.join(MARKERS)}, got {self.marker!r}")


@dataclass(frozen=True)
class TaskLook:
    """How a task is shown in figures and tables.

    Attributes:
        title: What the task is, e.g. ``"network slicing"``; headings put its name in front.
        reward_label: Axis label of its average reward, with the unit.

    Raises:
        ValueError: If a text is empty.
    """

    title: str
    reward_label: str = "Average reward"

    def __post_init__(self) -> None:
        _check_text("title", self.title)
        _check_text("reward_label", self.reward_label)


@dataclass(frozen=True)
class Display:
    """Looks of a suite's methods and tasks, in the order of figures and tables.

    Methods and tasks without a look are shown by name, in spare colours.

    Attributes:
        tasks: Name of a task -> its look.
        algorithms: Name of an algorithm -> its look.
    """

    tasks: Mapping[str, TaskLook] = field(default_factory=dict)
    algorithms: Mapping[str, MethodLook] = field(default_factory=dict)

    def method(self, label: str) -> str:
        """A label as printed: ``"ma-iql (own data)"`` becomes ``"MA-IQL (own data)"``."""
        for name in sorted(self.algorithms, key=len, reverse=True):
            rest = label.removeprefix(name)
            if rest != label and not rest[:1].isalnum():
                return self.algorithms[name].title + rest
        return label

    def heading(self, task: str) -> str:
        """A task as a heading: ``"NS: network slicing"``, or only its name if it has no title."""
        look = self.tasks.get(task)
        if look is None or look.title == task:
            return task[:1].upper() + task[1:]
        return f"{task.upper()}: {look.title}"

    def reward_label(self, task: str) -> str:
        """Axis label of a task's average reward."""
        look = self.tasks.get(task)
        return TaskLook(task).reward_label if look is None else look.reward_label

    def merged(self, older: Display) -> Display:
        """These looks, followed by those that only ``older`` has."""
        return Display(
            {**self.tasks, **{k: v for k, v in older.tasks.items() if k not in self.tasks}},
            {
                **self.algorithms,
                **{k: v for k, v in older.algorithms.items() if k not in self.algorithms},
            },
        )

    def to_json(self) -> str:
        """The content of ``display.json``."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Display:
        """Inverse of `to_json`.

        Raises:
            ValueError: If ``text`` is not JSON, or a key or a value is invalid.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != {"tasks", "algorithms"}:
            raise ValueError("expected an object with the keys 'tasks' and 'algorithms'")
        return cls(
            _looks(values["tasks"], TaskLook),
            _looks(values["algorithms"], MethodLook),
        )


def _looks(values: Any, kind: type[Any]) -> dict[str, Any]:
    if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
        raise ValueError(f"expected an object of objects, got {values!r}")
    try:
        return {name: kind(**look) for name, look in values.items()}
    except TypeError as error:  # a key that is missing or unknown
        raise ValueError(str(error)) from error


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty text, got {value!r}")
