"""Scores of the reference policies: how they are measured, and the committed table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.files import replace_text
from networld_envs.policies.base import get_policy, usable_policies
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.simulator import MAX_CYCLES, make_params

TABLE = Path(__file__).with_name("references.json")
TEST_SEED = 1_000
VALIDATION_SEED = 500_000
"""First seeds of evaluation episodes. Datasets start at 10,000,000, so none of them overlap."""


class Score(TypedDict):
    """Mean reward per agent and step of one policy, over episodes.

    ``low`` and ``high`` bound the 95% interval of ``mean``; ``metrics`` holds means of the task's
    scalar metrics.
    """

    mean: float
    low: float
    high: float
    episodes: int
    metrics: dict[str, float]


def reference_rewards(
    task: str, policy: str, seeds: Sequence[int], max_cycles: int = MAX_CYCLES, **params: Any
) -> NDArray[np.float64]:
    """Mean reward per agent and step ``(K,)`` of a policy on episodes of the given seeds."""
    made = make_params(task, **params)
    return rollout(task, made, Behaviour(policy), seeds, max_cycles).episode_rewards


def score_ends(
    task: str, seeds: Sequence[int], max_cycles: int = MAX_CYCLES, **params: Any
) -> tuple[float, float] | None:
    """Average rewards of random and expert, which have the scores 0 and 100.

    Args:
        task: The task.
        seeds: Seed of each episode.
        max_cycles: Length of an episode.
        **params: Preset and parameters of the task.

    Returns:
        Random's reward, then the expert's; None if the task lacks one of the two, or the expert is
        not the better one.
    """
    names = usable_policies(task, make_params(task, **params))
    roles = {get_policy(task, name).role: name for name in names}
    if not {"random", "expert"} <= set(roles):
        return None
    random, expert = (
        float(reference_rewards(task, roles[role], seeds, max_cycles, **params).mean())
        for role in ("random", "expert")
    )
    return (random, expert) if random < expert else None


def measure(
    task: str,
    policy: str,
    episodes: int,
    seed: int = TEST_SEED,
    max_cycles: int = MAX_CYCLES,
    batch: int = 50,
    on_step: Callable[[], None] | None = None,
    **params: Any,
) -> Score:
    """Score a reference policy on a number of episodes.

    Args:
        task: Name of the task.
        policy: Name of the policy.
        episodes: Number of episodes, at least 2.
        seed: Seed of the first episode; the others have consecutive seeds.
        max_cycles: Steps per episode.
        batch: Episodes simulated together.
        on_step: Called after each simulated step, for a progress bar.
        **params: Preset and parameters of the task.

    Raises:
        ValueError: For an unknown name, or a number out of range.
        TypeError: If an argument is of the wrong type.
    """
    episodes = validate.whole("episodes", episodes, 2)  # fewer have no interval
    seed, batch = validate.whole("seed", seed, 0), validate.whole("batch", batch, 1)
    made = make_params(task, **params)
    rewards: list[np.ndarray] = []
    metrics: dict[str, list[float]] = {}
    for start in range(0, episodes, batch):
        seeds = range(seed + start, seed + min(start + batch, episodes))
        part = rollout(task, made, Behaviour(policy), list(seeds), max_cycles, on_step)
        rewards.append(part.episode_rewards)
        for key, value in part.metrics.items():
            if value.ndim == 2:
                metrics.setdefault(key, []).extend(value.mean(axis=1).tolist())
    values = np.concatenate(rewards)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return Score(
        mean=float(values.mean()),
        low=float(values.mean() - half),
        high=float(values.mean() + half),
        episodes=len(values),
        metrics={key: float(np.mean(value)) for key, value in metrics.items()},
    )


def reference_scores(task: str, preset: str = "default") -> dict[str, Score]:
    """The committed scores of the policies that can act with a preset, from weak to strong.

    Raises:
        ValueError: If a score is missing; says how to measure it.
    """
    names = usable_policies(task, make_params(task, preset))
    text = TABLE.read_text(encoding="utf-8")
    table = json.loads(text).get(_key(task, preset), {})
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(
            f"no reference score for policy {missing[0]!r} at {_key(task, preset)}: measure and "
            f"record it with `networld reference --task {task} --preset {preset} --record`"
        )
    return {name: table[name] for name in names}


def record_scores(task: str, scores: dict[str, Score], preset: str = "default") -> Path:
    """Write scores into the table of this checkout, atomically; returns its path."""
    path = TABLE
    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    table[_key(task, preset)] = scores
    replace_text(path, json.dumps(table, indent=1) + "\n")
    return path


def _key(task: str, preset: str) -> str:
    return task if preset == "default" else f"{task}/{preset}"
