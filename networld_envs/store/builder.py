"""Build a dataset from its recipe in chunks, in parallel and resumably, always with one result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial as with_arguments
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from numpy.typing import NDArray

from networld_envs.files import replace_text, replacing
from networld_envs.policies.references import reference_scores
from networld_envs.policies.rollout import Rollout, rollout
from networld_envs.simulator import (
    about,
    added_tasks,
    gymnasium_id,
    make_params,
    restore_tasks,
    task_module,
)
from networld_envs.store.ids import DATA
from networld_envs.store.minari_io import episode_buffer, open_local, write
from networld_envs.store.publishing import DATASET, DatasetExistsError, new_dataset
from networld_envs.store.reading.identity import record_rounding
from networld_envs.store.recipes import Progress, Recipe, catalog
from networld_envs.store.workers import WorkerDiedError, Workers


def build(
    recipe: Recipe,
    jobs: int = 1,
    force: bool = False,
    progress: Progress | None = None,
    keep: bool = False,
) -> minari.MinariDataset:
    """Make a dataset from its recipe and put it into Minari's local store.

    Finished chunks are kept on disk, so a build that was killed continues where it stopped, and
    memory holds one chunk per process. A process that dies is replaced, see
    `networld_envs.store.workers`. The dataset appears under its id only when it is complete.
    Concurrent builds of the same id wait for each other.

    Args:
        recipe: Recipe of the dataset; see `networld_envs.store.recipes.find_recipe`.
        jobs: Number of processes. The result does not depend on it.
        force: Replace an existing dataset of that id.
        progress: Called with (episodes done, episodes).
        keep: Return an existing dataset of that id, which another process may just have made,
            instead of raising an error.

    Raises:
        networld_envs.store.DatasetError: If the dataset already exists, unless ``force`` or
            ``keep`` is given, or if the recipe has an id of the catalogue but is another one.
        networld_envs.store.workers.WorkerDiedError: If processes keep dying over one chunk.
        ValueError: If ``jobs`` is not positive.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    known = catalog().get(recipe.dataset_id)
    is_known = known is not None and known.record() == recipe.record()
    try:
        with new_dataset(
            recipe.dataset_id,
            "partial",
            force=force and not keep,
            verb="build",
            resume=True,
            of_catalogue=is_known,
        ) as partial:
            keep_only_same_recipe(partial, recipe)
            chunks = _simulate(recipe, partial, jobs, progress)
            _assemble(recipe, partial / DATASET, chunks)
            if known is not None and is_known:
                record_rounding(minari.MinariDataset(partial / DATASET / DATA), known)
    except DatasetExistsError:
        if not keep:
            raise
    return open_local(recipe.dataset_id)


def _simulate(recipe: Recipe, partial: Path, jobs: int, progress: Progress | None) -> list[Path]:
    """Simulate the missing chunks; returns the files of all chunks, in order."""
    starts = range(0, recipe.episodes, recipe.chunk_episodes)
    missing = [s for s in starts if not chunk_path(partial, s).is_file()]
    done = recipe.episodes - sum(_chunk_size(recipe, s) for s in missing)
    if progress is not None:
        progress(done, recipe.episodes)
    simulate = with_arguments(simulate_chunk, recipe, partial=partial, tasks=added_tasks())
    with Workers(simulate, jobs) as workers:
        for start, count in workers.map(missing):
            if isinstance(count, WorkerDiedError):
                last = start + _chunk_size(recipe, start) - 1
                raise WorkerDiedError(
                    f"episodes {start} to {last} of {recipe.dataset_id}: {count}; the episodes "
                    "that are finished are kept"
                )
            done += count
            if progress is not None:
                progress(done, recipe.episodes)
    return [chunk_path(partial, s) for s in starts]


def keep_only_same_recipe(partial: Path, recipe: Recipe) -> None:
    """Make the folder of a build; discard one that is damaged or of another recipe or version."""
    note = partial / "recipe.json"
    try:
        if json.loads(note.read_text(encoding="utf-8")) == recipe.record():
            return
    except (OSError, ValueError):  # none yet, or damaged
        pass
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    replace_text(note, json.dumps(recipe.record()))


def chunk_path(partial: Path, start: int) -> Path:
    """File of the finished chunk whose first episode is ``start``."""
    return partial / f"chunk-{start:08d}.npz"


