"""Behaviour cloning: the reference that every offline method has to beat.

``min_theta  E_D [ -log pi_theta(a_i | o_i, m_i) ]``, where ``m_i`` combines the neighbours'
messages. Continuous actions are two-hot coded, see `networld_algos.nn.twohot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from networld_algos.base import Algorithm, Carry, Range
from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.nn.action_head import DECODES, ActionHead, Decode
from networld_algos.nn.inputs import InputsConfig, LocalInputs
from networld_algos.nn.layers import Hidden, NetworkKind
from networld_algos.nn.losses import masked_mean
from networld_algos.nn.optim import MAX_GRAD_NORM, adam, anneal, descend
from networld_algos.nn.random import seeded
from networld_algos.results.display import MethodLook
from networld_envs import validate
from networld_envs.spec import TaskSpec


@dataclass(frozen=True)
class BCConfig(InputsConfig):
    """Behaviour cloning with the loss ``-log pi(a | o, m)`` (two-hot cross-entropy for a box).

    Attributes:
        network: ``"gated"`` or ``"mlp"``, see `networld_algos.nn.layers.Hidden`.
        hidden: Width of the hidden layers.
        layers: Number of hidden layers or blocks.
        bins: Bins for each column of a continuous action.
        learning_rate: Learning rate of Adam; decays to zero along a cosine.
        batch_size: Windows per update; each is one step of a whole team.
        decode: ``"argmax"``, ``"expectation"`` or ``"sample"``, see `ActionHead`.
        temperature: Divides the logits of ``"sample"``.
    """

    network: NetworkKind = "gated"
    hidden: int = 256
    layers: int = 3
    bins: int = 51
    learning_rate: float = 1e-3
    batch_size: int = 16
    decode: Decode = "expectation"
    temperature: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.one_of(self, "network", get_args(NetworkKind))
        validate.integer(self, "hidden", "layers", "batch_size", low=1)
        validate.integer(self, "bins", low=2)
        validate.real(self, "learning_rate", "temperature", above=0.0)
        validate.one_of(self, "decode", DECODES)


class BC(Algorithm):
    """Behaviour cloning with shared parameters, see `BCConfig`."""

    name = "bc"
    look = MethodLook("BC", "#0072B2", "s")
    budget = 2_400
    update_s = 0.0145
    decision_fields = ("decode", "temperature", "message_max_age")
    search: ClassVar = {
        "learning_rate": Range(3e-4, 5e-3, log=True),
        "batch_size": (8, 16, 32),
        "layers": Range(2, 4),
        "episode_beta": (0.0, 1.0, 2.0),
        "decode": ("argmax", "expectation"),
    }
    config: BCConfig

    def __init__(self, specs: Sequence[TaskSpec], config: BCConfig, seed: int) -> None:
        super().__init__(specs, config, seed)
        self.spec = self.single_spec()
        hidden = Hidden(config.network, config.hidden, config.layers)
        with seeded(seed):
            self.inputs = LocalInputs(self.spec, config)
            self.trunk = hidden.trunk(self.inputs.width)
            self.head = ActionHead(self.spec, config.hidden, config.bins)
        self.optimizer = adam(self.parameters(), config.learning_rate)

    @property
    def window(self) -> int:
        """One step."""
        return 1

    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Fit the feature statistics and the range of the action bins."""
        self.start(episodes, total_updates)
        self.inputs.fit(episodes)
        self.head.set_range(*episodes.action_range)

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Take one step on the cloning loss."""
        self.known(batch.task, prepared=True)
        loss = self.cloning_loss(batch, generator)
        anneal(self.optimizer, self.config.learning_rate, self.counters)
        descend(self.optimizer, loss, MAX_GRAD_NORM)
        self.counters["updates"] += 1
        return {"cloning_loss": loss.item()}

    def cloning_loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """``E[-log pi(a | o, m)]`` over real steps."""
        inputs = self.inputs(batch, generator)[:, :-1]
        losses = self.head.loss(self.head(self.trunk(inputs)), batch.actions)  # (B, T, N)
        return masked_mean(losses, batch.mask.unsqueeze(-1).expand_as(losses).to(losses.dtype))

    @torch.no_grad()
    def validation_loss(self, batch: Batch, generator: torch.Generator) -> float:
        """The cloning loss."""
        return self.cloning_loss(batch, generator).item()

    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """The features or a learned message, or None without a mean field."""
        del carry
        return self.inputs.message(obs)

    @torch.no_grad()
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """Decode the action head, see `BCConfig.decode`."""
        self.known(carry["task"])
        config = self.config
        inputs, memory = self.inputs.receive(obs, neighbours, carry, config.message_max_age)
        logits = self.head(self.trunk(inputs))
        actions = self.head.decode(logits, config.decode, config.temperature, generator)
        return actions, {**carry, **memory}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One Adam."""
        return {"policy": self.optimizer}
