"""Behaviour cloning: the reference every offline method has to beat.

``min_theta  E_D [ -log pi_theta(a_i | o_i, m_i) ]`` with ``m_i`` the mean of the neighbours'
features. Continuous actions are two-hot coded, see `networld_algos.twohot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from networld_algos import check
from networld_algos.base import Algorithm, Carry, mean_over_neighbours
from networld_algos.batch import Batch, Episodes
from networld_algos.features import MESSAGE_MAX_AGE, ObsFeatures, receive, shuffle_last_action
from networld_algos.nets import (
    adam,
    cosine_decay,
    masked_mean,
    mlp,
    seeded,
    set_learning_rate,
    step,
)
from networld_algos.twohot import DECODES, ActionHead, Decode
from networld_envs.spec import TaskSpec


@dataclass(frozen=True)
class BCConfig:
    """Behaviour cloning with the loss ``-log pi(a | o, m)`` (two-hot cross-entropy for a box).

    Attributes:
        hidden: Width of the hidden layers.
        layers: Number of hidden layers.
        bins: Bins of each column of a continuous action.
        learning_rate: Of Adam, decayed to zero along a cosine.
        batch_size: Windows (whole teams, one step) in an update.
        action_dropout: Share of observations whose last action is another's, see
            `shuffle_last_action`.
        mean_field: Let agents send their features and see the neighbours' mean.
        message_max_age: Steps the last message of a neighbour stands in for lost ones.
        decode: ``"argmax"``, ``"expectation"`` or ``"sample"``, see `ActionHead`.
        temperature: Of ``"sample"``.
    """

    hidden: int = 256
    layers: int = 2
    bins: int = 51
    learning_rate: float = 1e-3
    batch_size: int = 16
    action_dropout: float = 1.0
    mean_field: bool = True
    message_max_age: int = MESSAGE_MAX_AGE
    decode: Decode = "expectation"
    temperature: float = 0.7

    def __post_init__(self) -> None:
        check.positive_int(self, "hidden", "layers", "batch_size")
        check.at_least(self, 2, "bins")
        check.at_least(self, 0, "message_max_age")
        check.positive(self, "learning_rate", "temperature")
        check.within(self, 0.0, 1.0, "action_dropout")
        check.flag(self, "mean_field")
        check.one_of(self, "decode", DECODES)


class BC(Algorithm):
    """Behaviour cloning with shared parameters, see `BCConfig`."""

    name = "bc"
    decision_fields = ("decode", "temperature", "message_max_age")
    config: BCConfig

    def __init__(self, specs: Sequence[TaskSpec], config: BCConfig, seed: int) -> None:
        super().__init__(specs, config, seed)
        self.spec = self.single_spec()
        self.features = ObsFeatures(self.spec.obs_dim)
        width = self.spec.obs_dim * 2 + 1 if config.mean_field else self.spec.obs_dim
        with seeded(seed):
            hidden = [config.hidden] * config.layers
            self.trunk = mlp([width, *hidden], activate_last=True)
            self.head = ActionHead(self.spec, config.hidden, config.bins)
        self.optimizer = adam(self.parameters(), config.learning_rate)

    @property
    def window(self) -> int:
        """One step."""
        return 1

    @property
    def batch_size(self) -> int:
        """See `BCConfig`."""
        return self.config.batch_size

    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Fit the feature statistics and the range of the action bins."""
        self.start(episodes, total_updates)
        self.features.fit(episodes)
        self.head.set_range(*action_range(episodes))

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """One step on the cloning loss."""
        self.known(batch.task, prepared=True)
        loss = self.cloning_loss(batch, generator)
        decay = cosine_decay(self.counters["updates"], self.counters["total_updates"])
        set_learning_rate(self.optimizer, self.config.learning_rate * decay)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        step(self.optimizer)
        self.counters["updates"] += 1
        return {"cloning_loss": loss.item()}

    def cloning_loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """``E[-log pi(a | o, m)]`` over real steps."""
        share, columns = self.config.action_dropout, self.spec.last_action
        obs = shuffle_last_action(batch.obs[:, :-1], columns, share, generator)
        features = self.features(obs)  # (B, T, N, O)
        inputs = features
        if self.config.mean_field:
            table = batch.neighbours[:, None].expand(-1, features.shape[1], -1, -1)
            inputs = torch.cat([features, *mean_over_neighbours(features, table)], dim=-1)
        losses = self.head.loss(self.head(self.trunk(inputs)), batch.actions)  # (B, T, N)
        return masked_mean(losses, batch.mask.unsqueeze(-1).expand_as(losses).to(losses.dtype))

    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """The standardised observation, or None without a mean field."""
        del carry
        return self.features(obs) if self.config.mean_field else None

    @torch.no_grad()
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """Decode the action head, see `BCConfig.decode`."""
        self.known(carry["task"])
        inputs, memory = self.features(obs), {}
        message = self.message(obs, carry)
        if message is not None:
            age = self.config.message_max_age
            mean, present, memory = receive(message, neighbours, carry, age)
            inputs = torch.cat([inputs, mean, present], dim=-1)
        logits = self.head(self.trunk(inputs))
        config = self.config
        actions = self.head.decode(logits, config.decode, config.temperature, generator)
        return actions, {**carry, **memory}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One Adam."""
        return {"policy": self.optimizer}


def action_range(episodes: Episodes) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each action column over real steps, both ``(A,)``."""
    actions = episodes.actions[episodes.step_mask]
    rows = torch.as_tensor(actions.reshape(-1, episodes.spec.action_dim), dtype=torch.float32)
    return rows.amin(0), rows.amax(0)
