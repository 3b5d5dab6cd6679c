"""A small task whose expert needs the mean of its neighbours, and data of it; for quick tests.

Agents on a ring hold a level ``x`` that they may push; a demand drifts on its own. Agent i's ideal
push is ``u_i = -x_i + mean_j x_j - demand_i`` over its two neighbours j, and its reward is minus
the squared distance between its push and that ideal. The kind of action is a parameter:

* ``"box"``: two columns in [-2, 2], of which the first is the push;
* ``"discrete"``, ``"ordered"``: one of 5 or 11 pushes spread evenly over [-2, 2].

The module is a task like those of `networld_envs`; `register` puts it into the table of tasks.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from networld_algos.data.episodes import Episodes
from networld_algos.training.evaluate import evaluate
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.simulator import TASKS, Simulator
from networld_envs.spec import Policy, TaskSpec

NAME, AGENT = "toy", "agent"
LIMIT = 2.0  # largest push
CHOICES = {"discrete": 5, "ordered": 11}


@dataclass(frozen=True)
class Params:
    kind: str = "box"
    num_agents: int = 6

    def __post_init__(self) -> None:
        if self.kind not in ("box", *CHOICES) or self.num_agents < 3:
            raise ValueError(f"a toy has a kind of action and at least 3 agents, got {self}")

    @property
    def columns(self) -> int:
        """Columns of an action."""
        return 2 if self.kind == "box" else 1


PRESETS = {"default": Params(), **{kind: Params(kind) for kind in CHOICES}}


@dataclass(frozen=True)
class State:
    level: np.ndarray  # (E, N)
    demand: np.ndarray  # (E, N)
    last: np.ndarray  # (E, N, A), actions of the last step


def spec(params: Params) -> TaskSpec:
    box = params.kind == "box"
    return TaskSpec(
        task=NAME,
        num_agents=params.num_agents,
        obs_dim=3 + params.columns,
        action_kind=params.kind,
        action_dim=params.columns,
        action_low=(-LIMIT,) * 2 if box else (0.0,),
        action_high=(LIMIT,) * 2 if box else (CHOICES[params.kind] - 1.0,),
        neighbour_slots=3,
    )


def observation_space(params: Params) -> Box:
    """Level, demand times 1000, last action, a constant: scales differ on purpose."""
    return Box(-np.inf, np.inf, (3 + params.columns,), np.float32)


def action_space(params: Params) -> Box | Discrete:
    if params.kind == "box":
        return Box(-LIMIT, LIMIT, (2,), np.float32)
    return Discrete(CHOICES[params.kind])


def _normal(params: Params, rngs: Any) -> np.ndarray:
    return np.stack([rng.normal(size=params.num_agents) for rng in rngs])


def reset(params: Params, rngs: Any) -> State:
    last = np.zeros((len(rngs), params.num_agents, params.columns))
    return State(_normal(params, rngs), _normal(params, rngs), last)


def observe(params: Params, state: State) -> np.ndarray:
    del params
    shown = [state.level[..., None], 1000 * state.demand[..., None], state.last]
    return np.concatenate([*shown, np.ones_like(shown[0])], -1).astype(np.float32)


def _push(params: Params, actions: np.ndarray) -> np.ndarray:
    """The push ``(E, N)`` that actions ask for."""
    if params.kind == "box":
        return actions[..., 0]
    return actions / (CHOICES[params.kind] - 1) * 2 * LIMIT - LIMIT


def _action(params: Params, push: np.ndarray) -> np.ndarray:
    """The action nearest to a push; a box's second column is a function of the first."""
    if params.kind == "box":
        return np.stack([push, -push / 2], -1).astype(np.float32)
    return np.rint((push + LIMIT) / (2 * LIMIT) * (CHOICES[params.kind] - 1)).astype(np.int64)


def _ideal(level: np.ndarray, demand: np.ndarray) -> np.ndarray:
    beside = (np.roll(level, 1, axis=-1) + np.roll(level, -1, axis=-1)) / 2
    return np.clip(beside - level - demand, -LIMIT, LIMIT)


def transition(params: Params, state: State, actions: np.ndarray, rngs: Any) -> State:
    push = _push(params, actions)
    return State(
        level=0.7 * state.level + 0.5 * push + 0.1 * _normal(params, rngs),
        demand=0.9 * state.demand + 0.3 * _normal(params, rngs),
        last=actions.astype(np.float64).reshape(state.last.shape),
    )


