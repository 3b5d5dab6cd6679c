"""The PettingZoo view of every task: a `ParallelEnv` with dictionaries keyed by agent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cached_property
from typing import Any

import docstring_parser
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import parallel_to_aec

from networld_envs import validate
from networld_envs.render.window import Renderer
from networld_envs.simulator import (
    MAX_CYCLES,
    Simulator,
    about,
    make_params,
    one_action,
    task_module,
)
from networld_envs.spec import TaskSpec


class NetworkEnv(ParallelEnv[str, NDArray[np.float32], Any]):
    """One network of homogeneous agents as a PettingZoo parallel environment.

    Episodes end by truncation of all agents at once, after ``max_cycles`` steps.
    ``infos[agent]`` holds ``"neighbours"`` (indices into ``possible_agents``, padded with -1) and
    the task's metrics of the last step.

    Args:
        task: Key in ``networld_envs.TASKS``.
        preset: Name of a preset of the task's parameters.
        max_cycles: Steps per episode.
        render_mode: None, ``"rgb_array"`` or ``"human"``.
        **params: Fields of the task's ``Params`` that override the preset's.

    Raises:
        ValueError: For an unknown task, preset or render mode, or a value out of range.
        TypeError: For an unknown parameter, or a value of the wrong type.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - PettingZoo declares it so
        "render_modes": ["human", "rgb_array"],
        "is_parallelizable": True,
        "render_fps": 5,
    }

    def __init__(
        self,
        task: str,
        preset: str = "default",
        max_cycles: int = MAX_CYCLES,
        render_mode: str | None = None,
        **params: Any,
    ) -> None:
        self.simulator = Simulator(task, make_params(task, preset, **params), 1, max_cycles)
        self.metadata = {**type(self).metadata, "name": f"{task}_v0"}
        self.render_mode = render_mode
        self._renderer = Renderer(task, render_mode, fps=self.metadata["render_fps"])
        self._rewards: NDArray[np.float32] | None = None
        self.possible_agents: list[str] = list(self.simulator.agents)
        self.agents: list[str] = []
        # One space object per agent: PettingZoo seeds and compares them by identity.
        sim, names = self.simulator, self.possible_agents
        self._observation_spaces = {a: sim.task.observation_space(sim.params) for a in names}
        self._action_spaces = {a: sim.task.action_space(sim.params) for a in names}

    @property
    def max_cycles(self) -> int:
        """Steps per episode; PettingZoo's test kit sets it."""
        return self.simulator.max_cycles

    @max_cycles.setter
    def max_cycles(self, value: int) -> None:
        self.simulator.max_cycles = value

    @property
    def spec(self) -> TaskSpec:
        """Sizes and bounds, and name, unit and range of every column."""
        return self.simulator.spec

    @property
    def neighbours(self) -> dict[str, list[str]]:
        """The 1-hop graph by agent name.

        Raises:
            RuntimeError: Before the first reset.
        """
        names = self.possible_agents
        table = self.simulator.neighbours[0]
        return {names[i]: [names[j] for j in row if j >= 0] for i, row in enumerate(table)}

    @cached_property
    def state_space(self) -> spaces.Box:
        """Space of `state`; unbounded."""
        sim = self.simulator
        probe = sim.task.reset(sim.params, [np.random.default_rng(0)])
        shape = sim.task.global_state(sim.params, probe)[0].shape
        return spaces.Box(-np.inf, np.inf, shape, np.float32)

    def observation_space(self, agent: str) -> spaces.Space[NDArray[np.float32]]:
        """The agent's observation space, always the same object."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The agent's action space, always the same object."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, dict[str, Any]]]:
        """Start an episode on a new network.

        Args:
            seed: Seed of the environment's generator; with None the current one continues.
            options: Its entries are ignored.

        Returns:
            Observations ``(O,)`` and infos by agent.

        Raises:
            TypeError: If the seed is not an integer, or the options are not a dictionary.
            ValueError: If the seed is negative.
        """
        validate.options(options)
        self.simulator.seed(validate.seed(seed))
        obs = self.simulator.reset()[0]
        self._rewards = None
        self.agents = list(self.possible_agents)
        if self.render_mode == "human":
            self.render()
        return dict(zip(self.agents, obs, strict=True)), self._infos()

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[
        dict[str, NDArray[np.float32]],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Apply every live agent's action.

        Raises:
            TypeError: If the actions are not a dictionary.
            ValueError: For a missing or unknown agent, or an illegal action; names the agent.
            RuntimeError: If no episode is running.
        """
        if not self.agents:
            raise RuntimeError("no episode is running: call reset() first")
        outcome = self.simulator.step(self._stack(actions)[None])
        agents = self.agents
        truncated = bool(outcome.truncated[0])
        rewards = self._rewards = outcome.rewards[0]
        result = (
            dict(zip(agents, outcome.obs[0], strict=True)),
            dict(zip(agents, rewards.tolist(), strict=True)),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, truncated),
            self._infos(),
        )
        if truncated:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return result

    def state(self) -> NDArray[np.float32]:
        """Global state, flat; for methods that train centrally."""
        sim = self.simulator
        if sim.state is None:
            raise RuntimeError("call reset() before state()")
        return sim.task.global_state(sim.params, sim.state)[0]

    def render(self) -> NDArray[np.uint8] | None:
        """Draw the network: an ``(H, W, 3)`` picture, or None in human mode."""
        sim = self.simulator
        return self._renderer.show(sim.params, sim.state, self._rewards, int(sim.elapsed[0]))

    def close(self) -> None:
        """Close the window, if there is one."""
        self._renderer.close()

    def _infos(self) -> dict[str, dict[str, Any]]:
        sim = self.simulator
        infos: list[dict[str, Any]] = [{} for _ in self.agents]
        for key, values in (("neighbours", sim.neighbours), *sim.metrics().items()):
            # Copies: the simulation continues from some of these arrays, and callers may edit
            # theirs. Key by key is faster than agent by agent.
            for info, value in zip(infos, values[0].copy(), strict=True):
                info[key] = value
        return dict(zip(self.agents, infos, strict=True))

    def _stack(self, actions: dict[str, Any]) -> NDArray[Any]:
        """Actions by agent to ``(N, ...)``; errors name the agent."""
        if not isinstance(actions, Mapping):
            raise TypeError(
                f"actions must be a dictionary from agent to action, got {type(actions).__name__}"
            )
        if actions.keys() != self._action_spaces.keys():
            for agent in actions:
                if agent not in self._action_spaces:
                    raise ValueError(
                        f"action for unknown agent {agent!r}; agents are "
                        f"{self.possible_agents[0]!r} .. {self.possible_agents[-1]!r}"
                    )
            missing = [a for a in self.agents if a not in actions]
            raise ValueError(f"no action for agent {missing[0]!r} ({len(missing)} missing)")
        space = self.simulator.action_space
        shape, dtype = space.shape, space.dtype
        given = [actions[agent] for agent in self.agents]
        if not shape and all(type(x) is np.int64 for x in given):
            return np.array(given)
        if shape and all(
            type(x) is np.ndarray and x.dtype == dtype and x.shape == shape for x in given
        ):
            return np.concatenate(given).reshape(-1, *shape)
        rows = []
        for agent in self.agents:
            rows.append(one_action(agent, space, actions[agent]))
        return np.stack(rows)


