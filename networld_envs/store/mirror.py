"""A static mirror of datasets: any web server that serves a folder.

The folder holds the files of each dataset under the dataset's id, and ``index.json``::

    {"format": 1, "datasets": {"networld/rb/expert-v0": {
        "sha256": <content hash>, "hash_version": .., "episodes": .., "steps": ..,
        "mean_reward": .., "policy": ..,
        "files": {"data/main_data.hdf5": {"sha256": .., "bytes": ..}, ..}}}}
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import minari
import pooch
import requests

from networld_envs.files import locked, replace_text, replacing
from networld_envs.store.arrival import FILES, OTHER_VERSION
from networld_envs.store.ids import DatasetError, check_id, dataset_folder
from networld_envs.store.minari_io import METADATA_KEY
from networld_envs.store.reading.content import HASH_VERSION
from networld_envs.store.reading.record import Kind, is_count, is_hash, is_number, is_text
from networld_envs.store.recipes import Progress, reserved
from networld_envs.store.transfer import CHUNK_BYTES, Deadline, LimitError, Limits, printable, read

INDEX = "index.json"
INDEX_FORMAT = 1


def fetch(
    dataset_id: str,
    remote: str,
    folder: Path,
    progress: Progress | None,
    retries: int,
    limits: Limits,
) -> str:
    """Fetch the files into ``folder``; returns the content hash of the index.

    It is "" if the index has a hash of another version, and the dataset is of the catalogue, which
    has a hash of its own.
    """
    _remove_all_but_whole_files(folder)
    deadline = Deadline(limits.total_s)
    entry = read_index(remote, limits, deadline).get(dataset_id)
    if entry is None:
        raise DatasetError(f"{remote} has no dataset {dataset_id!r}")
    same = entry["hash_version"] == HASH_VERSION
    if not same and dataset_id not in reserved():
        raise DatasetError(f"{dataset_id!r} from {remote} cannot be checked: {OTHER_VERSION}")
    registry = {name: f"sha256:{entry['files'][name]['sha256']}" for name in FILES}
    sizes = {name: entry["files"][name]["bytes"] for name in FILES}
    everything = sum(sizes.values())
    if everything > limits.max_bytes:
        raise DatasetError(
            f"{dataset_id!r} from {remote} has {everything / 1e9:.1f} GB; at most "
            f"{limits.max_gb:g} GB are downloaded. --max-gb allows more"
        )
    done = 0
    fetcher = pooch.create(
        path=folder,
        base_url=f"{remote.rstrip('/')}/{dataset_id}/",
        registry=registry,
        retry_if_failed=retries,
    )
    for name in FILES:

        def seen(count: int, before: int = done) -> None:
            if progress is not None:
                progress(before + count, everything)

        def get(url: str, output_file: Any, pooch_: Any, size: int = sizes[name]) -> None:
            with open(output_file, "wb") as file:
                try:
                    read(
                        url, file, size, deadline, limits.silence_s, seen, " as the index announces"
                    )
                except requests.HTTPError as error:
                    if error.response is not None and 400 <= error.response.status_code < 500:
                        raise LimitError(str(error)) from error  # of no use to try again
                    raise

        try:
            with _quiet_pooch():
                fetcher.fetch(name, downloader=cast("Any", get))
        except (requests.RequestException, LimitError, ValueError, OSError) as error:
            raise DatasetError(
                f"cannot download {dataset_id!r} from {remote}: {name}: {printable(error)}"
            ) from error
        done += sizes[name]
        if progress is not None:
            progress(done, everything)
    return entry["sha256"] if same else ""


def _remove_all_but_whole_files(folder: Path) -> None:
    """Remove what a download that was killed left behind; files that arrived whole stay."""
    whole = {folder / name for name in FILES}
    for path in folder.rglob("*"):
        if path not in whole and not path.is_dir():
            path.unlink()


def read_index(
    remote: str, limits: Limits, deadline: Deadline | None = None
) -> dict[str, dict[str, Any]]:
    """The datasets of a static mirror's index, checked for what is used of them."""
    url = f"{remote.rstrip('/')}/{INDEX}"
    text = io.BytesIO()
    try:
        read(
            url,
            text,
            limits.index_bytes,
            deadline or Deadline(limits.total_s),
            limits.silence_s,
            too_large=" at most; --max-index-mb allows more",
        )
        return _datasets(text.getvalue(), url)
    except requests.RequestException as error:
        raise DatasetError(f"cannot reach the mirror: {printable(error)}") from error
    except LimitError as error:
        raise DatasetError(f"cannot read {url}: {printable(error)}") from error


