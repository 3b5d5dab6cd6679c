"""Datasets: the catalogue, building, checking and loading.

A dataset is an ordinary Minari dataset of the joint Gymnasium view. One episode of ``T`` steps of
``N`` agents holds

======================  =====================================================================
observations            ``(T+1, N, O)`` float32
actions                 ``(T, N, A)`` float32, or ``(T, N)`` int64 for discrete actions
rewards                 ``(T,)`` float64, mean over agents
infos/agent_rewards     ``(T+1, N)`` float32, each agent's own; the first row is zero
infos/neighbours        ``(T+1, N, D)`` int32, the 1-hop graph, padded with -1
terminations            ``(T,)`` all False
truncations             ``(T,)`` True at the end
======================  =====================================================================

and its seed: ``env.reset(seed=seed)`` and the stored actions replay it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

import gymnasium
import joblib
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path
from numpy.typing import NDArray

import networld_envs
from networld_envs.collect import Behaviour, Rollout, rollout
from networld_envs.references import reference_scores
from networld_envs.simulator import make_params, task_module

METADATA_KEY = "networld"
Progress = Callable[[int, int], None]


class DatasetError(ValueError):
    """A dataset is missing, damaged or not what was asked for."""


@dataclass(frozen=True)
class Recipe:
    """How a dataset is made.

    Attributes:
        dataset_id: Minari id, ``networld/<task>/<quality>-v<n>``.
        task: Name of the task.
        episodes: Number of episodes.
        max_cycles: Steps of an episode.
        seed: Seed of the first episode's network; episode i has ``seed + i``.
        behaviours: Episode i is made by ``behaviours[i % len(behaviours)]``.
        preset: Named parameters of the task.
        chunk_episodes: Episodes simulated as one batch; a build is resumed by whole chunks.
        sha256: Expected `content_hash`, or "" where none is recorded.
    """

    dataset_id: str
    task: str
    episodes: int
    max_cycles: int
    seed: int
    behaviours: tuple[Behaviour, ...]
    preset: str = "default"
    chunk_episodes: int = 50
    sha256: str = ""

    def __post_init__(self) -> None:
        task_module(self.task)
        if self.episodes < 1:
            raise ValueError(f"{self.dataset_id}: episodes must be at least 1, got {self.episodes}")
        if self.chunk_episodes < 1:
            raise ValueError(
                f"{self.dataset_id}: chunk_episodes must be at least 1, got {self.chunk_episodes}"
            )
        if not self.behaviours:
            raise ValueError(f"{self.dataset_id}: behaviours must not be empty")

    @property
    def policy(self) -> str:
        """The behaviours in a few words."""
        return ", ".join(str(b) for b in self.behaviours)


def catalog() -> dict[str, Recipe]:
    """All known datasets by id."""
    text = resources.files(networld_envs).joinpath("catalog.toml").read_text(encoding="utf-8")
    recipes = {}
    for dataset_id, entry in tomllib.loads(text).items():
        behaviours = tuple(Behaviour(**b) for b in entry.pop("behaviours"))
        recipes[dataset_id] = Recipe(dataset_id=dataset_id, behaviours=behaviours, **entry)
    return recipes


def find_recipe(dataset_id: str) -> Recipe:
    """A dataset's recipe.

    Raises:
        DatasetError: For an unknown id; lists the valid ones.
    """
    known = catalog()
    if dataset_id not in known:
        raise DatasetError(
            f"unknown dataset {dataset_id!r}; known datasets:\n  " + "\n  ".join(known)
        )
    return known[dataset_id]


def is_local(dataset_id: str) -> bool:
    """Whether a finished dataset of that id is in Minari's local store."""
    return (get_dataset_path(dataset_id) / "data" / "metadata.json").is_file()


def build(
    recipe: Recipe, jobs: int = 1, force: bool = False, progress: Progress | None = None
) -> minari.MinariDataset:
    """Make a dataset from its recipe and put it into Minari's local store.

    Finished chunks are kept, so a build that was killed goes on where it stopped; the dataset
    appears under its id only when it is complete. Two builds of one id at a time wait for each
    other.

    Args:
        recipe: What to make; see `find_recipe`.
        jobs: Processes that simulate side by side. The result does not depend on it.
        force: Replace a dataset of that id.
        progress: Called with (episodes done, episodes).

    Raises:
        DatasetError: If the dataset exists already and ``force`` is False.
    """
    target = get_dataset_path(recipe.dataset_id)
    partial = target.parent / f".{target.name}.partial"
    with _lock(target.parent / f".{target.name}.lock"):
        if is_local(recipe.dataset_id) and not force:
            raise DatasetError(
                f"dataset {recipe.dataset_id!r} exists already; use --force to build it again"
            )
        _keep_only_same_recipe(partial, recipe)
        starts = range(0, recipe.episodes, recipe.chunk_episodes)
        missing = [s for s in starts if not _chunk_path(partial, s).is_file()]
        done = recipe.episodes - sum(_chunk_size(recipe, s) for s in missing)
        if progress is not None:
            progress(done, recipe.episodes)
        work = (joblib.delayed(_simulate_chunk)(recipe, s, partial) for s in missing)
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
        for count in cast("Iterator[int]", parallel(work)):
            done += count
            if progress is not None:
                progress(done, recipe.episodes)
        _assemble(recipe, partial, [_chunk_path(partial, s) for s in starts])
        _make_namespaces(target.parent)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial / "dataset", target)
        shutil.rmtree(partial)
    return minari.load_dataset(recipe.dataset_id)


