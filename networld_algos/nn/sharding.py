"""One batch shared by several processes: draws, sums and means that agree with a single process.

Every process draws the same global batch and the same random numbers, and works on its own block
of windows. Losses and gradients are combined over the processes, so the result equals that of one
process with the whole batch, up to rounding. `networld_algos.training.distributed` starts and ends
such a job.

DistributedDataParallel expects one forward and one backward pass through its wrapper. Here an
update has several losses and optimisers, calls parts of a model by name and freezes some for a
while, so gradients are averaged in `networld_algos.nn.optim`, which every update calls, as one flat
array per optimiser. A user-defined algorithm trains in parallel too if it draws with
`normal` and `uniform`, averages with `masked_mean` or `row_mean`, and steps with `descend`;
`networld_algos.training.distributed.assert_equal` detects one that does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from networld_algos.data.batch import Batch


@dataclass(frozen=True)
class Shard:
    """The share of a batch that this process works on.

    Attributes:
        rank: Number of this process, 0 .. world - 1.
        world: Number of processes.
    """

    rank: int
    world: int

    def own(self, values: Tensor, axis: int = 0) -> Tensor:
        """This process's block of ``values``, whose ``axis`` is that of the global batch."""
        count = values.shape[axis] // self.world
        return values.narrow(axis, self.rank * count, count)

    def take(self, batch: Batch) -> Batch:
        """This process's windows of a global batch."""
        parts = {k: self.own(v) for k, v in vars(batch).items() if isinstance(v, Tensor)}
        return replace(batch, **parts)


@dataclass(frozen=True)
class Picked:
    """Rows chosen at random from a batch.

    Attributes:
        rows: ``(S,)`` positions among the rows of this process.
        total: Number of rows that all processes chose together.
        order: ``(S,)`` positions of this process's rows in that choice; None for a single process.
    """

    rows: Tensor
    total: int
    order: Tensor | None = None

    def first(self, most: int) -> tuple[Tensor, Picked]:
        """The first ``most`` of the rows that all processes chose together.

        Returns:
            Positions ``(S,)`` among ``rows``, and the rows there.
        """
        total = min(most, self.total)
        if self.order is None:
            chosen = torch.arange(total, device=self.rows.device)
            return chosen, Picked(self.rows[:total], total)
        chosen = torch.nonzero(self.order < total).squeeze(1)
        return chosen, Picked(self.rows[chosen], total, self.order[chosen])


class PeerLostError(ConnectionError):
    """Another process of the job has ended or does not answer."""


_SHARD: ContextVar[Shard | None] = ContextVar("shard", default=None)


def shard() -> Shard | None:
    """Share of the update in progress; None outside an update and for a single process."""
    return _SHARD.get()


@contextmanager
def sharing(share: Shard | None) -> Iterator[None]:
    """Make draws and averages those of the whole batch inside this context."""
    token = _SHARD.set(share)
    try:
        yield
    finally:
        _SHARD.reset(token)


@contextmanager
def peers() -> Iterator[None]:
    """Turn communication errors into a `PeerLostError` that says what to do."""
    try:
        yield
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        name = f"process {os.environ.get('RANK', '?')} of {os.environ.get('WORLD_SIZE', '?')}"
        raise PeerLostError(
            f"{name} lost another process of the job ({first}); look for its error above, then "
            "start the same command again: it continues from the last checkpoint"
        ) from error


def draw(
    make: Callable[[tuple[int, ...]], Tensor],
    shape: Iterable[int],
    axis: int = 0,
    picked: Picked | None = None,
) -> Tensor:
    """This process's part of an array drawn for the whole batch.

    Args:
        make: Draws an array of a given shape.
        shape: Shape of the part.
        axis: The axis that counts windows, or rows ordered by window.
        picked: Set where ``axis`` counts rows chosen by `pick`.
    """
    size, share = list(shape), shard()
    if share is None:
        return make(tuple(size))
    if picked is not None and picked.order is not None:
        size[axis] = picked.total
        return make(tuple(size)).index_select(axis, picked.order)
    size[axis] *= share.world
    return share.own(make(tuple(size)), axis)


def pick(count: int, most: int, generator: torch.Generator, device: torch.device) -> Picked:
    """Choose at most ``most`` rows of the whole batch, all equally likely.

    Args:
        count: Number of rows of this process, ordered by window.
        most: Largest number of rows for all processes together.
        generator: Source of randomness.
        device: Where the positions are used.
    """
    share = shard()
    whole = count if share is None else count * share.world
    chosen = torch.randperm(whole, generator=generator, device=generator.device)[:most]
    if share is None:
        return Picked(chosen.to(device), len(chosen))
    first = share.rank * count
    order = torch.nonzero((chosen >= first) & (chosen < first + count)).squeeze(1)
    return Picked((chosen[order] - first).to(device), len(chosen), order)


def own_stream() -> tuple[int, ...]:
    """Extra seeds for noise that cannot be drawn for the whole batch, such as dropout."""
    share = shard()
    return () if share is None else (share.rank,)


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient is also summed, since every loss depends on the result."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        return _all_reduced(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        del ctx
        return _all_reduced(grads[0])


def _all_reduced(values: Tensor) -> Tensor:
    summed = values.detach().clone(memory_format=torch.contiguous_format)
    with peers():
        dist.all_reduce(summed)
    return summed


def total(values: Tensor) -> Tensor:
    """Sum of ``values`` over processes, with gradient; unchanged for a single process."""
    if shard() is None:
        return values
    summed = _Sum.apply(values)
    assert isinstance(summed, Tensor)
    return summed


def mean_share(weight: Tensor) -> Tensor:
    """Divisor of a process's sum that makes the mean over processes that of the batch."""
    share = shard()
    return weight if share is None else total(weight) / share.world


def all_rows(values: Tensor) -> Tensor:
    """Rows ``(R, ...)`` of all processes in order; unchanged for a single process."""
    share = shard()
    if share is None:
        return values
    parts = [torch.empty_like(values) for _ in range(share.world)]
    with peers():
        dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def own_rows(values: Tensor) -> Tensor:
    """Inverse of `all_rows`: this process's block of ``values`` ``(R, ...)``."""
    share = shard()
    return values if share is None else share.own(values)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over processes; does nothing for a single process."""
    share = shard()
    if share is None:
        return
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return
    flat = _all_reduced(torch.cat([g.flatten() for g in grads])) / share.world
    for grad, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        grad.copy_(part.view_as(grad))


def average_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics of the whole batch from those of this process's share."""
    share = shard()
    if share is None:
        return dict(metrics)
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    values = torch.tensor(list(metrics.values()), dtype=torch.float64, device=device)
    return dict(zip(metrics, (_all_reduced(values) / share.world).tolist(), strict=True))
