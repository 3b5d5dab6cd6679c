"""Metrics for TensorBoard; needs the extra ``[tensorboard]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from networld_algos.results.loggers.interface import Values


class TensorBoardLogger:
    """Writes event files into the subfolder ``tensorboard``."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "--log tensorboard needs the package tensorboard: "
                "pip install 'networld[tensorboard]'"
            ) from error
        self.folder = folder / "tensorboard"
        self.kind = SummaryWriter
        self.writer: SummaryWriter | None = None

    def start(self, done: int, about: Mapping[str, Any]) -> None:
        """Hide what an interrupted process wrote beyond update ``done``."""
        del about
        self.writer = self.kind(str(self.folder), purge_step=done + 1)

    def log(self, updates: int, values: Values) -> None:
        """Add a point to each curve."""
        assert self.writer is not None
        for name, value in values.items():
            self.writer.add_scalar(name, value, updates)

    def close(self) -> None:
        """Write what is left."""
        if self.writer is not None:
            self.writer.close()
