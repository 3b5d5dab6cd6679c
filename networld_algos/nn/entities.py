"""One network for every entity that an observation lists, such as the users of a base station.

A task can say which columns belong to interchangeable entities (`networld_algos.data.symmetry`).
With ``entities="shared"`` all of them go through the same small network, and what it says of them
is combined as messages are (`MeanField`)::

    e_k   features of entity k, standardised with statistics that all entities share
    c     combined over k: mean of h(e_k) in half of the channels, L of h(e_k) in the others

So the order of the entities changes nothing, each one teaches the network about all others, and
another number of entities needs no other weights.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from networld_algos.data.episodes import Episodes
from networld_algos.data.symmetry import Table, own_columns, shared_groups
from networld_algos.nn.features import FeatureKind, ObsFeatures
from networld_algos.nn.layers import mlp
from networld_algos.nn.messages import MeanField
from networld_envs.spec import TaskSpec

EntityKind = Literal["flat", "shared"]

ENTITIES: tuple[str, ...] = get_args(EntityKind)

ENTITY_WIDTH = 64
"""Channels of what is said of one entity, by default, and of what is combined."""


class Entities(nn.Module):
    """What is combined of the entities of an observation.

    Args:
        spec: A task with `shared_groups`.
        kind: Features of an entity's columns, see `ObsFeatures`.
        width: Channels of the result. Groups of entities are added up.
    """

    def __init__(self, spec: TaskSpec, kind: FeatureKind, width: int = ENTITY_WIDTH) -> None:
        super().__init__()
        groups = (EntityGroup(spec.obs_dim, table, kind, width) for table in shared_groups(spec))
        self.groups = nn.ModuleList(groups)
        self.width = width

    def fit(self, episodes: Episodes) -> None:
        """Fit the statistics of the features, over all entities of a group."""
        for group in self.groups:
            assert isinstance(group, EntityGroup)
            group.features.fit(episodes)

    def forward(self, obs: Tensor) -> Tensor:
        """``(..., O)`` raw to ``(..., width)``."""
        return torch.stack([group(obs) for group in self.groups]).sum(0)


class EntityGroup(nn.Module):
    """What is combined of one group of entities: ``(..., O)`` raw to ``(..., width)``.

    Args:
        obs_dim: Length ``O`` of an observation.
        table: ``(K, C)`` columns of each entity.
        kind: Features of the columns, see `ObsFeatures`.
        width: Channels of the result.
    """

    def __init__(self, obs_dim: int, table: Table, kind: FeatureKind, width: int) -> None:
        super().__init__()
        self.features = ObsFeatures(obs_dim, kind, table)
        self.net = mlp([self.features.width, width, width])
        self.field = MeanField(width, "softmax")

    def forward(self, obs: Tensor) -> Tensor:
        """Combine the entities."""
        said = self.net(self.features(obs))  # (..., K, width)
        combined, _ = self.field(said[..., 0, :], said, None)
        return combined


class EntityFeatures(nn.Module):
    """Features of an observation: the agent's own columns, then the combined entities.

    Args:
        spec: The task.
        kind: Features of the columns, see `ObsFeatures`.

    Attributes:
        own: Features of the columns that belong to no entity.
        width: Columns ``F`` of all.
    """

    def __init__(self, spec: TaskSpec, kind: FeatureKind) -> None:
        super().__init__()
        self.own = ObsFeatures(spec.obs_dim, kind, own_columns(spec))
        self.entities = Entities(spec, kind)
        self.width = self.own.width + self.entities.width

    def fit(self, episodes: Episodes) -> None:
        """Fit the statistics of all features."""
        self.own.fit(episodes)
        self.entities.fit(episodes)

    def forward(self, obs: Tensor) -> Tensor:
        """``(..., O)`` raw to ``(..., F)``."""
        return torch.cat([self.own(obs), self.entities(obs)], dim=-1)
