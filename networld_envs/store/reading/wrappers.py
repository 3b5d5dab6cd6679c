"""Wrappers that a dataset was recorded through, between the environment and Minari's collector.

``DataCollector(RescaleAction(env, -1, 1))`` stores the actions that the wrapper was given, not
those that the environment got. The environment in the metadata names its wrappers, so the actions
can be computed again. Data that cannot be recovered exactly is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from gymnasium.wrappers import ClipAction, RescaleAction
from numpy.typing import NDArray

from networld_envs.joint import JointEnv
from networld_envs.store.ids import DatasetError

ACTION_WRAPPERS: dict[str, Callable[..., gymnasium.ActionWrapper[Any, Any, Any]]] = {
    "ClipAction": ClipAction,
    "RescaleAction": RescaleAction,
}
"""Wrappers whose effect on an action is computed again."""
HARMLESS = frozenset(
    {
        "HumanRendering",
        "OrderEnforcing",
        "PassiveEnvChecker",
        "RecordEpisodeStatistics",
        "RecordVideo",
        "TimeLimit",  # the end of an episode is in the data
    }
)
"""Wrappers that change no observation, action or reward."""


def applied_actions(
    env_spec: EnvSpec | None,
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """A function from recorded actions ``(T, ...)`` to those that the environment got.

    Args:
        env_spec: The environment that the dataset names.

    Returns:
        None if they are the same.

    Raises:
        DatasetError: If a wrapper changed the data in a way that cannot be undone exactly.
    """
    if env_spec is None:
        return None
    found = [(wrapper, _name(wrapper)) for wrapper in env_spec.additional_wrappers]
    for wrapper, name in found:
        if name not in HARMLESS and name not in ACTION_WRAPPERS:
            raise DatasetError(
                f"it was recorded through the wrapper {wrapper.entry_point!r}, so its data is not "
                f"that of the task. Put the wrapper around the collector, "
                f"{wrapper.name}(DataCollector(env)), and record it again"
            )
    changing = [(wrapper, name) for wrapper, name in found if name in ACTION_WRAPPERS]
    if not changing:
        return None
    try:
        env: Any = JointEnv(**{**env_spec.kwargs, "render_mode": None})
        functions = []
        with warnings.catch_warnings():  # which were shown when the data was recorded
            warnings.simplefilter("ignore")
            for wrapper, name in changing:  # the innermost first
                env = ACTION_WRAPPERS[name](env, **(wrapper.kwargs or {}))
                functions.append(env.action)
    except Exception as error:  # a damaged or foreign specification may raise anything
        raise DatasetError(
            f"its wrappers cannot be made again ({type(error).__name__}: {error}); record it again"
        ) from error

    def apply(actions: NDArray[Any]) -> NDArray[Any]:
        for function in reversed(functions):  # an action passes the outermost first
            actions = function(actions)
        return actions

    return apply


def _name(wrapper: WrapperSpec) -> str:
    """Name of one of Gymnasium's own wrappers; "" for any other."""
    module, _, name = str(wrapper.entry_point).partition(":")
    return name if module.startswith("gymnasium.wrappers.") else ""
