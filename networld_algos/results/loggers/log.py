"""All loggers of one training."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from networld_algos.results import text
from networld_algos.results.loggers.interface import Logger, Values
from networld_algos.results.rows import Row
from networld_envs.files import run_file

LOGGERS: dict[str, str] = {
    "csv": "networld_algos.results.loggers.csv_file:CsvLogger",
    "tensorboard": "networld_algos.results.loggers.tensorboard:TensorBoardLogger",
    "wandb": "networld_algos.results.loggers.wandb_run:WandbLogger",
}
"""Where the loggers are; they are imported when they are asked for."""

EVERY = 20  # updates between two points of a loss
EVALUATION = "eval"
"""Start of the names of what an evaluation found."""


def logger_kind(name: str) -> type[Logger]:
    """The class of a logger.

    Args:
        name: Key in `LOGGERS`, or ``path/to/file.py:ClassName``. The file is executed.

    Raises:
        ValueError: If there is no such logger; lists the known ones.
    """
    source, _, kind = LOGGERS.get(name, name).rpartition(":")
    if name in LOGGERS:
        return getattr(import_module(source), kind)
    if not source.endswith(".py"):
        raise ValueError(
            f"unknown logger {name!r}{text.suggestion(name, LOGGERS)}\n"
            f"loggers: {', '.join(LOGGERS)}, or your own: path/to/file.py:ClassName"
        )
    if not Path(source).is_file():
        raise ValueError(f"there is no file {source} (from the logger {name!r})")
    found = getattr(run_file(Path(source)), kind, None)
    lacking = [word for word in ("start", "log", "close") if not callable(getattr(found, word, 0))]
    if not isinstance(found, type) or lacking:
        raise ValueError(
            f"{source} has no class {kind!r} with the methods start, log and close, see "
            "networld_algos.results.loggers.Logger"
        )
    return found


def absolute(name: str) -> str:
    """The name of a logger that also holds in another working directory."""
    source, _, kind = name.rpartition(":")
    return name if name in LOGGERS or not source else f"{Path(source).absolute()}:{kind}"


class Log:
    """Passes the metrics of one training to loggers; a context manager.

    Args:
        names: Loggers, see `logger_kind`; a repeated name counts once.
        folder: Folder for their files.

    Raises:
        ValueError: If there is no such logger.
        ImportError: If its library is missing.
    """

    def __init__(self, names: Sequence[str], folder: str | os.PathLike[str]) -> None:
        folder = Path(folder)
        self.loggers = [logger_kind(name)(folder) for name in dict.fromkeys(names)]
        self.started: list[Logger] = []
        self._close = ExitStack()
        self.updates = 0

    def start(self, done: int, updates: int, about: Mapping[str, Any]) -> None:
        """Begin or go on.

        Args:
            done: Updates after which the training goes on.
            updates: Updates that it will have done at its end.
            about: See `Logger.start`.
        """
        self.updates = updates
        about = json.loads(json.dumps(dict(about), default=str))
        for logger in self.loggers:
            logger.start(done, about)
            self._close.callback(logger.close)
            self.started.append(logger)

    def losses(self, update: int, values: Values) -> None:
        """Log the metrics of an update, at every `EVERY`-th and at the last."""
        if self.started and (update % EVERY == 0 or update == self.updates):
            self.log(update, {f"loss/{name}": value for name, value in values.items()})

    def scores(self, rows: Sequence[Row]) -> None:
        """Log rewards, scores and diagnostics of an evaluation, each name once.

        Names are the same for every method, so that curves of several trainings share a chart.
        Only a further way to decide of the same model has its label in them.
        """
        first = rows[0].label if rows else ""
        found: dict[int, dict[str, float]] = {}
        for row in rows:
            if row.updates is None:  # a reference policy, which is not trained
                continue
            group = EVALUATION if row.label == first else _group(row.label)
            which = "validation_" if row.eval_seed_set == "validation" else ""
            values = {f"{which}reward": row.mean_return, f"{which}score": row.score, **row.extra}
            found.setdefault(row.updates, {}).update(
                (f"{group}/{name}", value)
                for name, value in values.items()
                if isinstance(value, int | float)
            )
        for updates, numbers in found.items():
            self.log(updates, numbers)

    def log(self, update: int, values: Values) -> None:
        """Log numbers after ``update`` updates; those that are not finite are left out."""
        finite = {name: float(v) for name, v in values.items() if math.isfinite(v)}
        for logger in self.started:
            logger.log(update, finite)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()  # all of them, whatever one of them raises


def _group(label: str) -> str:
    """A label as one level of a name: a slash would start another group of curves."""
    name = text.name(label).replace("/", "\N{DIVISION SLASH}")
    return f"{name}_" if name == EVALUATION else name
