"""What a complete submission has, and the budgets that its trainings must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from networld_algos.bench.parts import Entry
from networld_algos.bench.submission.joining import join, own_minutes
from networld_algos.bench.suite import Suite
from networld_algos.bench.unroll import unroll
from networld_algos.results.rows import FEW, Row
from networld_algos.training.tuning.choices import data_key

SLACK = 1.5
"""Factor on the committed minutes, because a machine with several runs is slower than alone."""
Slot = tuple[str, str, str | None, int, float | None, str | None, float | None]
"""Experiment, task, dataset, seed, share of data, factor and level of a final row."""


def slot_of(row: Row) -> Slot:
    """The slot that a row fills."""
    return (
        row.experiment,
        row.task,
        row.dataset,
        row.seed,
        row.fraction,
        row.factor,
        row.level,
    )


def expected_slots(suite: Suite) -> dict[Slot, int]:
    """Final rows that a complete submission has -> updates of the training by the suite."""
    stand_in = join(suite, ["bc"]).suite  # any algorithm has the same slots
    parts = {
        name: replace(part, entries=(Entry("bc"),))
        for name in FEW
        if (part := getattr(stand_in, name)) is not None
    }
    found: dict[Slot, int] = {}
    for run in unroll(replace(stand_in, **parts)):
        if run.stage in ("train", "evaluate"):
            where = (run.experiment, run.task, run.dataset_ids[-1], run.seed, run.fraction)
            found |= {(*where, c.factor, c.level): run.updates for c in run.conditions}
    return found


@dataclass(frozen=True)
class Budget:
    """The most that a method of the suite needs for a training on some data.

    Attributes:
        updates: Gradient steps.
        epochs: Transitions seen over transitions in the data; infinite if it is not known.
        minutes: Minutes of a training on a CPU; 0 if it is not known.
    """

    updates: float
    epochs: float = float("inf")
    minutes: float = 0.0

    def allows(self, row: Row) -> bool:
        """Whether a final row keeps the budget, either in updates and epochs, or in minutes."""
        steps = (row.updates or 0) <= self.updates and (row.epochs or 0.0) <= self.epochs
        minutes = (row.train_seconds or float("inf")) / 60
        return steps or (row.device_kind == "cpu" and minutes <= SLACK * self.minutes)

    def __str__(self) -> str:
        epochs = "" if self.epochs == float("inf") else f" and {self.epochs:.3g} epochs"
        minutes = f", or {SLACK * self.minutes:.3g} minutes on a CPU" if self.minutes else ""
        return f"{self.updates:g} updates{epochs}{minutes}"


def budgets(suite: Suite, committed: Sequence[Row]) -> dict[tuple[str, str | None], Budget]:
    """(Task, dataset) -> budget of the comparison.

    Args:
        suite: The suite.
        committed: Final rows of its comparison.
    """
    found = {}
    minutes = own_minutes(suite)
    for slot, updates in expected_slots(suite).items():
        if slot[0] == "comparison":
            task, dataset = slot[1:3]
            there = [r for r in committed if (r.task, r.dataset) == (task, dataset)]
            own = minutes.get(data_key(task, str(dataset)), 0.0)
            found[task, dataset] = Budget(
                max(updates, _most(there, "updates") or 0),
                _most(there, "epochs") or float("inf"),
                max(own, (_most(there, "train_seconds") or 0.0) / 60),
            )
    return found


def _most(rows: Sequence[Row], name: str) -> float | None:
    """Largest median of a number over the seeds of a method; None if no row has it."""
    by_label: dict[str, list[float]] = {}
    for row in rows:
        value = getattr(row, name)
        if value is not None:
            by_label.setdefault(row.label, []).append(value)
    return max((float(np.median(values)) for values in by_label.values()), default=None)
