"""Optimisers, learning-rate schedules, gradient steps and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from networld_algos.nn import sharding

MAX_GRAD_NORM = 1.0


def adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Adam (Kingma and Ba, 2015), fused into one kernel where the device supports it."""
    params = list(parameters)
    return torch.optim.Adam(params, lr=learning_rate, fused=_fusible(params))


def adamw(
    parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019), fused like `adam`."""
    params = list(parameters)
    return torch.optim.AdamW(
        params, lr=learning_rate, weight_decay=weight_decay, fused=_fusible(params)
    )


def _fusible(params: Iterable[nn.Parameter]) -> bool:
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in params)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use ``learning_rate`` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def cosine_decay(update: int, total_updates: int) -> float:
    """Factor falling from 1 at update 0 to 0 at ``total_updates`` (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, update / total_updates)))


def anneal(
    optimizer: torch.optim.Optimizer, learning_rate: float, counters: Mapping[str, int]
) -> None:
    """Let a rate decay to zero along a cosine, see `cosine_decay`.

    Args:
        optimizer: Whose rate to set for the next step.
        learning_rate: Rate of the first update.
        counters: `networld_algos.base.Algorithm.counters`.
    """
    decay = cosine_decay(counters["updates"], counters["total_updates"])
    set_learning_rate(optimizer, learning_rate * decay)


def descend(
    optimizers: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
    loss: Tensor,
    max_norm: float | None = None,
) -> None:
    """Take one gradient step on ``loss``, averaged over the processes of a job.

    Args:
        optimizers: One optimiser, or several that share the backward pass.
        loss: A scalar.
        max_norm: Largest norm of the gradient of all parameters of an optimiser together; a larger
            gradient is scaled down to it. None leaves gradients unchanged.
    """
    if isinstance(optimizers, torch.optim.Optimizer):
        optimizers = [optimizers]
    for optimizer in optimizers:
        optimizer.zero_grad()
    torch.autograd.backward(loss)
    for optimizer in optimizers:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        params = [p for p in params if p.grad is not None]
        sharding.average_gradients(params)
        if max_norm is not None and params:
            nn.utils.clip_grad_norm_(params, max_norm)
        optimizer.step()


class MovingAverage(AveragedModel):
    """Exponential moving average of weights in few calls; buffers are copied.

    The decay of average ``n`` is ``min(decay, (1 + n) / (10 + n))``, so that initial weights do
    not dominate a short run. Numbers and state are those of torch's `AveragedModel` with this
    decay, which prepares every weight on its own and takes several times as long.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self.decay = decay
        self.requires_grad_(False)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Include the present weights; the first ones are copied."""
        n = int(self.n_averaged)
        averages: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(model.parameters())
        if n == 0:
            for mine, other in zip(averages, current, strict=True):
                mine.copy_(other)
        else:
            update = get_ema_multi_avg_fn(min(self.decay, (1 + n) / (10 + n)))
            update(averages, current, n)
        for mine, other in zip(self.module.buffers(), model.buffers(), strict=True):
            mine.copy_(other)
        self.n_averaged += 1
