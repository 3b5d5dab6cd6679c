"""Save and load an algorithm: a folder of safetensors and one JSON file, never pickle.

::

    checkpoint.json                   format, algorithm, config, specs, extra, file names, own hash
    model-<hash>.safetensors          weights, statistics, averaged weights
    optimizers-<hash>.safetensors     moments of every optimiser

A compact checkpoint is for publishing. It holds matrices of weights in half precision, equal
tensors once (``shared`` in the index names the others) and no moments. Loading it gives single
precision.

Tensor files are named by their content and written first. `checkpoint.json` is replaced last, in
one step. An interrupted save leaves the previous checkpoint intact. Saves into one folder wait for
each other. A reader that meets a save reads again, so it always gets a whole checkpoint.

Whatever a damaged file makes a reader raise becomes a `networld_algos.files.DamagedFileError`, a
`ValueError` that names the file and says what to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from networld_algos.base import Algorithm
from networld_algos.files import DamagedFileError, locked, reading, write_bytes
from networld_algos.registry import config_dict, make, make_config
from networld_envs.spec import TaskSpec
from networld_envs.version import __version__

FORMAT = 1
INDEX = "checkpoint.json"
PARTS = ("model", "optimizers")
TENSOR_FILES = tuple(f"{part}-{'[0-9a-f]' * 16}.safetensors" for part in PARTS)
"""Patterns of the tensor files that `save` writes; it leaves other files in the folder alone."""
HALF_MAX = torch.finfo(torch.float16).max
LOCK = ".save.lock"
TEMPORARY = tuple(f".{name}.{'[0-9a-f]' * 32}" for name in (INDEX, *TENSOR_FILES))
"""Patterns of the files that `write_bytes` leaves behind if its process is killed."""
REMEDY = "restore it from a copy, or train again in another folder"
REQUIRED = ("format", "algorithm", "config", "seed", "specs", "files", "optimizers", "extra")


def save(
    algorithm: Algorithm,
    path: str | Path,
    extra: dict[str, Any] | None = None,
    *,
    compact: bool = False,
) -> None:
    """Write everything needed to act, and to resume training exactly.

    Args:
        algorithm: What to save.
        path: Folder. It is created if missing; a checkpoint in it is replaced.
        extra: Further values, which `load` returns; JSON types only.
        compact: Write a small file to act with or to start another training from. Matrices are
            rounded to half precision, and a training cannot be resumed exactly.

    Raises:
        ValueError: If ``extra`` cannot be written as JSON.
    """
    folder = Path(path)
    groups, moments = _optimizer_state(algorithm)
    weights = dict(algorithm.state_dict())
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
    if compact:
        moments = {}
        weights, index["shared"] = _compacted(algorithm, weights)
    try:
        json.dumps(index)
    except (TypeError, ValueError) as error:
        raise ValueError(f"extra must hold JSON types only: {error}") from error
    tensors = {"model": weights, "optimizers": moments}
    contents = {name: _to_bytes(part) for name, part in tensors.items()}
    index["files"] = {name: _file_name(name, data) for name, data in contents.items()}
    index["sha256"] = _index_hash(index)
    with locked(folder / LOCK, remove=True):
        for name, data in contents.items():
            write_bytes(folder / index["files"][name], data)
        write_bytes(folder / INDEX, json.dumps(index, indent=1).encode())
        _remove_stale(folder, set(index["files"].values()))


def _compacted(
    algorithm: Algorithm, weights: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors to write, and the names of tensors that equal one of them."""
    parameters = {name for name, _ in algorithm.named_parameters()}
    kept: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    names: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    for name, tensor in weights.items():
        value = tensor.detach().cpu().contiguous()
        # Statistics and bins have ranges that half precision does not reach.
        if name in parameters and value.dim() > 1 and bool((value.abs() <= HALF_MAX).all()):
            value = value.half()
        content = value.reshape(-1).view(torch.uint8).numpy().tobytes()
        key = (str(value.dtype), tuple(value.shape), content)
        if (first := names.setdefault(key, name)) == name:
            kept[name] = value
        else:
            shared[name] = first
    return kept, shared


def _remove_stale(folder: Path, kept: set[str]) -> None:
    """Delete files of earlier checkpoints, and what killed processes left; needs the lock."""
    for pattern in (*TENSOR_FILES, *TEMPORARY):
        for stale in folder.glob(pattern):
            if stale.name not in kept:
                # Windows does not delete a file that a reader has open; the next save does.
                with suppress(OSError):
                    stale.unlink()


def exists(path: str | Path) -> bool:
    """Whether there is a checkpoint to `load`; an interrupted first save leaves none."""
    return (Path(path) / INDEX).is_file()


def weights_file(path: str | Path) -> str:
    """Name of the file of the weights; equal names mean equal weights.

    Raises:
        ValueError: If there is no checkpoint.
    """
    return read_index(path)["files"]["model"]


@contextmanager
def unchanged(path: str | Path) -> Iterator[None]:
    """Let no process save into a folder for a while; where none can write, none does."""
    folder = Path(path)
    with locked(folder / LOCK, remove=True) if os.access(folder, os.W_OK) else nullcontext():
        yield


def read_extra(path: str | Path) -> dict[str, Any]:
    """The ``extra`` of a checkpoint, without reading the weights.

    Raises:
        ValueError: If there is no checkpoint.
    """
    return read_index(path)["extra"]


