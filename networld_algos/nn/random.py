"""Seeded initial weights, and noise that agrees between processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from networld_algos.nn import sharding


@contextmanager
def seeded(*seeds: int) -> Iterator[None]:
    """Seed torch's global generator inside this context, and restore it afterwards.

    Args:
        seeds: One or more integers; their order matters.
    """
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + seed + 1) % (2**63)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed)
        yield


def normal(
    shape: Sequence[int],
    generator: torch.Generator,
    device: torch.device,
    *,
    axis: int = 0,
    picked: sharding.Picked | None = None,
) -> Tensor:
    """Standard normal noise, drawn on the device of ``generator`` and moved to ``device``.

    Args:
        shape: Shape of the noise.
        generator: Source of randomness.
        device: Where the noise is used.
        axis: The axis of windows, or of rows ordered by window, see
            `networld_algos.nn.sharding`.
        picked: Set where ``axis`` counts rows chosen by `networld_algos.nn.sharding.pick`.
    """
    make = partial(torch.randn, generator=generator, device=generator.device)
    return sharding.draw(make, shape, axis, picked).to(device)


def uniform(
    shape: Sequence[int],
    generator: torch.Generator,
    device: torch.device,
    *,
    axis: int = 0,
    picked: sharding.Picked | None = None,
) -> Tensor:
    """Uniform noise in [0, 1), otherwise like `normal`."""
    make = partial(torch.rand, generator=generator, device=generator.device)
    return sharding.draw(make, shape, axis, picked).to(device)
