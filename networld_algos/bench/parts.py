"""Parts of a suite: entries, experiments and evaluation conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from networld_algos.base import Algorithm
from networld_algos.bench.runs import Condition
from networld_algos.registry import ALGORITHMS, make_config, preset_values
from networld_algos.results.rows import DEPLOYMENT, DRIFT, QUALITIES
from networld_envs import validate
from networld_envs.simulator import TASKS, about


def data_keys(tasks: Iterable[str]) -> set[str]:
    """Valid keys of settings by data: a task, or ``"task/quality"``."""
    return {key for task in tasks for key in (task, *(f"{task}/{q}" for q in QUALITIES))}


def check_pace(
    pace: Mapping[str, float], keys: Iterable[str], whose: str, name: str = "pace"
) -> None:
    """Check that ``pace`` maps keys among ``keys`` to positive numbers.

    Raises:
        ValueError: If it does not. The message lists the wrong entries, and names the field by
            ``name`` and the keys by ``whose``.
    """
    if wrong := {k: f for k, f in pace.items() if k not in keys or not 0 < f < 1e6}:
        raise ValueError(f"{name} must give {whose} positive numbers, got {wrong}")


@dataclass(frozen=True)
class Entry:
    """An algorithm with a configuration and a label.

    Attributes:
        algorithm: Key in `networld_algos.ALGORITHMS`.
        label: Name in figures and tables; the algorithm's name by default.
        config: Fields of its config that differ from the preset.
        by_data: Task, quality, or ``"task/quality"`` -> fields that differ on that data, for
            settings that depend on the task or on the policy that made the data (such as alpha of
            CQL). If several keys apply, quality overrides task, and ``"task/quality"`` overrides
            both.
        preset: Named settings to start from, see `networld_algos.base.Algorithm.presets`.
        qualities: Data qualities on which the comparison includes this entry.
        updates: Gradient steps; the part's number by default. A step of one algorithm can take many
            times as long as a step of another, so equal time may be fairer than equal steps.
        pace: Task -> factor of the updates, on top of `Suite.pace`, for tasks on which an update of
            this algorithm is much cheaper than elsewhere.
        rates: Task, or ``"task/quality"``, which overrides it -> updates per minute of one core, as
            `networld tune` measured them, see `networld_algos.bench.suite.Suite.minutes`.
        rates_of: Name under which a file of choices has its rates; its own label by default.
            Without any there, it takes those of its algorithm.
        decisions: Label -> fields that are read only when acting. The model is trained once and
            scored under each of these labels instead of its own.
        pretrained: Start from a trained model: in the few-shot part one of the suite's other tasks,
            in the deployments part one of the task's default deployment.
        pretrain_updates: Gradient steps of that model; the part's number by default. With 0 it
            stays untrained, as a control.
        shuffled: As a control, train that model on data whose observations, actions and rewards
            are shuffled, see `networld_algos.data.shuffle`.
        tuned: Whether that model is trained further. As a control, False scores it as it is.
        deployments: Deployments on which the deployments part includes this entry; all by default.
    """

    algorithm: str
    label: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    preset: str = "default"
    by_data: dict[str, dict[str, Any]] = field(default_factory=dict)
    qualities: tuple[str, ...] = QUALITIES
    updates: int | None = None
    pace: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    rates_of: str = ""
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    pretrained: bool = False
    pretrain_updates: int | None = None
    shuffled: bool = False
    tuned: bool = True
    deployments: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(
                f"unknown algorithm {self.algorithm!r}; valid algorithms: {', '.join(ALGORITHMS)}"
            )
        if not self.label:
            object.__setattr__(self, "label", self.algorithm)
        if self.updates is not None:
            validate.integer(self, "updates", low=1)
        if self.pretrain_updates is not None:
            validate.integer(self, "pretrain_updates", low=0)
        check_pace(self.pace, TASKS, "tasks")
        check_pace(self.rates, data_keys(TASKS), "tasks or their data", "rates")
        make_config(self.algorithm, self.values)  # raises for an unknown or illegal field
        if unknown := sorted({*self.qualities} - set(QUALITIES)):
            raise ValueError(f"unknown qualities {unknown}; valid: {', '.join(QUALITIES)}")
        if unknown := sorted({*self.by_data} - data_keys(TASKS) - {*QUALITIES}):
            raise ValueError(
                f"by_data has unknown keys {unknown}; valid: {', '.join((*TASKS, *QUALITIES))}, "
                "or both, such as 'cbf/medium'"
            )
        for differences in self.by_data.values():
            make_config(self.algorithm, {**self.values, **differences})
        for decision in self.decisions.values():
            check_decision(self, decision)
        known = {preset: None for task in TASKS for preset in about(task).deployments}
        if unknown := [name for name in self.deployments or () if name not in known]:
            raise ValueError(f"unknown deployments {unknown}; valid: {', '.join(known)}")
        if not self.pretrained and (self.shuffled or not self.tuned):
            raise ValueError(
                f"entry {self.label!r} has shuffled or tuned=False, which are about the model that "
                "it starts from, so it needs pretrained=True"
            )

    def check_other_tasks(self) -> None:
        """Check that it can start from a model of other tasks.

        Raises:
            ValueError: If it cannot.
        """
        if ALGORITHMS[self.algorithm][1].adapt is Algorithm.adapt:
            raise ValueError(
                f"{self.algorithm!r} cannot be pre-trained on other tasks: it has no adapt()"
            )
        if self.pretrain_updates == 0:
            return  # nothing is trained on them
        if by_task := sorted({*self.by_data} - {*QUALITIES}):
            raise ValueError(
                f"by_data of an entry that is pre-trained on other tasks must not depend on the "
                f"task, got {by_task}: other tasks are trained on with the same settings"
            )

    @property
    def values(self) -> dict[str, Any]:
        """Fields of the config that differ from the default, including those of the preset."""
        return {**preset_values(self.algorithm, self.preset), **self.config}

    def values_on(self, task: str, quality: str) -> dict[str, Any]:
        """`values` on this data."""
        values = dict(self.values)
        for key in (task, quality, f"{task}/{quality}"):
            values.update(self.by_data.get(key, {}))
        return values

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of its rows."""
        return tuple(self.decisions) or (self.label,)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """One condition per label."""
        named = self.decisions or {self.label: {}}
        return tuple(Condition(label, decision=decision) for label, decision in named.items())


