"""Read Minari datasets into `Episodes`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import minari
import numpy as np
from numpy.typing import NDArray

from networld_algos.data.episodes import Episodes, disk_array, nested_subset
from networld_envs import store
from networld_envs.spec import TaskSpec
from networld_envs.store.minari_io import damaged
from networld_envs.store.reading.checked import checked_episodes
from networld_envs.store.reading.record import dataset_spec
from networld_envs.store.reading.sizes import episode_lengths


def load_episodes(
    dataset: str | minari.MinariDataset,
    task: str | None = None,
    *,
    episodes: int | None = None,
    fraction: float = 1.0,
    seed: int = 0,
    memory_gb: float | None = None,
) -> Episodes:
    """Read a dataset, or a random part of it, into arrays.

    Only the episodes to keep are read. ``load_episodes(d, fraction=f, seed=s)`` equals
    ``load_episodes(d).fraction(f, s)``.

    Args:
        dataset: A Minari dataset of the joint view, whole or filtered, or its id. A dataset of the
            catalogue that is not in the local store is downloaded or built first.
        task: Raise an error unless the data is of this task.
        episodes: Number of episodes to keep at most. They do not depend on ``seed``, and a smaller
            number keeps a subset of a larger one. None keeps all.
        fraction: Share of these to keep, nested in the same way.
        seed: Chooses which ones ``fraction`` keeps.
        memory_gb: Arrays that need more in total are mapped from temporary files beside the
            dataset. None holds them in memory.

    Raises:
        networld_envs.store.DatasetError: If the dataset is unknown, damaged, empty or of another
            task, has a value that is illegal, or was recorded through a wrapper whose effect cannot
            be undone.
        ValueError: If ``episodes`` or ``fraction`` is out of range.
    """
    if isinstance(dataset, str):
        dataset = store.load(dataset)
    about = store.metadata(dataset)
    if task is not None and about["task"] != task:
        raise store.DatasetError(
            f"dataset {dataset.id!r} is of task {about['task']!r}, not of {task!r}"
        )
    if dataset.total_episodes == 0:
        raise store.DatasetError(f"dataset {dataset.id!r} has no episodes")
    chosen = _choose(dataset.total_episodes, episodes, fraction, seed)
    return _read(dataset, dataset_spec(about), chosen, memory_gb)


def _choose(total: int, episodes: int | None, fraction: float, seed: int) -> NDArray[np.int64]:
    """Positions of the episodes to keep, ascending."""
    kept = np.arange(total)
    if episodes is not None:
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {episodes}")
        kept = nested_subset(total, min(1.0, episodes / total), seed=0)
    return kept[nested_subset(len(kept), fraction, seed)]


def _read(
    dataset: minari.MinariDataset,
    spec: TaskSpec,
    chosen: NDArray[np.int64],
    memory_gb: float | None,
) -> Episodes:
    """Fill padded arrays episode by episode, after a check of each."""
    try:
        lengths = episode_lengths(dataset, dataset.episode_indices[chosen])
    except Exception as error:
        raise damaged(dataset.id, error) from error
    count, longest = len(chosen), int(lengths.max())
    n, box = spec.num_agents, spec.action_kind == "box"
    kinds: dict[str, tuple[tuple[int, ...], Any]] = {
        "observations": ((longest + 1, n, spec.obs_dim), np.float32),
        "actions": ((longest, n, spec.action_dim), np.float32) if box else ((longest, n), np.int64),
        "agent_rewards": ((longest, n), np.float32),
        "terminations": ((longest,), np.bool_),
        "truncations": ((longest,), np.bool_),
        "neighbours": ((n, spec.neighbour_slots), np.int32),
    }
    size = count * sum(
        math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in kinds.values()
    )
    make = disk_array if memory_gb is not None and size > 1e9 * memory_gb else _zeros
    folder = Path(dataset.storage.data_path)
    arrays: dict[str, NDArray[Any]] = {}
    for k, part in enumerate(checked_episodes(dataset, chosen, spec)):
        if k == 0:
            try:
                for name, (shape, dtype) in kinds.items():
                    arrays[name] = make((count, *shape), dtype, folder)
            except MemoryError as error:
                raise store.DatasetError(
                    f"dataset {dataset.id!r} takes {size / 1e9:.3g} GB with all episodes padded to "
                    f"{longest} steps; memory_gb keeps a part on disk, and fraction reads less"
                ) from error
        arrays["neighbours"][k] = part.pop("neighbours")
        for name, value in part.items():
            arrays[name][k, : len(value)] = value
    return Episodes(
        spec=spec,
        obs=arrays["observations"],
        actions=arrays["actions"],
        rewards=arrays["agent_rewards"],
        terminated=arrays["terminations"],
        truncated=arrays["truncations"],
        neighbours=arrays["neighbours"],
        lengths=lengths,
    )


def _zeros(shape: tuple[int, ...], dtype: Any, folder: Path) -> NDArray[Any]:
    del folder
    return np.zeros(shape, dtype)
