"""Recipes: how each dataset is made, and the catalogue that lists them."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from networld_envs import validate
from networld_envs.files import replace_text
from networld_envs.policies.rollout import Behaviour
from networld_envs.simulator import BUILT_IN, TASKS, about, task_module
from networld_envs.store.ids import DatasetError, check_id
from networld_envs.version import __version__

CATALOG = Path(__file__).with_name("catalog.toml")
CATALOG_VARIABLE = "NETWORLD_CATALOG"
"""Environment variable: a file to use in place of `CATALOG`, e.g. for tests with few episodes."""

Progress = Callable[[int, int], None]
"""Called with (done, total); in episodes for a build, in bytes for a download."""


@dataclass(frozen=True)
class Recipe:
    """How a dataset is made.

    Attributes:
        dataset_id: Minari id, ``networld/<task>/<quality>-v<n>``.
        task: Name of the task.
        episodes: Number of episodes.
        max_cycles: Steps per episode.
        seed: Seed of the first episode's network; episode i has ``seed + i``.
        behaviours: Episode i is made by ``behaviours[i % len(behaviours)]``.
        preset: Name of a preset of the task's parameters.
        chunk_episodes: Episodes simulated as one batch; builds are resumed in whole chunks.
        sha256: Expected content hash, or "" if none is recorded.
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
        check_id(self.dataset_id)
        task_module(self.task)
        validate.integer(self, "episodes", "max_cycles", "chunk_episodes", low=1)
        validate.integer(self, "seed", low=0)
        if not self.behaviours:
            validate.fail(self, "behaviours", "at least one behaviour")

    @property
    def policy(self) -> str:
        """The behaviours in a few words."""
        return ", ".join(str(b) for b in self.behaviours)

    def record(self) -> dict[str, Any]:
        """All fields that the content depends on, as plain types for JSON; not the hash."""
        record = asdict(self)
        del record["sha256"]
        return json.loads(json.dumps({**record, "version": __version__}))


QUALITIES: dict[str, tuple[Behaviour, ...]] = {
    "expert": (Behaviour("expert", 0.05),),
    "medium": (Behaviour("expert", 0.40),),
    "mixed": (Behaviour("random"), Behaviour("expert", 0.40), Behaviour("expert", 0.05)),
    "random": (Behaviour("random"),),
}
"""Quality -> behaviours that make the data, for user-defined tasks."""
DEPLOYMENT_SEED = 40_000_000
"""First seed of the first deployment of a task, after that of its expert data."""
ADDED_SEED = 100_000_000
"""First seed of the first quality of an added task; evaluation seeds are far below."""


def _recipes_of_added_tasks() -> dict[str, Recipe]:
    """Recipes like the catalogue's, for each added task that has the policies they need."""
    recipes = {}
    for task in sorted(set(TASKS) - BUILT_IN):
        known = getattr(TASKS[task], "POLICIES", {})
        for i, (quality, behaviours) in enumerate(QUALITIES.items()):
            if all(b.policy in known for b in behaviours):
                dataset_id = f"networld/{task}/{quality}-v0"
                seed = ADDED_SEED + 1_000_000 * i
                recipes[dataset_id] = Recipe(dataset_id, task, 500, 50, seed, behaviours)
    return recipes


def deployment_id(task: str, preset: str, quality: str = "expert") -> str:
    """Id of the data of a task's deployment, e.g. ``"networld/rb/ring6/expert-v0"``."""
    return f"networld/{task}/{preset}/{quality}-v0"


def deployments() -> dict[str, Recipe]:
    """Recipes of expert data of every deployment in the ``ABOUT`` of the package's tasks, by id.

    They are like that of the task's expert data, with a preset and seeds of their own. These
    datasets have no recorded hash: results name the hash of the data that they were made with.
    """
    recipes = {}
    for dataset_id, usual in reserved().items():
        presets = about(usual.task).deployments if dataset_id.endswith("/expert-v0") else {}
        for i, preset in enumerate(presets):
            own_id = deployment_id(usual.task, preset)
            seed = usual.seed + DEPLOYMENT_SEED + 1_000_000 * i
            own = {"preset": preset, "seed": seed, "sha256": ""}
            recipes[own_id] = replace(usual, dataset_id=own_id, **own)
    return recipes


def known_recipes() -> dict[str, Recipe]:
    """All datasets that can be built by their id: `catalog` and `deployments`."""
    return {**catalog(), **deployments()}


def catalog() -> dict[str, Recipe]:
    """The catalogue by id: datasets of the package, then of added tasks; not `deployments`."""
    return {**reserved(), **_recipes_of_added_tasks()}


def reserved() -> dict[str, Recipe]:
    """The datasets of the package by id. No other dataset may have these ids."""
    path = Path(os.environ.get(CATALOG_VARIABLE) or CATALOG)
    recipes = {}
    for dataset_id, entry in tomllib.loads(path.read_text("utf-8")).items():
        behaviours = tuple(Behaviour(**b) for b in entry.pop("behaviours"))
        recipes[dataset_id] = Recipe(dataset_id=dataset_id, behaviours=behaviours, **entry)
    return recipes


def find_recipe(dataset_id: str) -> Recipe:
    """A dataset's recipe.

    Raises:
        DatasetError: For an unknown id; lists the valid ones.
    """
    known = known_recipes()
    if dataset_id not in known:
        raise DatasetError(
            f"unknown dataset {dataset_id!r}; known datasets:\n  " + "\n  ".join(known)
        )
    return known[dataset_id]


def record_hash(dataset_id: str, sha256: str) -> None:
    """Write a content hash into the catalogue of this checkout, atomically."""
    path = CATALOG
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    start = lines.index(f'["{dataset_id}"]\n')
    where = next(i for i in range(start, len(lines)) if lines[i].startswith("sha256 = "))
    lines[where] = f'sha256 = "{sha256}"\n'
    replace_text(path, "".join(lines))
