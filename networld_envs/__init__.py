"""Wireless-network tasks for multi-agent learning: PettingZoo, Gymnasium and Minari.

>>> import networld_envs
>>> env = networld_envs.make("rb")            # a PettingZoo parallel environment
>>> envs = networld_envs.make_vec("rb", 64)   # 64 joint environments, stepped as one batch
>>> data = networld_envs.store.load("networld/rb/random-v0")  # a Minari dataset

Importing this package registers ``networld/{cbf,rb,ns}_v0`` with PettingZoo and
``networld/{CBF,RB,NS}-v0`` with Gymnasium. It does not load torch, matplotlib or pygame. `store`
and `policies` are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pettingzoo

from networld_envs.joint import JointVectorEnv
from networld_envs.parallel import NetworkEnv
from networld_envs.simulator import (
    MAX_CYCLES,
    TASKS,
    add_task,
    gymnasium_id,
    make_params,
    register_gymnasium,
)
from networld_envs.spec import TaskSpec
from networld_envs.version import __version__

if TYPE_CHECKING:
    from networld_envs import policies, store

__all__ = [
    "TASKS",
    "TaskSpec",
    "__version__",
    "add_task",
    "gymnasium_id",
    "make",
    "make_params",
    "make_vec",
    "policies",
    "store",
]


def make(
    task: str,
    preset: str = "default",
    max_cycles: int = MAX_CYCLES,
    render_mode: str | None = None,
    **params: Any,
) -> NetworkEnv:
    """Make a task as a PettingZoo parallel environment.

    Args:
        task: Key in `TASKS`.
        preset: Name of a preset of the task's parameters.
        max_cycles: Steps per episode; episodes end by truncation.
        render_mode: None, ``"rgb_array"`` or ``"human"``.
        **params: Parameters of the task that override the preset's;
            ``help(networld_envs.cbf_v0.parallel_env)`` lists them.

    Raises:
        ValueError: For an unknown task, preset or render mode, or a value out of range.
        TypeError: For an unknown parameter, or a value of the wrong type.
    """
    return NetworkEnv(task, preset, max_cycles, render_mode, **params)


def make_vec(
    task: str,
    num_envs: int = 1,
    preset: str = "default",
    max_cycles: int = MAX_CYCLES,
    render_mode: str | None = None,
    **params: Any,
) -> JointVectorEnv:
    """Make a task as a batch of joint environments, stepped together.

    Args:
        task: Key in `TASKS`.
        num_envs: Environments ``E`` in the batch.
        preset: Name of a preset of the task's parameters.
        max_cycles: Steps per episode; episodes end by truncation.
        render_mode: None or ``"rgb_array"``.
        **params: Parameters of the task that override the preset's.

    Raises:
        ValueError: For an unknown task, preset or render mode, or a value out of range.
        TypeError: For an unknown parameter, or a value of the wrong type.
    """
    return JointVectorEnv(task, num_envs, preset, max_cycles, render_mode, **params)


def __getattr__(name: str) -> Any:
    if name in ("policies", "store"):
        return import_module(f"networld_envs.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _register() -> None:
    for task in TASKS:
        pettingzoo.register(
            "parallel", f"networld/{task}_v0", f"networld_envs.{task}_v0:parallel_env"
        )
        pettingzoo.register("aec", f"networld/{task}_v0", f"networld_envs.{task}_v0:env")
        register_gymnasium(task)


_register()
