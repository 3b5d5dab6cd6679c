"""Configuration of MA-CQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from networld_algos.data.returns import ReturnOf
from networld_algos.nn.action_head import DECODES, Decode
from networld_algos.nn.inputs import InputsConfig
from networld_algos.nn.layers import NetworkKind
from networld_envs import validate

PAPER: dict[str, Any] = {
    "margin": None,
    "cloning_share": 0.0,
    "cloning_weight": 0.0,
    "actor_learning_rate": 1e-4,
    "decay": False,
}
"""The preset ``"paper"``: penalty, policy loss and learning rates as published."""


@dataclass(frozen=True)
class MACQLConfig(InputsConfig):
    """Conservative Q-learning; the losses are in the module's docstring.

    Attributes:
        network: ``"gated"`` or ``"mlp"``, see `networld_algos.nn.layers.Hidden`: the policy for box
            actions, whose critics are always MLPs, or the critic for choices.
        hidden: Width of the hidden layers of all networks.
        layers: Number of hidden layers or blocks.
        conservative_weight: ``alpha``. None means 10 for box actions and 1 for choices. With box
            actions, 5 suits mixed data.
        margin: For box actions, how far above others actions of the data have to be valued, in
            deviations of the reward. None puts no limit to it, as in the paper, and may diverge.
        cloning_share: For box actions, share of the updates, from the first, in which the policy
            clones the data.
        cloning_weight: For box actions, weight of the cloning loss in the policy's loss after that,
            as in TD3+BC (Fujimoto and Gu, 2021); 0 is the paper.
        action_samples: ``n``, for box actions.
        discount: ``gamma``.
        polyak: Rate at which target critics follow the critics.
        learning_rate: Learning rate of Adam for the critics and for ``eta``.
        actor_learning_rate: Learning rate of Adam for the actor.
        decay: Whether the learning rate of what decides, the actor or the critic of choices, decays
            to zero along a cosine, as in the other methods.
        batch_size: Windows per update; each is one step of a whole team.
        return_of: Whose reward counts, see `networld_algos.data.returns`.
        centre_rewards: Subtract the mean from rewards, unless episodes terminate.
        decode: ``"argmax"``, ``"expectation"`` (rounded; for ordered actions) or ``"sample"`` from
            the softmax of Q. Box actions take the mean of the policy for either of the first two.
        temperature: Used by ``"sample"``: divides Q, or multiplies the standard deviation of the
            Gaussian.
    """

    network: NetworkKind = "gated"
    hidden: int = 256
    layers: int = 2
    conservative_weight: float | None = None
    margin: float | None = 5.0
    cloning_share: float = 0.2
    cloning_weight: float = 0.3
    action_samples: int = 10
    discount: float = 0.99
    polyak: float = 0.005
    learning_rate: float = 3e-4
    actor_learning_rate: float = 3e-4
    decay: bool = True
    batch_size: int = 8
    return_of: ReturnOf = "agent"
    centre_rewards: bool = True
    decode: Decode = "expectation"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.one_of(self, "network", get_args(NetworkKind))
        validate.integer(self, "hidden", "layers", "action_samples", "batch_size", low=1)
        validate.real(
            self, "polyak", "learning_rate", "actor_learning_rate", "temperature", above=0.0
        )
        validate.real(self, "discount", "polyak", "cloning_share", low=0.0, high=1.0)
        validate.real(self, "cloning_weight", low=0.0, high=1e6)
        if self.conservative_weight is not None:
            validate.real(self, "conservative_weight", low=0.0, high=1e6)
        if self.margin is not None:
            validate.real(self, "margin", low=0.0, high=1e6)
        validate.one_of(self, "return_of", get_args(ReturnOf))
        validate.flag(self, "centre_rewards", "decay")
        validate.one_of(self, "decode", DECODES)
