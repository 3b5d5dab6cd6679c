"""Import a user's logs as a dataset, and export a dataset as plain arrays.

A log file is ``.npz`` or HDF5 (``.h5``, ``.hdf5``) with one group per episode, numbered from 0.
``T`` is the number of steps and ``N`` the number of agents (the same in all episodes). ``O`` and
``A`` are those of the task and preset. ``D`` is the largest number of neighbours:

============================  ====================  ===========================================
name                          shape                 meaning and unit
============================  ====================  ===========================================
episode_0/observations        (T+1, N, O) float     columns and units as the task documents them
episode_0/actions             (T, N, A) float, or   as applied at step t, after observation t, in
                              (T, N) integer        the units of the task's action space
episode_0/agent_rewards       (T, N) float          each agent's reward for its action at step t
episode_0/neighbours          (N, D) integer        agents heard by each agent, padded with -1
episode_0/terminations        (T,) bool, optional   True where the task ended; False by default
episode_0/truncations         (T,) bool, optional   True where recording stopped; by default at
                                                    the last step, unless that is a termination
============================  ====================  ===========================================

Episodes of equal length may be stacked instead: the same names without ``episode_0/`` and with a
leading axis ``K``, ``neighbours`` ``(K, N, D)``.

A table, CSV or Parquet, needs a mapping, which `networld_envs.store.importing.tables.mapping`
describes.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from networld_envs.files import replacing
from networld_envs.joint import team_spaces
from networld_envs.simulator import MAX_CYCLES, about, gymnasium_id, make_params, task_module
from networld_envs.spec import LogFacts, TaskSpec
from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.array_log import ArrayLog, open_arrays
from networld_envs.store.importing.consistency import Consistency, LogWarning, Report
from networld_envs.store.importing.log_checks import LogError, checked, fail, field
from networld_envs.store.importing.tables.mapping_reader import read_mapping
from networld_envs.store.importing.tables.reading import is_table
from networld_envs.store.importing.tables.table_log import TableLog
from networld_envs.store.minari_io import FIELDS, episode_buffer, metadata, open_local, write
from networld_envs.store.publishing import DATASET, new_dataset
from networld_envs.store.reading.checked import checked_episodes

CHECKS = "checks"
"""Key of the report of the import in NetWorld's metadata."""


def import_logs(
    path: Path,
    dataset_id: str,
    task: str,
    preset: str = "default",
    policy: str = "logs",
    author: str = "unknown",
    description: str = "",
    licence: str = "unknown",
    force: bool = False,
    strict: bool = False,
    mapping: Path | None = None,
) -> minari.MinariDataset:
    """Check a log file and make a Minari dataset of it.

    What is unlikely about the logs (see `networld_envs.store.importing.consistency`) is a
    `LogWarning`, and is kept in the dataset's metadata, see `import_report`.

    Args:
        path: ``.npz``, ``.h5`` or ``.hdf5``, see the module's documentation; or a table, ``.csv``,
            ``.csv.gz`` or ``.parquet``, or a folder of tables.
        dataset_id: Id of the new dataset, e.g. ``"networld/rb/campus-v0"``.
        task: Task that the observations and actions belong to.
        preset: Name of a preset of the task's parameters.
        policy: Policy that acted, in a few words.
        author: Who recorded the data.
        description: Description of the data.
        licence: Licence of the data.
        force: Replace an existing dataset of that id.
        strict: Refuse logs with warnings.
        mapping: The mapping of a table, see `networld_envs.store.importing.tables.mapping`.

    Raises:
        DatasetError: If something is wrong with the logs (names episode, step, agent and field, and
            in a table file, row and column), or if the dataset already exists. With ``strict``,
            also for warnings.
    """
    params = make_params(task, preset)
    module = task_module(task)
    spec: TaskSpec = module.spec(params)
    one: spaces.Box = module.observation_space(params)
    with (
        new_dataset(dataset_id, "import", force=force, verb="import") as folder,
        _opened(path, mapping, (spec, one, params, about(task).logs), folder) as log,
    ):
        first = log.episode(0)
        agents = field(first, "observations", 0, "f", ("T+1", "N", "O")).shape[1]
        if agents == 0:
            fail(0, "has no agents")
        slots = field(first, "neighbours", 0, "iu", ("N", "D")).shape[1]
        found = replace(spec, num_agents=agents, neighbour_slots=slots)
        env = gymnasium.make(
            gymnasium_id(task),
            max_episode_steps=None,
            disable_env_checker=None,
            max_cycles=MAX_CYCLES,
            preset=preset,
        )
        env.close()

        consistency = Consistency(task, preset, params, log.count)
        record: dict[str, Any] = {
            "task": task,
            "preset": preset,
            "spec": found.to_dict(),
            "imported_from": path.name,
            "licence": licence,
        }

        def buffers() -> Iterator[EpisodeBuffer]:
            for k in range(log.count):
                raw = log.episode(k)
                try:
                    episode = checked(raw, k, found, one)
                    consistency.add(k, episode)
                except LogError as error:
                    place = log.place(k, error.step, error.agent)
                    raise DatasetError(f"{error}{place}") from error
                yield episode_buffer(k, episode)
            report = replace(consistency.report(), changed=tuple(log.changes()))
            if strict and report.warnings:
                raise DatasetError("refused by strict: " + "\n  ".join(("", *report.warnings)))
            record[CHECKS] = report.to_dict()

        observation_space, action_space = team_spaces(agents, one, module.action_space(params))
        write(
            folder / DATASET,
            buffers(),
            observation_space=observation_space,
            action_space=action_space,
            env_spec=env.spec if agents == spec.num_agents else None,
            about={
                "dataset_id": dataset_id,
                "algorithm_name": policy,
                "author": {author},
                "description": description or f"Imported from {path.name}.",
            },
            record=record,
        )
    for text in record[CHECKS]["warnings"]:
        warnings.warn(f"{path.name}: {text}", LogWarning, stacklevel=2)
    return open_local(dataset_id)


