"""Look up a task's policies and let one act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.simulator import Simulator, task_module
from networld_envs.spec import Policy


def task_policies(task: str) -> dict[str, Policy]:
    """A task's own table of policies by name, from weak to strong; entries can be added.

    Raises:
        ValueError: For an unknown task, or one without policies.
    """
    table = getattr(task_module(task), "POLICIES", None)
    if not table:
        raise ValueError(
            f"task {task!r} has no policies: define POLICIES in its module, a dictionary from "
            "names to Policy that has at least 'random'"
        )
    return table


def get_policy(task: str, name: str, params: Any = None) -> Policy:
    """A task's reference policy.

    Args:
        task: Name of the task.
        name: Name of the policy.
        params: The task's parameters, if the policy must be able to act with them.

    Raises:
        ValueError: For an unknown task or policy, or one that cannot act with ``params``; lists
            the valid ones.
        TypeError: If a name is not text.
    """
    known = task_policies(task)
    if not isinstance(name, str):
        raise TypeError(f"policy must be text, one of {', '.join(known)}; got {name!r}")
    if name not in known:
        raise ValueError(
            f"task {task!r} has no policy {name!r}; valid policies: {', '.join(known)}"
        )
    policy = known[name]
    if params is not None and not policy.needs(params):
        raise ValueError(
            f"policy {name!r} cannot act with these parameters of task {task!r}; policies "
            "that can: "
            f"{', '.join(usable_policies(task, params))}"
        )
    return policy


def usable_policies(task: str, params: Any) -> list[str]:
    """Names of the policies that can act with these parameters, from weak to strong."""
    return [name for name, policy in task_policies(task).items() if policy.needs(params)]


def best_policy(task: str, params: Any) -> str:
    """The strongest policy that can act with these parameters without the global state."""
    names = usable_policies(task, params)
    known = task_policies(task)
    return [name for name in names if known[name].privileged is None][-1]


def policy_actions(
    policy: Policy,
    simulator: Simulator,
    obs: NDArray[np.float32],
    rngs: Sequence[np.random.Generator],
    step: int,
) -> NDArray[Any]:
    """Actions ``(E, N, ...)`` of a policy, privileged or not."""
    if policy.privileged is not None:
        return policy.privileged(simulator.params, simulator.state, rngs, step)
    assert policy.local is not None
    return policy.local(simulator.params, obs, simulator.neighbours, rngs, step)
