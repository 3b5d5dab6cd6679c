"""Noise models and the return classifier over segments ``(rows, channels, H)``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networld_algos.nn.convolution import Convolution
from networld_algos.nn.layers import mlp
from networld_envs import validate

KERNEL = 5

GROUPS = 8


def check_unet(config: Any) -> None:
    """Check that the sizes of a U-Net over a segment fit together in a config.

    Args:
        config: Config with ``dim``, ``mults``, ``horizon``, ``steps`` and ``train_steps``.

    Raises:
        ValueError: If the normalisation cannot split ``dim`` into its groups, the levels cannot
            halve ``horizon``, or a decision has more steps than training.
    """
    if config.dim < GROUPS or config.dim % GROUPS:
        validate.fail(config, "dim", f"a multiple of {GROUPS} (groups of GroupNorm)")
    validate.numbers(config, "mults", None, low=1, integers=True)
    levels = len(config.mults)
    if config.horizon % 2 ** (levels - 1):
        rule = f"a multiple of {2 ** (levels - 1)} for {levels} levels (mults)"
        validate.fail(config, "horizon", rule)
    if config.steps > config.train_steps:
        validate.fail(config, "steps", f"at most train_steps={config.train_steps}")


def sinusoids(t: Tensor, dim: int) -> Tensor:
    """Sines and cosines ``(rows, dim)`` of steps ``(rows,)`` (Vaswani et al., 2017)."""
    half = dim // 2
    frequency = torch.exp(torch.arange(half, device=t.device) * (-math.log(10_000) / (half - 1)))
    angle = t[:, None].to(torch.float32) * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def _temporal(in_channels: int, out_channels: int) -> Convolution:
    return Convolution(nn.Conv1d(in_channels, out_channels, KERNEL, padding=KERNEL // 2))


class ResidualBlock(nn.Module):
    """Convolution, GroupNorm and SiLU, twice; the condition is added after the first."""

    def __init__(self, in_channels: int, out_channels: int, condition: int) -> None:
        super().__init__()
        self.first = _temporal(in_channels, out_channels)
        self.second = _temporal(out_channels, out_channels)
        self.norm1 = nn.GroupNorm(GROUPS, out_channels)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels)
        self.condition = nn.Linear(condition, out_channels)
        self.skip = (
            Convolution(nn.Conv1d(in_channels, out_channels, 1))
            if in_channels != out_channels
            else None
        )

    def forward(self, x: Tensor, shift: Tensor, *, frozen: bool = False) -> Tensor:
        """``(rows, C_in, L)`` and the shift ``(rows or 1, C_out)`` to ``(rows, C_out, L)``."""
        h = F.silu(self.norm1(self.first(x, frozen=frozen)))
        h = h + shift.unsqueeze(-1)
        h = F.silu(self.norm2(self.second(h, frozen=frozen)))
        return h + (x if self.skip is None else self.skip(x, frozen=frozen))


class StepEmbedding(nn.Module):
    """Embeds the diffusion step and appends a given embedding: ``(rows or 1, 2 dim)``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.step = mlp([dim, dim * 2, dim], norm=False)

    def forward(self, t: Tensor, embedding: Tensor) -> Tensor:
        """Steps ``(rows or 1,)`` and an embedding ``(dim,)`` or ``(rows or 1, dim)``."""
        step = self.step(sinusoids(t, self.dim))
        return F.silu(torch.cat([step, embedding.expand(len(step), -1)], dim=-1))


class Conditioned(nn.Module):
    """A network whose blocks are told the diffusion step and an embedding.

    The embedding is of the task for NetWorld and of the wanted return for MA-DD.

    Attributes:
        condition: Embeds the step and joins the two.
    """

    condition: StepEmbedding

    def injectors(self) -> Iterator[nn.Linear]:
        """The layers that turn the embedding into what each block adds, in order."""
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                yield module.condition

    def shifts(self, t: Tensor, embedding: Tensor) -> list[Tensor]:
        """What each block adds, ``(rows or 1, C_out)``; a plan computes them once.

        Args:
            t: ``(rows or 1,)`` diffusion steps.
            embedding: ``(dim,)`` or ``(rows or 1, dim)``.
        """
        condition = self.condition(t, embedding)
        return [layer(condition) for layer in self.injectors()]


