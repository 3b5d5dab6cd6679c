"""Losses and scores of a run for TensorBoard; needs the extra ``[tensorboard]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from networld_algos.results import text
from networld_algos.results.rows import Row

EVERY = 20  # updates between two points of a loss curve


class Events:
    """Writes one run's curves; a context manager.

    Args:
        folder: Folder for TensorBoard's files of the run.

    Raises:
        ImportError: If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kind = load_writer()
        self.writer: Any = None

    def start(self, updates: int) -> None:
        """Start after ``updates`` updates; hide what an interrupted process wrote beyond them."""
        self.writer = self.kind(str(self.folder), purge_step=updates + 1)

    def losses(self, update: int, values: dict[str, float]) -> None:
        """Record the metrics of one update, at every `EVERY`-th update."""
        if update % EVERY == 0:
            for name, value in values.items():
                self.writer.add_scalar(f"loss/{name}", value, update)

    def scores(self, rows: Sequence[Row]) -> None:
        """Record rewards, scores and diagnostics of one evaluation."""
        for row in rows:
            values = {"reward": row.mean_return, "score": row.score, **row.extra}
            for name, value in values.items():
                if value is not None:
                    self.writer.add_scalar(f"{_group(row.label)}/{name}", value, row.updates)

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()


def _group(label: str) -> str:
    """A label as one level of a tag: a slash would start another group of curves."""
    return text.name(label).replace("/", "\N{DIVISION SLASH}")


def load_writer() -> type[Any]:
    """Import TensorBoard's writer class.

    Raises:
        ImportError: If TensorBoard is not installed; the message says how to install it.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "--tensorboard needs the package tensorboard: pip install 'networld[tensorboard]'"
        ) from error
    return SummaryWriter
