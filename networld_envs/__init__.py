"""Wireless-network tasks for multi-agent learning: PettingZoo, Gymnasium and Minari.

Importing this package registers ``networld/{cbf,rb,ns}_v0`` with PettingZoo and
``networld/{CBF,RB,NS}-v0`` with Gymnasium. It loads neither torch, matplotlib nor pygame.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import pettingzoo

from networld_envs.joint import JointVectorEnv, gymnasium_id
from networld_envs.parallel import NetworkEnv
from networld_envs.simulator import TASKS, make_params
from networld_envs.spec import TaskSpec
from networld_envs.version import __version__

__all__ = ["TASKS", "TaskSpec", "__version__", "gymnasium_id", "make", "make_params", "make_vec"]


def make(task: str, **kwargs: Any) -> NetworkEnv:
    """Make a task as a PettingZoo parallel environment; arguments as in `NetworkEnv`."""
    return NetworkEnv(task, **kwargs)


def make_vec(task: str, num_envs: int = 1, **kwargs: Any) -> JointVectorEnv:
    """Make a task as a batch of joint environments; arguments as in `JointVectorEnv`."""
    return JointVectorEnv(task, num_envs, **kwargs)


def _register() -> None:
    for task in TASKS:
        pettingzoo.register(
            "parallel", f"networld/{task}_v0", f"networld_envs.{task}_v0:parallel_env"
        )
        pettingzoo.register("aec", f"networld/{task}_v0", f"networld_envs.{task}_v0:env")
        gymnasium.register(
            gymnasium_id(task),
            entry_point="networld_envs.joint:JointEnv",
            vector_entry_point="networld_envs.joint:JointVectorEnv",
            kwargs={"task": task},
        )


_register()
