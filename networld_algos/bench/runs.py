"""One unit of work of a suite: what it does, and the names of its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

from networld_algos.registry import make_config
from networld_algos.results.rows import FEW
from networld_algos.results.text import file_stem
from networld_envs.store.recipes import deployment_id
from networld_envs.version import __version__

Stage = Literal["reference", "pretrain", "train", "evaluate"]
ADDED = frozenset({"curve_episodes", "deployment", "patience", "anchor", "shuffled"})
"""Fields of `Run` that earlier versions lack, see `Run.key`."""


@dataclass(frozen=True)
class Condition:
    """One way to score a model. Each condition gives one row per evaluation.

    Attributes:
        label: Name in figures.
        factor: What is varied, or None, see `networld_algos.results.rows.Row`.
        level: Value of the factor.
        params: Preset and parameters of the task that differ from the default.
        message_loss: Probability that a message is lost.
        message_delay: Delay of messages in steps.
        decision: Fields of the config that are read only when acting.
    """

    label: str
    factor: str | None = None
    level: float | None = None
    params: dict[str, Any] = field(default_factory=dict)
    message_loss: float = 0.0
    message_delay: int = 0
    decision: dict[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> str:
        """Preset and parameters of the task as JSON."""
        return json.dumps(self.params, sort_keys=True)

    @property
    def what(self) -> str:
        """Text that is equal for conditions that differ only in label, factor or level."""
        values = asdict(self)
        names = ("params", "message_loss", "message_delay", "decision")
        return json.dumps({name: values[name] for name in names}, sort_keys=True)


@dataclass(frozen=True)
class Run:
    """One unit of work. Equal runs give equal rows.

    Attributes:
        suite: Name of the suite.
        stage: ``"reference"`` scores a policy, ``"pretrain"`` makes a model that other runs start
            from, ``"train"`` trains and evaluates, ``"evaluate"`` scores another run's model.
        experiment: One of `networld_algos.results.rows.EXPERIMENTS`, or ``"pretrain"``.
        task: The task that is evaluated; in a pre-training, the task that is left out.
        algorithm: Name of an algorithm or of a reference policy.
        label: Name in figures.
        config: Fields of the algorithm's configuration that differ from the default.
        seed: Training seed; -1 for a reference.
        data_tasks: Tasks whose data it trains on.
        quality: Quality of the data, e.g. ``"expert"``; "" for a reference.
        data_episodes: Episodes taken from each dataset before ``fraction``; None takes all.
        fraction: Share of the target task's episodes that is used.
        updates: Gradient steps.
        evaluations: Evaluations during training, evenly spaced, the last at the end.
        eval_episodes: Episodes per evaluation.
        conditions: How the model is scored; each condition gives one row per evaluation.
        start: Key of the run whose model this run starts from or scores; "" for none.
        early_stop: Keep the weights with the smallest validation loss, see
            `networld_algos.bench.parts.FewShot`.
        curve_episodes: Validation networks of the evaluations during training. The test networks
            are then scored at the end only. With 0, all evaluations are on the test networks.
        deployment: Preset of the task whose data it trains on, one of those in ``ABOUT``; "" for
            the default.
        patience: End the training after this many validations in a row without a smaller error;
            0 never ends it early. See `networld_algos.bench.parts.FewShot`.
        anchor: Strength of the pull towards the model that it starts from, if that knows the task,
            see `networld_algos.training.near`; 0 for none.
        shuffled: Train on shuffled data, see `networld_algos.data.shuffle`.
    """

    suite: str
    stage: Stage
    experiment: str
    task: str
    algorithm: str
    label: str
    config: dict[str, Any]
    seed: int
    data_tasks: tuple[str, ...]
    quality: str
    data_episodes: int | None
    fraction: float
    updates: int
    evaluations: int
    eval_episodes: int
    conditions: tuple[Condition, ...]
    start: str = ""
    early_stop: bool = False
    curve_episodes: int = 0
    deployment: str = ""
    patience: int = 0
    anchor: float = 0.0
    shuffled: bool = False

    @cached_property
    def key(self) -> str:
        """Name of the run's files: readable, and unique through a hash of its content.

        The hash covers the whole configuration and the version, so a changed default makes a new
        run. It does not cover code: give an edited algorithm a new label. It does not cover the
        content of datasets either: rows and checkpoints have that, and a suite whose data was
        replaced is refused, see `networld_algos.bench.same_data`.

        A field of `ADDED` counts where it differs from its default, so that a new field does not
        make a new run of every old one.
        """
        whole: dict[str, Any] = {**asdict(self), "version": __version__}
        for field_ in fields(self):
            if field_.name in ADDED and whole[field_.name] == field_.default:
                del whole[field_.name]
        if self.stage != "reference":
            whole["config"] = asdict(make_config(self.algorithm, self.config))
        text = json.dumps(whole, sort_keys=True)
        return f"{self.stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def stem(self) -> str:
        """`key` without the hash; the same for the same run with other settings."""
        words = [self.experiment, self._place, self.quality, self.label]
        if self.stage != "reference":
            words.append(f"s{self.seed}")
        if self.experiment in FEW:
            words.append(f"f{100 * self.fraction:g}")
        return file_stem(" ".join(words))

    @property
    def _place(self) -> str:
        """The task, and the deployment of it if it is not the default one."""
        return f"{self.task} {self.deployment}" if self.deployment else self.task

    @property
    def title(self) -> str:
        """The run in words, for progress bars and failure records."""
        where = [self._place, *([self.quality] if self.quality else [])]
        words = [self.experiment, *where, self.label]
        if self.stage != "reference":
            words.append(f"seed {self.seed}")
        if self.experiment in FEW:
            words.append(f"{100 * self.fraction:g}% of the data")
        return " / ".join(words)

    @property
    def dataset_ids(self) -> list[str]:
        """Datasets it trains on, the target task's last."""
        return [
            deployment_id(task, self.deployment, self.quality)
            if self.deployment
            else f"networld/{task}/{self.quality}-v0"
            for task in self.data_tasks
        ]
