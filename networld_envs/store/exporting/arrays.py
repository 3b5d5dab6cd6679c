"""A dataset as a few long arrays, one row per step, as D4RL names them.

Every agent can be an episode of its own (``per="agent"``), for single-agent libraries, or a row can
hold the whole team (``per="team"``). With ``S`` rows:

===================  ==================================  ========================================
name                 ``per="agent"``                     ``per="team"``
===================  ==================================  ========================================
observations         ``(S, O)`` float32                  ``(S, N, O)``
actions              ``(S, A)`` float32 or ``(S,)``      ``(S, N, A)`` or ``(S, N)``
                     int64
rewards              ``(S,)`` float32, the agent's own   ``(S, N)``
next_observations    ``(S, O)`` float32                  ``(S, N, O)``
terminals            ``(S,)`` bool: the task ended       the same
timeouts             ``(S,)`` bool: recording stopped    the same
episode              ``(S,)`` int64, in the dataset      the same
step                 ``(S,)`` int64, in the episode      the same
agent                ``(S,)`` int64                      absent
neighbours           absent                              ``(K, N, D)`` int32, one per episode
===================  ==================================  ========================================

Rows are ordered by episode, agent and step. Exactly one of ``terminals`` and ``timeouts`` is true
in the last row of an episode, and both are false in all others.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import minari
import numpy as np
from numpy.typing import NDArray

from networld_envs.spec import TaskSpec
from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.log_checks import Raw
from networld_envs.store.local import load
from networld_envs.store.minari_io import damaged, metadata
from networld_envs.store.reading.checked import checked_episodes
from networld_envs.store.reading.record import dataset_spec
from networld_envs.store.reading.sizes import episode_lengths
from networld_envs.store.recipes import Progress

Per = Literal["agent", "team"]
Arrays = dict[str, NDArray[Any]]


def to_arrays(
    dataset: str | minari.MinariDataset, per: Per = "agent", progress: Progress | None = None
) -> Arrays:
    """Read a dataset into arrays with one row per step, see the module's table.

    Args:
        dataset: A dataset of the joint view, whole or filtered, or its id. A dataset of the
            catalogue that is not in the local store is downloaded or built first.
        per: ``"agent"`` makes every agent of every episode an episode; ``"team"`` keeps the agents
            of a step together.
        progress: Called with (episodes done, episodes).

    Returns:
        Array by name.

    Raises:
        networld_envs.store.DatasetError: If the dataset is unknown, damaged, or has an illegal
            value.
        ValueError: If ``per`` is unknown.
    """
    if per not in get_args(Per):
        raise ValueError(f"per must be one of {get_args(Per)}, got {per!r}")
    source, spec = opened(dataset)
    try:
        lengths = episode_lengths(source, source.episode_indices)
    except Exception as error:
        raise damaged(source.id, error) from error
    n, steps = spec.num_agents, int(lengths.sum())
    whole = (steps, n) if per == "team" else (steps * n,)
    box = spec.action_kind == "box"
    arrays: Arrays = {
        "observations": np.empty((*whole, spec.obs_dim), np.float32),
        "actions": np.empty((*whole, spec.action_dim), np.float32)
        if box
        else np.empty(whole, np.int64),
        "rewards": np.empty(whole, np.float32),
        "next_observations": np.empty((*whole, spec.obs_dim), np.float32),
        "terminals": np.empty(whole[0], np.bool_),
        "timeouts": np.empty(whole[0], np.bool_),
        "episode": np.empty(whole[0], np.int64),
        "step": np.empty(whole[0], np.int64),
    }
    if per == "team":
        shape = (len(lengths), n, spec.neighbour_slots)
        arrays["neighbours"] = np.empty(shape, np.int32)
    else:
        arrays["agent"] = np.empty(whole[0], np.int64)
    begin = 0
    for k, episode in enumerate(checked_episodes(source, spec=spec)):
        begin = _fill(arrays, begin, k, episode)
        if progress is not None:
            progress(k + 1, len(lengths))
    return arrays


def opened(dataset: str | minari.MinariDataset) -> tuple[minari.MinariDataset, TaskSpec]:
    """A dataset that has at least one episode, and its spec.

    Raises:
        networld_envs.store.DatasetError: If it has none, or cannot be used.
    """
    source = load(dataset) if isinstance(dataset, str) else dataset
    spec = dataset_spec(metadata(source))
    if source.total_episodes == 0:
        raise DatasetError(f"dataset {source.id!r} has no episodes")
    return source, spec


def _fill(arrays: Arrays, begin: int, k: int, episode: Raw) -> int:
    """Write episode ``k`` from row ``begin`` on; returns the row after its last."""
    steps, n = episode["agent_rewards"].shape
    values = {
        "observations": episode["observations"][:-1],
        "actions": episode["actions"],
        "rewards": episode["agent_rewards"],
        "next_observations": episode["observations"][1:],
    }
    ends = {"terminals": "terminations", "timeouts": "truncations"}
    flags = {name: episode[field] for name, field in ends.items()}
    flags["timeouts"] = flags["timeouts"] & ~flags["terminals"]  # the end of the task counts
    flags["step"] = np.arange(steps)
    if "agent" not in arrays:
        end = begin + steps
        arrays["neighbours"][k] = episode["neighbours"]
    else:
        end = begin + steps * n
        values = {name: agents_first(array) for name, array in values.items()}
        flags = {name: np.tile(array, n) for name, array in flags.items()}
        arrays["agent"][begin:end] = np.repeat(np.arange(n), steps)
    for name, array in (values | flags).items():
        arrays[name][begin:end] = array
    arrays["episode"][begin:end] = k
    return end


def agents_first(array: NDArray[Any]) -> NDArray[Any]:
    """``(T, N, ...)`` to ``(N * T, ...)``, one agent after another."""
    return array.swapaxes(0, 1).reshape(-1, *array.shape[2:])
