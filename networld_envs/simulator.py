"""The batched simulator behind every adapter: ``E`` environments of one task, stepped together.

A task is a module of pure functions (`networld_envs.cbf` documents one in full). It needs ``NAME``,
``AGENT``, ``PRESETS``, ``spec``, ``observation_space``, ``action_space``, ``reset``, ``observe``,
``transition``, ``reward``, ``neighbours``, ``metrics``, ``global_state`` and ``layout``. It can
also have

* ``ABOUT``, an `About`: title, labels, presets whose scores are recorded, ...;
* ``POLICIES``, name -> `Policy`, weak to strong;
* ``draw(canvas, params, state)``, its drawing in place of a generic one made from ``layout``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from networld_envs import cbf, compiled, ns, rb, validate
from networld_envs.files import run_file
from networld_envs.spec import About

TASKS: dict[str, ModuleType] = {module.NAME: module for module in (cbf, rb, ns)}
BUILT_IN = frozenset(TASKS)
"""Names that an added task cannot have."""
NEEDED = (
    "NAME", "AGENT", "PRESETS", "spec", "observation_space", "action_space", "reset", "observe",
    "transition", "reward", "neighbours", "metrics", "global_state", "layout",
)  # fmt: skip
"""What every task module has."""
MAX_CYCLES = 50
MOST_CYCLES = 1_000_000_000
"""Largest ``max_cycles``."""
MOST_ENVS = 1_000_000
"""Largest batch."""


def task_module(task: str) -> ModuleType:
    """The module of a task.

    Raises:
        ValueError: If there is no such task; lists the valid ones.
        TypeError: If the name is not text.
    """
    if not isinstance(task, str):
        raise TypeError(f"task must be text, one of {', '.join(TASKS)}; got {task!r}")
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; valid tasks: {', '.join(TASKS)}")
    return TASKS[task]


def gymnasium_id(task: str) -> str:
    """Gymnasium id of a task's joint view, e.g. ``"networld/CBF-v0"``."""
    return f"networld/{task.upper()}-v0"


def register_gymnasium(task: str) -> None:
    """Make a task's joint view known to Gymnasium, alone and batched."""
    gymnasium.register(
        gymnasium_id(task),
        entry_point="networld_envs.joint:JointEnv",
        vector_entry_point="networld_envs.joint:JointVectorEnv",
        kwargs={"task": task},
    )


def add_task(source: ModuleType | str | Path) -> str:
    """Add a user-defined task to `TASKS`, under the ``NAME`` of its module.

    It can then be made, drawn, animated, used for datasets, and benchmarked like a built-in task.
    A task that is added again replaces the earlier one.

    Args:
        source: The module, or the path of a Python file, which is executed. The top of this page
            lists what a task has.

    Returns:
        The name.

    Raises:
        ValueError: If something is missing, or the name is that of a built-in task.
    """
    module = source if isinstance(source, ModuleType) else run_file(Path(source))
    if missing := [name for name in NEEDED if not hasattr(module, name)]:
        raise ValueError(f"{source} is not a task: it lacks {', '.join(missing)}")
    name = module.NAME
    if name in BUILT_IN:
        raise ValueError(f"{source} has the NAME {name!r} of a built-in task; choose another")
    if gymnasium_id(name) not in gymnasium.registry:
        register_gymnasium(name)
    TASKS[name] = module
    return name


def added_tasks() -> dict[str, str]:
    """Name -> file of each added task, for `restore_tasks` in another process."""
    return {
        name: str(Path(module.__file__ or "").absolute())
        for name, module in TASKS.items()
        if name not in BUILT_IN
    }


def restore_tasks(added: Mapping[str, str]) -> None:
    """Add those tasks of `added_tasks` that this worker process does not have."""
    for name, path in added.items():
        if name not in TASKS:
            add_task(path)


def about(task: str) -> About:
    """Facts about a task: its ``ABOUT``, or defaults where it has none.

    Raises:
        ValueError: If there is no such task; lists the valid ones.
    """
    return getattr(task_module(task), "ABOUT", About(title=task))


def make_params(task: str, preset: str = "default", **overrides: Any) -> Any:
    """A task's parameters: a named preset with some fields replaced.

    Raises:
        ValueError: For an unknown task or preset, or a value out of range.
        TypeError: For a field the task does not have; lists the valid ones.
    """
    module = task_module(task)
    if not isinstance(preset, str):
        raise TypeError(f"preset must be text, one of {', '.join(module.PRESETS)}; got {preset!r}")
    if preset not in module.PRESETS:
        raise ValueError(
            f"task {task!r} has no preset {preset!r}; valid presets: {', '.join(module.PRESETS)}"
        )
    known = [f.name for f in fields(module.PRESETS[preset])]
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise TypeError(
            f"task {task!r} has no parameter {unknown[0]!r}; valid parameters: {', '.join(known)}"
        )
    return replace(module.PRESETS[preset], **overrides)


