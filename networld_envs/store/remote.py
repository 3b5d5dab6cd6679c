"""Datasets elsewhere: downloading from a mirror, uploading to one, listing what it has.

A remote is one of

* ``http://`` or ``https://``: a static mirror, see `networld_envs.store.mirror`. `upload` to a
  folder makes one; any web server serves it.
* ``gcp://bucket`` or ``hf://account``: a remote of Minari's own (extras ``minari[gcs]``,
  ``minari[hf]``).

A download goes into a folder of its own and is put in its place only after its content hash was
found to be the catalogue's and the one it was uploaded with.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import minari
from minari.namespace import namespace_hierarchy
from minari.storage.remotes import get_cloud_storage
from minari.storage.remotes.cloud_storage import CloudStorage

from networld_envs.store import mirror
from networld_envs.store.ids import DATA, DatasetError
from networld_envs.store.minari_io import (
    METADATA_KEY,
    READ_ERRORS,
    content_hash,
    metadata,
    open_local,
)
from networld_envs.store.publishing import DATASET, DatasetExistsError, new_dataset
from networld_envs.store.recipes import Progress, catalog

HTTP = ("http", "https")
MINARI = ("gcp", "hf")
ARRIVING = "files"  # where files arrive; what arrived from a static mirror outlasts an interruption


def download(
    dataset_id: str,
    remote: str,
    force: bool = False,
    progress: Progress | None = None,
    keep: bool = False,
    retries: int = 3,
    timeout_s: float = 30.0,
) -> minari.MinariDataset:
    """Fetch a dataset into Minari's local store.

    A transfer that breaks off or arrives damaged is tried again; files that arrived whole before
    an interruption are not fetched twice (static mirror).

    Args:
        dataset_id: Its id.
        remote: Where from; see the module's documentation.
        force: Replace a dataset of that id.
        progress: Called with (bytes done, bytes), for a static mirror.
        keep: Return a dataset of that id that is there already instead of raising.
        retries: Further tries of one file of a static mirror.
        timeout_s: Longest silence of a static mirror.

    Raises:
        DatasetError: If the dataset exists already, the remote does not have it or cannot be
            reached, or what arrives is not what the catalogue and the remote say it is. The local
            store is then as before.
    """
    scheme = _scheme(remote)
    try:
        with new_dataset(
            dataset_id,
            "download",
            force=force and not keep,
            verb="download",
            resume=scheme in HTTP,
        ) as folder:
            files = folder / ARRIVING
            if scheme in HTTP:
                expected = mirror.fetch(dataset_id, remote, files, progress, retries, timeout_s)
            else:
                files, expected = _fetch_minari(dataset_id, remote, files), ""
            files.replace(folder / DATASET)
            _check(folder / DATASET, dataset_id, remote, expected)
    except DatasetExistsError:
        if not keep:
            raise
    return open_local(dataset_id)


def list_remote(remote: str, timeout_s: float = 30.0) -> dict[str, dict[str, Any]]:
    """What a remote has, by id: ``sha256``, ``episodes``, ``steps``, ``bytes``, ``mean_reward``.

    Raises:
        DatasetError: If the remote cannot be reached or read.
    """
    if _scheme(remote) in HTTP:
        return {
            dataset_id: {**entry, "bytes": sum(f["bytes"] for f in entry["files"].values())}
            for dataset_id, entry in mirror.read_index(remote, timeout_s).items()
        }
    with _cloud(remote) as cloud:
        found = {i: cloud.get_dataset_metadata(i) for i in cloud.list_datasets()}
    return {
        dataset_id: {
            **mirror.summary(about),
            "bytes": round(1e6 * about["dataset_size"]),
        }
        for dataset_id, about in found.items()
        if METADATA_KEY in about
    }


def upload(dataset_id: str, remote: str, token: str | None = None) -> None:
    """Push a local dataset to a remote of Minari's, or into the folder of a static mirror.

    Args:
        dataset_id: Its id.
        remote: ``gcp://bucket``, ``hf://account`` or a folder.
        token: Of the remote: a service-account file for ``gcp``, an API token for ``hf``.

    Raises:
        DatasetError: If the dataset is not here, its content is not what it was, or the remote
            does not take it.
    """
    dataset = open_local(dataset_id)
    if dataset.id != dataset_id:
        raise DatasetError(
            f"the dataset in the folder of {dataset_id!r} is {dataset.id!r}; it is not uploaded"
        )
    found, written = content_hash(dataset), metadata(dataset).get("sha256")
    if found != written:
        raise DatasetError(
            f"dataset {dataset_id!r} has content {found[:16]}, not {str(written)[:16]} as when it "
            "was made; it is not uploaded"
        )
    if "://" not in remote:
        mirror.add(dataset, Path(remote))
        return
    if _scheme(remote) in HTTP:
        raise DatasetError(
            f"{remote} is a static mirror and takes no uploads; upload to the folder that it serves"
        )
    with _cloud(remote, token) as cloud:
        there = set(cloud.list_namespaces())
        for namespace in namespace_hierarchy(dataset_id.rpartition("/")[0]):
            if namespace not in there:
                cloud.upload_namespace(namespace)
        cloud.upload_dataset(dataset_id)


def _scheme(remote: str) -> str:
    scheme, separator, _ = remote.partition("://")
    if not separator or scheme not in (*HTTP, *MINARI):
        raise DatasetError(
            f"remote {remote!r} must begin with one of "
            + ", ".join(f"{s}://" for s in (*HTTP, *MINARI))
        )
    return scheme


def _fetch_minari(dataset_id: str, remote: str, folder: Path) -> Path:
    """Fetch a dataset with Minari's own client; returns where in ``folder`` it is."""
    folder.mkdir()
    with _cloud(remote) as cloud:
        cloud.get_dataset_metadata(dataset_id)  # raises if it is not there
        cloud.download_dataset(dataset_id, folder)
    return folder / dataset_id


@contextlib.contextmanager
def _cloud(remote: str, token: str | None = None) -> Iterator[CloudStorage]:
    """Minari's client of a remote, silent; whatever it raises becomes a `DatasetError`."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield get_cloud_storage(remote, token)
    except Exception as error:  # each backend has its own exceptions
        raise DatasetError(f"{remote}: {type(error).__name__}: {error}") from error


def _check(root: Path, dataset_id: str, remote: str, expected: str) -> None:
    """Raise unless the dataset in ``root`` is the one asked for, with the content it claims."""
    try:
        dataset = minari.MinariDataset(root / DATA)
        about = metadata(dataset)
    except READ_ERRORS as error:
        raise DatasetError(f"{dataset_id!r} from {remote} cannot be read: {error}") from error
    if dataset.id != dataset_id:
        raise DatasetError(f"{remote} sent {dataset.id!r} for {dataset_id!r}")
    recipe = catalog().get(dataset_id)
    claims = {
        "the catalogue": recipe.sha256 if recipe is not None else "",
        "the mirror's index": expected,
        "its own metadata": about.get("sha256", ""),
    }
    found = content_hash(dataset)
    for source, sha256 in claims.items():
        if sha256 and sha256 != found:
            raise DatasetError(
                f"{dataset_id!r} from {remote} has content {found[:16]}, not {sha256[:16]} as "
                f"{source} says; it was thrown away"
            )
