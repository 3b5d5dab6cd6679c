"""Ids of datasets: only this module checks them and turns them into folders of the store."""

from __future__ import annotations

import re
from pathlib import Path

from minari.dataset.minari_dataset import parse_dataset_id
from minari.storage.datasets_root_dir import get_dataset_path

DATA = "data"
"""Folder with a dataset's files; Minari treats every folder that contains it as a dataset."""

FORM = re.compile(r"(\w[\w-]*/)*\w[\w-]*-v\d+")
LONGEST_BYTES = 200  # file systems allow 255 per name; names of locks are a little longer


class DatasetError(ValueError):
    """A dataset is missing, damaged or not what was asked for."""


def check_id(dataset_id: str) -> str:
    """Check the form of an id, ``namespace/name-v<number>``, and return it.

    Namespaces may be nested or absent. Letters, digits, ``_`` and ``-`` are allowed, so that no id
    leads out of the store. Minari also accepts every id that is accepted here.

    Raises:
        DatasetError: If it has any other form.
    """
    try:
        good = FORM.fullmatch(dataset_id) and len(dataset_id.encode()) <= LONGEST_BYTES
        if good:
            parse_dataset_id(dataset_id)
    except (TypeError, ValueError):  # not a string; refused by Minari; not encodable
        good = False
    if not good:
        raise DatasetError(
            f"{dataset_id!r} is not a dataset id: it should look like 'networld/rb/campus-v0', "
            "with letters, digits, '_' and '-' in each part and a version at the end"
        )
    if DATA in dataset_id.split("/"):
        raise DatasetError(
            f"{dataset_id!r} is not a dataset id: {DATA!r} is the name of the folder that holds a "
            "dataset's files; choose another name"
        )
    return dataset_id


def dataset_folder(dataset_id: str) -> Path:
    """The folder of a dataset in Minari's local store, whether the dataset is there or not.

    Raises:
        DatasetError: If the id has a wrong form, lies inside a dataset, or names a folder that
            holds something other than a dataset, for example other datasets.
    """
    folder = get_dataset_path(check_id(dataset_id))
    root = get_dataset_path()
    for above in folder.relative_to(root).parents:
        if above.name and (root / above / DATA).exists():
            raise DatasetError(
                f"{dataset_id!r} lies inside the dataset {above.as_posix()!r}; choose another id"
            )
    if folder.is_dir() and not (folder / DATA).exists():
        others = sorted(path.name for path in folder.iterdir())
        if others:
            raise DatasetError(
                f"{folder} is not a dataset; it holds {listed(others)}. Choose another id for "
                f"{dataset_id!r}, or move the folder away"
            )
    return folder


def listed(names: list[str], most: int = 3) -> str:
    """The first few names as text."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")
