"""A static mirror of datasets: any web server that serves a folder.

The folder holds the files of each dataset under the dataset's id, and ``index.json``::

    {"format": 1, "datasets": {"networld/rb/expert-v0": {
        "sha256": <content hash>, "episodes": .., "steps": .., "mean_reward": .., "policy": ..,
        "files": {"data/main_data.hdf5": {"sha256": .., "bytes": ..}, ..}}}}
"""

from __future__ import annotations

import contextlib
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
from networld_envs.store.ids import DatasetError, dataset_folder
from networld_envs.store.minari_io import METADATA_KEY
from networld_envs.store.recipes import Progress

INDEX = "index.json"
INDEX_FORMAT = 1
FILES = ("data/metadata.json", "data/main_data.hdf5")  # of a dataset, and nothing else is fetched
CHUNK_BYTES = 1 << 20


class _RefusedError(Exception):
    """The server answered with a client error such as 404: trying again is of no use."""


def fetch(
    dataset_id: str,
    remote: str,
    folder: Path,
    progress: Progress | None,
    retries: int,
    timeout_s: float,
) -> str:
    """Fetch the files into ``folder``; returns the content hash of the index."""
    entry = read_index(remote, timeout_s).get(dataset_id)
    if entry is None:
        raise DatasetError(f"{remote} has no dataset {dataset_id!r}")
    registry = {name: f"sha256:{entry['files'][name]['sha256']}" for name in FILES}
    sizes = {name: entry["files"][name]["bytes"] for name in FILES}
    done = 0
    fetcher = pooch.create(
        path=folder,
        base_url=f"{remote.rstrip('/')}/{dataset_id}/",
        registry=registry,
        retry_if_failed=retries,
    )
    for name in FILES:
        bar = _Bar(done, sum(sizes.values()), progress)
        http = pooch.HTTPDownloader(
            progressbar=cast("Any", bar), chunk_size=CHUNK_BYTES, timeout=timeout_s
        )

        def get(url: str, output_file: Any, pooch_: Any, http: Any = http) -> None:
            try:
                http(url, output_file, pooch_)
            except requests.HTTPError as error:
                if error.response is not None and 400 <= error.response.status_code < 500:
                    raise _RefusedError(str(error)) from error
                raise

        try:
            with _quiet_pooch():
                fetcher.fetch(name, downloader=cast("Any", get))
        except (requests.RequestException, _RefusedError, ValueError, OSError) as error:
            raise DatasetError(
                f"cannot download {dataset_id!r} from {remote}: {name}: {error}"
            ) from error
        done += sizes[name]
    return entry["sha256"]


def read_index(remote: str, timeout_s: float) -> dict[str, dict[str, Any]]:
    """The datasets of a static mirror's index, checked for what is used of them."""
    url = f"{remote.rstrip('/')}/{INDEX}"
    try:
        answer = requests.get(url, timeout=timeout_s)
        answer.raise_for_status()
        index = answer.json()
        if index["format"] != INDEX_FORMAT:
            raise DatasetError(
                f"{url} has format {index['format']!r}; this version reads format {INDEX_FORMAT}"
            )
        for entry in index["datasets"].values():
            _need(entry, ("sha256", "episodes", "steps"))
            for name in FILES:
                _need(entry["files"][name], ("sha256", "bytes"))
        return index["datasets"]
    except DatasetError:
        raise
    except requests.JSONDecodeError as error:
        raise DatasetError(f"{url} is not JSON: {error}") from error
    except requests.RequestException as error:
        raise DatasetError(f"cannot reach the mirror: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{url} is not an index of datasets: {error!r}") from error


def add(dataset: minari.MinariDataset, mirror: Path) -> None:
    """Copy the dataset's files into the mirror and enter them into its index."""
    source = dataset_folder(dataset.id)
    mirror.mkdir(parents=True, exist_ok=True)
    with locked(mirror / f".{INDEX}.lock"):
        files = {}
        for name in FILES:
            target = mirror / dataset.id / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with (source / name).open("rb") as original, replacing(target) as copy:
                shutil.copyfileobj(original, copy, CHUNK_BYTES)
            files[name] = {"sha256": pooch.file_hash(str(target)), "bytes": target.stat().st_size}
        path = mirror / INDEX
        index = (
            json.loads(path.read_text(encoding="utf-8"))
            if path.is_file()
            else {"format": INDEX_FORMAT, "datasets": {}}
        )
        entry = {**summary(dataset.storage.metadata), "files": files}
        index["datasets"] = dict(sorted({**index["datasets"], dataset.id: entry}.items()))
        replace_text(path, json.dumps(index, indent=1) + "\n")


def summary(about: dict[str, Any]) -> dict[str, Any]:
    """What an index says of a dataset, from Minari's metadata."""
    ours = about[METADATA_KEY]
    return {
        "sha256": ours["sha256"],
        "episodes": about["total_episodes"],
        "steps": about["total_steps"],
        "mean_reward": ours.get("mean_reward"),
        "policy": about.get("algorithm_name", ""),
    }


def _need(entry: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        kind = str if key == "sha256" else int
        if not isinstance(entry[key], kind):
            raise TypeError(f"{key} is {entry[key]!r}, not of type {kind.__name__}")


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


class _Bar:
    """What pooch wants of a progress bar; passes on (bytes done, bytes) over several files."""

    def __init__(self, before: int, everything: int, progress: Progress | None) -> None:
        self.total = 0
        self._before, self._everything, self._progress = before, everything, progress
        self._done = 0

    def update(self, size: int) -> None:
        self._done = min(self._done + size, self.total)
        if self._progress is not None:
            self._progress(self._before + self._done, self._everything)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Nothing to close."""
