"""Small models of any algorithm in `ALGORITHMS`, and how to train them and let them act."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch

from networld_algos.data.batch import WindowSampler
from networld_algos.registry import ALGORITHMS, make

SHRUNK = {"hidden": 64, "dim": 16, "sequences": 24, "context": 6, "kept": 3}
"""Values that make a model small; an algorithm takes those that its config has."""
SMALL = {
    "ma-dt": {"hidden": 32, "layers": 2},
    "networld": {"batch_size": 4},
}
"""What an algorithm needs besides."""


def fitting(name: str, **values: Any) -> dict[str, Any]:
    """Those of ``values`` that the config of an algorithm has a field for."""
    known = {field.name for field in fields(ALGORITHMS[name][0])}
    return {key: value for key, value in values.items() if key in known}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def untrained(name, specs, seed=0, **changes):
    """A small model; ``changes`` of its config must exist."""
    config = {**fitting(name, **SHRUNK), **SMALL.get(name, {}), **changes}
    return make(name, specs, config, seed)


def prepared(name, episodes, total=1000, seed=0, **changes):
    """A small model that has seen its data and takes updates."""
    algorithm = untrained(name, episodes.spec, seed, **changes)
    algorithm.prepare(episodes, total)
    return algorithm


def train(algorithm, data, first, last):
    """Updates first .. last - 1; each has its own random numbers, tasks take turns."""
    samplers = [WindowSampler(d, algorithm.window, algorithm.batch_size) for d in data]
    metrics = []
    for update in range(first, last):
        batch = samplers[update % len(data)].sample(np.random.default_rng(update))
        metrics.append(algorithm.update(batch, generator(update)))
    return metrics


def act(algorithm, toy, obs=None, steps=2, seed=0):
    """Actions of a few steps on constant observations."""
    if obs is None:
        obs = torch.as_tensor(toy.obs(3))
    table = torch.as_tensor(toy.table).long().expand(len(obs), -1, -1)
    carry = algorithm.initial_carry(len(obs), toy.task)
    noise, out = generator(seed), []
    for _ in range(steps):
        actions, carry = algorithm.act(obs, table, carry, noise)
        out.append(actions)
    return torch.stack(out)


def assert_same_state(a, b):
    left, right = a.state_dict(), b.state_dict()
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert torch.equal(value, right[key]), key
