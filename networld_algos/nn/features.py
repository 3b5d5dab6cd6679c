"""Observation features, running standardisation, and shuffled last actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networld_algos.data.episodes import Episodes
from networld_algos.data.symmetry import FEW_EPISODES, Renumbering
from networld_algos.nn import sharding
from networld_algos.nn.random import uniform
from networld_algos.nn.twohot import symlog

CLIP = 10.0
"""Bound of a standardised feature before the range of the data is known, and the widest range."""
SLACK = 0.5
"""Deviations by which the range is wider than the data: a network may extrapolate a little."""
CONSTANT = 1e-6
"""Deviation of a feature, relative to its largest value, up to which it counts as constant."""

CHUNK = 32  # episodes whose features are computed at a time

FeatureKind = Literal["symlog", "linear", "both"]

FEATURES = get_args(FeatureKind)


def feature_width(obs_dim: int, kind: FeatureKind) -> int:
    """Columns ``F`` of the features of observations of length ``obs_dim``."""
    return 2 * obs_dim if kind == "both" else obs_dim


class ObsFeatures(nn.Module):
    """``(f(o) - mean) / std`` with the statistics of a dataset; f is symlog, the identity, or both.

    Symlog separates small values and the identity separates large ones. For example, backlogs
    larger than any in the data are nearly equal after symlog. A feature that is constant in the
    data keeps unit scale. Features are clipped to the range that they have in the data, and half a
    deviation more: no network has learned what lies beyond, and one column out there spoils every
    decision.

    Args:
        obs_dim: Length ``O`` of an observation.
        kind: ``"symlog"``, ``"linear"``, or ``"both"``: one after the other.
        columns: ``(C,)`` columns of the observation that are meant, or ``(K, C)`` of K entities,
            which share statistics; all by default.

    Attributes:
        width: Columns ``F``: as many as the columns, or twice as many with both.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor
    columns: Tensor | None

    def __init__(
        self,
        obs_dim: int,
        kind: FeatureKind = "symlog",
        columns: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        at = None if columns is None else torch.from_numpy(columns)
        self.register_buffer("columns", at, persistent=False)
        self.width = feature_width(obs_dim if columns is None else columns.shape[-1], kind)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))
        self.register_buffer("low", torch.full((self.width,), -CLIP))
        self.register_buffer("high", torch.full((self.width,), CLIP))
        self.register_load_state_dict_pre_hook(_default_range_of_old_models)

    def fit(self, episodes: Episodes) -> None:
        """Set mean, deviation and range to those of all real observations of all agents."""
        total = square = np.zeros(self.width)
        low, high = np.full(self.width, np.inf), np.full(self.width, -np.inf)
        count = 0
        for values in self._chunks(episodes):
            total = total + values.sum(axis=0)
            square = square + (values**2).sum(axis=0)
            low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
            count += len(values)
        mean = total / count
        std = np.sqrt(np.maximum(square / count - mean**2, 0.0))
        std[std <= CONSTANT * np.maximum(np.abs(low), np.abs(high))] = 1.0
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))
        low, high = self._in_training(episodes, low, high)
        self.low.copy_(torch.from_numpy(np.maximum((low - mean) / std - SLACK, -CLIP)))
        self.high.copy_(torch.from_numpy(np.minimum((high - mean) / std + SLACK, CLIP)))

    def widen(self, episodes: Episodes) -> None:
        """Extend the range to that of further data; mean and standard deviation stay."""
        found = [(values.min(axis=0), values.max(axis=0)) for values in self._chunks(episodes)]
        lows, highs = zip(*found, strict=True)
        ends = self._in_training(episodes, np.min(lows, axis=0), np.max(highs, axis=0))
        low, high = ((torch.from_numpy(x).to(self.mean) - self.mean) / self.std for x in ends)
        self.low.copy_(torch.minimum(self.low, low - SLACK).clamp(min=-CLIP))
        self.high.copy_(torch.maximum(self.high, high + SLACK).clamp(max=CLIP))

    def _in_training(
        self, episodes: Episodes, low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The range that features have in training, from that in the data, ``(F,)`` each.

        Training windows are reflected, and few episodes have their entities renumbered.
        """
        spec = episodes.spec
        columns = np.arange(spec.obs_dim) if self.columns is None else self.columns.cpu().numpy()
        width = columns.shape[-1]  # each kind of feature has so many columns
        signs = np.isin(columns, spec.mirrored_obs).reshape(-1, width).any(axis=0)
        mirrored = np.tile(signs, self.width // width)
        far = np.maximum(np.abs(low), np.abs(high))
        low, high = np.where(mirrored, -far, low), np.where(mirrored, far, high)
        if self.columns is None and len(episodes) <= FEW_EPISODES:
            for table in (table for table, _ in Renumbering(spec).groups if len(table)):
                for start in range(0, self.width, width):
                    at = table + start
                    low[at], high[at] = low[at].min(axis=0), high[at].max(axis=0)
        return low, high

    def _chunks(self, episodes: Episodes) -> Iterator[NDArray[np.float64]]:
        """Features ``(rows, F)`` before they are standardised, of some episodes at a time."""
        for start in range(0, len(episodes), CHUNK):
            obs = torch.as_tensor(episodes.obs[start : start + CHUNK], dtype=torch.float64)
            lengths = torch.as_tensor(episodes.lengths[start : start + CHUNK])
            real = torch.arange(obs.shape[1]) <= lengths[:, None]  # the final observation counts
            yield self._values(obs[real].to(self.mean.device)).flatten(0, -2).cpu().numpy()

    def forward(self, obs: Tensor) -> Tensor:
        """``(..., O)`` raw to ``(..., F)`` features, or ``(..., K, F)`` of K entities."""
        return torch.minimum(torch.maximum(self.unclipped(obs), self.low), self.high)

    def unclipped(self, obs: Tensor) -> Tensor:
        """As `forward`, but features beyond the range of the data stay as they are."""
        return (self._values(obs) - self.mean) / self.std

    def _values(self, obs: Tensor) -> Tensor:
        if self.columns is not None:
            obs = obs[..., self.columns.to(obs.device)]
        if self.kind == "linear":
            return obs
        return symlog(obs) if self.kind == "symlog" else torch.cat([symlog(obs), obs], dim=-1)


def _default_range_of_old_models(
    module: nn.Module, state_dict: dict[str, Any], prefix: str, *args: Any
) -> None:
    """Load a model of an earlier version, which has no range."""
    del args
    for name in ("low", "high"):
        state_dict.setdefault(prefix + name, getattr(module, name))


class RunningStandardiser(nn.Module):
    """Zero mean and unit variance per column, without learned scale or shift.

    `batch` uses the statistics of the given rows, with gradients, and updates the running
    statistics. Calling the module uses the running statistics.

    Args:
        dim: Number of columns.
        momentum: Weight of a new batch in the running statistics.

    Attributes:
        frozen: Whether `batch` uses the running statistics too and leaves them as they are.
    """

    EPS = 1e-5

    mean: Tensor
    var: Tensor

    def __init__(self, dim: int, momentum: float = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        self.frozen = False
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("var", torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., dim)`` standardised with the running statistics."""
        return (x - self.mean) * torch.rsqrt(self.var + self.EPS)

    def batch(self, x: Tensor) -> Tensor:
        """``(..., dim)`` standardised with its own statistics; there must be more than one row."""
        if self.frozen:
            return self(x)
        rows = x.reshape(-1, x.shape[-1])
        if sharding.shard() is None:
            var, mean = torch.var_mean(rows, dim=0, correction=0)
        else:
            count = sharding.total(rows.new_tensor(float(len(rows))))
            mean = sharding.total(rows.sum(0)) / count
            var = sharding.total(((rows - mean) ** 2).sum(0)) / count
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
    """Replace the last action shown in a share of the observations by that of random others.

    Demonstrators often repeat an action. A model that sees the last action learns to copy it and
    then repeats whatever it did first (the copycat problem; de Haan et al., 2019, "Causal confusion
    in imitation learning"). It cannot rely on a shuffled action.

    Args:
        obs: ``(..., O)``; not changed in place.
        columns: Columns that show the last action.
        share: Probability that an observation shows another one's last action.
        generator: Source of randomness.
    """
    if not columns or share == 0.0:
        return obs
    flat = obs.reshape(-1, obs.shape[-1]).clone()
    at = list(columns)
    shown = flat[:, at]
    given = sharding.all_rows(shown)
    order = torch.randperm(len(given), generator=generator, device=generator.device)
    order = sharding.own_rows(order).to(obs.device)
    swap = uniform((len(flat), 1), generator, obs.device) < share
    flat[:, at] = torch.where(swap, given[order], shown)
    return flat.view_as(obs)
