"""Checks of one logged episode: errors that name episode, step, agent and field."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from networld_envs.spec import TaskSpec, columns
from networld_envs.store.ids import DatasetError

NEEDED = ("observations", "actions", "agent_rewards", "neighbours")
LARGEST = np.finfo(np.float32).max
Raw = dict[str, NDArray[Any]]


class LogError(DatasetError):
    """Something is wrong at a step and an agent of an episode, where these are known."""

    def __init__(self, text: str, step: int | None = None, agent: int | None = None) -> None:
        super().__init__(text)
        self.step, self.agent = step, agent


def checked(raw: Raw, k: int, spec: TaskSpec, one: spaces.Box) -> Raw:
    """One episode in the stored types; an error says what is wrong, and where."""
    n, box = spec.num_agents, spec.action_kind == "box"
    obs = field(raw, "observations", k, "f", ("T+1", "N", "O"))
    columns = ("T", "N", "A") if box else ("T", "N")
    actions = field(raw, "actions", k, "f" if box else "iu", columns)
    rewards = field(raw, "agent_rewards", k, "fiu", ("T", "N"))
    table = field(raw, "neighbours", k, "iu", ("N", "D"))
    steps = len(actions)
    if n == 0:
        fail(k, "has no agents")
    if steps == 0:
        fail(k, "has no steps")
    ends = {name: np.zeros(steps, bool) for name in ("terminations", "truncations")}
    for name in ends:
        if name in raw:
            ends[name] = field(raw, name, k, "b", ("T",))
    shapes = {
        "observations": (obs, (steps + 1, n, spec.obs_dim)),
        "actions": (actions, (steps, n, spec.action_dim) if box else (steps, n)),
        "agent_rewards": (rewards, (steps, n)),
        "neighbours": (table, (n, spec.neighbour_slots)),
        **{name: (array, (steps,)) for name, array in ends.items()},
    }
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            fail(
                k,
                f"{name} must have shape {shape}, got {array.shape}: see the task and other fields",
            )
    _within(k, "observations", obs, one.low, one.high, spec)
    low, high = np.array(spec.action_low), np.array(spec.action_high)
    _within(k, "actions", actions, low, high, spec)
    _within(k, "agent_rewards", rewards, np.array([-np.inf]), np.array([np.inf]), spec)
    _check_neighbours(k, table)
    if "truncations" not in raw:
        ends["truncations"] = np.arange(steps) == steps - 1
        ends["truncations"][-1] &= not ends["terminations"][-1]
    ended = ends["terminations"] | ends["truncations"]
    if ended[:-1].any():
        fail(
            k,
            f"step {int(np.argmax(ended))}: the episode ends before its last step; split it in two",
        )
    if not ended[-1]:
        fail(k, f"step {steps - 1}: the last step is neither a termination nor a truncation")
    return {
        "observations": obs.astype(np.float32, copy=False),
        "actions": actions.astype(np.float32 if box else np.int64, copy=False),
        "agent_rewards": rewards.astype(np.float32, copy=False),
        "neighbours": table.astype(np.int32, copy=False),
        **ends,
    }


def field(raw: Raw, name: str, k: int, kinds: str, axes: tuple[str, ...]) -> NDArray[Any]:
    """A field of an episode, after a check of its type and number of axes."""
    if name not in raw:
        fail(k, f"{name} is missing; every episode needs {', '.join(NEEDED)}")
    array = raw[name]
    if array.dtype.kind not in kinds:
        need = {"f": "real", "iu": "integer", "fiu": "real", "b": "bool"}[kinds]
        fail(k, f"{name} must be {need}, got dtype {array.dtype}")
    if array.ndim != len(axes):
        fail(k, f"{name} must have axes ({', '.join(axes)}), got shape {array.shape}")
    return array


def fail(k: int, text: str, step: int | None = None, agent: int | None = None) -> NoReturn:
    """Raise a `LogError` about episode ``k``."""
    raise LogError(f"episode {k}: {text}", step, agent)


def _within(
    k: int,
    name: str,
    array: NDArray[Any],
    low: NDArray[Any],
    high: NDArray[Any],
    spec: TaskSpec,
) -> None:
    """Check that values are finite, also in float32, and within the bounds of their column."""
    values = array if array.ndim == 3 else array[:, :, None]  # (rows, N, columns)
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype(np.float32, copy=False)
    rows = single.reshape(-1, single.shape[2])
    least, most = np.maximum(low, -LARGEST), np.minimum(high, LARGEST)
    if (rows.min(0) >= least).all() and (rows.max(0) <= most).all():  # False for NaN
        return
    wrong = ~np.isfinite(single) | (single < low) | (single > high)
    if wrong.any():
        step, agent, column = (int(i) for i in np.argwhere(wrong)[0])
        value = values[step, agent, column]
        which = f" column {spec.column_name(name, column)}" if array.ndim == 3 else ""
        bounds = ""
        if np.isfinite(single[step, agent, column]):
            c = min(column, len(low) - 1)
            legal = columns([name], low[c : c + 1], high[c : c + 1])[0].range
            bounds = f", outside {legal}"
        fail(k, f"step {step}, agent {agent}: {name}{which} is {value}{bounds}", step, agent)


def _check_neighbours(k: int, table: NDArray[Any]) -> None:
    """Entries are -1 or other agents, each once."""
    n = len(table)
    ordered = np.sort(table, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != -1)
    wrong = (table < -1) | (table >= n) | (table == np.arange(n)[:, None])
    if not (wrong.any() or twice.any()):
        return
    for agent, row in enumerate(table.tolist()):
        present = [j for j in row if j != -1]
        why = ""
        for j in present:
            if not 0 <= j < n:
                why = f"holds {j}, outside 0 .. {n - 1} and not -1"
            elif j == agent:
                why = "holds the agent itself"
            if why:
                break
        if not why and len(set(present)) < len(present):
            why = f"holds an agent twice: {present}"
        if why:
            fail(k, f"agent {agent}: neighbours {why}", agent=agent)
