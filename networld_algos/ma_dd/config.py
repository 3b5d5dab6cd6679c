"""Configuration of MA-DD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from networld_algos.data.returns import ReturnOf
from networld_algos.nn.action_head import DECODES, Decode
from networld_algos.nn.diffusion import PREDICTIONS, SOLVERS, Prediction, Solver
from networld_algos.nn.inputs import InputsConfig
from networld_algos.nn.unet import check_unet
from networld_envs import validate

Target = Literal["state", "data"]


@dataclass(frozen=True)
class MADDConfig(InputsConfig):
    """Decision Diffuser; the losses are in the docstring of `networld_algos.ma_dd.algorithm`.

    Attributes:
        horizon: States ``H`` in a segment, including the present one.
        hidden: Width of the inverse model's hidden layers.
        layers: Number of these layers.
        bins: Bins for each column of a continuous action.
        dim: Channels of the U-Net's first level.
        mults: Channels of each level as multiples of ``dim``.
        blocks: Residual blocks per level.
        train_steps: Diffusion steps in training.
        prediction: What the network predicts, ``"x0"`` or ``"epsilon"`` (as in the paper).
        timestep_skew: Above 1, training favours high noise.
        next_weight: Loss weight of the next state; later states have weight 1.
        inverse_noise: Standard deviation of the noise on the inverse model's second state.
        discount: Discount of a segment's return.
        return_dropout: Probability that the return is hidden.
        learning_rate: Learning rate of Adam; decays to zero along a cosine.
        ema: Decay of the averaged weights, which are used to act.
        batch_size: Windows per update, each of a whole team.
        sequences: Number of agents' segments drawn from these windows.
        return_of: Whose reward counts, see `networld_algos.data.returns`.
        steps: Solver steps per decision.
        solver: ``"ddpm"``, ``"ddim"`` or ``"dpm-solver++"``.
        temperature: Scale of the sampling noise.
        guidance_weight: ``w``; 1 is the conditional model, 0 the unconditional one.
        target: Where the target return is taken from: ``"state"``, the returns that follow from the
            present state, or ``"data"``, all returns.
        target_quantile: Target return, as a quantile of these.
        decode: ``"argmax"``, ``"expectation"`` or ``"sample"``, see `ActionHead`.
        decode_temperature: Divides the logits of ``"sample"``.
    """

    horizon: int = 4
    hidden: int = 256
    layers: int = 2
    bins: int = 51
    dim: int = 32
    mults: tuple[int, ...] = (1, 2)
    blocks: int = 1
    train_steps: int = 50
    prediction: Prediction = "x0"
    timestep_skew: float = 2.0
    next_weight: float = 5.0
    inverse_noise: float = 0.1
    discount: float = 0.99
    return_dropout: float = 0.25
    learning_rate: float = 1e-3
    ema: float = 0.995
    batch_size: int = 8
    sequences: int = 64
    return_of: ReturnOf = "agent"
    steps: int = 5
    solver: Solver = "ddim"
    temperature: float = 0.5
    guidance_weight: float = 1.2
    target: Target = "state"
    target_quantile: float = 0.9
    decode: Decode = "expectation"
    decode_temperature: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.integer(
            self, "hidden", "layers", "blocks", "batch_size", "sequences", "steps", low=1
        )
        validate.integer(self, "horizon", "bins", "train_steps", low=2)
        validate.real(self, "timestep_skew", "learning_rate", "decode_temperature", above=0.0)
        validate.real(self, "discount", "return_dropout", "ema", low=0.0, high=1.0)
        validate.real(self, "target_quantile", low=0.0, high=1.0)
        validate.real(self, "next_weight", "inverse_noise", "temperature", low=0.0, high=100.0)
        validate.real(self, "guidance_weight", low=0.0, high=100.0)
        validate.one_of(self, "return_of", get_args(ReturnOf))
        validate.one_of(self, "target", get_args(Target))
        validate.one_of(self, "prediction", PREDICTIONS)
        validate.one_of(self, "solver", SOLVERS)
        validate.one_of(self, "decode", DECODES)
        check_unet(self)