def load(dataset_id: str, jobs: int = 1, progress: Progress | None = None) -> minari.MinariDataset:
    """Load a dataset; one of the catalogue that is absent is built first.

    Raises:
        DatasetError: If the id is unknown, or the local files are damaged.
    """
    if not is_local(dataset_id):
        return build(find_recipe(dataset_id), jobs=jobs, progress=progress)
    try:
        return minari.load_dataset(dataset_id)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise _damaged(dataset_id, error) from error


def metadata(dataset: minari.MinariDataset) -> dict[str, Any]:
    """What NetWorld wrote beside Minari's own metadata: task, spec, recipe and hash.

    Raises:
        DatasetError: If the dataset was not made by NetWorld.
    """
    found = dataset.storage.metadata.get(METADATA_KEY)
    if found is None:
        raise DatasetError(
            f"dataset {dataset.id!r} has no {METADATA_KEY!r} metadata: it was not made by "
            "`networld dataset build`"
        )
    return dict(found)


def episodes(dataset: minari.MinariDataset) -> Iterator[dict[str, Any]]:
    """Each episode as a dictionary of arrays, in order, with a clear error for damaged files.

    Yields:
        ``observations``, ``actions``, ``agent_rewards`` ``(T, N)``, ``neighbours`` ``(N, D)``,
        ``terminations``, ``truncations``.

    Raises:
        DatasetError: If a file is truncated or a field is missing or misshapen.
    """
    try:
        for episode in dataset.iterate_episodes():
            steps = len(episode.rewards)
            infos = episode.infos
            assert infos is not None, "infos are missing"
            fields = {
                "observations": np.asarray(episode.observations),
                "actions": np.asarray(episode.actions),
                "agent_rewards": infos["agent_rewards"][1:],
                "neighbours": infos["neighbours"][0],
                "terminations": episode.terminations,
                "truncations": episode.truncations,
            }
            for name in ("actions", "agent_rewards", "terminations", "truncations"):
                assert len(fields[name]) == steps, (
                    f"episode {episode.id}: {name} has {len(fields[name])} rows, not {steps}"
                )
            assert len(fields["observations"]) == steps + 1, (
                f"episode {episode.id}: observations has {len(fields['observations'])} rows, "
                f"not {steps + 1}"
            )
            yield fields
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise _damaged(dataset.id, error) from error


def content_hash(dataset: minari.MinariDataset) -> str:
    """SHA-256 over the arrays of all episodes, in a fixed order, with their types and shapes."""
    digest = hashlib.sha256()
    for episode in episodes(dataset):
        for name in sorted(episode):
            array = np.ascontiguousarray(episode[name])
            digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def record_hash(dataset_id: str, sha256: str) -> None:
    """Write a content hash into the catalogue of this checkout, atomically."""
    path = Path(str(resources.files(networld_envs).joinpath("catalog.toml")))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    start = lines.index(f'["{dataset_id}"]\n')
    where = next(i for i in range(start, len(lines)) if lines[i].startswith("sha256 = "))
    lines[where] = f'sha256 = "{sha256}"\n'
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(lines), encoding="utf-8")
    os.replace(temporary, path)


def verify(dataset_id: str) -> tuple[bool, str]:
    """Check a local dataset against the catalogue.

    Returns:
        Whether it is what it claims to be, and a sentence that says why or why not.

    Raises:
        DatasetError: If it is not there or cannot be read.
    """
    if not is_local(dataset_id):
        raise DatasetError(
            f"dataset {dataset_id!r} is not here; `networld dataset build {dataset_id}` makes it"
        )
    dataset = load(dataset_id)
    found = content_hash(dataset)
    written = metadata(dataset)["sha256"]
    if found != written:
        return False, f"content {found[:16]} differs from {written[:16]} recorded when it was made"
    recipe = catalog().get(dataset_id)
    if recipe is None or not recipe.sha256:
        return True, f"content {found[:16]} is as when it was made; the catalogue has no hash"
    if found != recipe.sha256:
        return False, f"content {found[:16]} differs from the catalogue's {recipe.sha256[:16]}"
    return True, f"content {found[:16]} equals the catalogue's"


