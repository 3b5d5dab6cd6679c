"""Obtain, load, verify and list the datasets of Minari's local store."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minari
from minari.dataset.minari_storage import METADATA_FILE_NAME, MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path

from networld_envs.store.builder import build
from networld_envs.store.ids import DATA, DatasetError, dataset_folder
from networld_envs.store.minari_io import (
    METADATA_KEY,
    READ_ERRORS,
    is_local,
    is_outdated,
    open_local,
    outdated,
)
from networld_envs.store.reading.identity import check
from networld_envs.store.reading.record import checked_record
from networld_envs.store.reading.sizes import check_total
from networld_envs.store.recipes import Progress, catalog, find_recipe
from networld_envs.store.remote import download

FOREIGN = "it is not of a NetWorld task"
MIRROR = "NETWORLD_MIRROR"
"""Environment variable: where datasets are downloaded from (``https://``, ``gcp://``, ``hf://``)."""


@dataclass(frozen=True)
class Summary:
    """One line about a dataset.

    Attributes:
        dataset_id: Its id.
        episodes: Number of episodes.
        steps: Number of steps in all episodes.
        megabytes: Size of its arrays or files.
        mean_reward: Mean reward per agent and step; None if unknown.
        sha256: Content hash, or "".
        policy: Policy that acted.
        fault: Why the dataset cannot be used; "" if no fault is known.
        is_outdated: Whether the fault is only that another version of this package made it.
        is_foreign: Whether the fault is only that it is not of a NetWorld task.
    """

    dataset_id: str
    episodes: int
    steps: int
    megabytes: float | None
    mean_reward: float | None
    sha256: str
    policy: str
    fault: str = ""
    is_outdated: bool = False
    is_foreign: bool = False


def load(dataset_id: str, jobs: int = 1, progress: Progress | None = None) -> minari.MinariDataset:
    """Load a dataset; if it is in the catalogue but not local, download or build it first.

    It is downloaded if the environment variable ``NETWORLD_MIRROR`` names a mirror that has it, and
    built otherwise. The log says which.

    Raises:
        DatasetError: If the id is unknown, the local files are damaged, another version of this
            package made them, or a dataset with an id of the catalogue is not the catalogue's.
    """
    if is_local(dataset_id):
        dataset = open_local(dataset_id)
        check(dataset_id, dataset)
        return dataset
    return obtain(dataset_id, jobs=jobs, progress=progress)


def obtain(
    dataset_id: str,
    jobs: int = 1,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> minari.MinariDataset:
    """Download a dataset from the mirror if there is one, else build it.

    Args:
        dataset_id: Its id.
        jobs: Processes of a build.
        progress: Progress of a build, in episodes.
        say: Called with a sentence that says where the data come from; by default it is logged.

    Raises:
        DatasetError: If it can be neither downloaded nor built, or a build does not make what the
            catalogue says.
    """
    dataset = _obtain(dataset_id, jobs, progress, say)
    check(dataset_id, dataset)
    return dataset


def _obtain(
    dataset_id: str,
    jobs: int,
    progress: Progress | None,
    say: Callable[[str], None] | None,
) -> minari.MinariDataset:
    tell = say or logging.getLogger("networld").info
    remote = os.environ.get(MIRROR, "")
    recipe = catalog().get(dataset_id)
    if not remote:
        recipe = find_recipe(dataset_id)
        tell(f"{dataset_id}: no mirror in {MIRROR}; building it from its recipe")
        return build(recipe, jobs, progress=progress, keep=True)
    try:
        tell(f"{dataset_id}: downloading from {remote}")
        return download(dataset_id, remote, keep=True)
    except DatasetError as error:
        if recipe is None:
            raise
        tell(f"{error}; building {dataset_id} from its recipe")
        return build(recipe, jobs, progress=progress, keep=True)


def local_datasets() -> dict[str, Summary]:
    """The datasets in Minari's local store, by id.

    A dataset that is damaged, is not of a NetWorld task, or has an id that Minari cannot read is
    listed with its fault, and the others are still listed. Arrays are not read. Links to folders
    are followed, except to one that they are in.
    """
    root = get_dataset_path()
    found = {}
    for folder, below, _ in os.walk(root, followlinks=True):
        here = Path(folder)
        if here.is_symlink() and here.resolve() in map(Path.resolve, here.parents):
            below.clear()
            continue
        if here != root and DATA in below:
            dataset_id = here.relative_to(root).as_posix()
            found[dataset_id] = _summary(dataset_id)
            below.clear()
        below[:] = [name for name in below if not name.startswith(".")]
    return dict(sorted(found.items()))


def _summary(dataset_id: str) -> Summary:
    """Summary of a dataset of the local store, from its metadata and the sizes of its files."""
    try:
        folder = dataset_folder(dataset_id) / DATA
        about = MinariStorage.read_raw_metadata(folder)
        if about["dataset_id"] != dataset_id:
            raise DatasetError(
                f"its id is {about['dataset_id']!r}, which its folder does not match"
            )
        check_total(folder, about)
        foreign = METADATA_KEY not in about and not _is_collected(about)
        ours: dict[str, Any] = {"sha256": ""}
        if METADATA_KEY in about:
            ours = checked_record(about[METADATA_KEY])
        old = METADATA_KEY in about and is_outdated(ours)
        return Summary(
            dataset_id=dataset_id,
            episodes=int(about["total_episodes"]),
            steps=int(about["total_steps"]),
            megabytes=float(about["dataset_size"]),
            mean_reward=ours.get("mean_reward"),
            sha256=ours["sha256"],
            policy=str(about.get("algorithm_name", "")),
            fault=outdated(dataset_id) if old else FOREIGN * foreign,
            is_outdated=old,
            is_foreign=foreign,
        )
    except DatasetError as error:
        fault = str(error)
    except READ_ERRORS as error:
        fault = f"{METADATA_FILE_NAME}: {type(error).__name__}: {error}"
    return Summary(dataset_id, 0, 0, None, None, "", "", fault)


def _is_collected(about: dict[str, Any]) -> bool:
    """Whether Minari recorded a dataset in an environment of this package."""
    env = json.loads(about.get("env_spec", "{}"))
    return str(env.get("entry_point", "")).startswith("networld_envs.")
