"""What to run. A suite is a frozen dataclass; it unrolls into independent runs.

Write your own in a few lines::

    from networld_algos.suites import Entry, Suite

    mine = Suite(name="mine", tasks=("rb",), entries=(Entry("bc"), Entry("networld")), seeds=5,
                 updates=5_000)
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from networld_algos import ALGORITHMS, make_config
from networld_algos.base import Algorithm
from networld_algos.check import at_least, positive_int
from networld_envs import TASKS, __version__
from networld_envs.policies import usable_policies
from networld_envs.simulator import make_params

Stage = Literal["reference", "pretrain", "train"]


@dataclass(frozen=True)
class Entry:
    """An algorithm with a configuration, under the name it has in figures.

    Attributes:
        algorithm: Key in `networld_algos.ALGORITHMS`.
        label: Name in figures and tables; the algorithm's by default.
        config: Fields of its config that differ from the default.
        pretrained: In the few-shot experiment, start from a model of the suite's other tasks.
    """

    algorithm: str
    label: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    pretrained: bool = False

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(
                f"unknown algorithm {self.algorithm!r}; valid algorithms: {', '.join(ALGORITHMS)}"
            )
        if not self.label:
            object.__setattr__(self, "label", self.algorithm)
        make_config(self.algorithm, self.config)  # raises for an unknown or illegal field
        if self.pretrained and ALGORITHMS[self.algorithm][1].adapt is Algorithm.adapt:
            raise ValueError(f"{self.algorithm!r} cannot be pre-trained: it has no adapt()")


@dataclass(frozen=True)
class Run:
    """One unit of work; equal runs give equal rows.

    Attributes:
        suite: Name of the suite.
        stage: ``"reference"`` scores a policy, ``"pretrain"`` makes a model that other runs start
            from, ``"train"`` trains and evaluates.
        experiment: ``"comparison"``, ``"fewshot"``, ``"reference"`` or ``"pretrain"``.
        task: The task that is evaluated; of a pre-training, the task that is left out.
        algorithm: Name of an algorithm, or of a reference policy.
        label: Name in figures.
        config: The algorithm's configuration as a dictionary of differences from the default.
        seed: Training seed; -1 for a reference.
        data_tasks: Tasks whose data is trained on.
        quality: Quality of the data, e.g. ``"expert"``.
        data_episodes: Episodes taken from each data set before ``fraction``; None takes all.
        fraction: Share of those used of the target task.
        updates: Gradient steps.
        evaluations: Evaluations on the way, evenly spaced, the last at the end.
        eval_episodes: Episodes of each evaluation.
        pretraining: Key of the run whose model this one starts from, or "".
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
    pretraining: str = ""

    @property
    def key(self) -> str:
        """Name of the run's files: readable, and unique through a hash of everything in it.

        The hash takes in the whole configuration and the version, so a changed default is a new
        run. Changed code is not seen: give an edited algorithm a new label.
        """
        whole: dict[str, Any] = {**asdict(self), "version": __version__}
        if self.stage != "reference":
            whole["config"] = asdict(make_config(self.algorithm, self.config))
        text = json.dumps(whole, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        words = [self.experiment, self.task, self.label]
        if self.stage != "reference":
            words.append(f"s{self.seed}")
        if self.experiment == "fewshot":
            words.append(f"f{100 * self.fraction:g}")
        return re.sub(r"[^A-Za-z0-9.]+", "-", " ".join(words)).strip("-") + f"-{digest}"

    @property
    def title(self) -> str:
        """The run in words, for progress and failures."""
        words = [self.experiment, self.task, self.label]
        if self.stage != "reference":
            words.append(f"seed {self.seed}")
        if self.experiment == "fewshot":
            words.append(f"{100 * self.fraction:g}% of the data")
        return " / ".join(words)

    @property
    def cost(self) -> float:
        """Rough seconds on one core, to order runs and to estimate the time left."""
        if self.stage == "reference":
            return 3.0
        evaluation_s = (
            EVALUATION_S.get(self.algorithm, OTHER_EVALUATION_S) * self.eval_episodes / 16
        )
        return UPDATE_S.get(self.algorithm, 0.02) * self.updates + evaluation_s * self.evaluations


# Measured on one core with `networld bench run demo`; used for nothing but estimates.
UPDATE_S = {
    "bc": 0.007,
    "ma-cql": 0.03,
    "ma-dd": 0.02,
    "ma-dt": 0.05,
    "ma-iql": 0.014,
    "networld": 0.045,
}
EVALUATION_S = {"ma-dd": 3.5, "ma-dt": 1.7, "networld": 3.5}
OTHER_EVALUATION_S = 0.3


@dataclass(frozen=True)
class FewShot:
    """The few-shot part of a suite.

    Attributes:
        entries: Who takes part.
        fractions: Shares of the target task's episodes, nested.
        seeds: Training seeds.
        updates: Gradient steps on the target task.
        pretrain_updates: Gradient steps on the other tasks before, for `Entry.pretrained`.
    """

    entries: tuple[Entry, ...]
    fractions: tuple[float, ...]
    seeds: int
    updates: int
    pretrain_updates: int

    def __post_init__(self) -> None:
        positive_int(self, "seeds", "updates", "pretrain_updates")
        if not self.fractions or not all(0.0 < f <= 1.0 for f in self.fractions):
            raise ValueError(f"fractions must be in (0, 1], got {self.fractions}")
        if len(set(self.fractions)) < len(self.fractions):
            raise ValueError(f"fractions must differ, got {self.fractions}")


@dataclass(frozen=True)
class Suite:
    """Runs that belong together: reference policies, a comparison, and perhaps few-shot.

    Attributes:
        name: Folder of the results.
        tasks: Tasks, each evaluated on its own.
        entries: Algorithms of the comparison.
        seeds: Training seeds of the comparison, 0 .. seeds - 1.
        updates: Gradient steps of each training.
        quality: Quality of the data.
        data_episodes: Episodes of each data set that are used; None takes all.
        evaluations: Evaluations during a training.
        eval_episodes: Episodes of an evaluation; reference policies are scored on the same ones.
        fewshot: The few-shot part, or None.
    """

    name: str
    tasks: tuple[str, ...]
    entries: tuple[Entry, ...]
    seeds: int
    updates: int
    quality: str = "expert"
    data_episodes: int | None = None
    evaluations: int = 5
    eval_episodes: int = 16
    fewshot: FewShot | None = None

    def __post_init__(self) -> None:
        positive_int(self, "seeds", "updates", "evaluations")
        at_least(self, 2, "eval_episodes")
        unknown = [t for t in self.tasks if t not in TASKS]
        if unknown or not self.tasks:
            raise ValueError(f"unknown task {unknown or self.tasks}; valid: {', '.join(TASKS)}")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks must differ, got {self.tasks}")
        few = self.fewshot.entries if self.fewshot is not None else ()
        for labels in ([e.label for e in self.entries], [e.label for e in few]):
            if len(set(labels)) < len(labels):
                raise ValueError(f"labels must differ, got {labels}")
        if len(self.tasks) == 1 and any(e.pretrained for e in few):
            raise ValueError(f"pre-training needs a task beside {self.tasks[0]!r}")

    def runs(self) -> list[Run]:
        """Every run, those that others start from first."""
        return [*self._references(), *self._comparison(), *self._fewshot()]

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
            quality=self.quality,
            data_episodes=self.data_episodes,
            fraction=1.0,
            updates=self.updates,
            evaluations=self.evaluations,
            eval_episodes=self.eval_episodes,
        )
        return replace(default, **values)

    def _references(self) -> list[Run]:
        return [
            self._run(
                stage="reference",
                experiment="reference",
                task=task,
                algorithm=name,
                label=name,
                updates=0,
                evaluations=1,
            )
            for task in self.tasks
            for name in usable_policies(task, make_params(task))
        ]

    def _comparison(self) -> list[Run]:
        return [
            self._run(
                task=task,
                algorithm=entry.algorithm,
                label=entry.label,
                config=entry.config,
                seed=seed,
                data_tasks=(task,),
            )
            for task in self.tasks
            for entry in self.entries
            for seed in range(self.seeds)
        ]

    def _fewshot(self) -> list[Run]:
        part = self.fewshot
        if part is None:
            return []
        first: dict[str, Run] = {}
        then = []
        for task in self.tasks:
            others = tuple(t for t in self.tasks if t != task)
            for entry in part.entries:
                for seed in range(part.seeds):
                    common: dict[str, Any] = {
                        "task": task,
                        "algorithm": entry.algorithm,
                        "label": entry.label,
                        "config": entry.config,
                        "seed": seed,
                    }
                    pretraining = ""
                    if entry.pretrained:
                        before = self._run(
                            **common,
                            stage="pretrain",
                            experiment="pretrain",
                            data_tasks=others,
                            updates=part.pretrain_updates,
                            evaluations=0,
                        )
                        pretraining = before.key
                        first[pretraining] = before
                    then += [
                        self._run(
                            **common,
                            experiment="fewshot",
                            data_tasks=(task,),
                            fraction=fraction,
                            updates=part.updates,
                            evaluations=1,
                            pretraining=pretraining,
                        )
                        for fraction in part.fractions
                    ]
        return [*first.values(), *then]


