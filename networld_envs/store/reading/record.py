"""NetWorld's own part of a dataset's metadata: what may be in it, and the task's spec in it.

The metadata may be damaged, or come from a stranger. Every value is checked to be of its kind once,
here, so that whoever uses it afterwards may rely on that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from networld_envs.policies.rollout import Behaviour
from networld_envs.simulator import TASKS, task_module
from networld_envs.spec import Column, TaskSpec

LONGEST_TEXT = 20_000_000  # characters; the spaces of a large team take several thousand

Kind = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    """Whether it is text that can be printed without effect on a terminal."""
    return (
        isinstance(value, str)
        and len(value) <= LONGEST_TEXT
        and all(c.isprintable() or c in "\n\t" for c in value)
    )


def is_count(value: Any) -> bool:
    """Whether it is a number of something."""
    return type(value) is int and 0 <= value < 1 << 63


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def is_hash(value: Any) -> bool:
    """Whether it is a SHA-256 in hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether it consists of lists and dictionaries of texts and finite numbers."""
    if depth > 6:
        return False
    if isinstance(value, dict):
        return all(is_text(k) and is_plain(v, depth + 1) for k, v in value.items())
    if isinstance(value, list):
        return all(is_plain(v, depth + 1) for v in value)
    return value is None or type(value) is bool or is_text(value) or is_number(value)


def _is_spec(value: Any) -> bool:
    try:
        spec = TaskSpec.from_dict(value)
    except (TypeError, ValueError, KeyError, AttributeError):
        return False
    sizes = (spec.num_agents, spec.obs_dim, spec.action_dim)
    own = (*spec.last_action, *spec.mirrored_obs, *spec.mirrored_action)
    reward = () if spec.reward_column is None else (spec.reward_column,)
    return (
        is_text(spec.task)
        and all(is_count(n) and n > 0 for n in sizes)
        and is_count(spec.neighbour_slots)
        and all(_is_bound(bound) for bound in (*spec.action_low, *spec.action_high))
        and all(is_count(column) for column in own)
        and all(map(_is_column, (*spec.obs_columns, *spec.action_columns, *reward)))
    )


def _is_column(column: Column) -> bool:
    bounds = [bound for bound in (column.low, column.high) if bound is not None]
    return is_text(column.name) and is_text(column.unit) and all(map(_is_bound, bounds))


def _is_bound(value: Any) -> bool:
    """Whether it is a number, which may be infinite."""
    return type(value) in (int, float) and not math.isnan(value)


def _is_recipe(value: Any) -> bool:
    if not (isinstance(value, dict) and is_plain(value)):
        return False
    numbers = all(is_count(value.get(key)) for key in ("episodes", "max_cycles", "seed"))
    texts = all(is_text(value.get(key)) for key in ("preset", "version"))
    try:
        behaviours = [Behaviour(**behaviour) for behaviour in value["behaviours"]]
    except (TypeError, ValueError, KeyError):
        return False
    return numbers and texts and bool(behaviours)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


RECORD_KEYS: dict[str, Kind] = {
    "task": is_text,
    "spec": _is_spec,
    "preset": is_text,
    "recipe": _is_recipe,
    "imported_from": is_text,
    "checks": lambda value: isinstance(value, dict) and all(map(_is_texts, value.values())),
    "licence": is_text,
    "sha256": is_hash,
    "hash_version": is_count,
}
"""Keys of NetWorld's part of the metadata that a remote may send, and what their values must be."""
COUNTED_KEYS: dict[str, Kind] = {"mean_reward": is_number, "equal_up_to_rounding_to": is_hash}
"""Keys that are computed from the data instead."""


def checked_record(found: Any) -> dict[str, Any]:
    """NetWorld's part of a dataset's metadata, after a check of every value.

    Raises:
        ValueError: Names the key whose value is missing or of another kind.
    """
    if not isinstance(found, dict):
        raise ValueError(f"its NetWorld metadata is of type {type(found).__name__}, not an object")
    for key in ("task", "spec"):
        if key not in found:
            raise ValueError(f"its NetWorld metadata has no {key!r}")
    for key, fits in {**RECORD_KEYS, **COUNTED_KEYS}.items():
        if key in found and not fits(found[key]):
            raise ValueError(f"{key} in its NetWorld metadata is {repr(found[key])[:80]}")
    if found["spec"]["task"] != found["task"]:
        raise ValueError(
            f"its task is {found['task']!r}, but its spec is of task {found['spec']['task']!r}"
        )
    return dict(found)


def dataset_spec(about: dict[str, Any]) -> TaskSpec:
    """The spec in a dataset's metadata (`networld_envs.store.metadata`), its columns named.

    A dataset that was made before columns had names gets the names of its task, at the preset it
    was made with, if the numbers of columns agree.
    """
    spec = TaskSpec.from_dict(about["spec"])
    if spec.obs_columns or spec.task not in TASKS:
        return spec
    preset = about.get("recipe", about).get("preset", "default")
    task = task_module(spec.task)
    named: TaskSpec = task.spec(task.PRESETS.get(preset, task.PRESETS["default"]))
    if (named.obs_dim, named.action_dim) != (spec.obs_dim, spec.action_dim):
        return spec
    names = ("obs_columns", "action_columns", "reward_column")
    return replace(spec, **{name: getattr(named, name) for name in names})
