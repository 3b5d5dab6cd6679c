"""Suites. A suite is a frozen dataclass that unrolls into independent runs.

You can write your own in a few lines::

    from networld_algos.bench import Entry, Suite

    SUITE = Suite(name="mine", tasks=("rb",), entries=(Entry("bc"), Entry("networld")), seeds=5,
                  updates=5_000)

Start it with ``networld bench run my_suite.py``. The suites that come with the package are in
`networld_algos.bench.presets`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from networld_algos.bench.parts import (
    Ablation,
    Cost,
    Entry,
    FewShot,
    Robustness,
    check_decision,
    check_pace,
    data_keys,
)
from networld_algos.bench.runs import Condition
from networld_envs import validate
from networld_envs.simulator import TASKS
from networld_envs.store.recipes import find_recipe

__all__ = ["PARTS", "Ablation", "Condition", "Cost", "Entry", "FewShot", "Robustness", "Suite"]

PARTS = ("comparison", "fewshot", "deployments", "ablation", "robustness", "cost")
"""Parts of a suite. Every part includes the reference policies."""


@dataclass(frozen=True)
class Suite:
    """Reference policies, a comparison of algorithms, and optional further parts.

    Attributes:
        name: Name of the results folder.
        tasks: Tasks. Each is trained on and evaluated separately.
        entries: Algorithms of the comparison.
        seeds: Number of training seeds of the comparison: 0 .. seeds - 1.
        updates: Gradient steps per training, unless its entry sets its own number.
        pace: Task, or ``"task/quality"``, which overrides it -> factor of the updates of every
            training on it; 1 by default. Tasks differ in how many updates they need. See also
            `Entry.pace`, and `FewShot` for that part.
        qualities: Data qualities of the comparison; the other parts use only the first.
        data_episodes: Episodes to use of each dataset; None takes all.
        evaluations: Evaluations during each training of the comparison.
        eval_episodes: Episodes per evaluation; reference policies are scored on the same ones.
        curve_episodes: Validation networks that the comparison is evaluated on during training, so
            that test networks are looked at once, at the end. With 0, all evaluations are on test
            networks.
        minutes: Task, or ``"task/quality"``, which overrides it -> minutes of one core that each
            training of the comparison should take. The updates follow from `Entry.rates` and take
            the place of ``updates`` and ``pace`` where an entry has a rate.
        fewshot: The few-shot part, or None.
        deployments: The deployments part, or None.
        ablation: The ablations, or None.
        robustness: Agent-count shift, message loss and delay, or None.
        cost: Latency against score, or None.
        fewer_if_slow: Train less in the comparison and the few-shot part on a machine that is much
            slower than that of `Entry.rates`, see `networld_algos.bench.machine_speed`. For suites
            whose scores nobody compares.
    """

    name: str
    tasks: tuple[str, ...]
    entries: tuple[Entry, ...]
    seeds: int
    updates: int
    qualities: tuple[str, ...] = ("expert",)
    pace: dict[str, float] = field(default_factory=dict)
    data_episodes: int | None = None
    evaluations: int = 5
    eval_episodes: int = 16
    curve_episodes: int = 0
    minutes: dict[str, float] = field(default_factory=dict)
    fewshot: FewShot | None = None
    deployments: FewShot | None = None
    ablation: Ablation | None = None
    robustness: Robustness | None = None
    cost: Cost | None = None
    fewer_if_slow: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"name must be usable as the name of a folder, got {self.name!r}")
        validate.integer(self, "seeds", "updates", "evaluations", low=1)
        validate.integer(self, "eval_episodes", low=2)
        validate.integer(self, "curve_episodes", low=0)
        unknown = [t for t in self.tasks if t not in TASKS]
        if unknown or not self.tasks:
            raise ValueError(f"unknown task {unknown or self.tasks}; valid: {', '.join(TASKS)}")
        for name, values in (("tasks", self.tasks), ("qualities", self.qualities)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must be distinct, at least one; got {values}")
        for task in self.tasks:
            for quality in self.qualities:
                find_recipe(f"networld/{task}/{quality}-v0")  # raises for an unknown one
        few = self.fewshot.entries if self.fewshot is not None else ()
        moved = self.deployments.entries if self.deployments is not None else ()
        ablated = self.ablation.entries if self.ablation is not None else ()
        for entries in (self.entries, few, moved, ablated):
            labels = [label for entry in entries for label in entry.labels]
            names = [entry.label for entry in entries]
            if len(set(labels)) < len(labels) or len(set(names)) < len(names):
                raise ValueError(f"labels must be distinct, got {labels} of {names}")
        ablated_tasks = (self.ablation and self.ablation.tasks) or ()
        if foreign := sorted(set(ablated_tasks) - set(self.tasks)):
            raise ValueError(f"the ablation uses tasks {foreign}, which are not among {self.tasks}")
        others = [e for e in few if e.pretrained]
        others += [e for e in moved if e.pretrained and e.pretrain_updates == 0]
        if len(self.tasks) == 1 and others:
            raise ValueError(f"pre-training needs at least one task besides {self.tasks[0]!r}")
        for entry in others:
            entry.check_other_tasks()
        check_pace(self.pace, data_keys(self.tasks), "its own tasks")
        check_pace(self.minutes, data_keys(self.tasks), "its own tasks", "minutes")
        self._check_trained_entries()

    def _check_trained_entries(self) -> None:
        known = {entry.label: entry for entry in self.entries}
        for name, part in (("robustness", self.robustness), ("cost", self.cost)):
            if part is None:
                continue
            validate.integer(part, "seeds", low=1)
            if missing := [label for label in part.labels if label not in known]:
                raise ValueError(
                    f"{name} uses models of the comparison, which has no labels {missing}; it has "
                    f"{sorted(known)}"
                )
            for label in part.labels:
                if self.qualities[0] not in known[label].qualities:
                    raise ValueError(
                        f"{name} uses models trained on {self.qualities[0]} data; {label!r} is "
                        f"trained only on {', '.join(known[label].qualities)}"
                    )
            if part.seeds > self.seeds:
                raise ValueError(
                    f"{name} has {part.seeds} seeds, but the comparison has only {self.seeds}"
                )
        if self.cost is not None:
            for label, conditions in self.cost.curves.items():
                if label not in self.cost.labels:
                    raise ValueError(
                        f"cost has a curve for {label!r}, which is not among its labels"
                    )
                for condition in conditions:
                    check_decision(known[label], condition.decision)

    def first_seeds(self, count: int | None) -> Suite:
        """This suite with at most ``count`` training seeds in every part.

        Its runs are a subset of this suite's runs. None returns the suite unchanged.

        Raises:
            ValueError: If ``count`` is less than 1.
        """
        if count is None:
            return self
        if count < 1:
            raise ValueError(f"seeds must be at least 1, got {count}")
        fewer: dict[str, Any] = {"seeds": min(self.seeds, count)}
        for name in PARTS:
            part = getattr(self, name, None)
            if part is not None:
                fewer[name] = replace(part, seeds=min(part.seeds, count))
        return replace(self, **fewer)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of `PARTS` that the suite has."""
        there = {"comparison": bool(self.entries)}
        return tuple(p for p in PARTS if there.get(p) or getattr(self, p, None) is not None)
