"""Action heads, and box actions scaled to [-1, 1]."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networld_algos.nn.random import uniform
from networld_algos.nn.twohot import Coding, TwoHot
from networld_envs.spec import TaskSpec


class UnitBox(nn.Module):
    """Scales box actions to [-1, 1] and back. It has no weights and adds nothing to state_dict.

    Args:
        spec: The task whose bounds are used.
    """

    low: Tensor
    scale: Tensor

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__()
        low, high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("scale", (high - low) / 2, persistent=False)

    def to_unit(self, actions: Tensor) -> Tensor:
        """``(..., A)`` in the box to ``(..., A)`` in [-1, 1]."""
        return (actions - self.low) / self.scale - 1.0

    def from_unit(self, values: Tensor) -> Tensor:
        """Inverse of `to_unit`; the result stays in the box in spite of rounding."""
        return ((values + 1.0) * self.scale + self.low).clamp(self.low, self.low + 2 * self.scale)


Decode = Literal["argmax", "expectation", "sample"]

DECODES: tuple[str, ...] = get_args(Decode)


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

    An average across separate modes is an action that nobody took. The windows prevent that.

    Args:
        spec: The task.
        in_dim: Width of the features.
        bins: Bins of each column of a box action.
        coding: Coding of a box action, see `TwoHot`; each integer has its own bin.
        symlog: Whether the bins of a box action are spaced in the symlog domain, see `TwoHot`.
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
        """Spread the bins of a box action over the range seen in the data, within the bounds."""
        if self.kind == "box":
            bound_low, bound_high = self.bounds.to(low)
            low = low.clamp(bound_low, bound_high)
            self.twohot.set_range(low, high.clamp(bound_low, bound_high))

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(..., A, K)`` of features ``(..., F)``, -inf for choices that are not legal."""
        logits = self.linear(features)
        logits = logits.view(*logits.shape[:-1], self.columns, self.choices)
        if self.kind != "box":
            logits = logits.masked_fill(~self.legal, float("-inf"))
        return logits

    def loss(self, logits: Tensor, actions: Tensor) -> Tensor:
        """Cross-entropy ``(...)`` of each action, summed over columns."""
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
            temperature: Divides the logits of ``"sample"``; the others ignore it.
            generator: Source of randomness for ``"sample"``.

        Raises:
            ValueError: If ``how`` is unknown.
        """
        if how not in DECODES:
            raise ValueError(f"decode must be one of {DECODES}, got {how!r}")
        if how == "sample":
            probabilities = F.softmax(logits / temperature, dim=-1)
            # Inverse transform sampling: one uniform number per row, whatever the other rows are.
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
