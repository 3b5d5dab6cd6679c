"""The Gymnasium view: the whole team as one environment, alone or batched.

Minari stores this view, because there is no such format for PettingZoo. Training and evaluation use
`JointVectorEnv`, which steps all environments in one NumPy simulation instead of one process per
environment. The reward is the mean over agents; ``info["agent_rewards"]`` has the reward of each
agent, and ``info["neighbours"]`` has the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.render.window import Renderer
from networld_envs.simulator import MAX_CYCLES, MOST_CYCLES, Simulator, make_params
from networld_envs.spec import TaskSpec


def team_spaces(
    num_agents: int, observation: spaces.Box, action: spaces.Box | spaces.Discrete
) -> tuple[spaces.Space[NDArray[np.float32]], spaces.Space[Any]]:
    """Spaces ``(N, O)`` and ``(N, A)`` or ``(N,)`` of a team, from those of one agent."""

    def stacked(one: spaces.Box) -> spaces.Space[NDArray[np.float32]]:
        low, high = (np.broadcast_to(x, (num_agents, *one.shape)) for x in (one.low, one.high))
        return spaces.Box(low, high, dtype=np.float32)

    if isinstance(action, spaces.Discrete):
        return stacked(observation), spaces.MultiDiscrete(np.full(num_agents, action.n))
    return stacked(observation), stacked(action)


def _spaces(
    simulator: Simulator,
) -> tuple[spaces.Space[NDArray[np.float32]], spaces.Space[Any]]:
    agents = simulator.spec.num_agents
    return team_spaces(agents, simulator.observation_space, simulator.action_space)


def _info(simulator: Simulator, rewards: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Info as copies, as the simulation continues from some arrays and callers may edit theirs."""
    info = {
        "agent_rewards": rewards,
        "neighbours": simulator.neighbours,
        **simulator.metrics(),
    }
    return {key: value.copy() for key, value in info.items()}


class _StepsInSpec:
    """Gymnasium's specification of an environment, with the number of steps of an episode."""

    simulator: Simulator
    _spec: EnvSpec | None

    @property
    def spec(self) -> EnvSpec | None:
        """Gymnasium's specification, with ``max_episode_steps``; None if it was not registered.

        The registered specification cannot have it: Gymnasium would add a `TimeLimit` of that many
        steps also where ``max_cycles`` is given. An environment made from the result does get one.
        It ends the episode in the same step as the environment itself.
        """
        if self._spec is None:
            return None
        return replace(self._spec, max_episode_steps=self.simulator.max_cycles)

    @spec.setter
    def spec(self, value: EnvSpec | None) -> None:
        self._spec = value


