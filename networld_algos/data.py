"""Minari datasets read once into `Episodes`."""

from __future__ import annotations

from typing import Any

import minari
import numpy as np

from networld_algos.batch import Episodes
from networld_envs import store
from networld_envs.spec import TaskSpec


def load_episodes(dataset: str | minari.MinariDataset, task: str | None = None) -> Episodes:
    """Read a dataset into memory.

    Args:
        dataset: A Minari dataset of the joint view, whole or filtered, or the id of one. One of
            the catalogue that is not in the local store is built first.
        task: Raise unless the data is of this task.

    Raises:
        networld_envs.store.DatasetError: If the dataset is unknown, damaged, empty, of another
            task, or holds values that are not finite.
    """
    if isinstance(dataset, str):
        dataset = store.load(dataset)
    about = store.metadata(dataset)
    if task is not None and about["task"] != task:
        raise store.DatasetError(
            f"dataset {dataset.id!r} is of task {about['task']!r}, not of {task!r}"
        )
    spec = TaskSpec.from_dict(about["spec"])
    parts = list(store.episodes(dataset))
    if not parts:
        raise store.DatasetError(f"dataset {dataset.id!r} has no episodes")
    lengths = np.array([len(p["actions"]) for p in parts], np.int64)
    longest = int(lengths.max())

    def stack(name: str, dtype: Any, rows: int) -> np.ndarray:
        first = parts[0][name]
        out = np.zeros((len(parts), rows, *first.shape[1:]), dtype)
        for k, part in enumerate(parts):
            value = part[name]
            if value.shape[1:] != first.shape[1:]:
                raise store.DatasetError(
                    f"dataset {dataset.id!r}, episode {k}: {name} has shape {value.shape}, the "
                    f"first episode's is {first.shape}"
                )
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                where = [int(i) for i in np.argwhere(~np.isfinite(value))[0]]
                raise store.DatasetError(
                    f"dataset {dataset.id!r}, episode {k}: {name} is {value[tuple(where)]} at "
                    f"index {where} (step, agent, column)"
                )
            out[k, : len(value)] = value
        return out

    obs = stack("observations", np.float32, longest + 1)
    if obs.shape[-1] != spec.obs_dim:
        raise store.DatasetError(
            f"dataset {dataset.id!r}: observations have {obs.shape[-1]} columns, its spec says "
            f"{spec.obs_dim}"
        )
    return Episodes(
        spec=spec,
        obs=obs,
        actions=stack("actions", np.float32 if spec.action_kind == "box" else np.int64, longest),
        rewards=stack("agent_rewards", np.float32, longest),
        terminated=stack("terminations", np.bool_, longest),
        truncated=stack("truncations", np.bool_, longest),
        neighbours=np.stack([p["neighbours"] for p in parts]).astype(np.int32),
        lengths=lengths,
    )
