"""What a dataset's files say about their sizes, checked before memory of that size is taken.

A flipped bit in a file can turn 50 steps into billions. An array in an HDF5 file that is not
compressed takes at least its own size there, so that a larger claim is damage.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import minari
import numpy as np
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]
from numpy.typing import NDArray

MAIN_FILE = "main_data.hdf5"
LEAST_EPISODE_BYTES = 100  # what an episode takes in any format, and far less than it takes in HDF5
REOPENED = 100  # episodes, after which a file is opened again: HDF5 keeps what it has read
LARGEST_RATIO = 1100  # of an array to its compressed form; deflate reaches 1032


def check_total(data: Path, about: dict[str, Any]) -> None:
    """Check the numbers of episodes and steps in a dataset's metadata against its files.

    Args:
        data: Folder with the dataset's files.
        about: The metadata.

    Raises:
        ValueError: If a number is no integer, negative, or more than the files can hold.
    """
    size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    for name, bytes_each in (("total_episodes", LEAST_EPISODE_BYTES), ("total_steps", 1)):
        value = about.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} must be an integer of at least 0, got {value!r}")
        if value * bytes_each > size * LARGEST_RATIO:
            raise ValueError(f"{name} is {value}, but all files have only {size} bytes")
    main = data / MAIN_FILE
    if main.is_file() and (about["total_episodes"] or main.stat().st_size):
        with h5py.File(main, "r") as file:
            if len(file) != about["total_episodes"]:
                raise ValueError(
                    f"total_episodes is {about['total_episodes']}, but {main.name} holds "
                    f"{len(file)}"
                )


def sound(dataset: minari.MinariDataset, numbers: Iterable[int]) -> Iterator[int]:
    """The same ``numbers``, each after the sizes of that episode's arrays were checked.

    Raises:
        ValueError: If an array is larger than the file can hold.
        Exception: Whatever h5py raises for a damaged file.
    """
    path = _path(dataset)
    if path is None:
        yield from numbers
        return
    size = path.stat().st_size
    rest = iter(numbers)
    while some := list(islice(rest, REOPENED)):
        with h5py.File(path, "r") as file:
            for number in some:
                for name, array in _arrays(_group(file, number)):
                    _check(array, size, f"episode {number}: {name}")
                yield number


def episode_lengths(dataset: minari.MinariDataset, numbers: NDArray[np.int_]) -> NDArray[np.int64]:
    """Steps of each episode, as its arrays have them, ``(K,)``.

    Raises:
        ValueError: If the arrays of an episode do not fit each other or the file.
        Exception: Whatever h5py raises for a damaged file.
    """
    path = _path(dataset)
    if path is None:
        about = dataset.storage.get_episode_metadata(numbers)
        return np.array([m["total_steps"] for m in about], np.int64)
    size, lengths = path.stat().st_size, np.empty(len(numbers), np.int64)
    with h5py.File(path, "r") as file:
        for k, number in enumerate(numbers):
            group = _group(file, number)
            rows = []
            for name in (b"rewards", b"observations"):
                array = h5py.h5d.open(group, name)
                _check(array, size, f"episode {number}: {name.decode()}")
                if not array.shape:
                    raise ValueError(f"episode {number}: {name.decode()} has no axes")
                rows.append(array.shape[0])
            if rows[1] != rows[0] + 1:
                raise ValueError(
                    f"episode {number}: observations has {rows[1]} rows, not {rows[0] + 1}"
                )
            lengths[k] = rows[0]
    return lengths


def _path(dataset: minari.MinariDataset) -> Path | None:
    """The HDF5 file of a dataset; None if it is stored in another format."""
    path = Path(dataset.storage.data_path) / MAIN_FILE
    return path if dataset.storage.FORMAT == "hdf5" else None


def _group(file: h5py.File, number: int) -> Any:
    # The low-level interface takes a third of the time, and a dataset has thousands of arrays.
    return h5py.h5g.open(file.id, b"episode_%d" % number)


def _arrays(group: Any) -> Iterator[tuple[str, Any]]:
    """Name and identifier of every array below a group."""
    for name in group:
        item = h5o.open(group, name)
        if isinstance(item, h5py.h5g.GroupID):
            yield from _arrays(item)
        elif isinstance(item, h5py.h5d.DatasetID):
            yield name.decode(errors="replace"), item


def _check(array: Any, size: int, name: str) -> None:
    """Raise if an array is larger than a file of ``size`` bytes can hold."""
    claimed = math.prod(array.shape) * array.get_type().get_size()
    if claimed > size:
        compressed = array.get_create_plist().get_nfilters() > 0
        if not compressed or claimed > LARGEST_RATIO * size:
            raise ValueError(
                f"{name} has shape {array.shape}, more than a file of {size} bytes holds"
            )
