"""Datasets: the catalogue, and how to build, download, check, load and convert its datasets.

A dataset is an ordinary Minari dataset of the joint Gymnasium view; `networld_envs.store.minari_io`
says what an episode holds. Episodes of the catalogue end by truncation. To replay an episode, pass
its seed to ``env.reset(seed=seed)`` and step through its stored actions.
"""

from networld_envs.store.builder import build
from networld_envs.store.exporting.arrays import to_arrays
from networld_envs.store.exporting.libraries import to_d3rlpy, to_torchrl
from networld_envs.store.ids import DatasetError
from networld_envs.store.local import MIRROR, Summary, load, local_datasets, obtain
from networld_envs.store.minari_io import (
    METADATA_KEY,
    content_hash,
    episodes,
    is_local,
    metadata,
    recorded_hash,
)
from networld_envs.store.reading.identity import upgrade, verify
from networld_envs.store.recipes import (
    Progress,
    Recipe,
    catalog,
    find_recipe,
    record_hash,
)

__all__ = [
    "METADATA_KEY",
    "MIRROR",
    "DatasetError",
    "Progress",
    "Recipe",
    "Summary",
    "build",
    "catalog",
    "content_hash",
    "episodes",
    "find_recipe",
    "is_local",
    "load",
    "local_datasets",
    "metadata",
    "obtain",
    "record_hash",
    "recorded_hash",
    "to_arrays",
    "to_d3rlpy",
    "to_torchrl",
    "upgrade",
    "verify",
]
