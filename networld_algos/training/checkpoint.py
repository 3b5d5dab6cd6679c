"""Save and load an algorithm: a folder of safetensors and one JSON file, never pickle.

::

    checkpoint.json                   format, algorithm, config, specs, counters, extra, file names
    model-<hash>.safetensors          weights, statistics, averaged weights
    optimizers-<hash>.safetensors     moments of every optimiser

Tensor files are named by their content and written first. `checkpoint.json` is replaced last, in
one step. An interrupted save leaves the previous checkpoint intact.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from networld_algos.base import Algorithm
from networld_algos.files import write_bytes
from networld_algos.registry import config_dict, make, make_config
from networld_envs.spec import TaskSpec
from networld_envs.version import __version__

FORMAT = 1
INDEX = "checkpoint.json"
TENSOR_FILES = tuple(f"{part}-{'[0-9a-f]' * 16}.safetensors" for part in ("model", "optimizers"))
"""Patterns of the tensor files that `save` writes; it leaves other files in the folder alone."""
REQUIRED = ("format", "algorithm", "config", "seed", "specs", "files", "optimizers", "extra")


def save(algorithm: Algorithm, path: str | Path, extra: dict[str, Any] | None = None) -> None:
    """Write everything needed to act, and to resume training exactly.

    Args:
        algorithm: What to save.
        path: Folder. It is created if missing; a checkpoint in it is replaced.
        extra: Further values, which `load` returns; JSON types only.

    Raises:
        ValueError: If ``extra`` cannot be written as JSON.
    """
    folder = Path(path)
    groups, moments = _optimizer_state(algorithm)
    index: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "algorithm": algorithm.name,
        "config": config_dict(algorithm),
        "seed": algorithm.seed,
        "specs": [spec.to_dict() for spec in algorithm.specs.values()],
        "optimizers": groups,
        "extra": extra or {},
    }
    try:
        json.dumps(index)
    except (TypeError, ValueError) as error:
        raise ValueError(f"extra must hold JSON types only: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"model": dict(algorithm.state_dict()), "optimizers": moments}
    index["files"] = {name: _write_tensors(folder, name, part) for name, part in tensors.items()}
    write_bytes(folder / INDEX, json.dumps(index, indent=1).encode())
    kept = set(index["files"].values())
    for pattern in TENSOR_FILES:
        for stale in folder.glob(pattern):
            if stale.name not in kept:
                stale.unlink(missing_ok=True)


def exists(path: str | Path) -> bool:
    """Whether there is a checkpoint to `load`; an interrupted first save leaves none."""
    return (Path(path) / INDEX).is_file()


def weights_file(path: str | Path) -> str:
    """Name of the file of the weights; equal names mean equal weights.

    Raises:
        ValueError: If there is no checkpoint.
    """
    return _read_index(Path(path))["files"]["model"]


def read_extra(path: str | Path) -> dict[str, Any]:
    """The ``extra`` of a checkpoint, without reading the weights.

    Raises:
        ValueError: If there is no checkpoint.
    """
    return _read_index(Path(path))["extra"]


def load(
    path: str | Path,
    expect_task: str | TaskSpec | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Algorithm, dict[str, Any]]:
    """Read what `save` wrote.

    Args:
        path: The folder.
        expect_task: Task the model must know; with a `TaskSpec`, sizes and bounds must agree too.
        device: Where to put the model.

    Returns:
        The algorithm, ready to act or to resume training, and ``extra``.

    Raises:
        ValueError: If a file is missing or damaged, the format or the algorithm is unknown, or
            the model is for another task.
    """
    folder = Path(path)
    index = _read_index(folder)
    try:
        specs = [TaskSpec.from_dict(spec) for spec in index["specs"]]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder / INDEX} has a damaged task spec: {error}") from error
    try:
        config = make_config(index["algorithm"], index["config"])
        algorithm = make(index["algorithm"], specs, config, index["seed"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / INDEX} does not match this version: {error}") from error
    _check_task(folder, algorithm, expect_task)
    model = _read_tensors(folder, index["files"], "model")
    try:
        algorithm.load_state_dict(model)
    except RuntimeError as error:
        raise ValueError(f"weights in {folder} do not match {algorithm.name}: {error}") from error
    algorithm.to(device)
    _restore_optimizers(folder, algorithm, index)
    return algorithm, index["extra"]


def _optimizer_state(algorithm: Algorithm) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Parameter groups as JSON types, and moments keyed ``name/parameter/moment``."""
    groups: dict[str, Any] = {}
    moments: dict[str, Tensor] = {}
    for name, optimizer in algorithm.optimizers().items():
        state = optimizer.state_dict()
        groups[name] = state["param_groups"]
        for parameter, values in state["state"].items():
            for key, value in values.items():
                moments[f"{name}/{parameter}/{key}"] = torch.as_tensor(value)
    return groups, moments


