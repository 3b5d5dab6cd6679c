"""What an agent knows: its own features and, with a mean field, what its neighbours send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from networld_algos.base import Carry
from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.data.symmetry import shared_groups
from networld_algos.nn.entities import ENTITIES, EntityFeatures, EntityKind
from networld_algos.nn.features import FEATURES, FeatureKind, ObsFeatures, shuffle_last_action
from networld_algos.nn.layers import mlp
from networld_algos.nn.messages import (
    AGGREGATES,
    MESSAGE_MAX_AGE,
    MESSAGE_WIDTH,
    Aggregate,
    MeanField,
    collect,
    drop_messages,
    features_sent,
)
from networld_envs import validate
from networld_envs.spec import TaskSpec

LocalMessage = Literal["features", "learned"]

SENDER_HIDDEN = 128


@dataclass(frozen=True)
class InputsConfig:
    """Settings of what an agent knows, the same for every baseline.

    Attributes:
        features: Features of observations, see `ObsFeatures`.
        action_dropout: Share of training observations that show another observation's last action,
            see `shuffle_last_action`.
        mean_field: Whether agents exchange messages with their 1-hop neighbours.
        message: ``"features"`` sends the features, if they are at most 64 floats; ``"learned"``
            sends 64 floats computed from them by a network that the policy's loss trains.
        aggregate: How a receiver combines messages: ``"mean"``, ``"softmax"`` or
            ``"difference"``, see `MeanField`. The mean field of the literature is ``"mean"``.
        message_dropout: Share of messages that are lost in training.
        message_max_age: Steps for which a neighbour's last message replaces lost ones; with 0, an
            agent decides by the messages that arrive.
        episode_beta: Above 0, windows are drawn more often from episodes that went better than
            their first observations predict, for data of several behaviours. This is the
            inverse temperature, see `networld_algos.data.behaviour`.
        entities: ``"shared"``: where a task lists interchangeable entities, one network reads each
            of them, see `networld_algos.nn.entities`. ``"flat"``: their columns are features like
            others.
    """

    FEATURES: ClassVar[tuple[str, ...]] = FEATURES
    MESSAGES: ClassVar[tuple[str, ...]] = get_args(LocalMessage)

    features: FeatureKind = "both"
    action_dropout: float = 1.0
    mean_field: bool = True
    message: LocalMessage = "learned"
    aggregate: Aggregate = "difference"
    message_dropout: float = 0.0
    message_max_age: int = MESSAGE_MAX_AGE
    episode_beta: float = 0.0
    entities: EntityKind = "shared"

    def __post_init__(self) -> None:
        validate.one_of(self, "features", self.FEATURES)
        validate.real(self, "action_dropout", "message_dropout", low=0.0, high=1.0)
        validate.flag(self, "mean_field")
        validate.one_of(self, "message", self.MESSAGES)
        validate.one_of(self, "aggregate", AGGREGATES)
        validate.integer(self, "message_max_age", low=0)
        validate.real(self, "episode_beta", low=0.0, high=100.0)
        validate.one_of(self, "entities", ENTITIES)


class LocalInputs(nn.Module):
    """``x = [f(o_i); m_i; 1 if there are neighbours]``, or ``f(o_i)`` alone without a mean field.

    ``m_i`` combines the messages of the neighbours, see `MeanField`. If entities share weights,
    f(o_i) has the columns of no entity, then what is combined of the entities.

    Args:
        spec: The task.
        config: See `InputsConfig`.

    Attributes:
        own_width: Leading columns of x that are functions of the observation without weights.
        width: Columns ``F`` of x.
    """

    def __init__(self, spec: TaskSpec, config: InputsConfig) -> None:
        super().__init__()
        self.features: ObsFeatures | EntityFeatures
        if config.entities == "shared" and shared_groups(spec):
            self.features = EntityFeatures(spec, config.features)
            self.own_width = self.features.own.width
        else:
            self.features = ObsFeatures(spec.obs_dim, config.features)
            self.own_width = self.features.width
        self.config = config
        self.last_action = spec.last_action
        self.sender = self.field = None
        self.width = self.features.width
        if not config.mean_field:
            return
        if config.message == "learned":
            sent = MESSAGE_WIDTH
            self.sender = mlp([self.features.width, SENDER_HIDDEN, sent])
        else:
            sent = features_sent(self.own_width, spec.task)
        fixed = config.message == "features"
        out = MESSAGE_WIDTH if fixed and config.aggregate != "mean" else None
        self.field = MeanField(sent, config.aggregate, extremes=fixed, out=out)
        self.width += self.field.width + 1

    def fit(self, episodes: Episodes) -> None:
        """Fit the statistics of the features."""
        self.features.fit(episodes)

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Inputs ``(B, T+1, N, F)`` of a batch, with shuffled last actions and lost messages.

        Args:
            batch: Windows of whole teams.
            generator: Chooses which actions are shuffled and which messages are lost.
        """
        return self.of_obs(*self.drawn(batch, generator))

    def drawn(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Observations ``(B, T+1, N, O)`` with shuffled last actions, and neighbours ``(B, N, D)``.

        Neighbours whose messages are lost in training are -1.
        """
        share = self.config.action_dropout
        obs = shuffle_last_action(batch.obs, self.last_action, share, generator)
        if self.field is None:
            return obs, batch.neighbours
        return obs, drop_messages(batch.neighbours, self.config.message_dropout, generator)

    def of_obs(self, obs: Tensor, neighbours: Tensor) -> Tensor:
        """Inputs ``(B, T, N, F)`` of observations ``(B, T, N, O)`` and neighbours ``(B, N, D)``."""
        features = self.features(obs)
        if self.field is None:
            return features
        table = neighbours[:, None].expand(-1, features.shape[1], -1, -1)
        return torch.cat([features, *self.field.of_team(self.sent(features), table)], dim=-1)

    def message(self, obs: Tensor) -> Tensor | None:
        """The messages ``(E, N, M)``, or None without a mean field."""
        if self.field is None:
            return None
        with torch.no_grad():
            return self.sent(self.features(obs))

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
        if self.field is None:
            return features, {}
        sent = self.sent(features)
        held, usable, memory = collect(sent, neighbours, carry, max_age)
        return torch.cat([features, *self.field(sent, held, usable)], dim=-1), memory

    def sent(self, features: Tensor) -> Tensor:
        """Messages ``(..., M)`` of agents with features ``(..., F)``."""
        return features[..., : self.own_width] if self.sender is None else self.sender(features)
