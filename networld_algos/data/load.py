"""Read Minari datasets into `Episodes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import minari
import numpy as np
from numpy.typing import NDArray

from networld_algos.data.episodes import Episodes, disk_array, nested_subset
from networld_envs import store
from networld_envs.spec import TaskSpec
from networld_envs.store.minari_io import dataset_spec, remedy


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
            task, or has values that are not finite.
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
    """Fill padded arrays episode by episode; an episode that cannot be used is an error."""
    about = dataset.storage.get_episode_metadata(dataset.episode_indices[chosen])
    try:
        lengths = np.array([m["total_steps"] for m in about], np.int64)
    except (OSError, KeyError) as error:
        raise store.DatasetError(
            f"dataset {dataset.id!r} cannot be read ({error}); {remedy(dataset.id, force=True)}"
        ) from error
    count, longest = len(chosen), int(lengths.max())
    rows = {
        "observations": longest + 1,
        "actions": longest,
        "agent_rewards": longest,
        "terminations": longest,
        "truncations": longest,
    }
    types: dict[str, Any] = {
        "observations": np.float32,
        "actions": np.float32 if spec.action_kind == "box" else np.int64,
        "agent_rewards": np.float32,
        "terminations": np.bool_,
        "truncations": np.bool_,
        "neighbours": np.int32,
    }
    arrays: dict[str, NDArray[Any]] = {}
    shapes: dict[str, tuple[int, ...]] = {}  # of one step; of the table for neighbours
    for k, part in enumerate(store.episodes(dataset, chosen)):
        if k == 0:
            for name, value in part.items():
                shapes[name] = value.shape[1:] if name in rows else value.shape
            wanted = {
                name: ((count, rows[name], *shape) if name in rows else (count, *shape))
                for name, shape in shapes.items()
            }
            size = sum(np.prod(shape) * np.dtype(types[n]).itemsize for n, shape in wanted.items())
            on_disk = memory_gb is not None and size > 1e9 * memory_gb
            folder = Path(dataset.storage.data_path)
            for name, shape in wanted.items():
                make = disk_array if on_disk else _zeros
                arrays[name] = make(shape, types[name], folder)
            if shapes["observations"][-1] != spec.obs_dim:
                raise store.DatasetError(
                    f"dataset {dataset.id!r}: observations have {shapes['observations'][-1]} "
                    f"columns, its spec says {spec.obs_dim}"
                )
        if len(part["truncations"]) != lengths[k]:
            raise store.DatasetError(
                f"dataset {dataset.id!r}, episode {int(chosen[k])}: {len(part['truncations'])} "
                f"steps, its metadata says {lengths[k]}"
            )
        for name, value in part.items():
            _check(dataset, int(chosen[k]), name, value, shapes[name], whole=name not in rows)
            if name in rows:
                arrays[name][k, : len(value)] = value
            else:
                arrays[name][k] = value
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


def _check(
    dataset: minari.MinariDataset,
    k: int,
    name: str,
    value: NDArray[Any],
    shape: tuple[int, ...],
    whole: bool,
) -> None:
    if (value.shape if whole else value.shape[1:]) != shape:
        raise store.DatasetError(
            f"dataset {dataset.id!r}, episode {k}: {name} has shape {value.shape}, unlike "
            "the first episode's"
        )
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(value))[0]]
        raise store.DatasetError(
            f"dataset {dataset.id!r}, episode {k}: {name} is {value[tuple(where)]} at "
            f"index {where} (step, agent, column)"
        )
