"""Datasets elsewhere: downloading from a mirror, uploading to one, listing what it has.

A remote is one of

* ``http://`` or ``https://``: a static mirror, see `networld_envs.store.mirror`. `upload` to a
  folder makes one; any web server serves it.
* ``gcp://bucket`` or ``hf://account``: a remote of Minari's own (extras ``minari[gcs]``,
  ``minari[hf]``).

A download goes into a folder of its own and is put in its place only after its content hash was
found to be the catalogue's and the one it was uploaded with. Its metadata is not trusted, see
`networld_envs.store.arrival`, and what a remote may use up is limited, see
`networld_envs.store.transfer.Limits`.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import minari
from minari.namespace import namespace_hierarchy
from minari.storage.remotes import get_cloud_storage
from minari.storage.remotes.cloud_storage import CloudStorage

from networld_envs.store import mirror
from networld_envs.store.arrival import FILES, settle
from networld_envs.store.ids import DATA, DatasetError
from networld_envs.store.minari_io import (
    METADATA_KEY,
    READ_ERRORS,
    content_hash,
    episodes,
    open_local,
    recorded_hash,
)
from networld_envs.store.publishing import DATASET, DatasetExistsError, new_dataset
from networld_envs.store.recipes import Progress, catalog
from networld_envs.store.transfer import LimitError, Limits, cleaning_up_on_sigterm

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
    limits: Limits | None = None,
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
        limits: What the remote may use up; by default, see `Limits`.

    Raises:
        DatasetError: If the dataset exists already, the remote does not have it or cannot be
            reached, or what arrives is not what the catalogue and the remote say it is. The local
            store is then as before.
    """
    scheme = _scheme(remote)
    limits = limits or Limits()
    try:
        with (
            cleaning_up_on_sigterm(),
            new_dataset(
                dataset_id,
                "download",
                force=force and not keep,
                verb="download",
                resume=scheme in HTTP,
                of_catalogue=True,  # `_accept` compares the hashes
            ) as folder,
        ):
            files = folder / ARRIVING
            if scheme in HTTP:
                expected = mirror.fetch(dataset_id, remote, files, progress, retries, limits)
            else:
                files, expected = _fetch_minari(dataset_id, remote, files, limits), ""
            try:
                _accept(files, folder / DATASET, dataset_id, remote, expected, limits)
            finally:  # what is refused is not looked at again
                shutil.rmtree(folder / ARRIVING)
    except DatasetExistsError:
        if not keep:
            raise
    return open_local(dataset_id)


def list_remote(remote: str, limits: Limits | None = None) -> dict[str, dict[str, Any]]:
    """What a remote has, by id: ``sha256``, ``episodes``, ``steps``, ``bytes``, ``mean_reward``.

    Args:
        remote: Which; see the module's documentation.
        limits: What a static mirror may use up; by default, see `Limits`.

    Raises:
        DatasetError: If the remote cannot be reached or read, or its index is damaged.
    """
    limits = limits or Limits()
    if _scheme(remote) in HTTP:
        return {
            dataset_id: {**entry, "bytes": sum(f["bytes"] for f in entry["files"].values())}
            for dataset_id, entry in mirror.read_index(remote, limits).items()
        }
    with _cloud(remote) as cloud:
        found = {i: cloud.get_dataset_metadata(i) for i in cloud.list_datasets()}
    listed = {}
    for dataset_id, about in found.items():
        try:
            if METADATA_KEY not in about:
                continue
            entry = {**mirror.summary(about), "bytes": round(1e6 * about["dataset_size"])}
            mirror.check_entry(dataset_id, entry)
        except READ_ERRORS as error:
            raise DatasetError(f"{remote}: {dataset_id!r} is damaged: {error!r}") from error
        listed[dataset_id] = entry
    return listed


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
    written = recorded_hash(dataset)
    found = content_hash(dataset)
    if found != written:
        raise DatasetError(
            f"dataset {dataset_id!r} has content {found[:16]}, not {str(written)[:16]} as when it "
            "was made; it is not uploaded"
        )
    recipe = catalog().get(dataset_id)
    if recipe is not None and recipe.sha256 not in ("", found):
        raise DatasetError(
            f"dataset {dataset_id!r} has content {found[:16]}, not {recipe.sha256[:16]} as in the "
            "catalogue, so that nobody could download it; it is not uploaded"
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


def _fetch_minari(dataset_id: str, remote: str, folder: Path, limits: Limits) -> Path:
    """Fetch a dataset with Minari's own client; returns where in ``folder`` it is.

    The client has no limit of size or time; only the size that the dataset claims is checked.
    """
    folder.mkdir()
    with _cloud(remote) as cloud:
        claimed = 1e6 * cloud.get_dataset_metadata(dataset_id)["dataset_size"]
        if not claimed <= limits.max_bytes:
            raise LimitError(f"it has {claimed / 1e9:.1f} GB; --max-gb allows more")
        bucket: Any = getattr(cloud, "bucket", None)  # of Google Cloud Storage
        if bucket is None:
            cloud.download_dataset(dataset_id, folder)
            return folder / dataset_id
        # Minari would write every object of the bucket whose name begins with the id, and a name
        # with ".." in it outside the folder.
        for name in FILES:
            target = folder / dataset_id / name
            target.parent.mkdir(parents=True, exist_ok=True)
            bucket.blob(f"{dataset_id}/{name}").download_to_filename(target)
    return folder / dataset_id


@contextlib.contextmanager
def _cloud(remote: str, token: str | None = None) -> Iterator[CloudStorage]:
    """Minari's client of a remote, silent; whatever it raises becomes a `DatasetError`."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield get_cloud_storage(remote, token)
    except Exception as error:  # each backend has its own exceptions
        raise DatasetError(f"{remote}: {type(error).__name__}: {error}") from error


def _accept(
    files: Path, root: Path, dataset_id: str, remote: str, expected: str, limits: Limits
) -> None:
    """Make the dataset in ``root`` of what arrived, or raise unless it is what it claims to be."""
    recipe = catalog().get(dataset_id)
    try:
        claim = settle(files, root, dataset_id, recipe, limits.max_bytes)
        arrived = minari.MinariDataset(root / DATA)
        for _ in episodes(arrived):  # raises if a field is missing or misshapen
            pass
        found = content_hash(arrived)
    except READ_ERRORS as error:
        raise DatasetError(f"{dataset_id!r} from {remote} is not accepted: {error}") from error
    claims = {
        "the catalogue": recipe.sha256 if recipe is not None else "",
        "the mirror's index": expected,
        "its own metadata": claim,
    }
    for source, sha256 in claims.items():
        if sha256 and sha256 != found:
            raise DatasetError(
                f"{dataset_id!r} from {remote} has content {found[:16]}, not {sha256[:16]} as "
                f"{source} says; it was thrown away"
            )
