"""One agent of a task as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.policies import best_policy, get_policy, policy_actions
from networld_envs.simulator import MAX_CYCLES, Simulator, make_params, one_action
from networld_envs.spec import Policy, Stream


class OneAgentEnv(gym.Env[NDArray[np.float32], Any]):
    """One agent of a task as a Gymnasium environment; the others follow a reference policy.

    Args:
        task: Key in ``networld_envs.TASKS``.
        agent: Index of the agent that acts.
        others: Reference policy of the other agents, one that does not need the global state. By
            default the strongest that can act with the parameters, usually the expert.
        preset: Name of a preset of the task's parameters.
        max_cycles: Steps per episode; episodes end by truncation.
        **params: Fields of the task's ``Params`` that override the preset's.

    Raises:
        ValueError: For an unknown name or agent, or a policy that cannot act with the parameters or
            needs the global state.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium declares it so
    render_mode: str | None = None

    def __init__(
        self,
        task: str,
        agent: int = 0,
        others: str | None = None,
        preset: str = "default",
        max_cycles: int = MAX_CYCLES,
        **params: Any,
    ) -> None:
        made = make_params(task, preset, **params)
        self._simulator = Simulator(task, made, 1, max_cycles)
        self.num_agents = self._simulator.spec.num_agents
        self._agent = validate.whole("agent", agent, 0, self.num_agents - 1)
        best = best_policy(task, made)
        self._task, self._policy = task, best if others is None else others
        if self._others.privileged is not None:
            raise ValueError(
                f"others={others!r} needs the global state; the strongest policy without it is "
                f"{best!r}"
            )
        self._noise = np.random.default_rng()
        self.observation_space: gym.Space[Any] = self._simulator.observation_space
        self.action_space = self._simulator.action_space

    @property
    def _others(self) -> Policy:
        """Looked up by name: the functions of a policy cannot be pickled."""
        return get_policy(self._task, self._policy, self._simulator.params)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode; returns the agent's observation ``(O,)``.

        Raises:
            TypeError: If the seed is not an integer, or the options are not a dictionary.
            ValueError: If the seed is negative.
        """
        validate.options(options)
        seed = validate.seed(seed)
        super().reset(seed=seed)
        self._simulator.rngs = [self.np_random]
        if seed is not None:
            self._noise = np.random.default_rng([seed, Stream.OTHERS])
        self._obs = self._simulator.reset()  # (1, N, O)
        return self._obs[0, self._agent].copy(), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Apply the agent's action and the other agents' policy; returns the agent's reward.

        Raises:
            ValueError: For an illegal action; names the agent.
            RuntimeError: If `reset` was never called.
        """
        sim = self._simulator
        if sim.state is None:
            raise RuntimeError("call reset() before step()")
        own = one_action(sim.agents[self._agent], sim.action_space, action)
        elapsed = int(sim.elapsed[0])
        actions = policy_actions(self._others, sim, self._obs, [self._noise], elapsed)
        # A copy that holds any number of the action, whose bounds are not checked yet.
        actions = actions.astype(np.result_type(actions, own))
        actions[0, self._agent] = own
        outcome = sim.step(actions)
        self._obs = outcome.obs
        reward = float(outcome.rewards[0, self._agent])
        return outcome.obs[0, self._agent].copy(), reward, False, bool(outcome.truncated[0]), {}