def _datasets(text: bytes, place: str) -> dict[str, dict[str, Any]]:
    """The datasets of an index, checked for what is used of them.

    Raises:
        DatasetError: Names the place and what is wrong.
    """
    try:
        index = json.loads(text)
        if index["format"] != INDEX_FORMAT:
            raise DatasetError(
                f"the index has format {index['format']!r}; this version reads format "
                f"{INDEX_FORMAT}"
            )
        for dataset_id, entry in index["datasets"].items():
            check_entry(dataset_id, entry)
            for name in FILES:
                _need(entry["files"][name], {"sha256": is_hash, "bytes": is_count})
        return index["datasets"]
    except DatasetError as error:
        raise DatasetError(f"{place}: {error}") from error
    except json.JSONDecodeError as error:
        raise DatasetError(f"{place} is not JSON: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{place} is not an index of datasets: {error!r}") from error


def check_entry(dataset_id: str, entry: dict[str, Any]) -> None:
    """Raise unless the entry of an index is what `summary` makes; files are not looked at."""
    check_id(dataset_id)
    _need(entry, {"sha256": is_hash, "episodes": is_count, "steps": is_count})
    _need(
        {"mean_reward": None, "policy": "", "hash_version": 1, **entry},
        {
            "mean_reward": lambda value: value is None or is_number(value),
            "policy": is_text,
            "hash_version": is_count,
        },
    )
    entry.setdefault("hash_version", 1)
    entry.setdefault("mean_reward", None)
    entry.setdefault("policy", "")


def add(dataset: minari.MinariDataset, mirror: Path) -> None:
    """Copy the dataset's files into the mirror and enter them into its index.

    Raises:
        DatasetError: If the folder has an index that is not one of a mirror; nothing is copied.
    """
    source = dataset_folder(dataset.id)
    mirror.mkdir(parents=True, exist_ok=True)
    with locked(mirror / f".{INDEX}.lock"):
        path = mirror / INDEX
        datasets = _datasets(path.read_bytes(), str(path)) if path.is_file() else {}
        files = {}
        for name in FILES:
            target = mirror / dataset.id / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with (source / name).open("rb") as original, replacing(target) as copy:
                shutil.copyfileobj(original, copy, CHUNK_BYTES)
            files[name] = {"sha256": pooch.file_hash(str(target)), "bytes": target.stat().st_size}
        datasets[dataset.id] = {**summary(dataset.storage.metadata), "files": files}
        index = {"format": INDEX_FORMAT, "datasets": dict(sorted(datasets.items()))}
        replace_text(path, json.dumps(index, indent=1) + "\n")


def summary(about: dict[str, Any]) -> dict[str, Any]:
    """What an index says of a dataset, from Minari's metadata."""
    ours = about[METADATA_KEY]
    return {
        "sha256": ours["sha256"],
        "hash_version": ours.get("hash_version", 1),
        "episodes": about["total_episodes"],
        "steps": about["total_steps"],
        "mean_reward": ours.get("mean_reward"),
        "policy": about.get("algorithm_name", ""),
    }


def _need(entry: dict[str, Any], kinds: dict[str, Kind]) -> None:
    for key in kinds:
        kind = str if key == "sha256" else object
        if not isinstance(entry[key], kind):
            raise TypeError(f"{key} is {repr(entry[key])[:80]}, not of type {kind.__name__}")
    for key, fits in kinds.items():
        if not fits(entry[key]):
            raise ValueError(f"{key} is {repr(entry[key])[:80]}")


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Without pooch's own messages, which would break a progress bar."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
