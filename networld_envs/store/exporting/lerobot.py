"""A dataset in the layout of LeRobot's datasets, version 3.0.

LeRobot records one robot at a time, so every agent of every episode is an episode of its own::

    data/chunk-000/file-000.parquet            one row per step
    meta/episodes/chunk-000/file-000.parquet   where each episode is
    meta/info.json                             features, sizes, version
    meta/stats.json                            least, largest, mean, deviation, count
    meta/tasks.parquet                         the only task, in words

A row has ``observation.state`` ``(O,)``, ``action`` ``(A,)``, both float32 because that is what
LeRobot's policies take, ``next.reward``, ``next.done``, ``next.terminated``, ``agent_index`` and
``network_episode_index``, beside the columns that the format prescribes. The final observation of
an episode has no row. The graph is left out: LeRobot has no place for it.

A step has no duration in the tasks, so ``fps`` is 1: a ``timestamp`` counts steps.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import minari
import numpy as np
from numpy.typing import NDArray

from networld_envs.spec import TaskSpec
from networld_envs.store.exporting.arrays import Arrays, opened, to_arrays
from networld_envs.store.exporting.extras import optional
from networld_envs.store.exporting.folder import new_folder
from networld_envs.store.exporting.tables import EXTRA, column_names, fixed
from networld_envs.store.recipes import Progress

VERSION = "v3.0"
FPS = 1
FILE_MB = 100
FILES_PER_CHUNK = 1000
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def export_lerobot(
    dataset: str | minari.MinariDataset, out: Path, progress: Progress | None = None
) -> int:
    """Write a dataset as a folder that ``LeRobotDataset(ID, root=FOLDER)`` reads.

    Args:
        dataset: A dataset of the joint view, whole or filtered, or its id.
        out: Folder to create.
        progress: Called with (episodes read, episodes).

    Returns:
        Number of episodes of the network; LeRobot's number is this times the number of agents.

    Raises:
        ImportError: If pyarrow is not installed.
        networld_envs.store.DatasetError: If the folder exists, or the dataset cannot be read.
    """
    optional("pyarrow.parquet", "the export for LeRobot", EXTRA)
    source, spec = opened(dataset)
    with new_folder(out) as folder:
        arrays = to_arrays(source, "agent", progress)
        columns = _columns(arrays)
        starts = np.flatnonzero(arrays["step"] == 0)  # (E,) first row of each episode
        places = _write_data(folder, columns, starts)
        words = str(source.storage.metadata.get("description") or f"{spec.task}: {source.id}")
        _write_episodes(folder, starts, len(arrays["step"]), places, words)
        _write_tasks(folder, words)
        stats = {name: _statistics(values) for name, values in columns.items()}
        info = _info(spec, len(starts), columns)
        for name, value in (("info", info), ("stats", stats)):
            text = json.dumps(value, indent=4)
            (folder / "meta" / f"{name}.json").write_text(text, encoding="utf-8")
    return int(source.total_episodes)


def _columns(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """LeRobot's columns, ``(S,)`` or ``(S, width)``."""
    step = arrays["step"]
    actions = arrays["actions"].astype(np.float32)
    return {
        "observation.state": arrays["observations"],
        "action": actions.reshape(len(step), -1) if actions.ndim > 1 else actions[:, None],
        "next.reward": arrays["rewards"],
        "next.done": arrays["terminals"] | arrays["timeouts"],
        "next.terminated": arrays["terminals"],
        "agent_index": arrays["agent"],
        "network_episode_index": arrays["episode"],
        "timestamp": (step / FPS).astype(np.float32),
        "frame_index": step,
        "episode_index": np.cumsum(step == 0) - 1,
        "index": np.arange(len(step)),
        "task_index": np.zeros(len(step), np.int64),
    }


