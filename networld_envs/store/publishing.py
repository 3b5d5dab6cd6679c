"""The only way in which a dataset enters Minari's local store.

A new dataset is made in a hidden folder beside its place and moved there when it is complete. Only
the unfinished work is removed and, with ``force``, the dataset of exactly that id.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minari.namespace import NAMESPACE_METADATA_FILENAME
from minari.storage.datasets_root_dir import get_dataset_path

from networld_envs.files import locked, replace_text
from networld_envs.store.ids import DATA, DatasetError, dataset_folder, listed
from networld_envs.store.recipes import reserved

DATASET = "dataset"
"""Name of the new dataset in the folder of unfinished work."""


class DatasetExistsError(DatasetError):
    """A dataset of that id is already in the local store."""


@contextmanager
def new_dataset(
    dataset_id: str,
    suffix: str,
    *,
    force: bool,
    verb: str,
    resume: bool = False,
    of_catalogue: bool = False,
) -> Iterator[Path]:
    """Make a dataset: yields a ``folder``, and the caller writes into ``folder / DATASET``.

    When the block ends without an error, the dataset is moved to its place in the local store and
    the folder is removed. After any error, and when the process is interrupted, the folder is
    removed and the local store is as before. Other processes that make a dataset of the same id
    wait.

    Args:
        dataset_id: Its id.
        suffix: Ending of the folder's name, so that different kinds of unfinished work differ.
        force: Replace an existing dataset of that id.
        verb: What is done to the dataset, for the error message.
        resume: After an error, remove only ``folder / DATASET`` and keep the rest of the folder for
            the next try.
        of_catalogue: The caller makes sure that a dataset with an id of the catalogue is the
            catalogue's. Otherwise such an id is refused.

    Yields:
        The folder for unfinished work; empty unless ``resume`` is given.

    Raises:
        DatasetExistsError: If the dataset already exists and ``force`` is not given.
        DatasetError: If the id cannot be used, or replacing would remove more than a dataset.
    """
    if not of_catalogue:
        refuse_reserved(dataset_id)
    with exclusive(dataset_id, suffix) as folder:
        _restore(dataset_folder(dataset_id))
        if not force:
            refuse_existing(dataset_id, verb)
        refuse_foreign(dataset_id)
        _clear(folder, resume)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
            publish(folder / DATASET, dataset_id, force)
        except BaseException:
            _clear(folder, resume)
            raise
        shutil.rmtree(folder)


@contextmanager
def exclusive(dataset_id: str, suffix: str) -> Iterator[Path]:
    """Hold the dataset's lock; other processes that make or fetch it wait.

    Yields:
        A folder for unfinished work beside the dataset's place, its name ending in ``suffix``.
        It may exist from an earlier try.
    """
    target = dataset_folder(dataset_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f".{target.name}.lock"):
        yield target.parent / f".{target.name}.{suffix}"


def refuse_existing(dataset_id: str, verb: str) -> None:
    """Raise if a dataset of that id, even a damaged one, is in the local store.

    Raises:
        DatasetExistsError: Says how to replace it.
    """
    if (dataset_folder(dataset_id) / DATA).exists():
        raise DatasetExistsError(
            f"dataset {dataset_id!r} already exists; use --force to {verb} it again"
        )


def refuse_reserved(dataset_id: str) -> None:
    """Raise for an id of the catalogue, under which everybody expects the catalogue's dataset.

    Raises:
        DatasetError: Suggests another id.
    """
    if dataset_id in reserved():
        name, _, version = dataset_id.rpartition("-")
        raise DatasetError(
            f"{dataset_id!r} is an id of the catalogue and is reserved for the dataset that its "
            f"recipe makes; choose another id, e.g. {f'{name}-mine-{version}'!r}"
        )


def refuse_foreign(dataset_id: str) -> None:
    """Raise if the dataset's place holds anything that is not the dataset's.

    Raises:
        DatasetError: Says what else is there.
    """
    target = dataset_folder(dataset_id)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise DatasetError(f"{target} is a link or a file, not a folder; move it away")
    others = sorted({p.name for p in target.iterdir()} - {DATA}) if target.is_dir() else []
    if others:
        raise DatasetError(
            f"{target} also holds {listed(others)}, which would be lost; move this away first"
        )


def publish(root: Path, dataset_id: str, force: bool) -> None:
    """Move a finished dataset from ``root`` into the local store.

    Args:
        root: The dataset, complete.
        dataset_id: Its id.
        force: Replace an existing dataset of that id. Otherwise a dataset that has appeared in the
            meantime is an error.
    """
    target = dataset_folder(dataset_id)
    _make_namespaces(target.parent)
    if force and (target / DATA).exists():
        refuse_foreign(dataset_id)
        os.rename(target, _old(target))
    try:
        os.rename(root, target)  # fails where something is in the way
    finally:
        _restore(target)


def _old(target: Path) -> Path:
    """Where a dataset is kept while another replaces it."""
    return target.with_name(f".{target.name}.replaced")


def _restore(target: Path) -> None:
    """Put back a dataset whose replacement failed; remove one that was replaced."""
    if _old(target).exists():
        if target.exists():
            shutil.rmtree(_old(target))
        else:
            os.rename(_old(target), target)


def _make_namespaces(folder: Path) -> None:
    """Mark the folders above a dataset as Minari namespaces, as Minari's own writer does."""
    root = get_dataset_path()
    for namespace in (folder, *folder.parents[: len(folder.relative_to(root).parts)]):
        note = namespace / NAMESPACE_METADATA_FILENAME
        if namespace != root and not note.exists():
            replace_text(note, "{}")


def _clear(folder: Path, resume: bool) -> None:
    """Remove unfinished work; with ``resume``, only the dataset that was being written."""
    shutil.rmtree(folder / DATASET if resume else folder, ignore_errors=True)
    if resume:
        with suppress(OSError):  # not there, or not empty
            folder.rmdir()
