"""Episodes in Minari's local store: reading them with clear errors, and writing them.

One episode of ``T`` steps of ``N`` agents holds

======================  =====================================================================
observations            ``(T+1, N, O)`` float32
actions                 ``(T, N, A)`` float32, or ``(T, N)`` int64 for discrete actions
rewards                 ``(T,)`` float64, mean over agents
infos/agent_rewards     ``(T+1, N)`` float32, each agent's own; the first row is zero
infos/neighbours        ``(T+1, N, D)`` int32, the 1-hop graph, padded with -1
terminations            ``(T,)`` bool
truncations             ``(T,)`` bool
======================  =====================================================================
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import minari
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import METADATA_FILE_NAME, MinariStorage
from numpy.typing import NDArray

from networld_envs.files import replace_text
from networld_envs.simulator import make_params, task_module
from networld_envs.spec import TaskSpec
from networld_envs.store.ids import DATA, DatasetError, dataset_folder
from networld_envs.store.reading.content import HASH_VERSION, file_hash
from networld_envs.store.reading.record import checked_record
from networld_envs.store.reading.sizes import MAIN_FILE, sound
from networld_envs.store.recipes import known_recipes
from networld_envs.store.trust import open_trusted
from networld_envs.version import __version__

METADATA_KEY = "networld"
FIELDS = (
    "observations",
    "actions",
    "agent_rewards",
    "neighbours",
    "terminations",
    "truncations",
)
READ_ERRORS = (Exception,)
"""What reading damaged files may raise: h5py, zlib, json and Minari have no common class."""


def is_local(dataset_id: str) -> bool:
    """Whether a finished dataset of that id is in Minari's local store."""
    try:
        return (dataset_folder(dataset_id) / DATA / METADATA_FILE_NAME).is_file()
    except DatasetError:  # not a dataset id
        return False


def open_local(dataset_id: str) -> minari.MinariDataset:
    """Open a dataset of the local store.

    Raises:
        DatasetError: If it is not local, its files are damaged, this is not a dataset id, or its
            environment is not one that a dataset may name (`networld_envs.store.trust`).
    """
    dataset_folder(dataset_id)
    if not is_local(dataset_id):
        raise DatasetError(
            f"dataset {dataset_id!r} is not in the local store; {remedy(dataset_id)}"
        )
    try:
        return open_trusted(dataset_folder(dataset_id) / DATA)
    except DatasetError as error:
        raise DatasetError(
            f"dataset {dataset_id!r} cannot be used: {error}; {remedy(dataset_id, force=True)}"
        ) from error
    except READ_ERRORS as error:
        raise damaged(dataset_id, error) from error


def metadata(dataset: minari.MinariDataset) -> dict[str, Any]:
    """NetWorld's record of a dataset: ``task``, ``spec``, and recipe and hash if NetWorld made it.

    A dataset that Minari itself made from ours (combined, or collected with its ``DataCollector``)
    has no record. Its task and spec are found from its environment.

    Raises:
        DatasetError: If the data is not of a NetWorld task.
    """
    try:
        found = dataset.storage.metadata.get(METADATA_KEY)
        if found is not None:
            return checked_record(found)
        env = dataset.env_spec
        if env is None or not str(env.entry_point).startswith("networld_envs."):
            raise DatasetError(f"dataset {dataset.id!r} is not of a NetWorld task: {_foreign(env)}")
        apart = ("task", "max_cycles", "render_mode")
        given = {k: v for k, v in env.kwargs.items() if k not in apart}
        params = make_params(env.kwargs["task"], **given)
        spec: TaskSpec = task_module(env.kwargs["task"]).spec(params)
        return {"task": env.kwargs["task"], "spec": spec.to_dict()}
    except DatasetError:
        raise
    except READ_ERRORS as error:
        raise damaged(dataset.id, error) from error


def _foreign(env: EnvSpec | None) -> str:
    """Why a dataset without NetWorld's metadata is not taken for one of its tasks."""
    if env is not None:
        return f"it was recorded in {env.entry_point}"
    return (
        f"it has no {METADATA_KEY!r} metadata and names no environment. Minari leaves the "
        "environment out if a wrapper was made with a function, such as TransformReward: put such "
        "a wrapper around the collector, Wrapper(DataCollector(env)), and record it again"
    )