class JointEnv(  # pyright: ignore[reportIncompatibleVariableOverride]
    _StepsInSpec, gym.Env[NDArray[np.float32], NDArray[Any]]
):
    """One network as a Gymnasium environment of stacked arrays.

    Args:
        task: Key in ``networld_envs.TASKS``.
        preset: Name of a preset of the task's parameters.
        max_cycles: Steps per episode; episodes end by truncation.
        render_mode: None, ``"rgb_array"`` or ``"human"``.
        **params: Fields of the task's ``Params`` that override the preset's.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": ["human", "rgb_array"],
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
        self.observation_space, self.action_space = _spaces(self.simulator)
        self.render_mode = render_mode
        self._renderer = Renderer(task, render_mode, fps=self.metadata["render_fps"])
        self._rewards: NDArray[np.float32] | None = None
        self._spec: EnvSpec | None = None

    @property
    def task_spec(self) -> TaskSpec:
        """Sizes and bounds, and name, unit and range of every column."""
        return self.simulator.spec

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode; returns observations ``(N, O)`` and info.

        Raises:
            TypeError: If the seed is not an integer, or the options are not a dictionary.
            ValueError: If the seed is negative.
        """
        validate.options(options)
        super().reset(seed=validate.seed(seed))
        self.simulator.rngs = [self.np_random]
        obs = self.simulator.reset()[0]
        self._rewards = None
        if self.render_mode == "human":
            self.render()
        zeros = np.zeros((1, self.simulator.spec.num_agents), np.float32)
        return obs, self._first(_info(self.simulator, zeros))

    def step(
        self, action: NDArray[Any]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Apply the team's actions; the reward is the mean over agents.

        Raises:
            ValueError: For an illegal action; names the agent.
            RuntimeError: If `reset` was never called.
        """
        outcome = self.simulator.step(self._one(action))
        rewards = self._rewards = outcome.rewards[0]
        if self.render_mode == "human":
            self.render()
        info = self._first(_info(self.simulator, outcome.rewards))
        truncated = bool(outcome.truncated[0])
        return outcome.obs[0], float(rewards.mean(dtype=np.float64)), False, truncated, info

    def render(self) -> NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Draw the network: an ``(H, W, 3)`` picture, or None in human mode."""
        sim = self.simulator
        return self._renderer.show(sim.params, sim.state, self._rewards, int(sim.elapsed[0]))

    def close(self) -> None:
        """Close the window, if there is one."""
        self._renderer.close()

    def _one(self, action: Any) -> NDArray[Any]:
        """The team's actions as a batch of one, ``(1, N, ...)``."""
        shape = self.action_space.shape
        try:
            array = np.asarray(action)
        except ValueError as error:  # lists of different lengths
            raise ValueError(f"action must be an array of shape {shape}: {error}") from None
        if array.shape != shape:
            raise ValueError(f"action must have shape {shape}, got {array.shape}")
        return array[None]

    @staticmethod
    def _first(info: dict[str, Any]) -> dict[str, Any]:
        return {key: value[0] for key, value in info.items()}


class JointVectorEnv(  # pyright: ignore[reportIncompatibleVariableOverride]
    _StepsInSpec, gym.vector.VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]
):
    """``E`` networks stepped as one batch, with next-step autoreset, Gymnasium's default.

    ``reset(seed=s)`` seeds environment e with ``s + e``; a list has one seed per environment.
    ``reset(options={"reset_mask": mask})`` resets only some environments.

    Args:
        task: Key in ``networld_envs.TASKS``.
        num_envs: Environments ``E`` in the batch.
        preset: Name of a preset of the task's parameters.
        max_cycles: Steps per episode; episodes end by truncation.
        render_mode: None or ``"rgb_array"``.
        max_episode_steps: Gymnasium's name for a limit of the steps, which `gymnasium.make_vec`
            passes; the smaller of this and ``max_cycles`` counts.
        **params: Fields of the task's ``Params`` that override the preset's.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": ["rgb_array"],
        "render_fps": 5,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        task: str,
        num_envs: int = 1,
        preset: str = "default",
        max_cycles: int = MAX_CYCLES,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **params: Any,
    ) -> None:
        if isinstance(render_mode, str) and render_mode == "human":
            raise ValueError(
                "a batch has no window: render_mode must be None or 'rgb_array', got 'human'"
            )
        self.simulator = Simulator(task, make_params(task, preset, **params), num_envs, max_cycles)
        if max_episode_steps is not None:
            limit = validate.whole("max_episode_steps", max_episode_steps, 1, MOST_CYCLES)
            self.simulator.max_cycles = min(self.simulator.max_cycles, limit)
        num_envs = self.num_envs = self.simulator.num_envs
        self.single_observation_space, self.single_action_space = _spaces(self.simulator)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.render_mode = render_mode
        self._renderer = Renderer(task, render_mode, fps=self.metadata["render_fps"])
        self._spec: EnvSpec | None = None
        self._finished = np.zeros(num_envs, bool)
        self._rewards = np.zeros((num_envs, self.simulator.spec.num_agents), np.float32)

    @property
    def task_spec(self) -> TaskSpec:
        """Sizes and bounds, and name, unit and range of every column."""
        return self.simulator.spec

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | NDArray[np.integer[Any]] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start episodes; returns observations ``(E, N, O)`` and info.

        Raises:
            TypeError: If a seed is not an integer, or the options are not a dictionary.
            ValueError: If a seed is negative, their number is not that of the environments, or
                the mask is not one of bool with one entry per environment.
        """
        mask = validate.options(options).get("reset_mask")
        if mask is not None:
            if not isinstance(mask, np.ndarray | Sequence) or isinstance(mask, str):
                raise TypeError(f"reset_mask must be an array of bool, got {mask!r}")
            mask = np.asarray(mask)
            if mask.shape != (self.num_envs,) or mask.dtype != bool:
                raise ValueError(
                    f"reset_mask must be bool of shape ({self.num_envs},), got {mask.dtype} of "
                    f"shape {mask.shape}"
                )
        self.simulator.seed(seed, mask)
        obs = self.simulator.reset(mask)
        fresh = np.ones(self.num_envs, bool) if mask is None else mask
        self._finished = self._finished & ~fresh
        self._rewards = np.where(fresh[:, None], np.float32(0), self._rewards)
        return obs, self._vector_info(self._rewards)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[
        NDArray[np.float32],
        NDArray[np.float64],
        NDArray[np.bool_],
        NDArray[np.bool_],
        dict[str, Any],
    ]:
        """Advance all environments; those truncated in the previous step are reset instead."""
        finished = self._finished
        if finished.all():
            actions = self.simulator.check_actions(actions)
            obs = self.simulator.reset()
            rewards = np.zeros_like(self._rewards)
            truncated = np.zeros(self.num_envs, bool)
        elif finished.any():
            outcome = self.simulator.step(actions, only=~finished)
            obs = self.simulator.reset(finished)
            rewards, truncated = outcome.rewards, outcome.truncated & ~finished
        else:
            outcome = self.simulator.step(actions)
            obs, rewards, truncated = outcome.obs, outcome.rewards, outcome.truncated
        self._finished, self._rewards = truncated, rewards
        team = rewards.mean(axis=1, dtype=np.float64)
        terminated = np.zeros(self.num_envs, bool)
        return obs, team, terminated, truncated.copy(), self._vector_info(rewards)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One ``(H, W, 3)`` picture per environment."""
        sim = self.simulator
        frames = tuple(
            self._renderer.show(sim.params, sim.state, self._rewards[e], int(sim.elapsed[e]), e)
            for e in range(self.num_envs)
        )
        return frames if self.render_mode == "rgb_array" else None  # type: ignore[return-value]

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if there is one."""
        del kwargs
        # Gymnasium 1.2 also closes an environment whose arguments were refused, when it is deleted.
        if hasattr(self, "_renderer"):
            self._renderer.close()

    def _vector_info(self, rewards: NDArray[np.float32]) -> dict[str, Any]:
        """Arrays with leading axis E, and Gymnasium's masks of environments that have them."""
        info = _info(self.simulator, rewards)
        everyone = np.ones(self.num_envs, bool)
        return {**info, **{f"_{key}": everyone for key in info}}
