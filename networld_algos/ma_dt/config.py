"""Configuration of MA-DT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from networld_algos.data.returns import (
    ReturnOf,
)
from networld_algos.nn.action_head import DECODES, Decode
from networld_algos.nn.features import FEATURES, FeatureKind
from networld_algos.nn.messages import MESSAGE_MAX_AGE
from networld_envs import validate

BoxLoss = Literal["mse", "two-hot"]


@dataclass(frozen=True)
class MADTConfig:
    """Decision Transformer; tokens and losses are in the module's docstring.

    Attributes:
        context: Steps of a window.
        kept: Latest steps that stay when an acting agent's window overflows; it then grows again
            to ``context``, each step adding to cached keys and values. ``kept = context`` slides
            the window as in the paper, and encodes all of it anew at each step.
        hidden: Width of a token.
        layers: Number of blocks.
        heads: Attention heads.
        dropout: Of embeddings, attention weights and both branches of each block.
        max_steps: Longest episode that can be learned; later steps count as the last one seen.
        box_loss: ``"mse"`` or ``"two-hot"``.
        bins: Bins of each column, ``"two-hot"``.
        target_quantile: Return to ask for, as a quantile of those in the data.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        warmup: Share of the updates in which the learning rate rises to its value.
        batch_size: Windows (whole teams) in an update.
        sequences: Agents' sequences drawn from them.
        action_dropout: Share of observations whose last action is another's, see
            `shuffle_last_action`.
        action_tokens: Show past actions.
        return_of: Whose reward counts, see `networld_algos.data.returns`.
        features: Of observations, see `ObsFeatures`.
        mean_field: Let agents send their features and see the neighbours' mean.
        message_max_age: Steps the last message of a neighbour stands in for lost ones.
        decode: ``"argmax"``, ``"expectation"`` or ``"sample"``, see `ActionHead`. With ``"mse"``
            the only action serves all three.
        temperature: Of ``"sample"``.
    """

    context: int = 20
    kept: int = 10
    hidden: int = 128
    layers: int = 3
    heads: int = 1
    dropout: float = 0.1
    max_steps: int = 256
    box_loss: BoxLoss = "mse"
    bins: int = 51
    target_quantile: float = 0.9
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    warmup: float = 0.1
    batch_size: int = 16
    sequences: int = 64
    action_dropout: float = 1.0
    action_tokens: bool = True
    return_of: ReturnOf = "agent"
    features: FeatureKind = "symlog"
    mean_field: bool = True
    message_max_age: int = MESSAGE_MAX_AGE
    decode: Decode = "expectation"
    temperature: float = 0.7

    def __post_init__(self) -> None:
        validate.integer(self, "context", "kept", "hidden", "layers", "heads", "max_steps", low=1)
        validate.integer(self, "batch_size", "sequences", low=1)
        validate.integer(self, "bins", low=2)
        validate.integer(self, "message_max_age", low=0)
        validate.real(self, "learning_rate", "temperature", above=0.0)
        validate.real(self, "target_quantile", "warmup", "action_dropout", low=0.0, high=1.0)
        validate.real(self, "dropout", "weight_decay", low=0.0, high=0.99)
        validate.one_of(self, "return_of", get_args(ReturnOf))
        validate.one_of(self, "features", FEATURES)
        validate.flag(self, "mean_field", "action_tokens")
        validate.one_of(self, "box_loss", get_args(BoxLoss))
        validate.one_of(self, "decode", DECODES)
        if self.hidden % self.heads:
            validate.fail(self, "hidden", f"a multiple of heads={self.heads}")
        if self.kept > self.context:
            validate.fail(self, "kept", f"at most context={self.context}")