def reward(params: Params, state: State, actions: np.ndarray, next_state: State) -> np.ndarray:
    del next_state
    missed = _push(params, actions) - _ideal(state.level, state.demand)
    return -(missed**2).astype(np.float32)


def neighbours(params: Params, state: State) -> np.ndarray:
    """The two agents beside each; the third slot is padding."""
    i = np.arange(params.num_agents)
    table = np.stack([(i - 1) % len(i), (i + 1) % len(i), np.full(len(i), -1)], axis=1)
    return np.repeat(table[None], len(state.level), axis=0).astype(np.int32)


def metrics(params: Params, state: State) -> dict[str, np.ndarray]:
    del params
    return {"level": state.level}


def global_state(params: Params, state: State) -> np.ndarray:
    return observe(params, state).reshape(len(state.level), -1)


def layout(params: Params, state: State) -> np.ndarray:
    angle = 2 * np.pi * np.arange(params.num_agents) / params.num_agents
    return np.repeat(np.stack([np.cos(angle), np.sin(angle)], 1)[None], len(state.level), axis=0)


def _random(params: Params, obs: Any, table: Any, rngs: Any, step: int) -> np.ndarray:
    del obs, table, step
    pushes = [rng.uniform(-LIMIT, LIMIT, params.num_agents) for rng in rngs]
    return _action(params, np.stack(pushes))


def _expert(params: Params, obs: np.ndarray, table: Any, rngs: Any, step: int) -> np.ndarray:
    del table, rngs, step
    return _action(params, _ideal(obs[..., 0].astype(float), obs[..., 1] / 1000))


POLICIES = {
    "random": Policy("random", "random", "uniform pushes", _random),
    "expert": Policy("expert", "expert", "the ideal push", _expert),
}


def register() -> None:
    """Put the task into the table of tasks."""
    TASKS[NAME] = sys.modules[__name__]


class Toy:
    """The task with one kind of action, its data and its scores; `register` comes first.

    Args:
        kind: ``"box"``, ``"discrete"`` or ``"ordered"``.
        agents: Number of agents.
        task: Name of the task that the data bears, for models of several tasks.
    """

    def __init__(self, kind: str = "box", agents: int = 6, task: str = NAME) -> None:
        self.params, self.task = Params(kind, agents), task
        self.spec = replace(spec(self.params), task=task)

    def simulator(self, num_envs: int, seed: int = 0) -> Simulator:
        """Environments at the start of an episode."""
        simulator = Simulator(NAME, self.params, num_envs)
        simulator.seed(seed)
        simulator.reset()
        return simulator

    def obs(self, num_envs: int, seed: int = 0) -> np.ndarray:
        """First observations ``(E, N, O)``."""
        return self.simulator(num_envs, seed).observe()

    @property
    def table(self) -> np.ndarray:
        """Neighbour table ``(N, 3)``, the same in every environment."""
        return self.simulator(1).neighbours[0]

    def collect(
        self,
        episodes: int = 24,
        length: int = 20,
        seed: int = 0,
        behaviour: Behaviour = Behaviour("expert", 0.1),  # noqa: B008 (frozen)
    ) -> Episodes:
        """Episodes of a policy, as a rule the expert's with 10% random actions.

        The last episode is cut short by three steps; what follows its end is padding.
        """
        first = 1000 * seed
        played = rollout(NAME, self.params, behaviour, range(first, first + episodes), length)
        lengths = np.full(episodes, length)
        lengths[-1] = max(1, length - 3)
        truncated = np.zeros((episodes, length), dtype=bool)
        truncated[np.arange(episodes), lengths - 1] = True
        return Episodes(
            spec=self.spec,
            obs=played.obs,
            actions=played.actions,
            rewards=played.rewards,
            terminated=np.zeros_like(truncated),
            truncated=truncated,
            neighbours=played.neighbours,
            lengths=lengths,
        )

    def score(self, policy: Any, num_envs: int = 16, length: int = 15) -> float:
        """Mean reward of an algorithm, or of the reference policy of that name."""
        seeds = range(7000, 7000 + num_envs)
        if isinstance(policy, str):
            played = rollout(NAME, self.params, Behaviour(policy), seeds, length)
            return float(played.episode_rewards.mean())
        given = {"kind": self.params.kind, "num_agents": self.params.num_agents}
        return evaluate(policy, NAME, seeds, max_cycles=length, sampling_seed=7, **given).mean
