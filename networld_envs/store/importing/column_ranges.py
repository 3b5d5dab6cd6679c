"""What each column of a task's data looks like, to judge imported logs by.

``column_ranges.json`` holds, for every preset of the built-in tasks, the smallest value, the 5%,
50% and 95% quantiles and the largest value of each column of observations, actions and rewards. All
reference policies that can act are pooled. After a change to a task, write it again with::

    python -m networld_envs.store.importing.column_ranges
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.files import replace_text
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.simulator import BUILT_IN, TASKS, make_params

RANGES = Path(__file__).with_name("column_ranges.json")
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
COLUMN_FIELDS = ("observations", "actions", "agent_rewards")
SEED = 30_000_000  # far from the seeds of datasets and evaluations
AGENT_STEPS = 20_000  # of each policy, about
MOST_EPISODES = 20
STEPS = 50
SLOW = {"hua2019": (2, 8), "hua2019_code": (4, 10)}
"""Episodes and steps for presets that simulate single packets."""

Ranges = dict[str, NDArray[np.float64]]
"""Field -> quantiles of its columns, ``(5, columns)``."""


def column_ranges(task: str, preset: str) -> Ranges | None:
    """The recorded ranges of a preset; None for a task or preset without."""
    found = _recorded().get(f"{task}/{preset}") if task in BUILT_IN else None
    return None if found is None else {name: np.array(rows) for name, rows in found.items()}


def measure(task: str, preset: str) -> Ranges:
    """Simulate the reference policies of a preset and return the ranges of all columns."""
    params = make_params(task, preset)
    agents = TASKS[task].spec(params).num_agents
    episodes, steps = SLOW.get(
        preset, (int(np.clip(AGENT_STEPS // (STEPS * agents), 1, MOST_EPISODES)), STEPS)
    )
    rows: dict[str, list[NDArray[np.float64]]] = {name: [] for name in COLUMN_FIELDS}
    for name, policy in TASKS[task].POLICIES.items():
        if policy.local is None or not policy.needs(params):
            continue
        made = rollout(task, params, Behaviour(name), range(SEED, SEED + episodes), steps)
        for field, array in zip(COLUMN_FIELDS, (made.obs, made.actions, made.rewards), strict=True):
            rows[field].append(flat(array, wide=array.ndim == 4))
    return {
        name: np.quantile(np.concatenate(parts), QUANTILES, axis=0) for name, parts in rows.items()
    }


def flat(array: NDArray[Any], wide: bool) -> NDArray[np.float64]:
    """``(rows, columns)``; one column unless the array is ``wide``, with a last axis of columns."""
    return array.reshape(-1, array.shape[-1] if wide else 1).astype(np.float64)


@lru_cache(maxsize=1)
def _recorded() -> dict[str, dict[str, list[list[float]]]]:
    return json.loads(RANGES.read_text(encoding="utf-8"))


def _record() -> None:
    """Write the table of this checkout, one field of a preset per line."""
    parts = []
    for task in sorted(BUILT_IN):
        for preset in TASKS[task].PRESETS:
            fields = [
                f"{json.dumps(name)}: {json.dumps(_rounded(rows))}"
                for name, rows in measure(task, preset).items()
            ]
            parts.append(f"{json.dumps(f'{task}/{preset}')}: {{\n" + ",\n".join(fields) + "\n}")
    replace_text(RANGES, "{\n" + ",\n".join(parts) + "\n}\n")


def _rounded(rows: NDArray[np.float64]) -> list[list[float]]:
    return [[float(f"{x:.4g}") for x in row] for row in rows]


if __name__ == "__main__":
    _record()