@dataclass(frozen=True)
class Step:
    """What one step of all environments returns.

    Attributes:
        obs: ``(E, N, O)`` float32, after the step.
        rewards: ``(E, N)`` float32.
        truncated: ``(E,)`` bool, True where the episode has reached ``max_cycles``.
    """

    obs: NDArray[np.float32]
    rewards: NDArray[np.float32]
    truncated: NDArray[np.bool_]


class Simulator:
    """``E`` environments of one task with one random generator each.

    With the same seed, an environment behaves the same alone and in any batch.

    Args:
        task: Key in `TASKS`.
        params: The task's ``Params``; see `make_params`.
        num_envs: ``E``.
        max_cycles: Steps after which an episode is truncated.

    Attributes:
        state: Current state of the task, or None before the first reset.
        elapsed: ``(E,)`` steps since the last reset.
    """

    def __init__(
        self, task: str, params: Any, num_envs: int = 1, max_cycles: int = MAX_CYCLES
    ) -> None:
        self._task = task_module(task).NAME  # by name: modules cannot be copied
        kinds = {type(preset) for preset in self.task.PRESETS.values()}
        if not isinstance(params, tuple(kinds)):
            names = " or ".join(sorted(kind.__name__ for kind in kinds))
            raise TypeError(
                f"params must be {names} of {self.task.__name__}, got {type(params).__name__}"
            )
        num_envs = validate.whole("num_envs", num_envs, 1, MOST_ENVS)
        self.params = params
        self.num_envs = num_envs
        self.max_cycles = max_cycles
        self.spec = self.task.spec(params)
        self.observation_space: spaces.Box = self.task.observation_space(params)
        self.action_space: spaces.Box | spaces.Discrete = self.task.action_space(params)
        self.agents = [f"{self.task.AGENT}_{i}" for i in range(self.spec.num_agents)]
        self.rngs: list[np.random.Generator] = [np.random.default_rng() for _ in range(num_envs)]
        self.state: Any = None
        self.elapsed = np.zeros(num_envs, np.int64)
        self._neighbours = np.zeros((num_envs, self.spec.num_agents, 0), np.int32)

    @property
    def task(self) -> ModuleType:
        """The task's module."""
        return TASKS[self._task]

    def __getstate__(self) -> dict[str, Any]:
        """All attributes except the compiled loops, which a copy looks up again."""
        return {key: value for key, value in vars(self).items() if key != "loops"}

    def seed(
        self,
        seed: int | Sequence[int | None] | NDArray[np.integer[Any]] | None,
        which: NDArray[np.bool_] | None = None,
    ) -> None:
        """Seed the generators: environment e gets ``seed + e``, or its own entry of a list.

        Args:
            seed: One seed or a list. An environment whose seed is None keeps its generator.
            which: ``(E,)``, True for the environments to seed. All by default.

        Raises:
            ValueError: If a list does not have one seed per environment, or a seed is negative.
            TypeError: If a seed is not an integer.
        """
        if seed is None:
            return
        single = isinstance(seed, str | bytes) or (isinstance(seed, np.ndarray) and not seed.ndim)
        if isinstance(seed, Sequence | np.ndarray) and not single:
            seeds = [validate.seed(value) for value in seed]
        else:
            first = validate.seed(seed) or 0
            seeds = [first + e for e in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(f"need {self.num_envs} seeds, one per environment, got {len(seeds)}")
        for e, value in enumerate(seeds):
            if value is not None and (which is None or which[e]):
                self.rngs[e] = np.random.default_rng(value)

    def reset(self, which: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Start new episodes in all environments, or where ``which`` ``(E,)`` is True.

        Returns:
            Observations ``(E, N, O)`` of all environments.
        """
        if which is None or self.state is None or bool(which.all()):
            self.state = self.task.reset(self.params, self.rngs)
            self.elapsed = np.zeros(self.num_envs, np.int64)
        elif which.any():
            index = np.flatnonzero(which)
            fresh = self.task.reset(self.params, [self.rngs[e] for e in index])
            self.state = _put(self.state, index, fresh)
            self.elapsed = np.where(which, 0, self.elapsed)
        self._neighbours = self.task.neighbours(self.params, self.state)
        return self.observe()

    def observe(self) -> NDArray[np.float32]:
        """Observations ``(E, N, O)`` float32."""
        return self.task.observe(self.params, self._require_state())

    @property
    def max_cycles(self) -> int:
        """Steps after which an episode is truncated, an integer of at least 1."""
        return self._max_cycles

    @max_cycles.setter
    def max_cycles(self, value: int) -> None:
        self._max_cycles = validate.whole("max_cycles", value, 1, MOST_CYCLES)

    @property
    def neighbours(self) -> NDArray[np.int32]:
        """Neighbour table ``(E, N, D)``, padded with -1; fixed within an episode."""
        self._require_state()
        return self._neighbours

    def metrics(self) -> dict[str, NDArray[Any]]:
        """The task's metrics of the last step, each ``(E, N, ...)``."""
        return self.task.metrics(self.params, self._require_state())

    def step(self, actions: NDArray[Any], only: NDArray[np.bool_] | None = None) -> Step:
        """Advance all environments, or those where ``only`` ``(E,)`` is True, by one step.

        Args:
            actions: ``(E, N, A)`` real, or ``(E, N)`` integer for discrete actions.
            only: Environments to advance; the others keep their state and get reward 0.

        Raises:
            ValueError: For an illegal action; names environment, agent, value and space.
            RuntimeError: If `reset` was never called.
        """
        state = self._require_state()
        actions = self.check_actions(actions)
        if only is None or bool(only.all()):
            after = self.loops.transition(self.params, state, actions, self.rngs)
            rewards = self.task.reward(self.params, state, actions, after)
            self.state, self.elapsed = after, self.elapsed + 1
        else:
            index = np.flatnonzero(only)
            part, some = _take(state, index), actions[index]
            rngs = [self.rngs[e] for e in index]
            after = self.loops.transition(self.params, part, some, rngs)
            rewards = np.zeros((self.num_envs, self.spec.num_agents), np.float32)
            rewards[index] = self.task.reward(self.params, part, some, after)
            self.state = _put(state, index, after)
            self.elapsed = self.elapsed + only
        obs = self.loops.observe(self.params, self.state)
        return Step(obs, rewards, self.elapsed >= self.max_cycles)

    def check_actions(self, actions: Any) -> NDArray[Any]:
        """Actions as an array of the space's dtype, or an error that says what is wrong.

        Raises:
            ValueError: For a wrong shape or dtype, NaN, or a value outside the space.
        """
        try:
            array = np.asarray(actions)
        except ValueError as error:  # lists of different lengths
            raise ValueError(f"actions must be an array of numbers: {error}") from None
        space = self.action_space
        shape = (self.num_envs, self.spec.num_agents, *(space.shape or ()))
        if array.shape != shape:
            raise ValueError(f"actions must have shape {shape}, got {array.shape}")
        discrete = isinstance(space, spaces.Discrete)
        if array.dtype.kind not in ("iu" if discrete else "fiu"):
            need = "an integer" if discrete else "a real"
            raise ValueError(f"actions must have {need} dtype for {space}, got {array.dtype}")
        if discrete:
            legal = (array >= space.start) & (array < space.start + space.n)
        else:
            legal = (array >= space.low) & (array <= space.high)  # False for NaN
        if not legal.all():
            where = [int(i) for i in np.argwhere(~legal)[0]]
            column = self.spec.column_name("actions", where[2] if len(where) > 2 else 0)
            at = f"agent {self.agents[where[1]]!r} (environment {where[0]}, column {column})"
            raise ValueError(f"action of {at} is {array[tuple(where)].item()!r}, outside {space}")
        return array.astype(space.dtype, copy=False)

    @cached_property
    def loops(self) -> compiled.Loops:
        """The functions that steps call, chosen at the first step."""
        return compiled.loops(self.task, self.params)

    def _require_state(self) -> Any:
        if self.state is None:
            raise RuntimeError("call reset() before using the environment")
        return self.state


def one_action(agent: str, space: spaces.Box | spaces.Discrete, action: Any) -> NDArray[Any]:
    """An agent's action as an array of the space's shape and kind of number.

    Whether a box holds it is left to `Simulator.check_actions`.

    Raises:
        ValueError: If it has another shape, is not a number, or is no choice; names the agent.
    """
    kinds = "iu" if isinstance(space, spaces.Discrete) else "fiu"
    try:
        row = np.asarray(action)
    except ValueError:  # lists of different lengths
        raise ValueError(f"action of agent {agent!r} must be in {space}, got {action!r}") from None
    if row.shape != space.shape or row.dtype.kind not in kinds:
        raise ValueError(
            f"action of agent {agent!r} must be in {space}, got {action!r} of shape {row.shape} "
            f"and dtype {row.dtype}"
        )
    if isinstance(space, spaces.Discrete) and not 0 <= int(row) - int(space.start) < space.n:
        raise ValueError(f"action of agent {agent!r} is {row.item()!r}, outside {space}")
    return row


def _take(state: Any, index: NDArray[np.intp]) -> Any:
    """The environments at ``index`` of a batched state."""
    return replace(state, **{f.name: getattr(state, f.name)[index] for f in fields(state)})


def _put(state: Any, index: NDArray[np.intp], part: Any) -> Any:
    """A batched state with the environments at ``index`` replaced."""
    values = {}
    for f in fields(state):
        array = np.array(getattr(state, f.name))
        array[index] = getattr(part, f.name)
        values[f.name] = array
    return replace(state, **values)
