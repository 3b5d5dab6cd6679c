"""What to run. A suite is a frozen dataclass; it unrolls into independent runs.

Write your own in a few lines::

    from networld_algos.suites import Entry, Suite

    SUITE = Suite(name="mine", tasks=("rb",), entries=(Entry("bc"), Entry("networld")), seeds=5,
                  updates=5_000)

and start it with ``networld bench run my_suite.py``. The suites that come with the package are in
`networld_algos.suite_list`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from networld_algos import ALGORITHMS, make_config
from networld_algos.check import at_least, positive_int
from networld_algos.runs import Condition, Run
from networld_algos.suite_parts import (
    QUALITIES,
    Ablation,
    Cost,
    Entry,
    FewShot,
    Robustness,
    agents_levels,
    check_decision,
)
from networld_envs import TASKS
from networld_envs.policies import get_policy, usable_policies
from networld_envs.recipes import find_recipe
from networld_envs.simulator import make_params

__all__ = ["PARTS", "Ablation", "Condition", "Cost", "Entry", "FewShot", "Robustness", "Suite"]

PARTS = ("comparison", "fewshot", "ablation", "robustness", "cost")
"""Parts of a suite; the reference policies belong to all of them."""


@dataclass(frozen=True)
class Suite:
    """Runs that belong together: reference policies, a comparison, and perhaps further parts.

    Attributes:
        name: Folder of the results.
        tasks: Tasks, each evaluated on its own.
        entries: Algorithms of the comparison.
        seeds: Training seeds of the comparison, 0 .. seeds - 1.
        updates: Gradient steps of each training, where its entry does not say otherwise.
        pace: Task, or ``"task/quality"``, which goes before it -> factor of the updates of every
            training on it; 1 by default. Tasks differ in how many updates they need. See also
            `Entry.pace`. The few-shot part has its own number of updates, the same on every task.
        qualities: Qualities of the data the comparison is done on; the other parts use the first.
        data_episodes: Episodes of each data set that are used; None takes all.
        evaluations: Evaluations during a training of the comparison.
        eval_episodes: Episodes of an evaluation; reference policies are scored on the same ones.
        fewshot: The few-shot part, or None.
        ablation: The ablations, or None.
        robustness: Agent-count shift, message loss and delay, or None.
        cost: Latency against score, or None.
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
    fewshot: FewShot | None = None
    ablation: Ablation | None = None
    robustness: Robustness | None = None
    cost: Cost | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"name must be usable as the name of a folder, got {self.name!r}")
        positive_int(self, "seeds", "updates", "evaluations")
        at_least(self, 2, "eval_episodes")
        unknown = [t for t in self.tasks if t not in TASKS]
        if unknown or not self.tasks:
            raise ValueError(f"unknown task {unknown or self.tasks}; valid: {', '.join(TASKS)}")
        for name, values in (("tasks", self.tasks), ("qualities", self.qualities)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must differ, and there must be one; got {values}")
        for task in self.tasks:
            for quality in self.qualities:
                find_recipe(f"networld/{task}/{quality}-v0")  # raises for an unknown one
        few = self.fewshot.entries if self.fewshot is not None else ()
        ablated = self.ablation.entries if self.ablation is not None else ()
        for entries in (self.entries, few, ablated):
            labels = [label for entry in entries for label in entry.labels]
            names = [entry.label for entry in entries]
            if len(set(labels)) < len(labels) or len(set(names)) < len(names):
                raise ValueError(f"labels must differ, got {labels} of {names}")
        ablated_tasks = (self.ablation and self.ablation.tasks) or ()
        if foreign := sorted(set(ablated_tasks) - set(self.tasks)):
            raise ValueError(f"the ablation is on {foreign}, not among the tasks {self.tasks}")
        if len(self.tasks) == 1 and any(e.pretrained for e in few):
            raise ValueError(f"pre-training needs a task beside {self.tasks[0]!r}")
        paced = {*self.tasks, *(f"{t}/{q}" for t in self.tasks for q in QUALITIES)}
        if wrong := {t: f for t, f in self.pace.items() if t not in paced or not 0 < f < 1e6}:
            raise ValueError(f"pace must give its own tasks positive factors, got {wrong}")
        self._check_trained_entries()

    def _check_trained_entries(self) -> None:
        known = {entry.label: entry for entry in self.entries}
        for name, part in (("robustness", self.robustness), ("cost", self.cost)):
            if part is None:
                continue
            positive_int(part, "seeds")
            if missing := [label for label in part.labels if label not in known]:
                raise ValueError(
                    f"{name} uses models of the comparison, which has no {missing}; it has "
                    f"{sorted(known)}"
                )
            for label in part.labels:
                if self.qualities[0] not in known[label].qualities:
                    raise ValueError(
                        f"{name} uses models trained on {self.qualities[0]} data; {label!r} is "
                        f"only on {', '.join(known[label].qualities)}"
                    )
            if part.seeds > self.seeds:
                raise ValueError(f"{name} has {part.seeds} seeds, the comparison {self.seeds}")
        if self.cost is not None:
            for label, conditions in self.cost.curves.items():
                if label not in self.cost.labels:
                    raise ValueError(f"cost has a curve for {label!r}, not among its labels")
                for condition in conditions:
                    check_decision(known[label], condition.decision)

    def first_seeds(self, count: int) -> Suite:
        """The suite with at most ``count`` training seeds in every part; some of the same runs.

        Raises:
            ValueError: If ``count`` is less than 1.
        """
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

    def runs(self, only: Iterable[str] = ()) -> list[Run]:
        """Runs in an order that can be kept: what others start from comes first.

        Args:
            only: Parts to run, with what they start from; all by default.

        Raises:
            ValueError: If the suite has no such part.
        """
        chosen = tuple(only)
        if unknown := [part for part in chosen if part not in self.parts]:
            raise ValueError(
                f"suite {self.name!r} has no part {', '.join(unknown)}; it has "
                f"{', '.join(self.parts)}"
            )
        every = [
            *self._references(),
            *self._comparison(),
            *self._fewshot(),
            *self._ablation(),
            *self._robustness(),
            *self._cost(),
        ]
        if chosen:
            wanted = [r for r in every if r.experiment in ("reference", *chosen)]
            starts = {run.start for run in wanted}
            every = [r for r in every if r.experiment in ("reference", *chosen) or r.key in starts]
        return list({run.key: run for run in every}.values())

    def _run(self, **values: Any) -> Run:
        default = Run(
            suite=self.name,
            stage="train",
            experiment="comparison",
            task="",
            algorithm="",
            label="",
            config={},
            seed=-1,
            data_tasks=(),
            quality=self.qualities[0],
            data_episodes=self.data_episodes,
            fraction=1.0,
            updates=self.updates,
            evaluations=1,
            eval_episodes=self.eval_episodes,
            conditions=(),
        )
        return replace(default, **values)

    def _entry_run(self, entry: Entry, task: str, seed: int, **values: Any) -> Run:
        common: dict[str, Any] = {
            "task": task,
            "algorithm": entry.algorithm,
            "label": entry.label,
            "seed": seed,
            "data_tasks": (task,),
            "conditions": entry.conditions,
        }
        quality = values.get("quality", self.qualities[0])
        common["config"] = {**entry.values, **entry.by_quality.get(quality, {})}
        pace = self.pace.get(f"{task}/{quality}", self.pace.get(task, 1.0))
        pace *= entry.pace.get(task, 1.0)
        values.setdefault("updates", max(1, round(pace * (entry.updates or self.updates))))
        return self._run(**{**common, **values})

    def _references(self) -> list[Run]:
        runs = []
        for task in self.tasks:
            names = usable_policies(task, make_params(task))
            shift: list[dict[str, Any]] = []
            if self.robustness is not None and self.robustness.agents:
                shift = agents_levels(task)
            for name in names:
                ends = get_policy(task, name).role in ("random", "expert")
                levels = [{}, *shift] if ends else [{}]
                runs.append(
                    self._run(
                        stage="reference",
                        experiment="reference",
                        task=task,
                        algorithm=name,
                        label=name,
                        quality="",
                        updates=0,
                        conditions=tuple(Condition(name, **values) for values in levels),
                    )
                )
        return runs

    def _comparison(self) -> list[Run]:
        return [
            self._entry_run(entry, task, seed, quality=quality, evaluations=self.evaluations)
            for quality in self.qualities
            for task in self.tasks
            for entry in self.entries
            if quality in entry.qualities
            for seed in range(self.seeds)
        ]

    def _fewshot(self) -> list[Run]:
        part = self.fewshot
        if part is None:
            return []
        first: dict[str, Run] = {}
        then = []
        for task in self.tasks:
            for entry in part.entries:
                for seed in range(part.seeds):
                    start = ""
                    if entry.pretrained:
                        before = self._pretraining(entry, task, seed, part.pretrain_updates)
                        start = before.key
                        first[start] = before
                    then += [
                        self._entry_run(
                            entry,
                            task,
                            seed,
                            experiment="fewshot",
                            fraction=fraction,
                            updates=entry.updates or part.updates,
                            start=start,
                            early_stop=part.early_stop,
                        )
                        for fraction in part.fractions
                    ]
        return [*first.values(), *then]

    def _pretraining(self, entry: Entry, task: str, seed: int, updates: int) -> Run:
        """Training on the other tasks, shared by entries that differ in what comes after it."""
        kind = ALGORITHMS[entry.algorithm][1]
        later = {*kind.decision_fields, *kind.adapt_fields}
        values = {**entry.values, **entry.by_quality.get(self.qualities[0], {})}
        config = {k: v for k, v in values.items() if k not in later}
        return self._run(
            stage="pretrain",
            experiment="pretrain",
            task=task,
            algorithm=entry.algorithm,
            label=entry.algorithm,
            config=config,
            seed=seed,
            data_tasks=tuple(t for t in self.tasks if t != task),
            updates=updates if entry.pretrain_updates is None else entry.pretrain_updates,
            evaluations=0,
        )

    def _ablation(self) -> list[Run]:
        part = self.ablation
        if part is None:
            return []
        trained = {self._training(run): run for run in self._comparison()}
        runs = []
        for task in part.tasks or self.tasks:
            for variant in part.entries:
                entry = replace(variant, updates=variant.updates or part.updates)
                for seed in range(part.seeds):
                    run = self._entry_run(entry, task, seed, experiment="ablation")
                    same = trained.get(self._training(run))
                    if same is not None:
                        decision = self._split(run)[1]
                        conditions = tuple(
                            replace(c, decision={**decision, **c.decision}) for c in run.conditions
                        )
                        run = replace(run, stage="evaluate", start=same.key, conditions=conditions)
                    runs.append(run)
        return runs

    @staticmethod
    def _split(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
        """A run's full configuration: what shapes the model, and what is read only when acting."""
        config = asdict(make_config(run.algorithm, run.config))
        later = ALGORITHMS[run.algorithm][1].decision_fields
        decision = {name: config.pop(name) for name in later}
        return config, decision

    @classmethod
    def _training(cls, run: Run) -> str:
        """What makes two trainings give the same model; ways to decide are set afterwards."""
        config, _ = cls._split(run)
        return repr((run.task, run.quality, run.seed, run.algorithm, config, run.updates))

    def _trained(self, part: Robustness | Cost, experiment: str) -> Iterable[tuple[Entry, Run]]:
        """Evaluations of the comparison's models that a part is about; conditions are its own."""
        by_label = {entry.label: entry for entry in self.entries}
        for run in self._comparison():
            if run.quality != self.qualities[0] or run.seed >= part.seeds:
                continue
            if run.label in part.labels:
                yield (
                    by_label[run.label],
                    replace(
                        run,
                        stage="evaluate",
                        experiment=experiment,
                        evaluations=1,
                        start=run.key,
                    ),
                )

    def _robustness(self) -> list[Run]:
        part = self.robustness
        if part is None:
            return []
        return [
            replace(
                run,
                eval_episodes=part.eval_episodes or self.eval_episodes,
                conditions=part.conditions(entry, run.task),
            )
            for entry, run in self._trained(part, "robustness")
        ]

    def _cost(self) -> list[Run]:
        part = self.cost
        if part is None:
            return []
        return [
            replace(run, conditions=part.conditions(entry))
            for entry, run in self._trained(part, "cost")
        ]
