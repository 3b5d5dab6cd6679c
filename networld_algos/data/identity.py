"""Which data a model was trained on: the content hashes of its datasets.

An id alone does not say it, because a dataset can be replaced by another under the same id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from networld_envs import store
from networld_envs.store.minari_io import own_record
from networld_envs.store.reading.identity import ROUNDING

SHOWN = 16  # digits of a hash in messages


def recorded_hashes(dataset_ids: Iterable[str]) -> dict[str, str]:
    """Dataset id -> recorded content hash, for datasets of the local store; reads no arrays.

    Raises:
        networld_envs.store.DatasetError: If a dataset may not be used, see
            `networld_envs.store.load`.
    """
    return {i: store.recorded_hash(store.load(i)) for i in dataset_ids}


def rounded_from(dataset_ids: Iterable[str]) -> dict[str, str]:
    """Dataset id -> the catalogue's hash, for local datasets that equal its up to rounding."""
    found = {i: own_record(store.load(i)).get(ROUNDING, "") for i in dataset_ids}
    return {dataset_id: sha256 for dataset_id, sha256 in found.items() if sha256}


def refuse_other_data(
    before: Mapping[str, str], now: Mapping[str, str], where: str, remedy: str
) -> None:
    """Raise if a dataset has another content now than it had.

    Args:
        before: Dataset id -> content hash when the work began. Ids that are missing are unknown.
        now: The same now.
        where: What was made with the content before, for the message.
        remedy: What to do, for the message.

    Raises:
        ValueError: Names both hashes.
    """
    for dataset_id, found in now.items():
        old = before.get(dataset_id, found)
        if old != found:
            raise ValueError(
                f"{where} was made with dataset {dataset_id!r} of content {old[:SHOWN]}, but the "
                f"local store now has content {found[:SHOWN]} under this id; {remedy}"
            )
