"""Trained models for deployment: read a checkpoint once, and make policies and stations of it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networld_algos.base import Algorithm
from networld_algos.deploy.engine import TorchEngine, interface_of
from networld_algos.deploy.fallback import heuristic
from networld_algos.deploy.interface import Interface, stream_seed
from networld_algos.deploy.station import Station
from networld_algos.training import checkpoint
from networld_algos.training.hub import fetch
from networld_algos.training.origin import network_for
from networld_envs.simulator import TASKS


@dataclass(frozen=True)
class Loaded:
    """A trained model and what its checkpoint says.

    Attributes:
        algorithm: The model, in evaluation mode.
        interface: What a station has to know about it.
        extra: The ``extra`` of the checkpoint.
    """

    algorithm: Algorithm
    interface: Interface
    extra: dict[str, Any]


def read(source: str | Path, task: str | None = None, device: str = "cpu") -> Loaded:
    """Read a model.

    Args:
        source: Folder of a checkpoint, ``pretrained:NAME`` or ``hf://owner/name``.
        task: The task, if the model has several.
        device: Where to put the model.

    Raises:
        ValueError: If there is no usable checkpoint, or the task is not known.
        OSError: If the Hub cannot be reached.
    """
    folder = fetch(source)
    algorithm, extra, weights = checkpoint.load_named(folder, task, device)
    if task is None:
        if len(algorithm.specs) != 1:
            raise ValueError(
                f"{source} is a model of several tasks; give one of {sorted(algorithm.specs)}"
            )
        task = next(iter(algorithm.specs))
    algorithm.eval()
    model = zlib.crc32(f"{weights} {task}".encode())
    return Loaded(algorithm, interface_of(algorithm, task, model), extra)


def load_station(
    source: str | Path,
    number: int,
    neighbours: Sequence[int],
    *,
    message_delay: int,
    deadline_ms: float | None = None,
    task: str | None = None,
    preset: str | None = None,
    seed: int = 0,
    batch_rows: int | None = None,
) -> Station:
    """See `networld_algos.deploy.station.Station.load`."""
    loaded = read(source, task)
    about = loaded.interface
    if batch_rows is None:
        engine = TorchEngine(loaded.algorithm, about, stream_seed(seed, number) >> 1)
    else:
        engine = TorchEngine(loaded.algorithm, about, seed, number, batch_rows)
    return Station(
        engine,
        number,
        neighbours,
        message_delay=message_delay,
        deadline_ms=deadline_ms,
        fallback=heuristic(about.task, len(neighbours), **network_of(loaded, preset)),
    )


def network_of(loaded: Loaded, preset: str | None = None) -> dict[str, Any]:
    """``preset`` and ``params`` of the network that a model is deployed in.

    Args:
        loaded: The model.
        preset: Preset of the task's parameters; by default, those of the training data.
    """
    if loaded.interface.task not in TASKS:
        return {}
    network = network_for(loaded.interface.task, loaded.extra, preset)
    return {"preset": network.preset, "params": dict(network.params)}