def episodes(
    dataset: minari.MinariDataset, index: NDArray[np.integer[Any]] | None = None
) -> Iterator[dict[str, NDArray[Any]]]:
    """Each episode as a dictionary of arrays, in order, with a clear error for damaged files.

    Args:
        dataset: Whole or filtered.
        index: Positions of the episodes to read; all by default.

    Yields:
        ``observations``, ``actions``, ``agent_rewards`` ``(T, N)``, ``neighbours`` ``(N, D)``,
        ``terminations``, ``truncations``.

    Raises:
        DatasetError: If a file is truncated or a field is missing or misshapen.
    """
    wanted = dataset.episode_indices if index is None else dataset.episode_indices[index]
    try:
        for episode in dataset.iterate_episodes(sound(dataset, wanted)):
            steps = len(episode.rewards)
            infos = episode.infos or {}
            if not {"agent_rewards", "neighbours"} <= infos.keys():
                raise _without_infos(dataset, episode.id)
            fields = {
                "observations": np.asarray(episode.observations),
                "actions": np.asarray(episode.actions),
                "agent_rewards": infos["agent_rewards"][1:],
                "neighbours": infos["neighbours"][0],
                "terminations": episode.terminations,
                "truncations": episode.truncations,
            }
            for name in ("observations", "actions", "agent_rewards", "terminations", "truncations"):
                rows = steps + (name == "observations")
                assert len(fields[name]) == rows, (
                    f"episode {episode.id}: {name} has {len(fields[name])} rows, not {rows}"
                )
            yield fields
    except DatasetError:
        raise
    except READ_ERRORS as error:
        raise damaged(dataset.id, error) from error


def _without_infos(dataset: minari.MinariDataset, number: int) -> DatasetError:
    """The error for an episode that lacks the infos from which agents learn."""
    env = dataset.env_spec
    if env is not None and str(env.entry_point).endswith(":OneAgentEnv"):
        return DatasetError(
            f"dataset {dataset.id!r} is flattened: each of its episodes has one agent and no "
            "neighbours. Use the dataset that it was made from"
        )
    return DatasetError(
        f"dataset {dataset.id!r}, episode {number}: infos/agent_rewards or infos/neighbours is "
        "missing. If the dataset was recorded with Minari's DataCollector, record it again with "
        f"DataCollector(env, record_infos=True); otherwise, {remedy(dataset.id, force=True)}"
    )


def content_hash(dataset: minari.MinariDataset) -> str:
    """SHA-256 over everything in the dataset's file, see `networld_envs.store.reading.content`.

    This reads the whole file. `recorded_hash` does not. Of a filtered dataset, it is the hash of
    the dataset that was filtered.

    Returns:
        The hash, or "" for a dataset that is not stored as HDF5.

    Raises:
        DatasetError: If the file is damaged, or does not fit the metadata.
    """
    storage = dataset.storage
    if storage.FORMAT != "hdf5":
        return ""
    path = Path(storage.data_path) / MAIN_FILE
    try:
        for _ in sound(dataset, range(storage.total_episodes)):
            pass  # before any array is read
        return file_hash(path, storage.total_episodes, storage.total_steps)
    except READ_ERRORS as error:
        raise damaged(dataset.id, error) from error


def recorded_hash(dataset: minari.MinariDataset) -> str:
    """The content hash that was recorded when the dataset was made, without reading its arrays.

    The hash of a dataset that Minari itself made, which records none, is computed.

    Raises:
        DatasetError: If an earlier version of this package recorded it; says what to do.
    """
    record = own_record(dataset)
    if "sha256" not in record:
        return content_hash(dataset)
    if is_outdated(record):
        raise DatasetError(f"dataset {dataset.id!r} {outdated(dataset.id)}")
    return record["sha256"]


def own_record(dataset: minari.MinariDataset) -> dict[str, Any]:
    """`metadata` of a dataset that has NetWorld's own; empty for one that Minari itself made."""
    return metadata(dataset) if METADATA_KEY in dataset.storage.metadata else {}


def is_outdated(record: dict[str, Any]) -> bool:
    """Whether NetWorld's record of a dataset has a hash of another version of `content`."""
    return "sha256" in record and record.get("hash_version", 1) != HASH_VERSION