def check_decision(entry: Entry, decision: dict[str, Any]) -> None:
    """Check that these fields of a trained model of ``entry`` can be changed.

    Raises:
        ValueError: If they cannot; names the field or the value.
    """
    allowed = ALGORITHMS[entry.algorithm][1].decision_fields
    if unknown := sorted(set(decision) - set(allowed)):
        raise ValueError(
            f"{entry.algorithm!r} cannot change {unknown} after training; it can: {sorted(allowed)}"
        )
    make_config(entry.algorithm, {**entry.values, **decision})


@dataclass(frozen=True)
class FewShot:
    """Training on little data of the suite's first quality, with or without a model to start from.

    It is the few-shot part of a suite, whose models are pre-trained on the other tasks, or its
    deployments part, whose models are of the task's default deployment and learn another one, see
    `networld_envs.spec.About.deployments`. The latter start from the model of the comparison that
    has the same settings and seed, or from a pre-training if there is none. The report shows the
    difference of every entry from its controls, which are labelled ``"<label> (from scratch)"``,
    ``"<label> (random frozen)"``, ``"<label> (shuffled pre-training)"`` or
    ``"<label> (not tuned)"``.

    Attributes:
        entries: Methods to train.
        fractions: Shares of the target task's episodes. Smaller subsets lie inside larger ones.
        seeds: Number of training seeds.
        updates: Gradient steps on the target task, unless an entry sets its own number. With
            ``patience``, this is the largest number.
        pretrain_updates: Gradient steps of a pre-training, for `Entry.pretrained`.
        early_stop: Hold out 10% of the few episodes and keep the weights with the smallest
            `Algorithm.validation_loss` on them. Nothing is held out of a single episode. An
            algorithm without such a loss keeps its final weights.
        patience: Train until the model no longer gets better: after so many validations in a row
            without a smaller error, the training ends, and the best weights are kept. The error is
            that of decisions against the recorded actions
            (`networld_algos.training.near.imitation_errors`), so that every algorithm is stopped by
            the same measure; for data that is not worth imitating, use ``early_stop``. It is
            measured on 10% of the few episodes, or on a quarter of the agents of a single one.
        pace: Task -> factor of ``updates``; 1 by default.
        share: Take this share of the updates of the comparison's training of the algorithm, in
            place of ``updates``, if the comparison has it; 0 for none.
        updates_per_episode: Largest number of updates for each episode of the data, since few
            episodes are soon learned by heart; 0 for no limit.
        anchor: In the deployments part, strength of the pull towards the trained model
            (`networld_algos.training.near`); 0 for none.
        deployments: In the deployments part, task -> presets; by default those of its ``ABOUT``.
    """

    entries: tuple[Entry, ...]
    fractions: tuple[float, ...]
    seeds: int
    updates: int
    pretrain_updates: int
    early_stop: bool = False
    patience: int = 0
    pace: dict[str, float] = field(default_factory=dict)
    share: float = 0.0
    updates_per_episode: int = 0
    anchor: float = 0.0
    deployments: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def presets(self, task: str) -> tuple[str, ...]:
        """Deployments of a task, for the deployments part."""
        return self.deployments.get(task, tuple(about(task).deployments))

    def __post_init__(self) -> None:
        validate.integer(self, "seeds", "updates", "pretrain_updates", low=1)
        validate.integer(self, "patience", "updates_per_episode", low=0)
        validate.real(self, "anchor", low=0.0, high=1e6)
        validate.real(self, "share", low=0.0, high=100.0)
        check_pace(self.pace, TASKS, "tasks")
        if self.patience and self.early_stop:
            raise ValueError("early_stop and patience exclude each other; choose one")
        for task, names in self.deployments.items():
            known = about(task).deployments
            if unknown := [name for name in names if name not in known]:
                raise ValueError(
                    f"task {task!r} has no deployments {unknown}; it has {', '.join(known)}"
                )
        if not self.fractions or not all(0.0 < f <= 1.0 for f in self.fractions):
            raise ValueError(f"fractions must be in (0, 1], got {self.fractions}")
        if len(set(self.fractions)) < len(self.fractions):
            raise ValueError(f"fractions must be distinct, got {self.fractions}")


