"""The content hash of a dataset: SHA-256 over everything in its data file.

It covers every array and every attribute of the HDF5 file: all fields of all episodes that Minari,
d3rlpy, TorchRL or this package read, with their names, types and shapes, and each episode's seed.
It does not depend on how the file is laid out, so a rewritten file has the same hash.

Version history

* 1 (no entry in the metadata): the fields that `networld_envs.store.minari_io.episodes` yields,
  which left out ``rewards``, the first row of ``agent_rewards``, later rows of ``neighbours``, and
  seeds. `hash_of_version_1` computes it, to check an older dataset before it is upgraded.
* 2: the whole file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from networld_envs.store.ids import DatasetError, listed
from networld_envs.store.reading.sizes import REOPENED

HASH_VERSION = 2


def file_hash(path: Path, episodes: int, steps: int) -> str:
    """Hash of a data file.

    Args:
        path: The HDF5 file.
        episodes: Number of episodes by the metadata.
        steps: Number of steps by the metadata.

    Raises:
        DatasetError: If the file holds other episodes than the metadata say.
        Exception: Whatever h5py raises if the file is damaged.
    """
    digest = hashlib.sha256(f"networld {HASH_VERSION}\n".encode())
    with h5py.File(path, "r") as file:
        wanted = {f"episode_{number}" for number in range(episodes)}
        if others := sorted(wanted ^ set(file)):
            raise DatasetError(
                f"its metadata says {episodes} episodes, but {path.name} has {len(file)} entries; "
                f"{listed(others)} are in only one of the two"
            )
        _head(digest, file, "")
        names = sorted(file)
    found = 0
    for start in range(0, len(names), REOPENED):
        with h5py.File(path, "r") as file:
            for name in names[start : start + REOPENED]:
                found += len(file[f"{name}/rewards"])  # pyright: ignore[reportArgumentType]
                _add(digest, file[name], f"/{name}")
    if found != steps:
        raise DatasetError(f"its metadata says {steps} steps, but {path.name} has {found}")
    return digest.hexdigest()


def hash_of_version_1(episodes: Iterable[dict[str, NDArray[Any]]]) -> str:
    """The hash that earlier versions recorded, of what `minari_io.episodes` yields."""
    digest = hashlib.sha256()
    for episode in episodes:
        for name in sorted(episode):
            array = np.ascontiguousarray(episode[name])
            digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def _head(digest: Any, item: Any, path: str) -> None:
    """Add the attributes of an item and, of a group, how many items it has."""
    for name in sorted(item.attrs):
        _line(digest, path, "attribute", name, _plain(item.attrs[name]))
    if isinstance(item, h5py.Group):
        _line(digest, path, "group", len(item))


def _add(digest: Any, item: Any, path: str) -> None:
    """Add an item of the file: its attributes, then its values or, in order of name, its items."""
    _head(digest, item, path)
    if isinstance(item, h5py.Group):
        for name in sorted(item):
            _add(digest, item[name], f"{path}/{name}")
    elif isinstance(item, h5py.Dataset):
        values = np.asarray(item[()])
        if values.dtype.kind not in "biufc":  # text and the like
            _line(digest, path, "values", str(item.dtype), _plain(values))
            return
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        _line(digest, path, "array", values.dtype.str, item.shape)  # says how many bytes follow
        digest.update(values.data if values.size else b"")
    else:
        _line(digest, path, type(item).__name__)


def _line(digest: Any, *parts: Any) -> None:
    digest.update(json.dumps(parts).encode() + b"\n")


def _plain(value: Any) -> Any:
    """JSON types; the width of an integer attribute, which a platform chooses, does not count."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
        return _plain(value)
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return repr(value)