def outdated(dataset_id: str) -> str:
    """What is wrong with such a dataset and what to do, as text for an error."""
    again = (
        f"`networld dataset build {dataset_id} --force` makes it again"
        if dataset_id in known_recipes()
        else "or import or download it again"
    )
    return (
        "was made by another version of networld, whose content hash is a different one; "
        f"`networld dataset upgrade {dataset_id}` checks it and records the new hash, {again}"
    )


def update_record(data: Path, **values: Any) -> None:
    """Set entries of NetWorld's record in a dataset's metadata, atomically.

    Args:
        data: The folder with `METADATA_FILE_NAME`.
        **values: The entries, as JSON types.
    """
    path = data / METADATA_FILE_NAME
    about = json.loads(path.read_text(encoding="utf-8"))
    about[METADATA_KEY] = {**about[METADATA_KEY], **values}
    replace_text(path, json.dumps(about))


def episode_buffer(
    number: int, fields: dict[str, NDArray[Any]], seed: int | None = None
) -> EpisodeBuffer:
    """One episode, given as `episodes` yields it, in the form that Minari stores."""
    rewards = fields["agent_rewards"]  # (T, N)
    steps, agents = rewards.shape
    neighbours = fields["neighbours"]  # (N, D)
    return EpisodeBuffer(
        id=number,
        seed=seed,
        observations=fields["observations"],  # pyright: ignore[reportArgumentType]
        actions=fields["actions"],  # pyright: ignore[reportArgumentType]
        rewards=rewards.mean(axis=1, dtype=np.float64).tolist(),
        terminations=fields["terminations"].tolist(),
        truncations=fields["truncations"].tolist(),
        infos={
            "agent_rewards": np.concatenate([np.zeros((1, agents), np.float32), rewards]),
            "neighbours": np.broadcast_to(neighbours, (steps + 1, *neighbours.shape)),
        },
    )


def write(
    root: Path,
    buffers: Iterable[EpisodeBuffer],
    *,
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    env_spec: EnvSpec | None,
    about: dict[str, Any],
    record: dict[str, Any],
) -> None:
    """Write a Minari dataset into the new folder ``root``, one episode after another.

    Args:
        root: New folder; `networld_envs.store.publishing` moves it to its place.
        buffers: The episodes; only one is held in memory at a time.
        observation_space: Observation space of the team, ``(N, O)``.
        action_space: Action space of the team.
        env_spec: The joint Gymnasium view, or None if no environment fits the data.
        about: Minari's own metadata: ``dataset_id``, ``algorithm_name``, ...
        record: NetWorld's metadata; the mean reward and the content hash are added to it.
    """
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    storage = MinariStorage.new(
        root / DATA,
        observation_space=observation_space,
        action_space=action_space,
        env_spec=env_spec,
        data_format="hdf5",
    )
    storage.update_metadata(
        {
            "minari_version": minari.__version__,
            "requirements": [f"networld>={__version__}"],
            **about,
        }
    )
    rewards, steps = 0.0, 0

    def counted() -> Iterator[EpisodeBuffer]:
        nonlocal rewards, steps
        for buffer in buffers:
            rewards, steps = rewards + sum(buffer.rewards), steps + len(buffer.rewards)
            yield buffer

    storage.update_episodes(counted())
    result = {
        "mean_reward": rewards / steps,  # per agent and step
        "sha256": content_hash(minari.MinariDataset(storage)),
        "hash_version": HASH_VERSION,
    }
    storage.update_metadata({METADATA_KEY: {**record, **result}})


def remedy(dataset_id: str, force: bool = False) -> str:
    """How to get a dataset that is absent or damaged, as text for an error."""
    if dataset_id in known_recipes():
        return f"`networld dataset build {dataset_id}{' --force' * force}` makes it"
    return "it is not in the catalogue: import or download it" + " again" * force


def damaged(dataset_id: str, error: Exception) -> DatasetError:
    """What reading a dataset raised, as an error that says what to do; chain it from ``error``."""
    kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
    return DatasetError(
        f"dataset {dataset_id!r} cannot be read ({kind}{error}); {remedy(dataset_id, force=True)}"
    )