def simulate_chunk(
    recipe: Recipe, start: int, partial: Path, tasks: Mapping[str, str] | None = None
) -> int:
    """Simulate and save the chunk that begins at episode ``start``; returns its size.

    A worker process adds the user-defined ``tasks`` first.
    """
    restore_tasks(tasks or {})
    count = _chunk_size(recipe, start)
    params = make_params(recipe.task, recipe.preset)
    index = np.arange(start, start + count)
    parts: list[tuple[NDArray[np.intp], Rollout]] = []
    for b, behaviour in enumerate(recipe.behaviours):
        mine = np.flatnonzero(index % len(recipe.behaviours) == b)
        if len(mine):
            seeds = [recipe.seed + int(i) for i in index[mine]]
            parts.append((mine, rollout(recipe.task, params, behaviour, seeds, recipe.max_cycles)))
    order = np.argsort(np.concatenate([mine for mine, _ in parts]))
    obs, actions, rewards, neighbours = (
        np.concatenate([getattr(part, name) for _, part in parts])[order]
        for name in ("obs", "actions", "rewards", "neighbours")
    )
    with replacing(chunk_path(partial, start)) as file:
        np.savez(file, obs=obs, actions=actions, rewards=rewards, neighbours=neighbours)
    return count


def _chunk_size(recipe: Recipe, start: int) -> int:
    return min(recipe.chunk_episodes, recipe.episodes - start)


def _buffers(recipe: Recipe, chunks: list[Path]) -> Iterator[EpisodeBuffer]:
    """Episodes in order, read chunk by chunk; each ends by truncation."""
    number = 0
    for path in chunks:
        with np.load(path, allow_pickle=False) as chunk:
            arrays = {name: chunk[name] for name in chunk.files}
        for k in range(len(arrays["rewards"])):
            steps = arrays["rewards"].shape[1]
            fields = {
                "observations": arrays["obs"][k],
                "actions": arrays["actions"][k],
                "agent_rewards": arrays["rewards"][k],
                "neighbours": arrays["neighbours"][k],
                "terminations": np.zeros(steps, bool),
                "truncations": np.arange(steps) == steps - 1,
            }
            yield episode_buffer(number, fields, recipe.seed + number)
            number += 1


def _assemble(recipe: Recipe, root: Path, chunks: list[Path]) -> None:
    """Write the Minari dataset into ``root`` from its chunks."""
    write(root, _buffers(recipe, chunks), **description(recipe))


def description(recipe: Recipe) -> dict[str, Any]:
    """All that a dataset has beside its episodes, as arguments of `minari_io.write`."""
    env = gymnasium.make(
        gymnasium_id(recipe.task),
        max_episode_steps=None,
        disable_env_checker=None,
        max_cycles=recipe.max_cycles,
        preset=recipe.preset,
    )
    env.close()
    module = task_module(recipe.task)
    return {
        "observation_space": env.observation_space,
        "action_space": env.action_space,
        "env_spec": env.spec,
        "about": {
            "dataset_id": recipe.dataset_id,
            "algorithm_name": recipe.policy,
            "author": {"The NetWorld maintainers"},
            "description": _description(recipe),
            **_scores_for_minari(recipe),
        },
        "record": {
            "task": recipe.task,
            "spec": module.spec(make_params(recipe.task, recipe.preset)).to_dict(),
            "recipe": recipe.record(),
            "licence": "MIT",
        },
    }


def _scores_for_minari(recipe: Recipe) -> dict[str, float]:
    """Returns of random actions and of the expert; empty for a preset without these scores."""
    scores = {}
    if recipe.preset in about(recipe.task).recorded:
        scores = reference_scores(recipe.task, recipe.preset)
    if "expert" not in scores:
        return {}
    return {
        "ref_min_score": scores["random"]["mean"] * recipe.max_cycles,
        "ref_max_score": scores["expert"]["mean"] * recipe.max_cycles,
        "num_episodes_average_score": scores["expert"]["episodes"],
    }


def _description(recipe: Recipe) -> str:
    title = (task_module(recipe.task).__doc__ or "").split("\n", 1)[0].rstrip(".")
    return (
        f"{title}: {recipe.episodes} episodes of {recipe.max_cycles} steps by {recipe.policy}. "
        "Observations (T+1, N, O), actions per agent, rewards are the mean over agents; "
        "infos hold agent_rewards and the 1-hop neighbours."
    )
