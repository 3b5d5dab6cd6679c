"""A dataset as Parquet: one row per agent and step, or one row per episode.

`export_parquet` writes tables for people and programs that work with columns::

    steps.parquet        episode, step, agent, obs.NAME ..., action.NAME ..., reward,
                         terminated, truncated
    neighbours.parquet   episode, agent, slot, neighbour: who hears whom, without padding
    dataset.json         id, task, preset, spec, licence and content hash of the dataset

Rows are ordered by episode, agent and step. The last row of an agent's episode is the final
observation: its step is the number of steps, and its action, reward and ends are null.

`export_hugging_face` writes what ``datasets.load_dataset(FOLDER)`` reads, with one row per episode
and nothing left out::

    data/train-00000-of-00001.parquet   observations (T+1, N, O), actions (T, N, A) or (T, N),
                                        agent_rewards (T, N), neighbours (N, D),
                                        terminations (T,), truncations (T,), episode
    README.md                           the dataset's card
    dataset.json                        as above
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import minari
import numpy as np
from numpy.typing import NDArray

from networld_envs.spec import TaskSpec
from networld_envs.store.exporting.arrays import agents_first, opened
from networld_envs.store.exporting.cards import plain
from networld_envs.store.exporting.extras import optional
from networld_envs.store.exporting.folder import new_folder
from networld_envs.store.importing.log_checks import Raw
from networld_envs.store.minari_io import METADATA_KEY, metadata
from networld_envs.store.reading.checked import checked_episodes
from networld_envs.store.recipes import Progress

GROUP_ROWS = 200_000  # of agents and steps that are written at a time
EXTRA = "tables"


def export_parquet(
    dataset: str | minari.MinariDataset, out: Path, progress: Progress | None = None
) -> int:
    """Write a dataset as tables with named columns, see the module's documentation.

    Args:
        dataset: A dataset of the joint view, whole or filtered, or its id.
        out: Folder to create.
        progress: Called with (episodes done, episodes).

    Returns:
        Number of episodes.

    Raises:
        ImportError: If pyarrow is not installed.
        networld_envs.store.DatasetError: If the folder exists, or the dataset cannot be read.
    """
    pa = optional("pyarrow", "the export to Parquet", EXTRA)
    source, spec = opened(dataset)

    def steps(group: list[tuple[int, Raw]]) -> Any:
        return pa.table(_step_columns(pa, group, spec))

    def links(group: list[tuple[int, Raw]]) -> Any:
        return pa.table(_link_columns(pa, group))

    with new_folder(out) as folder:
        files = {"steps.parquet": steps, "neighbours.parquet": links}
        count = _write(source, spec, folder, files, progress)
        _write_about(source, folder)
    return count


def export_hugging_face(
    dataset: str | minari.MinariDataset, out: Path, progress: Progress | None = None
) -> int:
    """Write a dataset as a folder that Hugging Face's ``datasets`` loads, a row per episode.

    Args:
        dataset: A dataset of the joint view, whole or filtered, or its id.
        out: Folder to create. It can be uploaded to the Hub as it is.
        progress: Called with (episodes done, episodes).

    Returns:
        Number of episodes.

    Raises:
        ImportError: If pyarrow is not installed.
        networld_envs.store.DatasetError: If the folder exists, or the dataset cannot be read.
    """
    pa = optional("pyarrow", "the export for Hugging Face datasets", EXTRA)
    source, spec = opened(dataset)

    def rows(group: list[tuple[int, Raw]]) -> Any:
        names = [name for name in group[0][1] if name != "episode"]
        lists = {name: nested(pa, [e[name] for _, e in group]) for name in names}
        return pa.table({"episode": pa.array([k for k, _ in group], pa.int64()), **lists})

    with new_folder(out) as folder:
        (folder / "data").mkdir()
        name = "data/train-00000-of-00001.parquet"
        count = _write(source, spec, folder, {name: rows}, progress)
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        card = _card(_write_about(source, folder), count, content)
        (folder / "README.md").write_text(card, encoding="utf-8")
    return count


def _write(
    source: minari.MinariDataset,
    spec: TaskSpec,
    folder: Path,
    files: dict[str, Callable[[list[tuple[int, Raw]]], Any]],
    progress: Progress | None,
) -> int:
    """Write each file group by group; only the episodes of one group are held in memory."""
    parquet = optional("pyarrow.parquet", "the export to Parquet", EXTRA)
    writers: dict[str, Any] = {}
    try:
        count = 0
        for group in _groups(source, spec):
            for name, table_of in files.items():
                table = table_of(group)
                if name not in writers:
                    writers[name] = parquet.ParquetWriter(folder / name, table.schema)
                writers[name].write_table(table)
            count += len(group)
            if progress is not None:
                progress(count, source.total_episodes)
    finally:
        for writer in writers.values():
            writer.close()
    return count


def _groups(source: minari.MinariDataset, spec: TaskSpec) -> Iterator[list[tuple[int, Raw]]]:
    """Episodes with their numbers, in groups of about `GROUP_ROWS` rows."""
    group: list[tuple[int, Raw]] = []
    rows = 0
    for k, episode in enumerate(checked_episodes(source, spec=spec)):
        group.append((k, episode))
        rows += episode["agent_rewards"].size
        if rows >= GROUP_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _step_columns(pa: Any, group: list[tuple[int, Raw]], spec: TaskSpec) -> dict[str, Any]:
    """Columns of ``steps.parquet``; the row of the final observation has nulls."""
    shapes = [episode["agent_rewards"].shape for _, episode in group]
    step = np.concatenate([np.tile(np.arange(t + 1, dtype=np.int32), n) for t, n in shapes])
    final = np.concatenate([np.tile(np.arange(t + 1) == t, n) for t, n in shapes])

    def per_row(field: str, whole: bool = False) -> NDArray[Any]:
        parts = []
        for (_, episode), (_, n) in zip(group, shapes, strict=True):
            array = episode[field]
            if whole:  # one value for the team
                array = np.repeat(array[:, None], n, axis=1)
            if field != "observations":
                array = np.concatenate([array, np.zeros_like(array[:1])])  # under the null
            parts.append(agents_first(array))
        return np.concatenate(parts)

    def column(values: NDArray[Any], is_last_null: bool = True) -> Any:
        return pa.array(values, mask=final if is_last_null else None)

    columns: dict[str, Any] = {
        "episode": column(
            np.concatenate(
                [
                    np.full((t + 1) * n, k, np.int32)
                    for (k, _), (t, n) in zip(group, shapes, strict=True)
                ]
            ),
            False,
        ),
        "step": column(step, False),
        "agent": column(
            np.concatenate([np.repeat(np.arange(n, dtype=np.int32), t + 1) for t, n in shapes]),
            False,
        ),
    }
    obs = per_row("observations")
    for i, name in enumerate(column_names(spec, "observations")):
        columns[f"obs.{name}"] = column(obs[:, i], False)
    actions = per_row("actions").reshape(len(step), -1)
    for i, name in enumerate(column_names(spec, "actions")):
        columns[f"action.{name}"] = column(actions[:, i])
    columns["reward"] = column(per_row("agent_rewards"))
    columns["terminated"] = column(per_row("terminations", whole=True))
    columns["truncated"] = column(per_row("truncations", whole=True))
    return columns


def _link_columns(pa: Any, group: list[tuple[int, Raw]]) -> dict[str, Any]:
    """Columns of ``neighbours.parquet``."""
    found = [np.nonzero(episode["neighbours"] >= 0) for _, episode in group]
    numbers = [np.full(len(i), k) for (k, _), (i, _) in zip(group, found, strict=True)]
    tables = [e["neighbours"][at] for (_, e), at in zip(group, found, strict=True)]
    parts = {
        "episode": numbers,
        "agent": [i for i, _ in found],
        "slot": [slot for _, slot in found],
        "neighbour": tables,
    }
    return {name: pa.array(np.concatenate(p).astype(np.int32)) for name, p in parts.items()}


def column_names(spec: TaskSpec, field: str) -> list[str]:
    """Names of the columns of observations or actions; numbers if the task gives none."""
    named = spec.obs_columns if field == "observations" else spec.action_columns
    width = spec.obs_dim if field == "observations" else spec.action_dim
    return [column.name for column in named] or [str(i) for i in range(width)]


def nested(pa: Any, arrays: list[NDArray[Any]]) -> Any:
    """Arrays ``(T_k, ...)`` as one Arrow column: a list of ``T_k`` entries of a fixed shape."""
    values = fixed(pa, np.concatenate(arrays))
    ends = np.concatenate([[0], np.cumsum([len(array) for array in arrays])])
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), values)


def fixed(pa: Any, array: NDArray[Any]) -> Any:
    """An array ``(S, ...)`` as an Arrow column of ``S`` entries of a fixed shape."""
    column = pa.array(np.ascontiguousarray(array).reshape(-1))
    for size in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def _write_about(source: minari.MinariDataset, folder: Path) -> dict[str, Any]:
    """Write ``dataset.json``: what is known about the dataset; returns it."""
    stored, about = source.storage.metadata, metadata(source)
    own = stored.get(METADATA_KEY, {})
    found = {
        "dataset": source.id,
        "task": about["task"],
        "preset": about.get("preset", about.get("recipe", {}).get("preset", "default")),
        "episodes": int(source.total_episodes),
        "policy": str(stored.get("algorithm_name", "")),
        "description": str(stored.get("description", "")),
        "licence": str(own.get("licence", "unknown")),
        "sha256": own.get("sha256", ""),
        "spec": about["spec"],
    }
    (folder / "dataset.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _card(about: dict[str, Any], episodes: int, content: str) -> str:
    """``README.md`` of a dataset on the Hugging Face Hub, with the metadata that it reads.

    ``datasets`` caches a local folder by its name and by what this metadata says, not by its path
    or content. Without the hash of the content, it would return an older folder of the same name.
    """
    licence = "mit" if about["licence"] == "MIT" else "other"
    return f"""---
pretty_name: {json.dumps(about["dataset"])}
license: {licence}
tags: [reinforcement-learning, offline-rl, multi-agent, wireless, networld]
configs:
- config_name: default
  description: sha256 {content}
  data_files:
  - split: train
    path: data/*.parquet
---

# {about["dataset"]}

{plain(about["description"])}

{episodes} episodes of the task {plain(about["task"])} (preset {plain(about["preset"])}), recorded
with the policy {plain(about["policy"])}. Each row is an episode of `T` steps with `N` agents:
`observations` `(T+1, N, O)`, `actions` `(T, N, A)` or `(T, N)`, `agent_rewards` `(T, N)`,
`neighbours` `(N, D)` (padded with -1), `terminations` and `truncations` `(T,)`. `dataset.json`
names the columns, with their units and ranges. Licence: {plain(about["licence"])}.
"""
