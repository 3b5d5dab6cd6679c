"""Observation features, running standardisation, and what an agent keeps of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from networld_algos import parallel
from networld_algos.base import Carry, gather_neighbours
from networld_algos.batch import Episodes
from networld_algos.nets import uniform
from networld_algos.twohot import symlog

MESSAGE_MAX_AGE = 5
"""Steps for which the last message of a neighbour stands in for lost ones."""

CLIP = 10.0
"""Bound of a standardised feature: states far outside the data must not blow up a network."""


FeatureKind = Literal["symlog", "linear", "both"]
FEATURES = get_args(FeatureKind)


def feature_width(obs_dim: int, kind: FeatureKind) -> int:
    """Columns ``F`` of the features of observations of length ``obs_dim``."""
    return 2 * obs_dim if kind == "both" else obs_dim


class ObsFeatures(nn.Module):
    """``(f(o) - mean) / std`` with the statistics of a dataset; f is symlog, the identity, or both.

    Symlog tells small values apart, the identity large ones: backlogs beyond all that the data
    holds are nearly equal after symlog. A feature that is constant in the data keeps unit scale.

    Args:
        obs_dim: Length ``O`` of an observation.
        kind: ``"symlog"``, ``"linear"``, or ``"both"``: one after the other.

    Attributes:
        width: Columns ``F``: ``O``, or ``2 O`` with both.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, obs_dim: int, kind: FeatureKind = "symlog") -> None:
        super().__init__()
        self.kind = kind
        self.width = feature_width(obs_dim, kind)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))

    def fit(self, episodes: Episodes, chunk: int = 32) -> None:
        """Take mean and standard deviation over all real observations of all agents."""
        total = square = np.zeros(self.width)
        count = 0
        for start in range(0, len(episodes), chunk):
            obs = torch.as_tensor(episodes.obs[start : start + chunk], dtype=torch.float64)
            lengths = torch.as_tensor(episodes.lengths[start : start + chunk])
            real = torch.arange(obs.shape[1]) <= lengths[:, None]  # the final observation counts
            values = self._values(obs[real].flatten(0, -2)).numpy()
            total = total + values.sum(axis=0)
            square = square + (values**2).sum(axis=0)
            count += len(values)
        mean = total / count
        std = np.sqrt(np.maximum(square / count - mean**2, 0.0))
        std[std < 1e-4] = 1.0
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))

    def forward(self, obs: Tensor) -> Tensor:
        """``(..., O)`` raw to ``(..., F)`` features."""
        return ((self._values(obs) - self.mean) / self.std).clamp(-CLIP, CLIP)

    def _values(self, obs: Tensor) -> Tensor:
        if self.kind == "linear":
            return obs
        return symlog(obs) if self.kind == "symlog" else torch.cat([symlog(obs), obs], dim=-1)


class RunningStandardiser(nn.Module):
    """Zero mean and unit variance for each column, without learned scale or shift.

    `batch` uses the statistics of the rows at hand, with gradients, and updates the running
    ones; calling the module uses the running ones.

    Args:
        dim: Columns.
        momentum: Weight of a new batch in the running statistics.
    """

    EPS = 1e-5

    mean: Tensor
    var: Tensor

    def __init__(self, dim: int, momentum: float = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("var", torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., dim)`` standardised with the running statistics."""
        return (x - self.mean) * torch.rsqrt(self.var + self.EPS)

    def batch(self, x: Tensor) -> Tensor:
        """``(..., dim)`` standardised with its own statistics; needs more than one row."""
        rows = x.reshape(-1, x.shape[-1])
        if parallel.shard() is None:
            var, mean = torch.var_mean(rows, dim=0, correction=0)
        else:
            count = parallel.total(rows.new_tensor(float(len(rows))))
            mean = parallel.total(rows.sum(0)) / count
            var = parallel.total(((rows - mean) ** 2).sum(0)) / count
        with torch.no_grad():
            self.mean.lerp_(mean, self.momentum)
            self.var.lerp_(var, self.momentum)
        return (x - mean) * torch.rsqrt(var + self.EPS)

    @torch.no_grad()
    def fit(self, rows: Tensor) -> None:
        """Set the running statistics to those of ``rows`` ``(R, dim)``."""
        var, mean = torch.var_mean(rows, dim=0, correction=0)
        self.mean.copy_(mean)
        self.var.copy_(var)


def shuffle_last_action(
    obs: Tensor, columns: Sequence[int], share: float, generator: torch.Generator
) -> Tensor:
    """Give a share of the observations the last action of another one, drawn at random.

    Demonstrations repeat themselves, so a model that sees the last action learns to copy it, and
    then goes on with whatever it did first (the copycat problem; de Haan et al., 2019, "Causal
    confusion in imitation learning"). What is shuffled cannot be relied on.

    Args:
        obs: ``(..., O)``; not changed in place.
        columns: Which columns show the last action.
        share: Probability that an observation is given another's.
        generator: Source of randomness.
    """
    if not columns or share == 0.0:
        return obs
    flat = obs.reshape(-1, obs.shape[-1]).clone()
    at = list(columns)
    shown = flat[:, at]
    given = parallel.all_rows(shown)
    order = torch.randperm(len(given), generator=generator, device=generator.device)
    order = parallel.own_rows(order).to(obs.device)
    swap = uniform((len(flat), 1), generator, obs.device) < share
    flat[:, at] = torch.where(swap, given[order], shown)
    return flat.view_as(obs)


def receive(
    messages: Tensor, neighbours: Tensor, carry: Carry, max_age: int
) -> tuple[Tensor, Tensor, Carry]:
    """Mean field of what arrives now, lost messages replaced by the last ones from that slot.

    A slot of the neighbour table that was filled before and is -1 now is a lost message: its last
    value counts for at most ``max_age`` steps. A slot that was never filled counts for nothing.
    The neighbour table must not reorder its slots within an episode.

    A carry with ``"delay"`` (`networld_algos.base.Carry`) delivers what was sent so many steps ago;
    what is on its way is the entry ``"in_flight"``. Nothing arrives in the first steps.

    Args:
        messages: ``(E, N, M)`` sent now.
        neighbours: ``(E, N, D)`` int64, -1 for none or lost.
        carry: Of the receiving agents.
        max_age: Steps a message stays in use; 0 uses only what arrives now.

    Returns:
        Mean ``(E, N, M)``, presence ``(E, N, 1)``, and the entries ``held`` ``(E, N, D, M)`` and
        ``age`` ``(E, N, D)`` of the next carry.
    """
    arrived = neighbours >= 0
    memory: Carry = {}
    if delay := carry.get("delay", 0):
        in_flight = (*carry.get("in_flight", ()), messages)  # oldest first, each (E, N, M)
        memory["in_flight"] = in_flight[-delay:]
        messages = in_flight[0]
        if len(in_flight) <= delay:
            arrived = torch.zeros_like(arrived)
    held = torch.where(arrived.unsqueeze(-1), gather_neighbours(messages, neighbours), 0.0)
    age = torch.where(arrived, 0, max_age + 1)
    if "held" in carry:
        held = torch.where(arrived.unsqueeze(-1), held, carry["held"])
        age = torch.where(arrived, 0, (carry["age"] + 1).clamp(max=max_age + 1))
    usable = (age <= max_age).to(messages.dtype)
    count = usable.sum(-1, keepdim=True)
    mean = (held * usable.unsqueeze(-1)).sum(-2) / count.clamp(min=1.0)
    return mean, (count > 0).to(messages.dtype), {**memory, "held": held, "age": age}
