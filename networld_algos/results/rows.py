"""Result rows: one flat JSON line per evaluation. Figures and tables are made only from rows.

A *run* trains one (experiment, task, dataset, label, seed, fraction) and writes a row at each
evaluation, or it scores another run's model at several levels of a factor. Rows are in
``results/<suite>/*.jsonl``, one file per run. A run that raised an exception leaves a ``Failure``
in ``*.failure.json`` instead, see `networld_algos.results.folder`. This module needs neither torch
nor an environment.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from networld_algos.files import DamagedFileError, reading, write_text

REMEDY = "delete this file and run its suite again to repeat that run"

KINDS = ("learned", "reference")

ROLES = ("random", "static", "heuristic", "expert", "genie")

EVAL_SEED_SETS = ("test", "validation")

SUPERSEDED = "superseded"
"""Folder of results from settings that a suite no longer has; reports skip it."""

QUALITIES = ("expert", "medium", "mixed", "random", "legacy")
"""Data qualities, in the order of figures and tables."""

STATION_MS = "decision_ms_one_agent"
"""Key of `Row.extra`: median milliseconds of one decision of one agent alone."""

BEST_UPDATES = "best_updates"
"""Key of `Row.extra` in a validated training: updates done when the error was smallest."""

EXPERIMENTS = (
    "reference",
    "comparison",
    "fewshot",
    "deployments",
    "ablation",
    "robustness",
    "cost",
)
"""Experiments of suites. Scripts may write rows of other experiments."""

FEW = ("fewshot", "deployments")
"""Experiments in which a method has a result for each share of the target's data."""

DEPLOYMENT = "deployment:"
"""Start of the factor of rows in another deployment; the name of its preset follows."""

DRIFT = "drift:"
"""Start of the factor of rows in which a parameter of the task has drifted; its name follows."""


OPTIONAL = frozenset(
    {"epochs", "machine", "device", "factor", "level", "data_hashes", "data_rounded", "extra"}
)
"""Keys that rows of earlier versions lack."""

SCRATCH = " (from scratch)"
"""Suffix of the label of a method that starts from no trained model, where its twin does."""

_TEXT = ("suite", "experiment", "task", "algorithm", "kind", "label", "eval_seed_set", "version")

_TEXT_OR_NONE = ("dataset", "role", "config_hash", "git_commit", "machine", "device", "factor")

_INT_OR_NONE = ("episodes", "updates")

_FLOAT_OR_NONE = (
    "fraction",
    "score",
    "latency_p50_ms",
    "latency_p99_ms",
    "bytes_per_step",
    "train_seconds",
    "epochs",
    "level",
)