class DownPath(nn.Module):
    """Residual blocks and strided convolutions; halves the length between levels."""

    def __init__(self, in_channels: int, dims: Sequence[int], blocks: int, condition: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        self.downs = nn.ModuleList()
        width = in_channels
        for i, dim in enumerate(dims):
            ins = [width] + [dim] * (blocks - 1)
            self.levels.append(nn.ModuleList(ResidualBlock(c, dim, condition) for c in ins))
            if i < len(dims) - 1:
                self.downs.append(Convolution(nn.Conv1d(dim, dim, 3, stride=2, padding=1)))
            width = dim

    def forward(self, x: Tensor, shifts: Iterator[Tensor], frozen: bool) -> list[Tensor]:
        """Output of each level, the shortest last; takes one of ``shifts`` per block."""
        outputs: list[Tensor] = []
        for i, level in enumerate(self.levels):
            for block in level.children():
                x = block(x, next(shifts), frozen=frozen)
            outputs.append(x)
            if i < len(self.downs):
                x = self.downs[i](x, frozen=frozen)
        return outputs


class TemporalUNet(Conditioned):
    """Noise model: U-Net over the segment.

    Args:
        channels: Channels of the segment, which are denoised.
        context: Further input channels, which are given and not denoised.
        dim: Channels of the first level and width of each embedding.
        mults: Channels of each level as multiples of ``dim``.
        blocks: Residual blocks in a level.
    """

    def __init__(
        self, channels: int, context: int, dim: int, mults: Sequence[int], blocks: int
    ) -> None:
        super().__init__()
        dims = [dim * m for m in mults]
        self.condition = StepEmbedding(dim)
        self.down = DownPath(channels + context, dims, blocks, 2 * dim)
        self.middle = ResidualBlock(dims[-1], dims[-1], 2 * dim)
        self.levels = nn.ModuleList()
        self.ups = nn.ModuleList()
        width = dims[-1]
        for i in reversed(range(len(dims))):
            ins = [width + dims[i]] + [dims[i]] * (blocks - 1)
            self.levels.append(nn.ModuleList(ResidualBlock(c, dims[i], 2 * dim) for c in ins))
            width = dims[i]
            if i > 0:
                up = nn.ConvTranspose1d(width, width, 4, stride=2, padding=1)
                self.ups.append(Convolution(up))
        self.out = Convolution(nn.Conv1d(dims[0], channels, 1))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        embedding: Tensor,
        *,
        frozen: bool = False,
        shifts: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """``(rows, channels + context, H)`` to ``(rows, channels, H)``; see `shifts`."""
        each = iter(self.shifts(t, embedding) if shifts is None else shifts)
        skips = self.down(x, each, frozen)
        h = self.middle(skips[-1], next(each), frozen=frozen)
        for i, level in enumerate(self.levels):
            h = torch.cat([h, skips.pop()], dim=1)
            for block in level.children():
                h = block(h, next(each), frozen=frozen)
            if i < len(self.ups):
                h = self.ups[i](h, frozen=frozen)
        return self.out(h, frozen=frozen)


class ReturnClassifier(Conditioned):
    """The U-Net's down path and a linear layer to two-hot return logits.

    The linear layer starts at zero, so an untrained classifier does not guide a plan.
    """

    def __init__(
        self, channels: int, horizon: int, dim: int, mults: Sequence[int], blocks: int, bins: int
    ) -> None:
        super().__init__()
        dims = [dim * m for m in mults]
        self.condition = StepEmbedding(dim)
        self.down = DownPath(channels, dims, blocks, 2 * dim)
        length = horizon >> (len(dims) - 1)
        self.linear = nn.Linear(dims[-1] * length, bins)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        embedding: Tensor,
        *,
        frozen: bool = False,
        shifts: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """``(rows, channels, H)`` to logits ``(rows, bins)``; see `shifts`."""
        each = iter(self.shifts(t, embedding) if shifts is None else shifts)
        outputs = self.down(x, each, frozen)
        return self.linear(outputs[-1].flatten(1))


class MLPDenoiser(Conditioned):
    """Noise model: residual MLP over the flattened segment; same call as `TemporalUNet`."""

    def __init__(
        self, channels: int, context: int, horizon: int, dim: int, hidden: int, blocks: int
    ) -> None:
        super().__init__()
        self.condition = StepEmbedding(dim)
        self.into = nn.Linear((channels + context) * horizon, hidden)
        self.injections = nn.ModuleList(nn.Linear(2 * dim, hidden) for _ in range(blocks))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
                nn.Linear(hidden, hidden),
            )
            for _ in range(blocks)
        )  # fmt: skip
        self.out = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, channels * horizon))
        self.channels = channels

    def injectors(self) -> Iterator[nn.Linear]:
        """One layer per block."""
        for layer in self.injections:
            assert isinstance(layer, nn.Linear)
            yield layer

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        embedding: Tensor,
        *,
        frozen: bool = False,
        shifts: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """``(rows, channels + context, H)`` to ``(rows, channels, H)``; see `shifts`."""
        del frozen
        shifts = self.shifts(t, embedding) if shifts is None else shifts
        h = self.into(x.flatten(1))
        for shift, block in zip(shifts, self.blocks, strict=True):
            h = h + block(h + shift)
        return self.out(h).view(len(x), self.channels, x.shape[-1])
