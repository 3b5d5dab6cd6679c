"""The networks of MA-DD and the segments that they train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from networld_algos.data.returns import QUANTILES
from networld_algos.nn.action_head import ActionHead
from networld_algos.nn.diffusion import CosineSchedule, Prediction
from networld_algos.nn.inputs import InputsConfig, LocalInputs
from networld_algos.nn.layers import mlp
from networld_algos.nn.losses import quantile_shares
from networld_algos.nn.sharding import Picked
from networld_algos.nn.unet import TemporalUNet
from networld_envs.spec import TaskSpec


@dataclass(frozen=True)
class StateSegments:
    """Agents' segments drawn from a batch.

    Attributes:
        states: ``(S, H, W)`` features of the observations.
        context: ``(S, F)`` the present state and the combined message.
        actions: ``(S, H-1, ...)``.
        steps: ``(S, H-1)`` 1.0 where the transition is real.
        returns: ``(S, 1)`` standardised.
        known: ``(S, 1)`` 1.0 where the whole segment is real, so that its return is known.
        picked: The agents and windows that the rows come from.
    """

    states: Tensor
    context: Tensor
    actions: Tensor
    steps: Tensor
    returns: Tensor
    known: Tensor
    picked: Picked


class DecisionDiffuser(nn.Module):
    """All networks of the model. The averaged weights are a second copy.

    Args:
        spec: The task.
        inputs: What an agent knows; its features, without combined entities, are the states.
        hidden: Widths of the inverse model's hidden layers.
        bins: Bins per column of a box action.
        dim: Channels of the U-Net's first level.
        mults: Channels of each level as multiples of ``dim``.
        blocks: Residual blocks per level.
        train_steps: Diffusion steps.
        prediction: ``"x0"`` predicts the change from the present state, ``"epsilon"`` the noise.

    Attributes:
        width: Width ``W`` of a state.
    """

    return_stats: Tensor
    return_quantiles: Tensor
    shares: Tensor

    def __init__(
        self,
        spec: TaskSpec,
        *,
        inputs: InputsConfig,
        hidden: list[int],
        bins: int,
        dim: int,
        mults: Sequence[int],
        blocks: int,
        train_steps: int,
        prediction: Prediction,
    ) -> None:
        super().__init__()
        self.inputs = LocalInputs(spec, inputs)
        self.width = self.inputs.own_width
        self.schedule = CosineSchedule(train_steps)
        self.prediction: Prediction = prediction
        self.denoiser = TemporalUNet(self.width, self.inputs.width, dim, mults, blocks)
        self.returns = mlp([1, 2 * dim, dim], norm=False)
        self.inverse = mlp([2 * self.width, *hidden], activate_last=True)
        self.head = ActionHead(spec, hidden[-1], bins)
        self.outlook = mlp([self.inputs.width, *hidden, QUANTILES])
        self.register_buffer("return_stats", torch.tensor([0.0, 1.0]))  # mean, deviation
        self.register_buffer("return_quantiles", torch.zeros(QUANTILES))  # standardised
        self.register_buffer("shares", quantile_shares(QUANTILES), persistent=False)

    def denoise(
        self, x: Tensor, t: Tensor, context: Tensor, condition: Tensor, *, frozen: bool = False
    ) -> Tensor:
        """Network output ``(rows, W, H)`` for corrupted segments.

        Args:
            x: ``(rows, W, H)``.
            t: ``(rows,)`` diffusion steps.
            context: ``(rows, F)``, shown at every position.
            condition: ``(rows, dim)`` embedded return, zero where hidden.
            frozen: The weights need no gradient.
        """
        shown = context.unsqueeze(-1).expand(-1, -1, x.shape[-1])
        output = self.denoiser(torch.cat([x, shown], dim=1), t, condition, frozen=frozen)
        return x[..., :1] + output if self.prediction == "x0" else output

    def action_logits(self, states: Tensor, states_next: Tensor) -> Tensor:
        """Inverse dynamics: logits ``(..., A, K)`` of the action between two states."""
        return self.head(self.inverse(torch.cat([states, states_next], dim=-1)))