def task_factories(
    task: str,
) -> tuple[Callable[..., AECEnv[Any, Any, Any]], Callable[..., NetworkEnv]]:
    """``(env, parallel_env)`` of a task in PettingZoo's naming.

    ``help`` on either lists every parameter of the task with its default and meaning.
    """

    def parallel_env(**options: Any) -> NetworkEnv:
        return NetworkEnv(task, **options)

    def env(**options: Any) -> AECEnv[Any, Any, Any]:
        return parallel_to_aec(NetworkEnv(task, **options))

    parameters, meanings = _parameters(task)
    for function, what in ((parallel_env, "a PettingZoo parallel"), (env, "a PettingZoo AEC")):
        signature = inspect.Signature(
            parameters, return_annotation=function.__annotations__["return"]
        )
        function.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
        function.__doc__ = (
            f"Make {about(task).title} as {what} environment.\n\n"
            "Args:\n" + "".join(f"    {name}: {text}\n" for name, text in meanings.items()) + "\n"
            "Raises:\n"
            "    ValueError: For an unknown preset or render mode, or a value out of range.\n"
            "    TypeError: For an unknown parameter, or a value of the wrong type.\n"
        )
    return env, parallel_env


def _parameters(task: str) -> tuple[list[inspect.Parameter], dict[str, str]]:
    """Keyword parameters of a task's constructors, and the meaning of each.

    Defaults are those of the default preset. Parameters that only other presets have come last.
    """
    presets = task_module(task).PRESETS
    meanings = {
        "preset": f"Name of a preset: {', '.join(presets)}. The defaults below are those of "
        "``default``. Parameters that you pass override the preset's.",
        "max_cycles": "Steps per episode; episodes end by truncation.",
        "render_mode": "None, ``rgb_array`` or ``human``.",
    }
    defaults = {"preset": "default", "max_cycles": MAX_CYCLES, "render_mode": None}
    types = {"preset": "str", "max_cycles": "int", "render_mode": "str | None"}
    for name, params in presets.items():
        about_fields = {
            p.arg_name: (p.description or "").replace("\n", " ")
            for p in docstring_parser.parse(type(params).__doc__ or "").params
        }
        for field in fields(params):
            if field.name not in meanings:
                only = "" if name == "default" else f" (only in preset ``{name}`` and its variants)"
                ends = getattr(params, "LIMITS", {}).get(field.name)
                limits = f" In [{ends[0]:g}, {ends[1]:g}]." if ends else ""
                meanings[field.name] = about_fields.get(field.name, "") + limits + only
                defaults[field.name] = getattr(params, field.name)
                types[field.name] = str(field.type)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(name, keyword, default=defaults[name], annotation=types[name])
        for name in meanings
    ], meanings
