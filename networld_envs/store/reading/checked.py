"""Episodes of a dataset whose every value is legal, as the environment saw them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import minari
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from networld_envs.spec import TaskSpec
from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.log_checks import Raw, checked
from networld_envs.store.minari_io import damaged, episodes, metadata, remedy
from networld_envs.store.reading.record import dataset_spec
from networld_envs.store.reading.wrappers import applied_actions


def checked_episodes(
    dataset: minari.MinariDataset,
    index: NDArray[np.integer[Any]] | None = None,
    spec: TaskSpec | None = None,
) -> Iterator[Raw]:
    """Each episode as `networld_envs.store.episodes` yields it, in the stored types, checked.

    The same checks hold for logs that are imported. Actions that were recorded through a wrapper
    are those that the environment got.

    Args:
        dataset: Whole or filtered.
        index: Positions of the episodes to read; all by default.
        spec: Sizes and bounds of the data; by default those in its metadata.

    Raises:
        DatasetError: If a file is damaged, a value is illegal (names episode, step, agent and
            field), or the dataset was recorded through a wrapper that cannot be undone.
    """
    if spec is None:
        spec = dataset_spec(metadata(dataset))
    one = _observation_space(dataset, spec)
    numbers = dataset.episode_indices if index is None else dataset.episode_indices[index]
    try:
        applied = applied_actions(dataset.env_spec)
    except DatasetError as error:
        raise DatasetError(f"dataset {dataset.id!r} cannot be used: {error}") from error
    for k, raw in zip(numbers.tolist(), episodes(dataset, index), strict=True):
        try:
            actions = raw["actions"] if applied is None else applied(raw["actions"])
            episode = checked({**raw, "actions": actions}, k, spec, one)
        except DatasetError as error:
            raise DatasetError(
                f"dataset {dataset.id!r}, {error}; {remedy(dataset.id, force=True)}"
            ) from error
        except Exception as error:  # for example, a wrapper got actions of another shape
            raise damaged(dataset.id, error) from error
        yield episode


def _observation_space(dataset: minari.MinariDataset, spec: TaskSpec) -> spaces.Box:
    """Bounds of one agent's observation: those of the named columns, or of the dataset's space."""
    if spec.obs_columns:
        low = [-np.inf if column.low is None else column.low for column in spec.obs_columns]
        high = [np.inf if column.high is None else column.high for column in spec.obs_columns]
    else:
        space = dataset.observation_space
        if not isinstance(space, spaces.Box) or space.shape[1:] != (spec.obs_dim,):
            raise DatasetError(
                f"dataset {dataset.id!r}: the observation space is {str(space)[:200]}, not a Box "
                f"of shape (N, {spec.obs_dim}); {remedy(dataset.id, force=True)}"
            )
        low, high = space.low.min(axis=0), space.high.max(axis=0)
    return spaces.Box(np.asarray(low, np.float32), np.asarray(high, np.float32), dtype=np.float32)