def _damaged(dataset_id: str, error: Exception) -> DatasetError:
    return DatasetError(
        f"dataset {dataset_id!r} cannot be read ({error}); "
        f"`networld dataset build {dataset_id} --force` makes it again"
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _recipe_record(recipe: Recipe) -> dict[str, Any]:
    record = asdict(recipe)
    del record["sha256"]
    return json.loads(json.dumps({**record, "version": networld_envs.__version__}))


def _keep_only_same_recipe(partial: Path, recipe: Recipe) -> None:
    """Make the folder of an unfinished build; drop one left by another recipe or version."""
    note = partial / "recipe.json"
    if note.is_file() and json.loads(note.read_text()) == _recipe_record(recipe):
        return
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    note.write_text(json.dumps(_recipe_record(recipe)))


def _chunk_path(partial: Path, start: int) -> Path:
    return partial / f"chunk-{start:08d}.npz"


def _chunk_size(recipe: Recipe, start: int) -> int:
    return min(recipe.chunk_episodes, recipe.episodes - start)


def _simulate_chunk(recipe: Recipe, start: int, partial: Path) -> int:
    """Simulate episodes ``start ..`` and save them under a temporary name first."""
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
    path = _chunk_path(partial, start)
    temporary = path.with_suffix(".tmp")
    obs, actions, rewards, neighbours = (
        np.concatenate([getattr(part, name) for _, part in parts])[order]
        for name in ("obs", "actions", "rewards", "neighbours")
    )
    with temporary.open("wb") as handle:
        np.savez(handle, obs=obs, actions=actions, rewards=rewards, neighbours=neighbours)
    os.replace(temporary, path)
    return count


def _buffers(recipe: Recipe, chunks: list[Path]) -> Iterator[EpisodeBuffer]:
    number = 0
    for path in chunks:
        with np.load(path, allow_pickle=False) as chunk:
            arrays = {name: chunk[name] for name in chunk.files}
        for obs, actions, rewards, neighbours in zip(
            arrays["obs"], arrays["actions"], arrays["rewards"], arrays["neighbours"], strict=True
        ):
            steps, agents = rewards.shape
            yield EpisodeBuffer(
                id=number,
                seed=recipe.seed + number,
                observations=obs,  # pyright: ignore[reportArgumentType]
                actions=actions,  # pyright: ignore[reportArgumentType]
                rewards=rewards.mean(axis=1, dtype=np.float64).tolist(),
                terminations=[False] * steps,
                truncations=[False] * (steps - 1) + [True],
                infos={
                    "agent_rewards": np.concatenate([np.zeros((1, agents), np.float32), rewards]),
                    "neighbours": np.broadcast_to(neighbours, (steps + 1, *neighbours.shape)),
                },
            )
            number += 1


def _assemble(recipe: Recipe, partial: Path, chunks: list[Path]) -> None:
    """Write the Minari dataset from its chunks into ``partial / "dataset"``."""
    root = partial / "dataset"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    env = gymnasium.make(
        networld_envs.gymnasium_id(recipe.task),
        max_episode_steps=None,
        disable_env_checker=None,
        max_cycles=recipe.max_cycles,
        preset=recipe.preset,
    )
    storage = MinariStorage.new(
        root / "data",
        observation_space=env.observation_space,
        action_space=env.action_space,
        env_spec=env.spec,
        data_format="hdf5",
    )
    env.close()
    scores = reference_scores(recipe.task)
    storage.update_metadata(
        {
            "dataset_id": recipe.dataset_id,
            "minari_version": minari.__version__,
            "algorithm_name": recipe.policy,
            "author": {"The NetWorld maintainers"},
            "description": _description(recipe),
            "requirements": [f"networld>={networld_envs.__version__}"],
            "ref_min_score": scores["random"]["mean"] * recipe.max_cycles,
            "ref_max_score": scores["expert"]["mean"] * recipe.max_cycles,
            "num_episodes_average_score": scores["expert"]["episodes"],
        }
    )
    storage.update_episodes(_buffers(recipe, chunks))
    params = make_params(recipe.task, recipe.preset)
    storage.update_metadata(
        {
            METADATA_KEY: {
                "task": recipe.task,
                "spec": task_module(recipe.task).spec(params).to_dict(),
                "recipe": _recipe_record(recipe),
                "sha256": content_hash(minari.MinariDataset(storage)),
                "licence": "MIT",
            }
        }
    )


def _description(recipe: Recipe) -> str:
    title = (task_module(recipe.task).__doc__ or "").split("\n", 1)[0].rstrip(".")
    return (
        f"{title}: {recipe.episodes} episodes of {recipe.max_cycles} steps by {recipe.policy}. "
        "Observations (T+1, N, O), actions per agent, rewards are the mean over agents; "
        "infos hold agent_rewards and the 1-hop neighbours."
    )


def _make_namespaces(folder: Path) -> None:
    """Mark the folders above a dataset as Minari namespaces, as Minari's own writer does."""
    root = get_dataset_path()
    while folder != root:
        note = folder / "namespace_metadata.json"
        if not note.exists():
            temporary = note.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text("{}")
            os.replace(temporary, note)
        folder = folder.parent
