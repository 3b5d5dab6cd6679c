"""Speed of `WindowSampler`, compared with NumPy's own gather of the same observation rows.

    python benchmarks/sampler.py

A window is ``steps`` steps of a whole team of ``agents``; a sequence is one agent's part of it.
The sampler gathers all fields (observations, actions, rewards, returns-to-go, flags, neighbours)
and pads them. NumPy gathers only the observations, of windows that need no padding. All variants
run interleaved on one thread and the same data. The table shows the median over the rounds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from networld_algos.data.batch import WindowSampler
from networld_algos.data.episodes import Episodes, disk_array
from networld_envs.spec import TaskSpec


def synthetic(episodes: int, length: int, agents: int, columns: int) -> Episodes:
    """Random numbers of the shape of a dataset with box actions of three columns."""
    rng = np.random.default_rng(0)
    spec = TaskSpec("ns", agents, columns, "box", 3, (0.0,) * 3, (1.0,) * 3, 6)
    shape = (episodes, length, agents)
    truncated = np.zeros((episodes, length), bool)
    truncated[:, -1] = True
    return Episodes(
        spec=spec,
        obs=rng.random((episodes, length + 1, agents, columns), dtype=np.float32),
        actions=rng.random((*shape, 3), dtype=np.float32),
        rewards=rng.random(shape, dtype=np.float32),
        terminated=np.zeros((episodes, length), bool),
        truncated=truncated,
        neighbours=rng.integers(-1, agents, (episodes, agents, 6), dtype=np.int32),
        lengths=np.full(episodes, length),
    )


def on_disk(data: Episodes, folder: Path) -> Episodes:
    """The same data with observations mapped from a file."""
    obs = disk_array(data.obs.shape, np.float32, folder)
    obs[:] = data.obs
    return replace(data, obs=obs)


def numpy_gather(data: Episodes, steps: int, batch: int) -> Callable[[], object]:
    """Gathers observations ``(batch, steps, N, O)`` with two index arrays."""
    rng = np.random.default_rng(0)
    last = data.obs.shape[1] - steps

    def gather() -> object:
        rows = rng.integers(len(data), size=batch)[:, None]
        first = rng.integers(last + 1, size=batch)[:, None]
        return data.obs[rows, first + np.arange(steps)]

    return gather


def sampling(data: Episodes, steps: int, batch: int) -> Callable[[], object]:
    """Draws batches from the sampler."""
    sampler, rng = WindowSampler(data, steps, batch), np.random.default_rng(0)
    return lambda: sampler.sample(rng)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--agents", type=int, default=19)
    parser.add_argument("--columns", type=int, default=23)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = synthetic(given.episodes, given.length, given.agents, given.columns)
    with tempfile.TemporaryDirectory() as folder:
        mapped = on_disk(data, Path(folder))
        ways = {
            "numpy gather, observations": numpy_gather(data, given.steps, given.batch),
            "sampler, all fields": sampling(data, given.steps, given.batch),
            "numpy gather, mapped file": numpy_gather(mapped, given.steps, given.batch),
            "sampler, mapped file": sampling(mapped, given.steps, given.batch),
        }
        repeats = max(1, 2_000 // given.batch)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                for _ in range(repeats):
                    way()
                seconds[name].append((time.perf_counter() - start) / (repeats * given.batch))
    print(
        f"{data.obs.nbytes / 1e6:.0f} MB of observations, windows of {given.steps} steps x "
        f"{given.agents} agents x {given.columns} columns, batch {given.batch}"
    )
    print(f"{'':28s} {'windows/s':>12s} {'sequences/s':>14s}")
    for name, values in seconds.items():
        rate = 1.0 / float(np.median(values))
        print(f"{name:28s} {rate:12,.0f} {rate * given.agents:14,.0f}")


if __name__ == "__main__":
    main()
