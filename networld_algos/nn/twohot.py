"""Two-hot coding of scalars on bins spaced evenly in the symlog domain."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Coding = Literal["twohot", "onehot"]

CODINGS: tuple[str, ...] = get_args(Coding)


def symlog(x: Tensor) -> Tensor:
    """``sign(x) ln(1 + |x|)``."""
    return torch.sign(x) * torch.log1p(x.abs())


def symexp(x: Tensor) -> Tensor:
    """Inverse of `symlog`."""
    return torch.sign(x) * torch.expm1(x.abs())


class TwoHot(nn.Module):
    """Bins for ``columns`` scalars, uniform in the symlog domain over each column's range.

    Args:
        columns: Scalars ``A``, each with its own range.
        bins: Number ``K`` of bin centres per column.
        coding: ``"twohot"``, or ``"onehot"``, which gives the nearest bin all the weight.
        symlog: Space the bins evenly in the symlog domain; otherwise in the range itself.

    Attributes:
        centres: ``(A, K)`` bin centres in raw units.
    """

    centres: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self, columns: int, bins: int, coding: Coding = "twohot", symlog: bool = True
    ) -> None:
        super().__init__()
        if bins < 2:
            raise ValueError(f"bins must be at least 2, got {bins}")
        if coding not in CODINGS:
            raise ValueError(f"coding must be one of {CODINGS}, got {coding!r}")
        self.bins = bins
        self.coding = coding
        self.symlog = symlog
        self.register_buffer("centres", torch.zeros(columns, bins, dtype=torch.float64))
        self.register_buffer("low", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("high", torch.zeros(columns, dtype=torch.float64))
        self.set_range(-torch.ones(columns), torch.ones(columns))

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Spread the bins over ``[low, high]``, both ``(A,)``; an empty range is widened.

        Raises:
            ValueError: If a bound is not finite or ``low > high``.
        """
        low, high = low.to(self.low).clone(), high.to(self.high).clone()
        if not bool(
            torch.isfinite(low).all() and torch.isfinite(high).all() and (low <= high).all()
        ):
            raise ValueError(f"two-hot range must be finite, low <= high; got {low}, {high}")
        gap = 1e-3 * (1.0 + low.abs())
        high = torch.where(high - low < gap, low + gap, high)
        ramp = torch.linspace(0, 1, self.bins, dtype=low.dtype, device=low.device)
        if self.symlog:
            centres = symexp(symlog(low)[:, None] * (1 - ramp) + symlog(high)[:, None] * ramp)
        else:
            centres = low[:, None] * (1 - ramp) + high[:, None] * ramp
        centres[:, 0], centres[:, -1] = low, high
        self.low.copy_(low)
        self.high.copy_(high)
        self.centres.copy_(centres)

    def target(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Lower bin ``(..., A)`` int64 and weight of the bin above it; values are clamped."""
        centres = self.centres
        x = values.to(centres.dtype).clamp(self.low, self.high)
        flat = x.reshape(-1, x.shape[-1]).transpose(0, 1).contiguous()  # (A, rows)
        lower = (torch.searchsorted(centres, flat, right=True) - 1).clamp(0, self.bins - 2)
        below, above = centres.gather(1, lower), centres.gather(1, lower + 1)
        weight = ((flat - below) / (above - below)).clamp(0.0, 1.0)
        if self.coding == "onehot":
            weight = (weight > 0.5).to(weight.dtype)
        shape = x.shape
        return lower.t().reshape(shape), weight.t().reshape(shape).to(torch.float32)

    def loss(self, logits: Tensor, values: Tensor) -> Tensor:
        """Cross-entropy ``(..., A)`` of logits ``(..., A, K)`` with the coding of ``values``."""
        lower, weight = self.target(values)
        log_p = F.log_softmax(logits, dim=-1)
        below = log_p.gather(-1, lower.unsqueeze(-1)).squeeze(-1)
        above = log_p.gather(-1, (lower + 1).unsqueeze(-1)).squeeze(-1)
        return -((1.0 - weight) * below + weight * above)

    def expectation(self, probabilities: Tensor) -> Tensor:
        """Mean ``(..., A)`` of the bin centres under probabilities ``(..., A, K)``.

        Bins are summed in pairs from the outside in, so that a uniform distribution over a
        symmetric range has a mean of exactly zero.
        """
        weighted = probabilities * self.centres.to(probabilities.dtype)
        half = self.bins // 2
        pairs = weighted[..., :half] + weighted[..., self.bins - half :].flip(-1)
        middle = weighted[..., half : self.bins - half]
        return pairs.sum(-1) + middle.sum(-1)

    def score(self, logits: Tensor) -> Tensor:
        """Expectation ``(..., A)`` of the bin index, scaled to [0, 1].

        Its gradient is of order one whatever the units are, as guidance needs.
        """
        ramp = torch.linspace(0, 1, self.bins, dtype=logits.dtype, device=logits.device)
        return (F.softmax(logits, dim=-1) * ramp).sum(-1)
