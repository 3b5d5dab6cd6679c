"""Two-hot coding of scalars on symexp-spaced bins, and action heads built on it.

``symlog(x) = sign(x) ln(1 + |x|)``, ``symexp`` its inverse (Hafner et al., DreamerV3, Nature 2025).
A value between two bin centres ``b_k <= x <= b_{k+1}`` has the target weights

    w_{k+1} = (x - b_k) / (b_{k+1} - b_k),     w_k = 1 - w_{k+1},

so that the expectation of the target over bin centres is x itself. The loss is the cross-entropy
with these weights. Two ablations: ``coding="onehot"`` puts all weight on the nearer of the two
bins, and ``symlog=False`` spreads the bins uniformly over the range itself.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networld_algos.nets import uniform
from networld_envs.spec import TaskSpec

Coding = Literal["twohot", "onehot"]
CODINGS: tuple[str, ...] = get_args(Coding)
Decode = Literal["argmax", "expectation", "sample"]
DECODES: tuple[str, ...] = get_args(Decode)


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
        bins: Bin centres ``K`` of each.
        coding: ``"twohot"``, or ``"onehot"``: the nearest bin has all the weight.
        symlog: Space the bins in the symlog domain; otherwise in the range itself.

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
        """Mean over bin centres ``(..., A)`` of ``(..., A, K)``.

        Bins are summed in pairs from the outside in, so that a uniform distribution over a
        symmetric range has mean zero exactly.
        """
        weighted = probabilities * self.centres.to(probabilities.dtype)
        half = self.bins // 2
        pairs = weighted[..., :half] + weighted[..., self.bins - half :].flip(-1)
        middle = weighted[..., half : self.bins - half]
        return pairs.sum(-1) + middle.sum(-1)

    def score(self, logits: Tensor) -> Tensor:
        """Expectation ``(..., A)`` of the bin's index scaled to [0, 1]: in the symlog domain.

        Its gradient is of order one whatever the units, which is what guidance needs.
        """
        ramp = torch.linspace(0, 1, self.bins, dtype=logits.dtype, device=logits.device)
        return (F.softmax(logits, dim=-1) * ramp).sum(-1)


class ActionHead(nn.Module):
    """Linear layer to action logits, its loss, and three ways to decode an action.

    ============  ===================  ======================  ===========================
    action kind   ``"argmax"``         ``"expectation"``       ``"sample"``
    ============  ===================  ======================  ===========================
    box           mean of the best     mean over all bins      centre of a drawn bin
                  bin and the next to
                  it on either side
    ordered       most likely integer  mean within `RADIUS`    drawn integer
                                       of the most likely,
                                       rounded
    discrete      most likely choice   the same as argmax      drawn choice
    ============  ===================  ======================  ===========================

    An average across separate modes is an action nobody took, hence the windows.

    Args:
        spec: The task.
        in_dim: Width of the features.
        bins: Bins of each column of a box action.
        coding: Of a box action, see `TwoHot`; integers have a bin each.
        symlog: Of the bins of a box action, see `TwoHot`.
    """

    RADIUS = 5

    legal: Tensor
    bounds: Tensor

    def __init__(
        self,
        spec: TaskSpec,
        in_dim: int,
        bins: int,
        coding: Coding = "twohot",
        symlog: bool = True,
    ) -> None:
        super().__init__()
        self.kind = spec.action_kind
        low, high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
        self.register_buffer("bounds", torch.stack([low, high]), persistent=False)
        if spec.action_kind == "box":
            self.columns, self.choices = spec.action_dim, bins
            self.twohot = TwoHot(spec.action_dim, bins, coding, symlog)
            self.twohot.set_range(low, high)
            legal = torch.ones(bins, dtype=torch.bool)
        else:
            self.columns, self.choices = 1, spec.num_choices
            legal = torch.arange(self.choices) >= int(spec.action_low[0])
        self.register_buffer("legal", legal, persistent=False)
        self.linear = nn.Linear(in_dim, self.columns * self.choices)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Put the bins of a box action over the range seen in the data, within the bounds."""
        if self.kind == "box":
            bound_low, bound_high = self.bounds.to(low)
            low = low.clamp(bound_low, bound_high)
            self.twohot.set_range(low, high.clamp(bound_low, bound_high))

    def forward(self, features: Tensor, legal: Tensor | None = None) -> Tensor:
        """Logits ``(..., A, K)``, -inf where a choice is not legal.

        Args:
            features: ``(..., F)``.
            legal: Optional ``(..., K)`` bool, choices allowed now; discrete and ordered only.
        """
        logits = self.linear(features)
        logits = logits.view(*logits.shape[:-1], self.columns, self.choices)
        if self.kind != "box":
            allowed = self.legal if legal is None else (self.legal & legal).unsqueeze(-2)
            logits = logits.masked_fill(~allowed, float("-inf"))
        return logits

    def loss(self, logits: Tensor, actions: Tensor) -> Tensor:
        """Cross-entropy summed over columns, one value ``(...)`` for each action."""
        if self.kind == "box":
            return self.twohot.loss(logits, actions).sum(-1)
        log_p = F.log_softmax(logits.squeeze(-2), dim=-1)
        return -log_p.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def decode(
        self,
        logits: Tensor,
        how: Decode,
        temperature: float,
        generator: torch.Generator,
    ) -> Tensor:
        """Legal actions ``(..., A)`` float32 or ``(...)`` int64 from logits ``(..., A, K)``.

        Args:
            logits: From `forward`.
            how: See the table above.
            temperature: Divides the logits of ``"sample"``; unused by the others.
            generator: Source of randomness of ``"sample"``.

        Raises:
            ValueError: If ``how`` is unknown.
        """
        if how not in DECODES:
            raise ValueError(f"decode must be one of {DECODES}, got {how!r}")
        if how == "sample":
            probabilities = F.softmax(logits / temperature, dim=-1)
            # Inverse transform sampling: one uniform for each row, whatever the other rows hold.
            u = uniform((*logits.shape[:-1], 1), generator, logits.device)
            cumulative = probabilities.cumsum(-1)
            index = (cumulative <= u * cumulative[..., -1:]).sum(-1).clamp(max=self.choices - 1)
            return self._centre(index)
        best = logits.argmax(-1)
        if self.kind == "discrete" or (self.kind == "ordered" and how == "argmax"):
            return best.squeeze(-1)
        probabilities = F.softmax(logits, dim=-1)
        if how == "argmax" or self.kind == "ordered":
            radius = self.RADIUS if self.kind == "ordered" else 1
            distance = (torch.arange(self.choices, device=logits.device) - best.unsqueeze(-1)).abs()
            probabilities = probabilities * (distance <= radius)
            probabilities = probabilities / probabilities.sum(-1, keepdim=True)
        if self.kind == "ordered":
            values = torch.arange(self.choices, device=logits.device, dtype=logits.dtype)
            mean = (probabilities * values).sum(-1).squeeze(-1)
            low, high = self.bounds[:, 0]
            return mean.round().clamp(low, high).to(torch.int64)
        return self._bounded(self.twohot.expectation(probabilities))

    def _centre(self, index: Tensor) -> Tensor:
        if self.kind != "box":
            return index.squeeze(-1)
        rows = self.twohot.centres.expand(*index.shape, self.choices)
        return self._bounded(rows.gather(-1, index.unsqueeze(-1)).squeeze(-1))

    def _bounded(self, values: Tensor) -> Tensor:
        low, high = self.bounds
        return values.to(torch.float32).clamp(low, high)
