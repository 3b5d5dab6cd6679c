"""Offline multi-agent algorithms, and the benchmark that compares them.

>>> import networld_algos
>>> episodes = networld_algos.load_episodes("networld/rb/random-v0")
>>> model = networld_algos.make("bc", episodes.spec, {"hidden": 64}, seed=0)
>>> model.prepare(episodes, total_updates=100)
>>> networld_algos.train(model, [episodes], updates=100, seed=0)
>>> print(networld_algos.evaluate(model, "rb", range(500_000, 500_008)).mean)

A name is imported when it is first used. Most need torch, but reading results does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from networld_algos.base import Algorithm
    from networld_algos.data.load import load_episodes
    from networld_algos.registry import ALGORITHMS, config_dict, make, make_config
    from networld_algos.training.checkpoint import load, save
    from networld_algos.training.evaluate import evaluate
    from networld_algos.training.train import train

_HOMES = {
    "ALGORITHMS": "registry",
    "Algorithm": "base",
    "config_dict": "registry",
    "evaluate": "training.evaluate",
    "load": "training.checkpoint",
    "load_episodes": "data.load",
    "make": "registry",
    "make_config": "registry",
    "save": "training.checkpoint",
    "train": "training.train",
}

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "config_dict",
    "evaluate",
    "load",
    "load_episodes",
    "make",
    "make_config",
    "save",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"networld_algos.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
