"""Many short episodes into a Minari data file.

Minari writes an episode through h5py's convenient interface, with room for later steps in every
array. A flattened dataset has tens of thousands of small arrays, and this takes a multiple of the
time and of the space. Here the arrays are written as they are. Minari reads both forms alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]
from minari.dataset.minari_storage import MinariStorage
from numpy.typing import NDArray

from networld_envs.store.reading.sizes import MAIN_FILE


def write_episodes(
    storage: MinariStorage, episodes: Iterable[Mapping[str, NDArray[Any]]]
) -> tuple[int, int]:
    """Fill the data file of a new, empty Minari dataset.

    Args:
        storage: As ``MinariStorage.new`` returns it, in the format HDF5.
        episodes: Arrays of each episode by their names in the file, among them ``rewards``.

    Returns:
        Number of episodes and number of steps, which are also in the metadata then.
    """
    count = steps = 0
    scalar = h5s.create(h5s.SCALAR)
    kinds: dict[tuple[str, tuple[int, ...]], tuple[Any, Any]] = {}  # made once for equal arrays
    with h5py.File(Path(storage.data_path) / MAIN_FILE, "w", track_order=True) as file:
        for episode in episodes:
            group = h5g.create(file.id, b"episode_%d" % count)
            for name, value in (("id", count), ("total_steps", len(episode["rewards"]))):
                attribute = h5a.create(group, name.encode(), h5t.NATIVE_INT64, scalar)
                attribute.write(np.array(value, np.int64))
            for name, values in episode.items():
                array = np.ascontiguousarray(values)
                key = (array.dtype.str, array.shape)
                if key not in kinds:
                    kind = h5t.py_create(array.dtype, logical=True)
                    kinds[key] = kind, h5s.create_simple(array.shape)
                h5d.create(group, name.encode(), *kinds[key]).write(h5s.ALL, h5s.ALL, array)
            count, steps = count + 1, steps + len(episode["rewards"])
    storage.update_metadata(
        {"total_episodes": count, "total_steps": steps, "dataset_size": storage.get_size()}
    )
    return count, steps
