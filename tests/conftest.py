"""A small multi-agent task whose expert needs the neighbours' mean, for tests of algorithms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from networld_algos.data.episodes import Episodes
from networld_envs.spec import TaskSpec

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """What a test sets for the whole process (`networld_algos.training.cpu`) ends with it."""
    yield
    torch.set_float32_matmul_precision("highest")


@dataclass
class Toy:
    """Agents on a ring hold a level x that they may push; a demand drifts by itself.

    The expert's wish is ``u_i = -x_i + mean_j x_j - demand_i`` over its two neighbours j. Reward:
    minus the squared distance between the applied push and that wish. Observation: level, demand
    times 1000, last applied push (one entry, or two for a box), a constant.
    """

    kind: str = "box"
    agents: int = 6
    task: str = "toy"
    spec: TaskSpec = field(init=False)
    table: np.ndarray = field(init=False)  # (N, 3) int32, the last slot is padding

    def __post_init__(self) -> None:
        columns, high = {"box": (2, 2.0), "discrete": (1, 4.0), "ordered": (1, 10.0)}[self.kind]
        self.spec = TaskSpec(
            task=self.task,
            num_agents=self.agents,
            obs_dim=3 + columns,
            action_kind=self.kind,
            action_dim=columns,
            action_low=(-2.0,) * columns if self.kind == "box" else (0.0,),
            action_high=(high,) * columns,
            neighbour_slots=3,
        )
        i = np.arange(self.agents)
        padding = np.full(self.agents, -1)
        self.table = np.stack([(i - 1) % self.agents, (i + 1) % self.agents, padding], 1)
        self.table = self.table.astype(np.int32)

    def reset(self, num_envs: int, rng: np.random.Generator) -> np.ndarray:
        self.level = rng.normal(size=(num_envs, self.agents))
        self.demand = rng.normal(size=(num_envs, self.agents))
        self.last = np.zeros((num_envs, self.agents, self.spec.action_dim))
        return self.observe()

    def observe(self) -> np.ndarray:
        shown = [self.level[..., None], 1000 * self.demand[..., None], self.last]
        return np.concatenate([*shown, np.ones_like(shown[0])], -1).astype(np.float32)

    def wish(self) -> np.ndarray:
        near = self.level[:, self.table[:, :2]].mean(-1)
        return np.clip(near - self.level - self.demand, -2, 2)  # (E, N)

    def encode(self, wish: np.ndarray) -> np.ndarray:
        """The action that asks for a push of ``wish``."""
        if self.kind == "box":
            return np.stack([wish, -wish / 2], -1).astype(np.float32)
        top = int(self.spec.action_high[0])
        return np.rint((wish + 2) / 4 * top).astype(np.int64)

    def push(self, actions: np.ndarray) -> np.ndarray:
        if self.kind == "box":
            return actions[..., 0]
        return actions / self.spec.action_high[0] * 4 - 2

    def step(self, actions: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        push = self.push(actions)
        reward = -((push - self.wish()) ** 2)
        self.level = 0.7 * self.level + 0.5 * push + 0.1 * rng.normal(size=self.level.shape)
        noise = rng.normal(size=self.demand.shape)
        self.demand = 0.9 * self.demand + 0.3 * noise
        self.last = actions.astype(np.float64).reshape(*push.shape, -1)
        return self.observe(), reward.astype(np.float32)

    def random(self, num_envs: int, rng: np.random.Generator) -> np.ndarray:
        return self.encode(rng.uniform(-2, 2, size=(num_envs, self.agents)))

    def collect(self, episodes: int = 24, length: int = 20, seed: int = 0) -> Episodes:
        """Expert episodes with 10% random actions; the last one is cut short."""
        rng = np.random.default_rng(seed)
        obs, actions, rewards = [self.reset(episodes, rng)], [], []
        for _ in range(length):
            action, other = self.encode(self.wish()), self.random(episodes, rng)
            swap = rng.random((episodes, self.agents)) < 0.1
            swap = swap[..., None] if self.kind == "box" else swap
            actions.append(np.where(swap, other, action))
            seen, reward = self.step(actions[-1], rng)
            obs.append(seen)
            rewards.append(reward)
        lengths = np.full(episodes, length)
        lengths[-1] = max(1, length - 3)
        truncated = np.zeros((episodes, length), dtype=bool)
        truncated[np.arange(episodes), lengths - 1] = True
        return Episodes(
            spec=self.spec,
            obs=np.stack(obs, 1),
            actions=np.stack(actions, 1),
            rewards=np.stack(rewards, 1),
            terminated=np.zeros_like(truncated),
            truncated=truncated,
            neighbours=np.tile(self.table, (episodes, 1, 1)),
            lengths=lengths.astype(np.int64),
        )

    def score(self, algorithm: Any, num_envs: int = 16, length: int = 15, seed: int = 7) -> float:
        """Mean reward of a policy; None acts at random, "expert" as the expert."""
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        obs = self.reset(num_envs, rng)
        table = torch.as_tensor(np.tile(self.table, (num_envs, 1, 1)), dtype=torch.int64)
        playing = not (algorithm is None or algorithm == "expert")
        carry = algorithm.initial_carry(num_envs, self.task) if playing else {}
        total = 0.0
        for _ in range(length):
            if algorithm is None:
                actions = self.random(num_envs, rng)
            elif algorithm == "expert":
                actions = self.encode(self.wish())
            else:
                chosen, carry = algorithm.act(torch.as_tensor(obs), table, carry, generator)
                actions = chosen.numpy()
            obs, reward = self.step(actions, rng)
            total += float(reward.mean())
        return total / length


@pytest.fixture(scope="session")
def toy() -> type[Toy]:
    """The task's class: ``toy("ordered").collect()`` gives episodes."""
    return Toy
