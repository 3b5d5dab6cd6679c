"""What is searched: an algorithm on data, its ranges, and the options that all searches share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from networld_algos.base import Range
from networld_algos.registry import ALGORITHMS, make_config
from networld_algos.results.text import digest, file_stem
from networld_algos.training.tuning.choices import data_key
from networld_envs import validate
from networld_envs.policies.references import VALIDATION_SEED

Pruner = Literal["median", "halving", "none"]
MOST_NETWORKS = 50_000
"""Validation networks at most, of trials and of finals, so that no dataset has their seeds."""
SEED = 1_000_000
"""Training seeds of trials begin here, so that no suite trains the model that was chosen."""
Space = dict[str, Range | tuple[Any, ...]]
"""Field of a config -> what is tried for it."""


@dataclass(frozen=True)
class Options:
    """Options of a search, the same for every algorithm.

    Attributes:
        trials: Trainings of each algorithm on each data; the first has the settings as they are.
        minutes: Time of a training, on a CPU its processor time. The number of updates follows
            from the first ones.
        updates: Number of updates of a training in place of a time.
        networks: Validation networks that a model is scored on.
        seed: Seed of trainings and of the choice of settings.
        pruner: Ends trials early that are ``"median"``: below the median of the others so far;
            ``"halving"``: in the lower half of those that came as far; or ``"none"``.
        evaluations: Evaluations during a training, after which it may end early.
        margin: Points of score by which other settings have to be better than those as they are, so
            that luck alone does not change them. It counts where random and expert give a scale.
        finalists: The best trials that are trained once more, from another seed, and scored on
            other networks. The choice is among them and the settings as they are. With 0, it is
            the best trial.
        final_networks: Validation networks that finalists are scored on.
        device: cpu, or cuda.
    """

    trials: int = 12
    minutes: float = 5.0
    updates: int | None = None
    networks: int = 32
    seed: int = 0
    pruner: Pruner = "median"
    evaluations: int = 4
    margin: float = 1.0
    finalists: int = 3
    final_networks: int = 256
    device: str = "cpu"

    def __post_init__(self) -> None:
        validate.integer(self, "trials", "evaluations", low=1)
        validate.integer(self, "networks", "final_networks", low=2, high=MOST_NETWORKS)
        validate.integer(self, "finalists", low=0)
        validate.integer(self, "seed", low=0, high=10**9)
        validate.real(self, "minutes", above=0.0, high=1e5)
        validate.real(self, "margin", low=0.0, high=1e3)
        if self.updates is not None:
            validate.integer(self, "updates", low=self.evaluations)
        validate.one_of(self, "pruner", get_args(Pruner))

    @property
    def validation_seeds(self) -> range:
        """Seeds of the validation networks, which no suite tests on and no dataset has."""
        return range(VALIDATION_SEED, VALIDATION_SEED + self.networks)

    @property
    def final_seeds(self) -> range:
        """Seeds of the networks of finals, none of which a trial was scored on."""
        first = VALIDATION_SEED + MOST_NETWORKS
        return range(first, first + self.final_networks)

    @property
    def training_seed(self) -> int:
        """Seed of every training, so that settings are compared on equal batches."""
        return SEED + self.seed

    def record(self) -> dict[str, Any]:
        """What has to be the same when a search goes on; JSON types."""
        free = ("trials", "margin", "finalists", "final_networks", "device")
        values = {k: v for k, v in asdict(self).items() if k not in free}
        del values["minutes" if self.updates is not None else "updates"]
        return values


@dataclass(frozen=True)
class Subject:
    """An algorithm on data.

    Attributes:
        algorithm: Key in `networld_algos.ALGORITHMS`.
        task: Name of the task.
        dataset: Id of the dataset to train on.
        base: Fields of the config that differ from the default in every trial.
        fixed: Fields that are not searched although the algorithm has ranges for them.
    """

    algorithm: str
    task: str
    dataset: str
    base: dict[str, Any] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()

    @property
    def data(self) -> str:
        """Key of the choice: ``"task/quality"`` for data of the catalogue, otherwise the id."""
        return data_key(self.task, self.dataset)

    @property
    def name(self) -> str:
        """The subject in words, unique in a search."""
        return f"{self.algorithm} on {self.data}"

    @property
    def stem(self) -> str:
        """Start of the names of its files, unique in a search.

        Names of algorithms and of the catalogue's data differ without the characters that a file
        name lacks. Other names may not, so they are followed by a part of their hash.
        """
        stem = file_stem(f"{self.algorithm} {self.data}")
        if self.data != self.dataset and file_stem(self.algorithm) == self.algorithm:
            return stem
        return f"{stem}-{digest(self.name)}"

    @property
    def space(self) -> Space:
        """What is tried."""
        space = search_space(self.algorithm)
        return {name: values for name, values in space.items() if name not in self.fixed}

    @property
    def first(self) -> dict[str, Any]:
        """Settings of the first trial: `base` and the defaults, where they are in range."""
        config = make_config(self.algorithm, self.base)
        values = {name: getattr(config, name) for name in self.space}
        return {n: v for n, v in values.items() if inside(v, self.space[n])}

    def record(self) -> dict[str, Any]:
        """What has to be the same when a search goes on; JSON types."""
        return {
            "algorithm": self.algorithm,
            "task": self.task,
            "dataset": self.dataset,
            "base": self.base,
            "search": {name: described(values) for name, values in self.space.items()},
        }


def search_space(algorithm: str) -> Space:
    """The ranges that an algorithm declares.

    Raises:
        ValueError: If it has none, a name is no field of its config, or a range is neither a
            `Range` nor a tuple of simple values.
    """
    config_type, kind = ALGORITHMS[algorithm]
    owner, known = kind.__name__, [f.name for f in fields(config_type)]
    if not kind.search:
        raise ValueError(
            f"{algorithm} has nothing to search: give {owner} an attribute such as "
            'search = {"learning_rate": Range(1e-4, 1e-2, log=True), "layers": (2, 3)}'
        )
    if unknown := sorted(set(kind.search) - set(known)):
        raise ValueError(
            f"{owner}.search names {unknown}, which {config_type.__name__} has no fields for; "
            f"it has {known}"
        )
    defaults = make_config(algorithm)
    for name, values in kind.search.items():
        if isinstance(values, tuple) and None in values and getattr(defaults, name) is not None:
            raise ValueError(
                f"{owner}.search[{name!r}] has None, which is not the default, so a file of "
                "settings cannot hold it"
            )
        simple = isinstance(values, tuple) and all(
            v is None or isinstance(v, bool | int | float | str) for v in values
        )
        if not isinstance(values, Range) and not (simple and len(set(values)) == len(values) > 1):
            raise ValueError(
                f"{owner}.search[{name!r}] must be a Range, or a tuple of at least two different "
                f"numbers, texts, truth values or None; got {values!r}"
            )
    return dict(kind.search)


def described(values: Range | tuple[Any, ...]) -> Mapping[str, Any] | list[Any]:
    """A range as JSON types."""
    return asdict(values) if isinstance(values, Range) else list(values)


def extends(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether described ranges hold all that the old ones hold, so that a search can go on."""
    for name, values in old.items():
        now = new.get(name)
        if isinstance(values, list) or not isinstance(now, Mapping):
            if now != values:
                return False
        elif {**values, "low": 0, "high": 0} != {**now, "low": 0, "high": 0} or not (
            now["low"] <= values["low"] <= values["high"] <= now["high"]
        ):
            return False
    return True


def inside(value: Any, values: Range | tuple[Any, ...]) -> bool:
    """Whether a value is in a range."""
    if isinstance(values, tuple):
        return value in values
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and values.low <= value <= values.high
