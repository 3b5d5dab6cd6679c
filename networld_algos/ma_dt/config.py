"""Configuration of MA-DT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from networld_algos.data.returns import ReturnOf
from networld_algos.nn.action_head import DECODES, Decode
from networld_algos.nn.features import FeatureKind
from networld_algos.nn.inputs import InputsConfig
from networld_envs import validate

BoxLoss = Literal["mse", "two-hot"]


@dataclass(frozen=True)
class MADTConfig(InputsConfig):
    """Decision Transformer; tokens and losses are in the module's docstring.

    Attributes:
        context: Steps in a window.
        kept: Number of latest steps to keep when the window of an acting agent is full. The window
            then grows to ``context`` again, and each step adds to cached keys and values.
            ``kept = context`` slides the window as in the paper, which encodes all of it at each
            step.
        hidden: Width of a token.
        layers: Number of blocks.
        heads: Attention heads.
        dropout: Dropout probability of embeddings, attention weights and both branches of each
            block.
        max_steps: Longest episode that can be learned. Later steps are treated as the last one
            seen.
        box_loss: Loss of box actions, ``"mse"`` or ``"two-hot"``.
        bins: Bins per column for ``"two-hot"``.
        target_quantile: Target return, as a quantile of the returns in the data.
        learning_rate: Learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        warmup: Share of the updates during which the learning rate rises to its value.
        batch_size: Windows per update, each of a whole team.
        sequences: Number of agents' sequences drawn from these windows.
        action_tokens: Whether the model sees past actions.
        return_of: Whose reward counts, see `networld_algos.data.returns`.
        decode: ``"argmax"``, ``"expectation"`` or ``"sample"``, see `ActionHead`. With ``"mse"``
            all three give the same action.
        temperature: Divides the logits of ``"sample"``.
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
    action_tokens: bool = True
    return_of: ReturnOf = "agent"
    features: FeatureKind = "symlog"
    decode: Decode = "expectation"
    temperature: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.integer(self, "context", "kept", "hidden", "layers", "heads", "max_steps", low=1)
        validate.integer(self, "batch_size", "sequences", low=1)
        validate.integer(self, "bins", low=2)
        validate.real(self, "learning_rate", "temperature", above=0.0)
        validate.real(self, "target_quantile", "warmup", low=0.0, high=1.0)
        validate.real(self, "dropout", "weight_decay", low=0.0, high=0.99)
        validate.one_of(self, "return_of", get_args(ReturnOf))
        validate.flag(self, "action_tokens")
        validate.one_of(self, "box_loss", get_args(BoxLoss))
        validate.one_of(self, "decode", DECODES)
        if self.hidden % self.heads:
            validate.fail(self, "hidden", f"a multiple of heads={self.heads}")
        if self.kept > self.context:
            validate.fail(self, "kept", f"at most context={self.context}")
