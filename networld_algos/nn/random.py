"""Seeded initial weights, and noise that agrees between processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from networld_algos.nn import sharding


class GivenNoise:
    """Takes the place of a generator where noise is an input: an exported model has no generator.

    Args:
        values: One tensor per draw, in the order of the draws. If it is None, every draw gives
            zeros, and ``drawn`` says what to pass.

    Attributes:
        drawn: Kind, ``"normal"`` or ``"uniform"``, and shape of each draw so far.
    """

    def __init__(self, values: Sequence[Tensor] | None = None) -> None:
        self.values = values
        self.drawn: list[tuple[str, tuple[int, ...]]] = []
        self.device = torch.device("cpu")

    def take(self, kind: str, shape: Sequence[int]) -> Tensor:
        """The next tensor, of this shape."""
        self.drawn.append((kind, tuple(int(n) for n in shape)))
        if self.values is None:
            return torch.zeros(*shape)
        return self.values[len(self.drawn) - 1]


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
    generator: torch.Generator | GivenNoise,
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
    if isinstance(generator, GivenNoise):
        return generator.take("normal", shape)
    make = partial(torch.randn, generator=generator, device=generator.device)
    return sharding.draw(make, shape, axis, picked).to(device)


def uniform(
    shape: Sequence[int],
    generator: torch.Generator | GivenNoise,
    device: torch.device,
    *,
    axis: int = 0,
    picked: sharding.Picked | None = None,
) -> Tensor:
    """Uniform noise in [0, 1), otherwise like `normal`."""
    if isinstance(generator, GivenNoise):
        return generator.take("uniform", shape)
    make = partial(torch.rand, generator=generator, device=generator.device)
    return sharding.draw(make, shape, axis, picked).to(device)