def _write_data(
    folder: Path, columns: dict[str, NDArray[Any]], starts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Write the steps into files of at most `FILE_MB`; returns chunk and file of each episode."""
    pa, parquet = optional("pyarrow", "", EXTRA), optional("pyarrow.parquet", "", EXTRA)
    total = len(columns["index"])
    per_file = max(1, int(FILE_MB * 1e6 / (sum(v.nbytes for v in columns.values()) / total)))
    # Files end where episodes end, so that one may be a little longer.
    number = np.unique(starts // per_file, return_inverse=True)[1]
    places = np.stack([number // FILES_PER_CHUNK, number % FILES_PER_CHUNK], axis=1)
    firsts = np.flatnonzero(np.diff(number, prepend=-1))
    ends = [*starts[firsts[1:]].tolist(), total]
    for begin, end, first in zip(starts[firsts].tolist(), ends, firsts, strict=True):
        chunk, file = places[first].tolist()
        path = folder / DATA.format(chunk_index=chunk, file_index=file)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = {name: _arrow(pa, name, values[begin:end]) for name, values in columns.items()}
        parquet.write_table(pa.table(rows), path)
    return places


def _arrow(pa: Any, name: str, values: NDArray[Any]) -> Any:
    """A column; a vector of one number is a number, as LeRobot stores it."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return fixed(pa, values)


def _write_episodes(
    folder: Path, starts: NDArray[np.int64], total: int, places: NDArray[np.int64], words: str
) -> None:
    pa, parquet = optional("pyarrow", "", EXTRA), optional("pyarrow.parquet", "", EXTRA)
    ends = np.append(starts[1:], total)
    zeros = np.zeros(len(starts), np.int64)
    table = pa.table(
        {
            "episode_index": np.arange(len(starts)),
            "tasks": pa.array([[words]] * len(starts), pa.list_(pa.string())),
            "length": ends - starts,
            "data/chunk_index": places[:, 0],
            "data/file_index": places[:, 1],
            "dataset_from_index": starts,
            "dataset_to_index": ends,
            "meta/episodes/chunk_index": zeros,
            "meta/episodes/file_index": zeros,
        }
    )
    (folder / EPISODES).parent.mkdir(parents=True)
    parquet.write_table(table, folder / EPISODES)


def _write_tasks(folder: Path, words: str) -> None:
    """The table of tasks, whose index in pandas is the task in words."""
    pa, parquet = optional("pyarrow", "", EXTRA), optional("pyarrow.parquet", "", EXTRA)

    def described(name: str, kind: str, numpy_type: str) -> dict[str, Any]:
        found = {"name": name, "field_name": name, "metadata": None}
        return found | {"pandas_type": kind, "numpy_type": numpy_type}

    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [described("task_index", "int64", "int64"), described("task", "unicode", "O")],
        "creator": {"library": "networld", "version": ""},
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": [words]})
    table = table.replace_schema_metadata({"pandas": json.dumps(pandas)})
    parquet.write_table(table, folder / "meta" / "tasks.parquet")


def _statistics(values: NDArray[Any]) -> dict[str, Any]:
    """LeRobot's statistics of a column, each a list with one number per entry of a vector."""
    rows = values.reshape(len(values), -1)
    return {
        "min": rows.min(axis=0).tolist(),
        "max": rows.max(axis=0).tolist(),
        "mean": rows.mean(axis=0, dtype=np.float64).tolist(),
        "std": rows.std(axis=0, dtype=np.float64).tolist(),
        "count": [len(rows)],
    }


def _info(spec: TaskSpec, episodes: int, columns: dict[str, NDArray[Any]]) -> dict[str, Any]:
    names = {
        "observation.state": column_names(spec, "observations"),
        "action": column_names(spec, "actions"),
    }
    features = {
        name: {
            "dtype": values.dtype.name,
            "shape": list(values.shape[1:]) or [1],
            "names": names.get(name),
        }
        for name, values in columns.items()
    }
    return {
        "codebase_version": VERSION,
        "robot_type": f"networld/{spec.task}",
        "total_episodes": episodes,
        "total_frames": len(columns["index"]),
        "total_tasks": 1,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": FILE_MB,
        "video_files_size_in_mb": 200,
        "fps": FPS,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA,
        "video_path": None,
        "features": features,
    }
