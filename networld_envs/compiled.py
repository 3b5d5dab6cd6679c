"""Compiled loops for the steps of the tasks, used if numba is installed: same numbers, faster.

With NumPy, a step of one environment spends more time in calls than in arithmetic, and a step of a
batch spends most of its time on passes over memory. With the extra ``fast``
(``pip install 'networld[fast]'``), numba compiles loops for the steps of `networld_envs.cbf` with
``action="box"``, of `networld_envs.rb` with clusters of up to 16 nodes, and of the fluid model of
`networld_envs.ns`. They are compiled at the first step of an environment and kept on disk for later
processes. Without numba, or with the environment variable ``NETWORLD_COMPILED=0``, all steps run in
NumPy.

Results are equal bit for bit. Before loops are used with some parameters, a few steps are run both
ways and compared. If they differ, because a version of NumPy or a processor rounds differently,
NumPy is used. A network with a single cell is such a case.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

VARIABLE = "NETWORLD_COMPILED"
TRIAL_STEPS = 3


class Loops(NamedTuple):
    """The functions of a task that make up a step, with the arguments of the task's module.

    Attributes:
        transition: From state and actions to the next state.
        observe: From a state to observations.
        compiled: Whether numba compiled them.
    """

    transition: Callable[..., Any]
    observe: Callable[..., NDArray[np.float32]]
    compiled: bool


def loops(task: ModuleType, params: Any) -> Loops:
    """Choose the functions that step a task: compiled loops where possible, else NumPy.

    Args:
        task: The task's module, such as `networld_envs.cbf`.
        params: Its parameters.
    """
    plain = Loops(task.transition, task.observe, compiled=False)
    if os.environ.get(VARIABLE, "1") == "0":
        return plain
    module = _module(task.ABOUT.compiled if hasattr(task, "ABOUT") else "")
    if module is None or not module.covers(params):
        return plain
    compiled = Loops(module.transition, module.observe, compiled=True)
    return compiled if _agree(task, params, compiled) else plain


@lru_cache(maxsize=8)
def _module(name: str) -> ModuleType | None:
    """A task's compiled loops; None if it has none, or if numba is missing or cannot compile."""
    if not name:
        return None
    try:
        if import_module("numba").config.DISABLE_JIT:
            return None
        return import_module(name)
    except (ImportError, RuntimeError):  # RuntimeError: no folder for the compiled code
        return None


@lru_cache(maxsize=64)
def _agree(task: ModuleType, params: Any, compiled: Loops) -> bool:
    """Whether compiled and plain steps of one and two environments are equal bit for bit."""
    try:
        return all(_agree_on(task, params, compiled, envs) for envs in (1, 2))
    except Exception as error:
        if not type(error).__module__.startswith("numba"):
            raise
        text = str(error).splitlines()[0]
        warnings.warn(f"numba cannot compile the loops of {task.NAME}, so NumPy runs them: {text}",
                      RuntimeWarning, stacklevel=2)  # fmt: skip
        return False


def _agree_on(task: ModuleType, params: Any, compiled: Loops, envs: int) -> bool:
    space = task.action_space(params)
    generators = [[np.random.default_rng(e) for e in range(envs)] for _ in range(2)]
    state, other = (task.reset(params, rngs) for rngs in generators)
    draw = np.random.default_rng(0)
    for _ in range(TRIAL_STEPS):
        shape = (envs, params.num_agents, *(space.shape or ()))
        if isinstance(space, Discrete):
            actions = draw.integers(space.n, size=shape)
        else:
            actions = draw.uniform(space.low, space.high, shape).astype(space.dtype)
        state = task.transition(params, state, actions, generators[0])
        other = compiled.transition(params, other, actions, generators[1])
        seen = task.observe(params, state), compiled.observe(params, other)
        if not (same_state(state, other) and same_array(*seen)):
            return False
    return True


def same_array(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays have the same type, shape and bits."""
    return (one.dtype, one.shape) == (other.dtype, other.shape) and one.tobytes() == other.tobytes()


def same_state(one: Any, other: Any) -> bool:
    """Whether all arrays of two states have the same types, shapes and bits."""
    return all(same_array(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
