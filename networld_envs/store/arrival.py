"""What is done with the files of a dataset that arrived from elsewhere before it is accepted.

Only arrays are taken from a remote. For a dataset of the catalogue everything else, such as the
environment, the authors and the seeds, is made again from its recipe. For another dataset the
metadata is cut down to known keys of plain types. Nothing is unpickled or called.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import minari
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import METADATA_FILE_NAME
from minari.serialization import serialize_space

from networld_envs.files import replace_text
from networld_envs.store.builder import description
from networld_envs.store.ids import DATA, DatasetError
from networld_envs.store.minari_io import METADATA_KEY, episode_buffer, episodes, write
from networld_envs.store.reading.content import HASH_VERSION
from networld_envs.store.reading.record import RECORD_KEYS, Kind, is_count, is_number, is_text
from networld_envs.store.reading.sizes import MAIN_FILE
from networld_envs.store.recipes import Recipe
from networld_envs.store.trust import open_trusted

FILES = (f"{DATA}/{METADATA_FILE_NAME}", f"{DATA}/{MAIN_FILE}")
"""Files of a dataset; nothing else is taken from a remote."""
MOST_METADATA_BYTES = 50_000_000
OTHER_VERSION = (
    "it was uploaded by another version of networld, whose content hash is a different one; "
    "there, run `networld dataset upgrade` and upload it again"
)


def settle(files: Path, root: Path, dataset_id: str, recipe: Recipe | None, most_bytes: int) -> str:
    """Make the dataset in ``root`` from the files that arrived.

    Args:
        files: Folder with `FILES`.
        root: New folder of the dataset.
        dataset_id: What was asked for.
        recipe: From the catalogue, or None.
        most_bytes: Largest total size of the arrays.

    Returns:
        The content hash that the metadata that arrived claims, or "".

    Raises:
        DatasetError: If it is another dataset, or the files hold what a dataset does not.
    """
    for name in FILES:
        if (files / name).is_symlink() or not (files / name).is_file():
            raise DatasetError(f"{name} is missing")
    about = _read(files / FILES[0])
    if about.get("dataset_id") != dataset_id:
        raise DatasetError(f"the remote sent {about.get('dataset_id')!r} for {dataset_id!r}")
    count, steps, total = _check_arrays(files / FILES[1], most_bytes)
    ours = about.get(METADATA_KEY, {})
    claim, version = "", HASH_VERSION
    if isinstance(ours, dict):
        claim, version = ours.get("sha256", ""), ours.get("hash_version", 1)
    if recipe is not None:
        _rebuild(files, root, recipe, count)
        return claim if isinstance(claim, str) and version == HASH_VERSION else ""
    if claim and version != HASH_VERSION:
        raise DatasetError(OTHER_VERSION)
    kept = restricted(about)
    kept.update(total_episodes=count, total_steps=steps)
    if METADATA_KEY in kept:
        kept[METADATA_KEY]["mean_reward"] = total / steps
    (root / DATA).mkdir(parents=True)
    replace_text(root / FILES[0], json.dumps(kept))
    (files / FILES[1]).replace(root / FILES[1])
    open_trusted(root / DATA)
    return claim


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MOST_METADATA_BYTES:
        raise DatasetError(f"{path.name} is larger than {MOST_METADATA_BYTES} bytes")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(about, dict):
        raise DatasetError(f"{path.name} is of type {type(about).__name__}, not an object")
    return about


def _rebuild(files: Path, root: Path, recipe: Recipe, count: int) -> None:
    """Write a dataset of the catalogue as a build does, with the arrays that arrived."""
    if count != recipe.episodes:
        raise DatasetError(f"it has {count} episodes, not {recipe.episodes} as in the catalogue")
    given = description(recipe)
    trusted = {
        "dataset_id": recipe.dataset_id,
        "data_format": "hdf5",
        "minari_version": minari.__version__,
        "total_episodes": count,
        "total_steps": count * recipe.max_cycles,
        "observation_space": serialize_space(given["observation_space"]),
        "action_space": serialize_space(given["action_space"]),
    }
    replace_text(files / FILES[0], json.dumps(trusted))
    arrived = minari.MinariDataset(files / DATA)

    def buffers() -> Iterator[EpisodeBuffer]:
        for number, fields in enumerate(episodes(arrived)):
            yield episode_buffer(number, fields, recipe.seed + number)

    write(root, buffers(), **given)


def _check_arrays(path: Path, most_bytes: int) -> tuple[int, int, float]:
    """Number of episodes, of steps, and sum of rewards of a file that holds only plain arrays.

    An HDF5 file can refer to other files of this machine, and a small one can stand for arrays of
    any size. Neither is accepted.
    """
    size, seen = 0, set[int]()

    def visit(group: h5py.Group) -> None:
        nonlocal size
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise DatasetError(f"{name!r} in {path.name} is a link")
            item = group[name]
            address = h5o.get_info(item.id).addr
            if address in seen:
                raise DatasetError(f"{name!r} in {path.name} is there twice")
            seen.add(address)
            if isinstance(item, h5py.Group):
                visit(item)
                continue
            if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
                raise DatasetError(f"{name!r} in {path.name} is not an array of its own")
            if item.dtype.kind not in "biuf":
                raise DatasetError(f"{name!r} in {path.name} is of type {item.dtype}")
            size += item.nbytes
            if size > most_bytes:
                raise DatasetError(
                    f"its arrays are larger than {most_bytes / 1e9:g} GB; --max-gb allows more"
                )

    steps, total = 0, 0.0
    try:
        with h5py.File(path, "r") as file:
            visit(file)
            for number in range(len(file)):
                rewards: Any = file[f"episode_{number}/rewards"]
                steps, total = steps + len(rewards), total + sum(rewards[()].tolist())
            if not (steps and math.isfinite(total)):
                raise DatasetError(f"{path.name} holds no rewards, or some that are not finite")
            return len(file), steps, total
    except DatasetError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise DatasetError(f"{path.name} cannot be read: {error}") from error


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(is_text(v) for v in value)


KEYS: dict[str, Kind] = {
    **dict.fromkeys(
        (
            "dataset_id", "observation_space", "action_space", "env_spec", "eval_env_spec",
            "minari_version", "algorithm_name", "code_permalink", "description",
        ),
        is_text,
    ),
    "data_format": lambda value: value == "hdf5",
    "jpeg_encoding": lambda value: type(value) is bool,
    "author": _is_texts,
    "author_email": _is_texts,
    "requirements": _is_texts,
    "combined_datasets": _is_texts,
    "num_episodes_average_score": is_count,
    "ref_min_score": is_number,
    "ref_max_score": is_number,
    "dataset_size": is_number,
    METADATA_KEY: lambda value: isinstance(value, dict) and "sha256" in value and "spec" in value,
}  # fmt: skip
"""Keys of Minari's metadata that are taken from a remote, and what their values must be.

Numbers of episodes and steps and the mean reward are counted instead.
"""


def restricted(about: dict[str, Any]) -> dict[str, Any]:
    """Metadata cut down to the known keys; others are dropped.

    Raises:
        DatasetError: If a known key has a value of another kind.
    """
    kept = _known(about, KEYS)
    if METADATA_KEY in kept:
        kept[METADATA_KEY] = _known(kept[METADATA_KEY], RECORD_KEYS)
    return kept


def _known(about: dict[str, Any], kinds: dict[str, Kind]) -> dict[str, Any]:
    for key, fits in kinds.items():
        if key in about and not fits(about[key]):
            raise DatasetError(f"{key} in its metadata is {repr(about[key])[:80]}")
    return {key: value for key, value in about.items() if key in kinds}
