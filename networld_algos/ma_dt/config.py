"""Configuration of MA-DT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from networld_algos.data.returns import ReturnOf
from networld_algos.nn.action_head import DECODES, Decode
from networld_algos.nn.inputs import InputsConfig
from networld_envs import validate

BoxLoss = Literal["mse", "two-hot"]
Target = Literal["state", "data", "none"]

PAPER: dict[str, Any] = {
    "features": "symlog",
    "context": 20,
    "kept": 20,
    "box_loss": "mse",
    "target": "data",
    "action_tokens": True,
    "learning_rate": 1e-4,
    "decay": False,
}
"""The preset ``"paper"``: tokens, loss and learning rate as published."""


@dataclass(frozen=True)
class MADTConfig(InputsConfig):
    """Decision Transformer; tokens and losses are in the module's docstring.

    Attributes:
        context: Steps in a window.
        kept: Number of latest steps to keep when the window of an acting agent is full. The window
            then grows to ``context`` again, and each step adds to cached keys and values.
            ``kept = context`` slides the window as in the paper, which encodes all of it at each
            step. None keeps half of ``context``.
        hidden: Width of a token.
        layers: Number of blocks.
        heads: Attention heads.
        dropout: Dropout probability of embeddings, attention weights and both branches of each
            block.
        max_steps: Longest episode that can be learned. Later steps are treated as the last one
            seen.
        box_loss: Loss of box actions, ``"mse"`` or ``"two-hot"``.
        bins: Bins per column for ``"two-hot"``.
        target: Where the target return is taken from: ``"state"``, the returns-to-go that follow
            from the agent's present state; ``"data"``, those of all networks in the data at that
            step; ``"none"`` shows no returns, neither in training nor in acting.
        target_quantile: Target return, as a quantile of these.
        learning_rate: Learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        warmup: Share of the updates during which the learning rate rises to its value.
        decay: Whether it decays to zero along a cosine.
        batch_size: Windows per update, each of a whole team.
        sequences: Number of agents' sequences drawn from these windows.
        action_tokens: Whether the model sees past actions, as in the paper. Where they tell the
            next one, it learns to repeat them.
        return_of: Whose reward counts, see `networld_algos.data.returns`.
        decode: ``"argmax"``, ``"expectation"`` or ``"sample"``, see `ActionHead`. With ``"mse"``
            all three give the same action.
        temperature: Divides the logits of ``"sample"``.
    """

    context: int = 10
    kept: int | None = None
    hidden: int = 128
    layers: int = 3
    heads: int = 1
    dropout: float = 0.1
    max_steps: int = 256
    box_loss: BoxLoss = "two-hot"
    bins: int = 51
    target: Target = "state"
    target_quantile: float = 0.9
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.1
    decay: bool = True
    batch_size: int = 32
    sequences: int = 64
    action_tokens: bool = False
    return_of: ReturnOf = "agent"
    decode: Decode = "expectation"
    temperature: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.integer(self, "context", "hidden", "layers", "heads", "max_steps", low=1)
        if self.kept is not None:
            validate.integer(self, "kept", low=1)
        validate.integer(self, "batch_size", "sequences", low=1)
        validate.integer(self, "bins", low=2)
        validate.real(self, "learning_rate", "temperature", above=0.0)
        validate.real(self, "target_quantile", "warmup", low=0.0, high=1.0)
        validate.real(self, "dropout", "weight_decay", low=0.0, high=0.99)
        validate.one_of(self, "return_of", get_args(ReturnOf))
        validate.flag(self, "action_tokens", "decay")
        validate.one_of(self, "target", get_args(Target))
        validate.one_of(self, "box_loss", get_args(BoxLoss))
        validate.one_of(self, "decode", DECODES)
        if self.hidden % self.heads:
            validate.fail(self, "hidden", f"a multiple of heads={self.heads}")
        if self.kept is not None and self.kept > self.context:
            validate.fail(self, "kept", f"at most context={self.context}")

    @property
    def steps_kept(self) -> int:
        """Steps to keep when the window is full, see ``kept``."""
        return max(1, self.context // 2) if self.kept is None else self.kept
