"""Metrics for Weights & Biases; needs the extra ``[wandb]``."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networld_algos.results.loggers.interface import Values

STATE = "run.json"
PROJECT = "networld"


@dataclass(frozen=True)
class Seen:
    """What a run has: everything before an update, and some names at it."""

    updates: int = -1
    names: frozenset[str] = frozenset()

    def has(self, updates: int, name: str) -> bool:
        """Whether the run has this name at this update."""
        return updates < self.updates or (updates == self.updates and name in self.names)


class WandbLogger:
    """Writes a run of Weights & Biases into the subfolder ``wandb``.

    Nothing is sent unless the environment variable ``WANDB_MODE`` is ``online``: by default the run
    is offline, and ``wandb sync FOLDER/wandb/offline-run-*`` sends it later. Other variables of
    Weights & Biases apply as usual, such as ``WANDB_PROJECT``; without it, the project is
    ``networld``.

    An interrupted training goes on as the same run. Weights & Biases cannot take back what it has,
    so updates that come again are left out; they have the same results.
    """

    def __init__(self, folder: Path) -> None:
        self.mode = os.environ.get("WANDB_MODE", "offline")
        if self.mode == "offline":  # not even a report of a crash is sent
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(
                "--log wandb needs the package wandb: pip install 'networld[wandb]'"
            ) from error
        self.library = wandb
        self.folder = folder / "wandb"
        self.run: Any = None
        self.id = ""
        self.before = Seen()
        self.seen = Seen()

    def start(self, done: int, about: Mapping[str, Any]) -> None:
        """Begin a run, or go on with that of an interrupted training."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.id, self.before = (uuid.uuid4().hex, Seen()) if done == 0 else self._read()
        self.seen = self.before
        self._write()
        self.run = self.library.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=str(about.get("name", self.folder.parent.name)),
            id=self.id,
            resume="allow",
            mode=self.mode,  # type: ignore[arg-type]
            dir=str(self.folder.parent),
            config=dict(about),
            settings=self.library.Settings(console="off", silent=True, x_disable_stats=True),
        )

    def log(self, updates: int, values: Values) -> None:
        """Add the numbers at this step."""
        new = {name: value for name, value in values.items() if not self.before.has(updates, name)}
        if not new:
            return
        self.run.log(new, step=updates)
        names = self.seen.names if updates == self.seen.updates else frozenset()
        self.seen = Seen(updates, names | frozenset(new))
        self._write()

    def close(self) -> None:
        """Finish the run."""
        if self.run is not None:
            self.run.finish()

    def _read(self) -> tuple[str, Seen]:
        """The run of an interrupted training, and what it has; a new one if unreadable."""
        try:
            found = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            return str(found["id"]), Seen(int(found["updates"]), frozenset(found["names"]))
        except (OSError, ValueError, TypeError, KeyError):
            return uuid.uuid4().hex, Seen()

    def _write(self) -> None:
        # Not synced to disk: it is written often, and a lost one costs only repeated points.
        found = {"id": self.id, "updates": self.seen.updates, "names": sorted(self.seen.names)}
        new = self.folder / f".{STATE}"
        new.write_text(json.dumps(found) + "\n", encoding="utf-8")
        new.replace(self.folder / STATE)
