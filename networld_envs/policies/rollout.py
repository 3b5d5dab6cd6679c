"""Rollouts of reference policies: arrays of finished episodes.

Each episode has a seed. Its network draws from ``default_rng(seed)``, exactly as
``env.reset(seed=seed)`` does, and its behaviour from a second generator, so the stored actions
replay the stored observations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.policies.base import get_policy, policy_actions
from networld_envs.simulator import Simulator
from networld_envs.spec import Stream


@dataclass(frozen=True)
class Behaviour:
    """A reference policy with a share of its actions replaced by random ones.

    Attributes:
        policy: Name of the policy.
        random_share: Probability that an agent's action in a step is that of policy ``random``.
    """

    policy: str
    random_share: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.policy, str):
            validate.fail(self, "policy", "the name of a policy", TypeError)
        validate.real(self, "random_share", low=0.0, high=1.0)

    def __str__(self) -> str:
        return f"{self.policy}+{self.random_share:.0%}random" if self.random_share else self.policy


@dataclass(frozen=True)
class Rollout:
    """Finished episodes of equal length; ``K`` episodes, ``T`` steps.

    Attributes:
        obs: ``(K, T+1, N, O)`` float32.
        actions: ``(K, T, N, A)`` float32 or ``(K, T, N)`` int64.
        rewards: ``(K, T, N)`` float32, per agent.
        neighbours: ``(K, N, D)`` int32.
        metrics: Per metric ``(K, N, ...)``, mean over the episode's steps.
    """

    obs: NDArray[np.float32]
    actions: NDArray[Any]
    rewards: NDArray[np.float32]
    neighbours: NDArray[np.int32]
    metrics: dict[str, NDArray[Any]]

    @property
    def episode_rewards(self) -> NDArray[np.float64]:
        """``(K,)``: mean reward per agent and step."""
        return self.rewards.mean(axis=(1, 2), dtype=np.float64)


def rollout(
    task: str,
    params: Any,
    behaviour: Behaviour,
    seeds: Sequence[int],
    max_cycles: int,
    on_step: Callable[[], None] | None = None,
) -> Rollout:
    """Run one episode for each seed, all of them as one batch.

    Args:
        task: Name of the task.
        params: The task's parameters.
        behaviour: Policy that acts, with its share of random actions.
        seeds: Seed of each episode.
        max_cycles: Steps ``T``.
        on_step: Called after each step, for a progress bar.

    Raises:
        ValueError: If the policy is unknown or cannot act with these parameters, or a number is
            out of range.
        TypeError: If an argument is of the wrong type.
    """
    if not isinstance(behaviour, Behaviour):
        raise TypeError(f"behaviour must be a Behaviour, got {behaviour!r}")
    seeds = validate.seeds(seeds)
    sim = Simulator(task, params, len(seeds), max_cycles)
    policy = get_policy(task, behaviour.policy, params)
    noise = get_policy(task, "random")
    sim.seed(seeds)
    rngs = [np.random.default_rng([seed, Stream.BEHAVIOUR]) for seed in seeds]
    obs = sim.reset()
    neighbours = sim.neighbours
    all_obs, all_actions, all_rewards = [obs], [], []
    totals: dict[str, NDArray[Any]] = {}
    for step in range(sim.max_cycles):
        actions = policy_actions(policy, sim, obs, rngs, step)
        if behaviour.random_share:
            other = policy_actions(noise, sim, obs, rngs, step)
            swap = np.stack([rng.random(sim.spec.num_agents) for rng in rngs])
            swap = (swap < behaviour.random_share).reshape(swap.shape + (1,) * (actions.ndim - 2))
            actions = np.where(swap, other, actions)
        actions = sim.check_actions(actions)
        outcome = sim.step(actions)
        obs = outcome.obs
        all_obs.append(obs)
        all_actions.append(actions)
        all_rewards.append(outcome.rewards)
        for key, value in sim.metrics().items():
            totals[key] = totals.get(key, 0.0) + value / max_cycles
        if on_step is not None:
            on_step()
    return Rollout(
        obs=np.stack(all_obs, axis=1),
        actions=np.stack(all_actions, axis=1),
        rewards=np.stack(all_rewards, axis=1),
        neighbours=neighbours,
        metrics=totals,
    )