def verify(path: str | Path) -> dict[str, Any]:
    """The index of a checkpoint, whose files are compared with their hashes; see `read_index`.

    Raises:
        ValueError: If a file is missing or damaged.
    """
    return _read_whole(Path(path))[0]


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
    return load_named(path, expect_task, device)[:2]


def load_named(
    path: str | Path,
    expect_task: str | TaskSpec | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Algorithm, dict[str, Any], str]:
    """As `load`, and the name of the file of exactly these weights, see `weights_file`.

    A training that saves into the folder may replace them at any time.
    """
    folder = Path(path)
    index, parts = _read_whole(folder)
    file = folder / INDEX
    with reading(file, REMEDY):
        specs = [TaskSpec.from_dict(spec) for spec in index["specs"]]
        if not specs:
            raise ValueError("it names no task")
    try:
        with reading(file, REMEDY):
            config = make_config(index["algorithm"], index["config"])
            algorithm = make(index["algorithm"], specs, config, index["seed"])
    except DamagedFileError as error:
        reason = error.__cause__ or error
        raise DamagedFileError(
            f"{file} does not match this version: {reason}; use the version of networld that "
            f"wrote it ({index.get('version', 'unknown')}), or train again"
        ) from error
    _check_task(folder, algorithm, expect_task)
    weights = parts["model"]
    with reading(file, REMEDY):
        shared = {name: weights[first] for name, first in index.get("shared", {}).items()}
    with reading(folder / index["files"]["model"], REMEDY):
        algorithm.load_state_dict({**weights, **shared})
    algorithm.to(device)
    with reading(folder / index["files"]["optimizers"], REMEDY):
        _restore_optimizers(algorithm, index["optimizers"], parts["optimizers"])
    return algorithm, index["extra"], index["files"]["model"]


def _read_whole(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """The index and the tensors of one checkpoint, also while another process saves a new one."""
    index = read_index(folder)
    try:
        return index, {part: _read_tensors(folder, index, part) for part in PARTS}
    except (DamagedFileError, FileNotFoundError) as error:
        # Either damaged, or replaced between the two reads. During a save there is a lock to wait
        # for; in a folder without write access nobody saves.
        try:
            with locked(folder / LOCK, remove=True):
                index = read_index(folder)
                return index, {part: _read_tensors(folder, index, part) for part in PARTS}
        except DamagedFileError:
            raise
        except OSError:
            raise error from None


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


def _restore_optimizers(
    algorithm: Algorithm, saved: dict[str, Any], moments: dict[str, Tensor]
) -> None:
    optimizers = algorithm.optimizers()
    if set(optimizers) != set(saved):
        raise ValueError(
            f"it holds optimisers {sorted(saved)}, but {algorithm.name} has {sorted(optimizers)}"
        )
    states: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in optimizers}
    for key, value in moments.items():
        name, parameter, moment = key.rsplit("/", 2)
        states[name].setdefault(int(parameter), {})[moment] = value
    for name, optimizer in optimizers.items():
        groups = [
            {k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in saved[name]
        ]
        optimizer.load_state_dict({"state": states[name], "param_groups": groups})


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


def read_index(path: str | Path) -> dict[str, Any]:
    """The content of `INDEX`, without the weights.

    Returns:
        The keys of `REQUIRED`, and the version that wrote it.

    Raises:
        ValueError: If there is no checkpoint, or the file is damaged or of another format.
    """
    folder = Path(path)
    file = folder / INDEX
    if not file.is_file():
        raise ValueError(
            f"no checkpoint in {folder}: {INDEX} is missing; give a folder that `networld train` "
            "or `save` wrote. Commands also take pretrained:NAME and hf://owner/name; in Python, "
            "networld_algos.training.hub.from_pretrained does"
        )
    with reading(file, REMEDY):
        index = json.loads(file.read_bytes())
    version = index.get("format") if isinstance(index, dict) else None
    if version != FORMAT or not isinstance(version, int):
        raise DamagedFileError(
            f"{file} has format {repr(version)[:20]}, but this version reads {FORMAT}; "
            "use the version of networld that wrote it"
        )
    with reading(file, REMEDY):
        missing = [key for key in REQUIRED if key not in index]
        if missing:
            raise ValueError(f"it lacks {missing}")
        if "sha256" in index and index["sha256"] != _index_hash(index):  # older ones have none
            raise ValueError("its content does not match its hash")
        for key in ("extra", "files", "optimizers", "shared"):
            if not isinstance(index.get(key, {}), dict):
                raise ValueError(f"{key} is not an object")
        for part in PARTS:
            name = str(index["files"].get(part))
            if not re.fullmatch(rf"{part}-[0-9a-f]{{16}}\.safetensors", name):
                raise ValueError(f"it does not name its {part} file")
    return index


def _index_hash(index: dict[str, Any]) -> str:
    """Hash of everything in an index but the hash itself, as it reads after a round trip."""
    rest = json.loads(json.dumps({k: v for k, v in index.items() if k != "sha256"}))
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _read_tensors(folder: Path, index: dict[str, Any], part: str) -> dict[str, Tensor]:
    name = index["files"][part]
    file = folder / name
    if not file.is_file():
        raise DamagedFileError(f"{folder} lacks its {part} file {name!r}; {REMEDY}")
    with reading(file, REMEDY):
        data = file.read_bytes()
        if _file_name(part, data) != name:
            raise ValueError("its content does not match its hash")
        return load_tensors(data)


def _file_name(part: str, data: bytes) -> str:
    return f"{part}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"


def _to_bytes(tensors: dict[str, Tensor]) -> bytes:
    # Copies, because safetensors rejects tensors that share memory.
    return save_tensors({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()})
