"""Logs as arrays, `.npz` or HDF5; `networld_envs.store.importing.logs` describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.log_checks import Raw
from networld_envs.store.minari_io import FIELDS


class ArrayLog:
    """A log file's episodes, in either layout.

    Args:
        arrays: What the file holds, by name; each is read when it is indexed.
    """

    def __init__(self, arrays: dict[str, Any]) -> None:
        self._arrays = arrays
        grouped = [m for m in (re.fullmatch(r"episode_(\d+)/(.*)", n) for n in arrays) if m]
        self._stacked = not grouped
        for m in grouped:
            if m[1] != str(int(m[1])):
                raise DatasetError(
                    f"{m[0]!r}: numbers of episodes have no leading zeros; rename it to "
                    f"'episode_{int(m[1])}/{m[2]}'"
                )
        known = {m[0]: m[2] for m in grouped} or {n: n for n in arrays}
        for name in arrays:
            if known.get(name) not in FIELDS:
                raise DatasetError(f"unknown field {name!r}; fields are {', '.join(FIELDS)}")
        if grouped:
            numbers = {int(m[1]) for m in grouped}
            self.count = len(numbers)
            absent = sorted(set(range(self.count)) - numbers)
            if absent:
                raise DatasetError(f"episode {absent[0]} is missing; episodes are numbered from 0")
        else:
            lengths = {name: len(array) for name, array in arrays.items()}
            if not lengths or not all(lengths.values()):
                raise DatasetError("the file holds no episodes")
            self.count = min(lengths.values())
            if max(lengths.values()) != self.count:
                raise DatasetError(
                    f"fields are ragged: they have different numbers of episodes, {lengths}"
                )

    def place(self, k: int, step: int | None, agent: int | None) -> str:
        """Nothing to add: errors of arrays name the place by its indices."""
        del k, step, agent
        return ""

    def changes(self) -> list[str]:
        """Arrays are taken as they are."""
        return []

    def episode(self, k: int) -> Raw:
        """The fields of one episode, as the file has them."""
        if self._stacked:
            return {name: np.asarray(array[k]) for name, array in self._arrays.items()}
        names = {name: f"episode_{k}/{name}" for name in FIELDS}
        arrays = self._arrays
        return {name: np.asarray(arrays[at][()]) for name, at in names.items() if at in arrays}


class _Member:
    """An array of an npz file, read when it is indexed, and kept only in the stacked layout."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name
        self._kept: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self._whole())

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if index == ():
            return self._file[self._name]
        return self._whole()[index]

    def _whole(self) -> NDArray[Any]:
        if self._kept is None:
            self._kept = np.atleast_1d(self._file[self._name])
        return self._kept


def _members(group: h5py.Group, above: str = "") -> Iterator[tuple[str, h5py.Dataset]]:
    """Name and array of everything below a group.

    Raises:
        DatasetError: For a link, which may lead to another file or nowhere.
    """
    for name in group:
        path = f"{above}{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DatasetError(f"{path!r} is a link, and links are not read; copy what it leads to")
        member = group[name]
        if isinstance(member, h5py.Group):
            yield from _members(member, f"{path}/")
        elif isinstance(member, h5py.Dataset):
            yield path, member


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayLog]:
    """Open a log file; the message of every error in the block begins with the file's name."""
    try:
        if path.suffix.lower() == ".npz":
            # NumPy leaves a damaged file open if it is given the path.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                yield ArrayLog({name: _Member(file, name) for name in file.files})
        elif path.suffix.lower() in (".h5", ".hdf5"):
            with h5py.File(path, "r") as file:
                yield ArrayLog(dict(_members(file)))
        else:
            raise DatasetError(
                "logs are .npz, .h5, .hdf5, .csv, .csv.gz or .parquet files, or a folder of tables"
            )
    except DatasetError as error:
        raise DatasetError(f"{path.name}: {error}") from error
    except Exception as error:  # zlib, zipfile, h5py and NumPy have no common class
        kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
        raise DatasetError(
            f"{path.name}: {kind}{error}; if the file is damaged, write it again"
        ) from error