_ZOO = (
    Entry("networld"),
    Entry("bc"),
    Entry("ma-iql"),
    Entry("ma-cql", config={"batch_size": 4}),
    Entry(
        "ma-dt",
        config={
            "batch_size": 4, "sequences": 16, "context": 10, "kept": 5, "learning_rate": 1e-3,
        },
    ),
    Entry("ma-dd"),
)  # fmt: skip
"""Every algorithm: the slow ones on less an update than by default, MA-DT at a higher rate."""
_FEWSHOT_ENTRIES = (
    Entry("networld", "networld", pretrained=True),
    Entry("networld", "networld (from scratch)"),
    Entry("bc"),
)


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="smoke",
            tasks=("cbf", "rb", "ns"),
            entries=_ZOO,
            seeds=1,
            updates=20,
            data_episodes=4,
            evaluations=2,
            eval_episodes=2,
            fewshot=FewShot(
                entries=_FEWSHOT_ENTRIES,
                fractions=(0.25, 1.0),
                seeds=1,
                updates=10,
                pretrain_updates=10,
            ),
        ),
        Suite(
            name="demo",
            tasks=("cbf", "rb", "ns"),
            entries=_ZOO,
            seeds=2,
            updates=450,
            data_episodes=100,
            evaluations=3,
            eval_episodes=16,
            fewshot=FewShot(
                entries=_FEWSHOT_ENTRIES,
                fractions=(0.01, 0.1),
                seeds=1,
                updates=200,
                pretrain_updates=400,
            ),
        ),
    )
}


def get_suite(name: str) -> Suite:
    """A suite by name.

    Raises:
        ValueError: If there is none; lists the valid ones.
    """
    if name not in SUITES:
        raise ValueError(f"unknown suite {name!r}; valid suites: {', '.join(SUITES)}")
    return SUITES[name]