def import_report(dataset: minari.MinariDataset) -> Report:
    """What the import said about the logs that a dataset was made of.

    Args:
        dataset: A dataset; the report is empty if it was not imported.
    """
    kept = metadata(dataset).get(CHECKS, {})
    return Report(*(tuple(kept.get(name, ())) for name in ("warnings", "skipped", "changed")))


def export_npz(dataset: minari.MinariDataset, path: Path) -> int:
    """Write a dataset as a log file that `import_logs` reads back, one episode at a time.

    Args:
        dataset: Dataset to write, whole or filtered.
        path: A new ``.npz`` file.

    Returns:
        The number of episodes written.

    Raises:
        DatasetError: If the file exists, or the dataset is damaged or has illegal values.
    """
    if path.suffix != ".npz":
        raise DatasetError(f"the name of an export must end in .npz, got {path.name!r}")
    if path.exists():
        raise DatasetError(f"{path} already exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with (
        replacing(path) as whole,
        zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for episode in checked_episodes(dataset):
            for name in FIELDS:
                with archive.open(f"episode_{count}/{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(episode[name]))
            count += 1
    return count


@contextmanager
def _opened(
    path: Path, mapping: Path | None, task: tuple[TaskSpec, spaces.Box, Any, LogFacts], folder: Path
) -> Iterator[ArrayLog | TableLog]:
    """Open arrays, or a table with its mapping.

    Args:
        path: File or folder with the logs.
        mapping: The mapping of a table; arrays have none.
        task: The task's spec, observation space, parameters and facts.
        folder: Folder for unfinished work.
    """
    if not is_table(path):
        if mapping is not None:
            raise DatasetError(
                f"{path.name}: only tables (.csv, .csv.gz, .parquet) have a mapping; leave "
                f"{mapping.name} out"
            )
        with open_arrays(path) as log:
            yield log
        return
    if mapping is None:
        raise DatasetError(
            f"{path.name} is a table, whose columns need a mapping (--mapping); `networld dataset "
            f"template --task {task[0].task}` writes one to start from"
        )
    try:
        with closing(TableLog(path, read_mapping(mapping, task[0]), *task, folder)) as log:
            yield log
    except DatasetError as error:
        if str(error).startswith(path.name):
            raise
        raise DatasetError(f"{path.name}: {error}") from error