def _restore_optimizers(folder: Path, algorithm: Algorithm, index: dict[str, Any]) -> None:
    optimizers = algorithm.optimizers()
    if set(optimizers) != set(index["optimizers"]):
        raise ValueError(
            f"{folder} holds optimisers {sorted(index['optimizers'])}, but "
            f"{algorithm.name} has {sorted(optimizers)}"
        )
    states: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in optimizers}
    for key, value in _read_tensors(folder, index["files"], "optimizers").items():
        name, parameter, moment = key.rsplit("/", 2)
        states[name].setdefault(int(parameter), {})[moment] = value
    for name, optimizer in optimizers.items():
        groups = [
            {k: tuple(v) if k == "betas" else v for k, v in group.items()}
            for group in index["optimizers"][name]
        ]
        try:
            optimizer.load_state_dict({"state": states[name], "param_groups": groups})
        except (ValueError, KeyError, RuntimeError) as error:
            raise ValueError(f"optimiser {name!r} in {folder} does not match: {error}") from error


def _check_task(folder: Path, algorithm: Algorithm, expect: str | TaskSpec | None) -> None:
    if expect is None:
        return
    task = expect if isinstance(expect, str) else expect.task
    if task not in algorithm.specs:
        raise ValueError(
            f"{folder} holds a {algorithm.name} model for {sorted(algorithm.specs)}, "
            f"not for task {task!r}; load another checkpoint or train one"
        )
    if isinstance(expect, TaskSpec):
        stored = algorithm.specs[task]
        if field := stored.mismatch(expect):
            raise ValueError(
                f"{folder} was trained for task {task!r} with {field}="
                f"{getattr(stored, field)!r}, but now it is {getattr(expect, field)!r}; use the "
                "same preset"
            )


def _read_index(folder: Path) -> dict[str, Any]:
    file = folder / INDEX
    if not file.is_file():
        raise ValueError(
            f"no checkpoint in {folder}: {INDEX} is missing; give a folder that `networld train` "
            "or `save` wrote. Only `networld evaluate`, `networld health` and "
            "networld_algos.training.hub.from_pretrained take hf://owner/name"
        )
    try:
        index = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); restore it or train again") from error
    version = index.get("format") if isinstance(index, dict) else None
    if version != FORMAT:
        raise ValueError(
            f"{file} has format {version!r}, but this version reads {FORMAT}; "
            "use the version of networld that wrote it"
        )
    missing = [key for key in REQUIRED if key not in index]
    if missing:
        raise ValueError(f"{file} lacks {missing}; restore it or train again")
    return index


def _read_tensors(folder: Path, files: dict[str, str], part: str) -> dict[str, Tensor]:
    name = files.get(part)
    file = folder / str(name)
    if name is None or not file.is_file():
        raise ValueError(f"{folder} lacks its {part} file {name!r}; restore it or train again")
    data = file.read_bytes()
    if _file_name(part, data) != name:
        raise ValueError(f"{file} is damaged: its content does not match its hash; train again")
    return load_tensors(data)


def _file_name(part: str, data: bytes) -> str:
    return f"{part}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"


def _write_tensors(folder: Path, part: str, tensors: dict[str, Tensor]) -> str:
    # Copies, because safetensors rejects tensors that share memory.
    data = save_tensors({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()})
    name = _file_name(part, data)
    write_bytes(folder / name, data)
    return name
