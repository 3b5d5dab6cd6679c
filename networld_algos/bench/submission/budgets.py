"""What a complete submission has, and the budgets that its trainings must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from networld_algos.bench.fewshot_runs import episode_limit, training_episodes
from networld_algos.bench.runs import Run
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


@dataclass(frozen=True)
class Expected:
    """How the suite trains the model of a slot.

    Attributes:
        updates: Gradient steps.
        episodes: Training episodes of the target task.
        before: Datasets that the model may have been trained on before the slot's own; none for
            a model from scratch.
    """

    updates: int
    episodes: int
    before: frozenset[str]


def expected_slots(suite: Suite) -> dict[Slot, Expected]:
    """Final rows that a complete submission has, and their trainings by the suite."""
    found: dict[Slot, Expected] = {}
    for run in unroll(join(suite, ["bc"]).suite):  # any algorithm has the same slots
        if run.stage in ("train", "evaluate"):
            target = run.dataset_ids[-1]
            training = Expected(
                updates=run.updates,
                episodes=training_episodes(suite, target, run.fraction),
                before=_before(suite, run),
            )
            where = (run.experiment, run.task, target, run.seed, run.fraction)
            found |= {(*where, c.factor, c.level): training for c in run.conditions}
    return found


def _before(suite: Suite, run: Run) -> frozenset[str]:
    """Data of the models that an algorithm may start from: other tasks, or other deployments."""
    tasks = {
        "fewshot": [task for task in suite.tasks if task != run.task],
        "deployments": [run.task],
    }
    return frozenset(f"networld/{t}/{run.quality}-v0" for t in tasks.get(run.experiment, ()))


@dataclass(frozen=True)
class Budget:
    """The most that a method of the suite needs for a training on some data.

    Attributes:
        updates: Gradient steps.
        epochs: Transitions seen over transitions in the data; infinite if it is not known.
        minutes: Minutes of a training on a CPU; 0 if it is not known.
        ceiling: Gradient steps that are too many in any number of minutes, because the data are
            few.
    """

    updates: float
    epochs: float = float("inf")
    minutes: float = 0.0
    ceiling: float = float("inf")

    def allows(self, row: Row) -> bool:
        """Whether a final row keeps the budget, either in updates and epochs, or in minutes."""
        updates = row.updates or 0
        steps = updates <= self.updates and (row.epochs or 0.0) <= self.epochs
        minutes = (row.train_seconds or float("inf")) / 60
        in_time = row.device_kind == "cpu" and minutes <= SLACK * self.minutes
        return steps or (in_time and updates <= self.ceiling)

    def __str__(self) -> str:
        epochs = "" if self.epochs == float("inf") else f" and {self.epochs:.3g} epochs"
        minutes = f", or {SLACK * self.minutes:.3g} minutes on a CPU" if self.minutes else ""
        if minutes and self.ceiling < float("inf"):
            minutes += f" and at most {self.ceiling:g} updates"
        return f"{self.updates:g} updates{epochs}{minutes}"


Data = tuple[str, str, str | None, float | None]
"""Part, task, dataset and share of the data of a training."""


def trained_on(slot: Slot) -> Data:
    """The training behind a row; in all other parts it is one of the comparison."""
    part, task, dataset, _, fraction, *_ = slot
    return (part, task, dataset, fraction) if part in FEW else ("comparison", task, dataset, 1.0)


def budgets(
    suite: Suite, slots: Mapping[Slot, Expected], committed: Sequence[Row]
) -> dict[Data, Budget]:
    """The budget of every training that a submission may have.

    Args:
        suite: The suite.
        slots: Those of `expected_slots`.
        committed: The final rows of the suite.
    """
    rows: dict[Data, list[Row]] = {}
    for row in committed:
        if row.kind == "learned" and row.experiment in ("comparison", *FEW):
            rows.setdefault(trained_on(slot_of(row)), []).append(row)
    wanted = {trained_on(slot): training.updates for slot, training in slots.items()}
    found: dict[Data, Budget] = {}
    for data, updates in wanted.items():  # the comparison first
        there = rows.get(data, [])
        budget = Budget(
            updates=max(updates, _most(there, "updates") or 0),
            epochs=_most(there, "epochs") or float("inf"),
            minutes=(_most(there, "train_seconds") or 0.0) / 60,
        )
        if data[0] in FEW:
            found[data] = _on_little_data(suite, data, budget, found)
        else:
            own = own_minutes(suite).get(data_key(data[1], str(data[2])), 0.0)
            found[data] = replace(budget, minutes=max(own, budget.minutes))
    return found


def _on_little_data(
    suite: Suite, data: Data, committed: Budget, found: Mapping[Data, Budget]
) -> Budget:
    """A budget with the suite's share of the minutes of the comparison."""
    name, task, _, fraction = data
    part = suite.fewshot if name == "fewshot" else suite.deployments
    assert part is not None
    assert fraction is not None
    whole = found.get(("comparison", task, f"networld/{task}/{suite.qualities[0]}-v0", 1.0))
    share = 0.0 if whole is None else part.share * whole.minutes
    return replace(
        committed,
        epochs=float("inf"),  # committed trainings end early, so theirs are no limit
        minutes=max(share, committed.minutes),
        ceiling=episode_limit(suite, part, task, fraction) or float("inf"),
    )


def _most(rows: Sequence[Row], name: str) -> float | None:
    """Largest median of a number over the seeds of a method; None if no row has it."""
    by_label: dict[str, list[float]] = {}
    for row in rows:
        value = getattr(row, name)
        if value is not None:
            by_label.setdefault(row.label, []).append(value)
    return max((float(np.median(values)) for values in by_label.values()), default=None)