@dataclass(frozen=True)
class Ablation:
    """Variants of one method on data of the suite's first quality.

    One entry is the full method, labelled with the algorithm's name. An entry is not trained if the
    comparison or an earlier entry trains the same weights: the existing model is scored with the
    entry's decision settings instead.

    Attributes:
        entries: The full method and its variants.
        seeds: Number of training seeds.
        updates: Gradient steps; those of the comparison by default.
        tasks: Tasks of the suite to run it on; all by default.
    """

    entries: tuple[Entry, ...]
    seeds: int
    updates: int | None = None
    tasks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        validate.integer(self, "seeds", low=1)
        if self.tasks is not None and (not self.tasks or len(set(self.tasks)) < len(self.tasks)):
            raise ValueError(f"tasks must be distinct, at least one; got {self.tasks}")
        if self.updates is not None:
            validate.integer(self, "updates", low=1)


@dataclass(frozen=True)
class Robustness:
    """Models of the comparison under conditions that they were not trained for.

    It uses the models trained on data of the suite's first quality.

    Attributes:
        labels: Entries of the comparison.
        seeds: How many of the comparison's seeds to use, from the first.
        agents: Vary the number of agents over the values that tasks list in their ``ABOUT``.
        message_loss: Probabilities that a message is lost, see
            `networld_algos.training.evaluate.evaluate`.
        message_delay: Delays of messages, in steps.
        drift: Let traffic or channel drift to the values that tasks list in their ``ABOUT``.
    """

    labels: tuple[str, ...]
    seeds: int
    agents: bool = True
    message_loss: tuple[float, ...] = (0.0, 0.3, 0.6, 0.9)
    message_delay: tuple[int, ...] = (0, 1)
    drift: bool = False

    def conditions(self, entry: Entry, task: str) -> tuple[Condition, ...]:
        """Every decision setting of an entry at every level of every factor."""
        levels: list[dict[str, Any]] = []
        if self.agents:
            levels += agents_levels(task)
        if self.drift:
            levels += drift_levels(task)
        levels += [
            {"factor": "message_loss", "level": float(p), "message_loss": float(p)}
            for p in self.message_loss
        ]
        levels += [
            {"factor": "message_delay", "level": float(d), "message_delay": d}
            for d in self.message_delay
        ]
        return tuple(replace(c, **values) for c in entry.conditions for values in levels)


@dataclass(frozen=True)
class Cost:
    """Cost and score of decisions: models of the comparison under several decision settings.

    Attributes:
        labels: Entries of the comparison.
        seeds: How many of the comparison's seeds to use, from the first.
        curves: Label of such an entry -> further decision settings.
    """

    labels: tuple[str, ...]
    seeds: int
    curves: dict[str, tuple[Condition, ...]] = field(default_factory=dict)

    def conditions(self, entry: Entry) -> tuple[Condition, ...]:
        """All decision settings of an entry."""
        return (*entry.conditions, *self.curves.get(entry.label, ()))


def drift_levels(task: str) -> list[dict[str, Any]]:
    """Fields of a `Condition` for each value of each parameter that may drift in a task."""
    return [
        {"factor": f"{DRIFT}{name}", "level": float(value), "params": {name: value}}
        for name, values in about(task).drifts.items()
        for value in values
    ]


def deployment_level(preset: str) -> dict[str, Any]:
    """Fields of a `Condition` for a deployment."""
    return {"factor": f"{DEPLOYMENT}{preset}", "level": 1.0, "params": {"preset": preset}}


def agents_levels(task: str) -> list[dict[str, Any]]:
    """Fields of a `Condition` for each number of agents that a task lists in its ``ABOUT``."""
    return [
        {"factor": "agents", "level": float(n), "params": dict(params)}
        for n, params in about(task).agent_counts.items()
    ]
