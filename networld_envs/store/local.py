"""Obtain, load, verify and list the datasets of Minari's local store."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import minari
from minari.dataset.minari_storage import METADATA_FILE_NAME, MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path

from networld_envs.store.builder import build
from networld_envs.store.fingerprint import compare, fingerprint, fingerprints
from networld_envs.store.ids import DATA, DatasetError, dataset_folder
from networld_envs.store.minari_io import (
    METADATA_KEY,
    READ_ERRORS,
    content_hash,
    is_local,
    metadata,
    open_local,
)
from networld_envs.store.recipes import Progress, catalog, find_recipe
from networld_envs.store.remote import download

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
    """

    dataset_id: str
    episodes: int
    steps: int
    megabytes: float | None
    mean_reward: float | None
    sha256: str
    policy: str
    fault: str = ""


def load(dataset_id: str, jobs: int = 1, progress: Progress | None = None) -> minari.MinariDataset:
    """Load a dataset; if it is in the catalogue but not local, download or build it first.

    It is downloaded if the environment variable ``NETWORLD_MIRROR`` names a mirror that has it, and
    built otherwise. The log says which.

    Raises:
        DatasetError: If the id is unknown, or the local files are damaged.
    """
    if is_local(dataset_id):
        return open_local(dataset_id)
    return obtain(dataset_id, jobs=jobs, progress=progress)


def obtain(
    dataset_id: str,
    jobs: int = 1,
    progress: Progress | None = None,
    on_download: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> minari.MinariDataset:
    """Download a dataset from the mirror if there is one, else build it.

    Args:
        dataset_id: Its id.
        jobs: Processes of a build.
        progress: Progress of a build, in episodes.
        on_download: Progress of a download, in bytes.
        say: Called with a sentence that says where the data come from; by default it is logged.

    Raises:
        DatasetError: If it can be neither downloaded nor built.
    """
    tell = say or logging.getLogger("networld").info
    remote = os.environ.get(MIRROR, "")
    recipe = catalog().get(dataset_id)
    if not remote:
        recipe = find_recipe(dataset_id)
        tell(f"{dataset_id}: no mirror in {MIRROR}; building it from its recipe")
        return build(recipe, jobs, progress=progress, keep=True)
    try:
        tell(f"{dataset_id}: downloading from {remote}")
        return download(dataset_id, remote, progress=on_download, keep=True)
    except DatasetError as error:
        if recipe is None:
            raise
        tell(f"{error}; building {dataset_id} from its recipe")
        return build(recipe, jobs, progress=progress, keep=True)


def verify(dataset_id: str) -> tuple[bool, str]:
    """Check a local dataset against the catalogue.

    If the content hash differs from the catalogue's, the dataset is compared with the committed
    fingerprint, because other processors may round differently.

    Returns:
        Whether the dataset is what it claims to be, and a sentence that says why or why not.

    Raises:
        DatasetError: If it is not local or cannot be read.
    """
    dataset = open_local(dataset_id)
    found = content_hash(dataset)
    written = metadata(dataset).get("sha256", found)
    if found != written:
        return False, f"content {found[:16]} differs from {written[:16]} recorded when it was made"
    recipe = catalog().get(dataset_id)
    if recipe is None or not recipe.sha256:
        return True, f"content {found[:16]} has not changed; the catalogue has no hash to compare"
    if found == recipe.sha256:
        return True, f"content {found[:16]} equals the catalogue's"
    differs = f"content {found[:16]} differs from the catalogue's {recipe.sha256[:16]}"
    expected = fingerprints().get(dataset_id)
    if expected is None:
        return False, f"{differs}, and there is no fingerprint to compare it with"
    comparison = compare(fingerprint(dataset), expected)
    if comparison.equal_to_rounding:
        return True, f"{differs}, but is equal up to rounding ({comparison})"
    return False, f"{differs} by more than rounding ({comparison})"


def local_datasets() -> dict[str, Summary]:
    """The datasets of NetWorld's tasks in Minari's local store: built, downloaded or imported.

    A dataset with damaged metadata, or with an id that Minari cannot read, is listed with its
    fault, and the others are still listed. Intact datasets of other projects are left out.
    """
    root = get_dataset_path()
    found = {}
    for folder, below, _ in os.walk(root):
        if Path(folder) != root and DATA in below:
            dataset_id = Path(folder).relative_to(root).as_posix()
            summary = _summary(dataset_id)
            if summary is not None:
                found[dataset_id] = summary
            below.clear()
        below[:] = [name for name in below if not name.startswith(".")]
    return dict(sorted(found.items()))


def _summary(dataset_id: str) -> Summary | None:
    """Summary of a dataset of the local store; None if it is not of a NetWorld task."""
    try:
        about = MinariStorage.read_raw_metadata(dataset_folder(dataset_id) / DATA)
        if about["dataset_id"] != dataset_id:
            raise DatasetError(
                f"its id is {about['dataset_id']!r}, which its folder does not match"
            )
        ours = about.get(METADATA_KEY)
        if ours is None:
            return None
        return Summary(
            dataset_id=dataset_id,
            episodes=int(about["total_episodes"]),
            steps=int(about["total_steps"]),
            megabytes=float(about["dataset_size"]),
            mean_reward=ours.get("mean_reward"),
            sha256=ours["sha256"],
            policy=str(about.get("algorithm_name", "")),
        )
    except DatasetError as error:
        fault = str(error)
    except READ_ERRORS as error:
        fault = f"{METADATA_FILE_NAME}: {type(error).__name__}: {error}"
    return Summary(dataset_id, 0, 0, None, None, "", "", fault)
