"""What an agent knows: its own features and, with a mean field, the mean of its neighbours'."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networld_algos.base import Carry
from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.data.neighbours import mean_over_neighbours
from networld_algos.nn.features import FeatureKind, ObsFeatures, shuffle_last_action
from networld_algos.nn.messages import receive
from networld_envs.spec import TaskSpec


class LocalInputs(nn.Module):
    """``x = [f(o_i); mean of f(o_j) over neighbours j; 1 if there are any]``, or ``f(o_i)`` alone.

    Args:
        spec: The task.
        mean_field: Whether agents send their features to their 1-hop neighbours.
        features: Kind of features, see `ObsFeatures`.

    Attributes:
        width: Columns ``F`` of x.
    """

    def __init__(self, spec: TaskSpec, mean_field: bool, features: FeatureKind) -> None:
        super().__init__()
        self.features = ObsFeatures(spec.obs_dim, features)
        self.mean_field = mean_field
        self.last_action = spec.last_action
        self.width = 2 * self.features.width + 1 if mean_field else self.features.width

    def fit(self, episodes: Episodes) -> None:
        """Fit the statistics of the features."""
        self.features.fit(episodes)

    def forward(self, batch: Batch, action_dropout: float, generator: torch.Generator) -> Tensor:
        """Inputs ``(B, T+1, N, F)`` of a batch.

        Args:
            batch: Windows of whole teams.
            action_dropout: Share of observations that show another one's last action, see
                `networld_algos.nn.features.shuffle_last_action`.
            generator: Chooses which.
        """
        obs = shuffle_last_action(batch.obs, self.last_action, action_dropout, generator)
        features = self.features(obs)
        if not self.mean_field:
            return features
        table = batch.neighbours[:, None].expand(-1, features.shape[1], -1, -1)
        return torch.cat([features, *mean_over_neighbours(features, table)], dim=-1)

    def message(self, obs: Tensor) -> Tensor | None:
        """The features ``(E, N, .)``, or None without a mean field."""
        return self.features(obs) if self.mean_field else None

    def receive(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, max_age: int
    ) -> tuple[Tensor, Carry]:
        """Inputs ``(E, N, F)`` of an acting team, and the messages it keeps as carry entries.

        Args:
            obs: ``(E, N, O)``.
            neighbours: ``(E, N, D)`` int64, padded with -1.
            carry: History of the team.
            max_age: Steps for which a neighbour's last message replaces lost ones.
        """
        features = self.features(obs)
        if not self.mean_field:
            return features, {}
        mean, present, memory = receive(features, neighbours, carry, max_age)
        return torch.cat([features, mean, present], dim=-1), memory
