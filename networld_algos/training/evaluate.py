"""Evaluate an algorithm: one forward pass per step for all agents of all episodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from networld_algos.base import Algorithm
from networld_algos.data.streams import Stream
from networld_envs import make_vec, validate

WARM_UP = 5  # decisions that are not timed


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation of ``K`` episodes.

    Attributes:
        episode_rewards: ``(K,)`` mean reward per agent and step.
        latency_p50_ms: Median time of one decision of the whole batch, after the first `WARM_UP`.
        latency_p99_ms: 99th percentile of the same.
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
    message_loss: float = 0.0,
    message_delay: int = 0,
    on_step: Callable[[], None] | None = None,
    **params: Any,
) -> Evaluation:
    """Run one episode per environment seed, all as one batch.

    Loss and delay apply to the algorithm's own messages. They do not change what an agent observes
    of its neighbours.

    Args:
        algorithm: Trained for ``task``.
        task: Name of the task.
        seeds: Environment seeds; equal seeds give equal networks to every algorithm.
        max_cycles: Steps per episode; the environment's default if None.
        sampling_seed: Seed of the algorithm's own randomness.
        message_loss: Probability that a message is lost, drawn for each step, sender and receiver.
        message_delay: Delay of messages in steps.
        on_step: Called after each step, for a progress bar.
        **params: Preset and parameters of the task.

    Raises:
        ValueError: If the algorithm does not know the task, its observations or actions have
            another size there (the message names both), ``message_loss`` or ``message_delay`` is
            out of range, or messages are delayed and the algorithm does not take them from
            `networld_algos.nn.messages.collect`.
    """
    message_loss = validate.number("message_loss", message_loss, 0.0, 1.0)
    message_delay = validate.whole("message_delay", message_delay, 0)
    if max_cycles is not None:
        params["max_cycles"] = max_cycles
    envs = make_vec(task, len(seeds), **params)
    _check_sizes(algorithm, task, envs.simulator.spec)
    device = next(algorithm.parameters()).device
    generator = torch.Generator(device=device).manual_seed(sampling_seed)
    obs, info = envs.reset(seed=list(seeds))
    neighbours = torch.from_numpy(info["neighbours"].astype(np.int64)).to(device)
    losses = [np.random.default_rng([seed, Stream.MESSAGE_LOSS]) for seed in seeds]
    carry = algorithm.initial_carry(len(seeds), task)
    if message_delay:
        carry["delay"] = message_delay
    message = algorithm.message(torch.from_numpy(obs).to(device), carry)
    rewards, latency_ms = [], []
    algorithm.eval()
    while True:
        table = neighbours
        if message_loss > 0.0:
            draws = np.stack([rng.random(neighbours.shape[1:]) for rng in losses])  # (E, N, D)
            lost = torch.from_numpy(draws < message_loss).to(device)
            table = torch.where(lost, -1, neighbours)
        begin = time.perf_counter()
        actions, carry = algorithm.act(torch.from_numpy(obs).to(device), table, carry, generator)
        chosen = actions.cpu().numpy()
        latency_ms.append(1e3 * (time.perf_counter() - begin))
        if message_delay and message is not None and "in_flight" not in carry:
            raise ValueError(
                f"{algorithm.name} does not support delayed messages: its act() must take messages "
                "from networld_algos.nn.messages.collect and pass on the carry"
            )
        obs, _, _, truncated, info = envs.step(chosen)
        rewards.append(info["agent_rewards"].mean(axis=1, dtype=np.float64))
        if on_step is not None:
            on_step()
        if truncated.all():
            break
    algorithm.train()
    envs.close()
    p50, p99 = np.percentile(latency_ms[WARM_UP:] or latency_ms, [50, 99])
    return Evaluation(
        episode_rewards=np.mean(rewards, axis=0),
        latency_p50_ms=float(p50),
        latency_p99_ms=float(p99),
        bytes_per_step=0.0
        if message is None
        else float(message.shape[-1] * message.element_size()),
    )


def decision_ms_one_agent(
    algorithm: Algorithm, task: str, repeats: int = 50, **params: Any
) -> float:
    """Median time in ms of one decision of a single agent, given its neighbours' messages.

    Args:
        algorithm: Trained for ``task``.
        task: Name of the task.
        repeats: Decisions to time, after `WARM_UP` others.
        **params: Preset and parameters of the task.
    """
    envs = make_vec(task, 1, **params)
    _check_sizes(algorithm, task, envs.simulator.spec)
    device = next(algorithm.parameters()).device
    generator = torch.Generator(device=device).manual_seed(0)
    obs, info = envs.reset(seed=[0])
    envs.close()
    one = torch.from_numpy(obs[:, :1]).to(device)  # (1, 1, O)
    slots = torch.from_numpy(info["neighbours"][:, :1].astype(np.int64)).to(device)
    table = slots.clamp(max=0)  # every neighbour sends what this agent would send
    carry = algorithm.initial_carry(1, task)
    times_ms = []
    algorithm.eval()
    for _ in range(WARM_UP + repeats):
        begin = time.perf_counter()
        actions, carry = algorithm.act(one, table, carry, generator)
        actions.cpu()  # waits until the device has finished
        times_ms.append(1e3 * (time.perf_counter() - begin))
    algorithm.train()
    return float(np.median(times_ms[WARM_UP:]))


def _check_sizes(algorithm: Algorithm, task: str, spec: Any) -> None:
    known = algorithm.known(task)
    if field := known.mismatch(spec):
        raise ValueError(
            f"the model was trained for task {task!r} with {field}={getattr(known, field)!r}, but "
            f"this environment has {getattr(spec, field)!r}. Use the preset and parameters of the "
            "training data"
        )