_NOT_NEGATIVE = (
    "episodes",
    "updates",
    "latency_p50_ms",
    "latency_p99_ms",
    "bytes_per_step",
    "train_seconds",
    "epochs",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One evaluation of one policy. ``None`` means "does not apply".

    Attributes:
        suite: Name of the suite, e.g. ``"cpu"``.
        experiment: One of `EXPERIMENTS`, or the name of another experiment.
        task: Name of the task, e.g. ``"cbf"``.
        dataset: Training data; None for a reference policy.
        algorithm: Key in ``ALGORITHMS``, or name of the reference policy.
        kind: ``"learned"`` or ``"reference"``.
        role: Role of a reference: ``"random"``, ``"static"``, ``"heuristic"``, ``"expert"`` or
            ``"genie"``; None for a learned policy.
        label: Name in figures, e.g. ``"networld (from scratch)"``. Within one experiment, two
            configurations must not share a label.
        config_hash: Hash of the algorithm's configuration.
        seed: Training seed; -1 for a reference.
        fraction: Share of the target task's data, in (0, 1].
        episodes: Training episodes of the target task.
        updates: Gradient steps taken before this evaluation.
        is_last: True for the evaluation of the final parameters (and for every reference).
        eval_seed_set: ``"test"`` or ``"validation"``.
        episode_returns: ``(episodes,)``, average reward per agent and step of each episode.
        score: Normalised score: 0 and 100 are the average rewards of random and expert on the same
            networks, see `networld_algos.results.stats.normalised_score`. None for a task without
            these two policies.
        latency_p50_ms: Median time of one decision of the whole batch.
        latency_p99_ms: 99th percentile of the same.
        bytes_per_step: Bytes sent per agent and step.
        train_seconds: Training time up to this evaluation: processor time on one core, wall-clock
            time elsewhere, see `networld_algos.training.cpu.training_clock`.
        version: Package version.
        git_commit: Commit of the working tree, None outside a checkout.
        epochs: Transitions that the training has seen, over the transitions in its data; None for
            a reference, and where it was not recorded. See `networld_algos.training.epochs`.
        machine: Machine it ran on, see `networld_algos.training.cpu.machine`; None if it was not
            recorded.
        device: Device of the model, see `networld_algos.training.device.device_name`; None for a
            reference, and where it was not recorded, which means a CPU.
        factor: What the experiment varies besides the method, e.g. ``"agents"`` or
            ``"message_loss"``; None if it varies nothing else.
        level: Value of the factor; None exactly when ``factor`` is.
        data_hashes: Dataset id -> content hash, of all data that the model was trained on; empty
            for a reference, and where it was not recorded.
        data_rounded: Dataset id -> the catalogue's content hash, of those data that were built
            where numbers round differently and that equal the catalogue's up to rounding.
        extra: Further numbers such as health diagnostics. A value that is not finite is stored
            as null and read back as NaN.
    """

    suite: str
    experiment: str
    task: str
    dataset: str | None
    algorithm: str
    kind: str
    role: str | None
    label: str
    config_hash: str | None
    seed: int
    fraction: float | None
    episodes: int | None
    updates: int | None
    is_last: bool
    eval_seed_set: str
    episode_returns: tuple[float, ...]
    score: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    bytes_per_step: float | None
    train_seconds: float | None
    version: str
    git_commit: str | None
    epochs: float | None = None
    machine: str | None = None
    device: str | None = None
    factor: str | None = None
    level: float | None = None
    data_hashes: dict[str, str] = field(default_factory=dict)
    data_rounded: dict[str, str] = field(default_factory=dict)
    extra: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _TEXT:
            _check(isinstance(getattr(self, name), str) and getattr(self, name), name, self)
        for name in _TEXT_OR_NONE:
            value = getattr(self, name)
            _check(value is None or (isinstance(value, str) and value), name, self)
        self._put("seed", _integer(self.seed, "seed"))
        for name in _INT_OR_NONE:
            value = getattr(self, name)
            self._put(name, None if value is None else _integer(value, name))
        for name in _FLOAT_OR_NONE:
            value = getattr(self, name)
            self._put(name, None if value is None else _finite(value, name))
        _check(isinstance(self.is_last, bool), "is_last", self)
        returns = _listed(self.episode_returns, "episode_returns")
        self._put("episode_returns", tuple(_finite(x, "episode_returns") for x in returns))
        for name in ("data_hashes", "data_rounded"):
            hashes = getattr(self, name)
            _check(isinstance(hashes, dict), name, self)
            both = [*hashes, *hashes.values()]
            _check(all(isinstance(text, str) and text for text in both), name, self)
        _check(isinstance(self.extra, dict), "extra", self)
        self._put("extra", {str(k): _number(v, f"extra[{k!r}]") for k, v in self.extra.items()})
        self._check_values()

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_values(self) -> None:
        for name, allowed in (("kind", KINDS), ("eval_seed_set", EVAL_SEED_SETS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        roles = ROLES if self.kind == "reference" else (None,)
        if self.role not in roles:
            raise ValueError(f"role of a {self.kind} row must be in {roles}, got {self.role!r}")
        if self.kind == "reference" and self.seed != -1:
            raise ValueError(f"seed of a reference row must be -1, got {self.seed}")
        if self.fraction is not None and not 0.0 < self.fraction <= 1.0:
            raise ValueError(f"fraction must be in (0, 1], got {self.fraction}")
        if (self.factor is None) != (self.level is None):
            raise ValueError(
                f"factor and level go together, got factor={self.factor!r}, level={self.level!r}"
            )
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        if not self.episode_returns:
            raise ValueError("episode_returns must hold at least one episode")

    @property
    def run(self) -> tuple[str | int | float | None, ...]:
        """Values that identify the run this row belongs to."""
        return (
            self.suite,
            self.experiment,
            self.task,
            self.dataset,
            self.label,
            self.seed,
            self.fraction,
            self.factor,
            self.level,
        )

    @property
    def is_final(self) -> bool:
        """Whether it is the result of a run: its last model, on the test networks."""
        return self.is_last and self.eval_seed_set == "test"

    @property
    def device_kind(self) -> str:
        """``"cpu"`` or ``"cuda"``; rows without a device are from a CPU."""
        return (self.device or "cpu").split(",")[0]

    @property
    def mean_return(self) -> float:
        """Average reward per agent and step, mean over episodes."""
        return math.fsum(self.episode_returns) / len(self.episode_returns)

    def to_json(self) -> str:
        """One line of JSON, keys in the order of the attributes."""
        values = asdict(self)
        values["extra"] = {k: v if math.isfinite(v) else None for k, v in self.extra.items()}
        return json.dumps(values, allow_nan=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Row:
        """Inverse of `to_json` after parsing.

        Raises:
            ValueError: If a key is unknown or missing, or a value has the wrong type or range.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown keys {unknown}; a row has {sorted(known)}")
        if missing := sorted(known - OPTIONAL - set(values)):
            raise ValueError(f"missing keys {missing}")
        extra = values.get("extra", {})
        if isinstance(extra, dict):
            extra = {k: math.nan if v is None else v for k, v in extra.items()}
        return cls(**{**values, "extra": extra})


def write_rows(path: str | os.PathLike[str], rows: Iterable[Row]) -> Path:
    """Write ``rows`` as JSON lines. The file appears complete or not at all."""
    return write_text(path, "".join(row.to_json() + "\n" for row in rows))


def files_below(folder: Path, suffix: str) -> list[Path]:
    """Files below a folder with this suffix, sorted, without those that are `SUPERSEDED`."""
    found = folder.rglob(f"*{suffix}")
    return sorted(f for f in found if SUPERSEDED not in f.relative_to(folder).parts)


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Read a ``.jsonl`` file, or all those below a folder, sorted, that are not `SUPERSEDED`.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        networld_algos.files.DamagedFileError: If a line is not a row, or a file has no rows; names
            the file, the line and the fault, and says what to do.
    """
    path = Path(path)
    if path.is_dir():
        return [row for file in files_below(path, ".jsonl") for row in read_rows(file)]
    if not path.exists():
        raise FileNotFoundError(f"no result rows at {path}: run a suite first")
    rows: list[Row] = []
    with reading(path, REMEDY):
        lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            with reading(f"{path}, line {number},", REMEDY):
                rows.append(_read_row(line))
    if not rows:
        raise DamagedFileError(f"{path} is damaged (it has no rows); {REMEDY}")
    return rows


def _read_row(line: str) -> Row:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError(f"a row is a JSON object, got {type(values).__name__}")
    try:
        return Row.from_dict(values)
    except TypeError as error:
        raise ValueError(str(error)) from error


def has_rows(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file of rows, and every line of it is one."""
    try:
        return bool(read_rows(path))
    except (FileNotFoundError, DamagedFileError):
        return False


def _check(valid: object, name: str, row: Row) -> None:
    if not valid:
        value = getattr(row, name)
        raise TypeError(f"{name} has the wrong type: {value!r} ({type(value).__name__})")


def _listed(value: object, name: str) -> Sequence[Any]:
    if isinstance(value, str | bytes | dict) or not hasattr(value, "__len__"):
        raise TypeError(f"{name} must be a sequence of numbers, got {value!r}")
    return value  # pyright: ignore[reportReturnType]


def _integer(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} ({type(value).__name__})")
    return int(value)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__})")
    return float(value)


def _finite(value: object, name: str) -> float:
    number = _number(value, name)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    return number
