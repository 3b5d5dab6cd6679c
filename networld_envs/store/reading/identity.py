"""Whether a dataset is what its id and its recorded hash say.

A dataset of the catalogue must have the catalogue's content hash. Another processor may round
differently; a build then compares the dataset with the committed fingerprint, and records that it
is equal up to rounding.
"""

from __future__ import annotations

from pathlib import Path

import minari
import numpy as np

from networld_envs.store.fingerprint import compare, fingerprint, fingerprints
from networld_envs.store.ids import DatasetError
from networld_envs.store.minari_io import (
    READ_ERRORS,
    content_hash,
    episodes,
    is_outdated,
    open_local,
    outdated,
    own_record,
    recorded_hash,
    remedy,
    update_record,
)
from networld_envs.store.publishing import exclusive
from networld_envs.store.reading.content import HASH_VERSION, hash_of_version_1
from networld_envs.store.recipes import Recipe, catalog

ROUNDING = "equal_up_to_rounding_to"
"""Entry of NetWorld's record: the catalogue's hash, if only rounding differs from that dataset."""


def check(dataset_id: str, dataset: minari.MinariDataset) -> None:
    """Raise unless a local dataset may be used under its id. Reads only its metadata.

    Raises:
        DatasetError: If another version of this package made it, or it has an id of the catalogue
            and is not the catalogue's dataset.
    """
    record = own_record(dataset)
    if is_outdated(record):
        raise DatasetError(f"dataset {dataset_id!r} {outdated(dataset_id)}")
    recipe = catalog().get(dataset_id)
    if recipe is None or not recipe.sha256:
        return
    found = record.get("sha256", "")
    if recipe.sha256 not in (found, record.get(ROUNDING)):
        raise DatasetError(
            f"dataset {dataset_id!r} in the local store is not the catalogue's: it has content "
            f"{found[:16] or 'without a recorded hash'}, not {recipe.sha256[:16]}. "
            f"{remedy(dataset_id, force=True)}; `networld dataset verify {dataset_id}` says how "
            "they differ"
        )


def verify(dataset_id: str) -> tuple[bool, str]:
    """Check a local dataset against its recorded hash and the catalogue. Reads all of it.

    If the content hash differs from the catalogue's, the dataset is compared with the committed
    fingerprint, because other processors may round differently.

    Returns:
        Whether the dataset is what it claims to be, and a sentence that says why or why not.

    Raises:
        DatasetError: If it is not local or cannot be read.
    """
    dataset = open_local(dataset_id)
    found = content_hash(dataset)
    record = own_record(dataset)
    if is_outdated(record):
        return False, f"it {outdated(dataset_id)}"
    written = record.get("sha256", "")
    if written not in ("", found):
        return False, f"content {found[:16]} differs from {written[:16]} recorded when it was made"
    recipe = catalog().get(dataset_id)
    if recipe is not None and recipe.sha256:
        return _compare(dataset, found, recipe)
    if not written:
        return True, f"content {found[:16]}; no hash was recorded that it could be compared with"
    return True, f"content {found[:16]} has not changed; the catalogue has no hash to compare"


def record_rounding(dataset: minari.MinariDataset, recipe: Recipe) -> None:
    """Record whether a dataset with another hash is the recipe's dataset up to rounding."""
    found = recorded_hash(dataset)
    if recipe.sha256 not in ("", found) and _compare(dataset, found, recipe)[0]:
        update_record(Path(dataset.storage.data_path), **{ROUNDING: recipe.sha256})


def _compare(dataset: minari.MinariDataset, found: str, recipe: Recipe) -> tuple[bool, str]:
    """Whether the content is the catalogue's, perhaps up to rounding, and a sentence about it."""
    if found == recipe.sha256:
        return True, f"content {found[:16]} equals the catalogue's"
    differs = f"content {found[:16]} differs from the catalogue's {recipe.sha256[:16]}"
    expected = fingerprints().get(recipe.dataset_id)
    if expected is None:
        return False, f"{differs}, and there is no fingerprint to compare it with"
    comparison = compare(fingerprint(dataset), expected)
    if comparison.equal_to_rounding:
        return True, f"{differs}, but is equal up to rounding ({comparison})"
    return False, f"{differs} by more than rounding ({comparison})"


def upgrade(dataset_id: str) -> str:
    """Record the present kind of hash in a dataset that an earlier version of this package made.

    The dataset is first checked against its old hash, and what that hash left out (rewards, later
    rows of neighbours, seeds) against what this package writes.

    Returns:
        A sentence that says what was done.

    Raises:
        DatasetError: If the dataset was changed since it was made, or is not the catalogue's; says
            what to do. It stays as it was.
    """
    with exclusive(dataset_id, "upgrade"):
        dataset = open_local(dataset_id)
        record = own_record(dataset)
        if not is_outdated(record):
            return "is up to date"
        again = remedy(dataset_id, force=True)
        version = record.get("hash_version", 1)
        if version != 1:
            raise DatasetError(
                f"dataset {dataset_id!r} has a content hash of version {version!r}, which this "
                f"version of networld does not know; {again}"
            )
        old, found = hash_of_version_1(episodes(dataset)), content_hash(dataset)
        if old != record["sha256"]:
            raise DatasetError(
                f"dataset {dataset_id!r} has changed since it was made: its content was "
                f"{record['sha256'][:16]} and is {old[:16]}; {again}"
            )
        if why := _unlike_ours(dataset, record.get("recipe", {}).get("seed")):
            raise DatasetError(
                f"dataset {dataset_id!r} has changed since it was made: {why}; {again}"
            )
        values = {"sha256": found, "hash_version": HASH_VERSION}
        recipe = catalog().get(dataset_id)
        if recipe is not None and recipe.sha256 not in ("", found):
            good, why = _compare(dataset, found, recipe)
            if not good:
                raise DatasetError(f"dataset {dataset_id!r} is not the catalogue's: {why}; {again}")
            values[ROUNDING] = recipe.sha256
        update_record(Path(dataset.storage.data_path), **values)
    return f"is up to date now, with content {found[:16]}"


def _unlike_ours(dataset: minari.MinariDataset, first_seed: int | None) -> str:
    """How the parts that the old hash left out differ from what this package writes; "" if not."""
    try:
        about = list(dataset.storage.get_episode_metadata(range(dataset.storage.total_episodes)))
        for k, episode in enumerate(dataset.iterate_episodes()):
            infos = episode.infos
            assert infos is not None, "infos are missing"
            own, table = infos["agent_rewards"], infos["neighbours"]
            seed = None if first_seed is None else first_seed + k
            parts = {
                "rewards": np.array_equal(episode.rewards, own[1:].mean(1, dtype=np.float64)),
                "the first row of agent_rewards": not own[0].any(),
                "neighbours": (table == table[0]).all(),
                "the seed": about[k].get("seed") == seed,
            }
            for name, good in parts.items():
                if not good:
                    return f"{name} of episode {k}"
    except READ_ERRORS as error:
        return f"{type(error).__name__}: {error}"
    return ""
