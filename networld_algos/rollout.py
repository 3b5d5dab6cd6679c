"""Let an algorithm act in the environments: every agent of every episode in one forward a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from networld_algos.base import Algorithm
from networld_envs import make_vec


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation measured; ``K`` episodes.

    Attributes:
        episode_rewards: ``(K,)`` mean reward per agent and step.
        latency_p50_ms: Median time of one decision of the whole batch.
        latency_p99_ms: 99th percentile of it.
        bytes_per_step: Bytes each agent sends in a step.
    """

    episode_rewards: NDArray[np.float64]
    latency_p50_ms: float
    latency_p99_ms: float
    bytes_per_step: float

    @property
    def mean(self) -> float:
        """Average reward over episodes."""
        return float(self.episode_rewards.mean())


def evaluate(
    algorithm: Algorithm,
    task: str,
    seeds: Sequence[int],
    *,
    max_cycles: int | None = None,
    sampling_seed: int = 0,
    on_step: Callable[[], None] | None = None,
    **params: Any,
) -> Evaluation:
    """Run one episode for each environment seed, all as one batch.

    Args:
        algorithm: Trained for ``task``.
        task: Name of the task.
        seeds: Environment seeds; equal seeds give equal networks to every algorithm.
        max_cycles: Steps of an episode; the environments' own by default.
        sampling_seed: Seeds the algorithm's own randomness.
        on_step: Called after each step, for a progress bar.
        **params: Preset and parameters of the task.

    Raises:
        ValueError: If the algorithm does not know the task, or its observations or actions have
            another size there (the message names both).
    """
    if max_cycles is not None:
        params["max_cycles"] = max_cycles
    envs = make_vec(task, len(seeds), **params)
    _check_sizes(algorithm, task, envs.simulator.spec)
    device = next(algorithm.parameters()).device
    generator = torch.Generator(device=device).manual_seed(sampling_seed)
    obs, info = envs.reset(seed=list(seeds))
    neighbours = torch.from_numpy(info["neighbours"].astype(np.int64)).to(device)
    carry = algorithm.initial_carry(len(seeds), task)
    message = algorithm.message(torch.from_numpy(obs).to(device), carry)
    rewards, latency_ms = [], []
    algorithm.eval()
    while True:
        begin = time.perf_counter()
        actions, carry = algorithm.act(
            torch.from_numpy(obs).to(device), neighbours, carry, generator
        )
        chosen = actions.cpu().numpy()
        latency_ms.append(1e3 * (time.perf_counter() - begin))
        obs, _, _, truncated, info = envs.step(chosen)
        rewards.append(info["agent_rewards"].mean(axis=1, dtype=np.float64))
        if on_step is not None:
            on_step()
        if truncated.all():
            break
    algorithm.train()
    envs.close()
    p50, p99 = np.percentile(latency_ms, [50, 99])
    return Evaluation(
        episode_rewards=np.mean(rewards, axis=0),
        latency_p50_ms=float(p50),
        latency_p99_ms=float(p99),
        bytes_per_step=0.0
        if message is None
        else float(message.shape[-1] * message.element_size()),
    )


def _check_sizes(algorithm: Algorithm, task: str, spec: Any) -> None:
    known = algorithm.known(task)
    if field := known.mismatch(spec):
        raise ValueError(
            f"the model was trained for task {task!r} with {field}={getattr(known, field)!r}; "
            f"this environment has {getattr(spec, field)!r}. Use the preset and parameters "
            "the training data was made with"
        )
