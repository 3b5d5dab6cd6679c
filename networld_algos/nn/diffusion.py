"""Diffusion over arrays ``(rows, channels, H)``: schedule, corruption and samplers.

Forward process (Ho et al., 2020), with ``ab`` the cumulative product of ``alpha``::

    x_t = sqrt(ab_t) x_0 + sqrt(1 - ab_t) eps,      eps ~ N(0, I)

Cosine schedule (Nichol and Dhariwal, 2021). A denoiser here is a function ``(x_t, t) -> x_0``
estimate; `to_x0` makes one from a network that predicts noise. The samplers:

* DDPM, ancestral on a coarser grid of steps (Ho et al., 2020; DDIM with eta = 1);
* DDIM, deterministic (Song et al., 2021);
* DPM-Solver++(2M), second-order multistep in the data prediction (Lu et al., 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from networld_algos.nn.random import normal, uniform
from networld_algos.nn.sharding import Picked

Prediction = Literal["x0", "epsilon"]
Solver = Literal["ddpm", "ddim", "dpm-solver++"]
PREDICTIONS: tuple[str, ...] = get_args(Prediction)
SOLVERS: tuple[str, ...] = get_args(Solver)

Denoiser = Callable[[Tensor, int], Tensor]
Guidance = Callable[[Tensor, int], Tensor]

EPSILON_BOUND = 5.0
"""Bound of a clean estimate derived from predicted noise, in standard deviations of the data."""

UNGUIDED_STEPS = 2
"""Number of last solver steps without guidance, where the classifier sees almost clean data."""


class CosineSchedule(nn.Module):
    """``ab(t)`` for ``t = 0 .. T-1``, from almost clean to almost pure noise.

    Args:
        train_steps: Diffusion steps ``T``.
    """

    alpha_bar: Tensor

    def __init__(self, train_steps: int) -> None:
        super().__init__()
        if train_steps < 2:
            raise ValueError(f"train_steps must be at least 2, got {train_steps}")
        self.train_steps = train_steps
        offset = 0.008
        grid = torch.linspace(0, 1, train_steps + 1, dtype=torch.float64)
        f = torch.cos((grid + offset) / (1 + offset) * math.pi / 2) ** 2
        beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
        alpha_bar = torch.cumprod(1 - beta, 0)
        self.register_buffer("alpha_bar", alpha_bar.float(), persistent=False)
        self.levels: tuple[float, ...] = tuple(alpha_bar.tolist())  # the same, on the host

    def corrupt(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """``x_t`` for ``x`` ``(rows, C, H)`` at steps ``t`` ``(rows,)`` int64."""
        ab = self.alpha_bar[t][:, None, None]
        return ab.sqrt() * x + (1 - ab).sqrt() * noise

    def to_x0(self, output: Tensor, x: Tensor, t: int, prediction: Prediction) -> Tensor:
        """Clean estimate from a network's output at step ``t``.

        At the highest noise level the noise prediction is divided by ``sqrt(ab)``, near 1e-3, so
        its estimate is bounded by `EPSILON_BOUND`. An x0 prediction is never clipped.
        """
        if prediction == "x0":
            return output
        ab = self.levels[t]
        estimate = (x - math.sqrt(1 - ab) * output) / math.sqrt(ab)
        return estimate.clamp(-EPSILON_BOUND, EPSILON_BOUND)

    def draw(
        self, rows: int, skew: float, generator: torch.Generator, picked: Picked | None = None
    ) -> Tensor:
        """Training steps ``(rows,)`` with density proportional to ``(t / T)^(skew - 1)``.

        Args:
            rows: Number of steps to draw.
            skew: 1 is uniform. Above 1, high noise is more likely; a sampler with few steps decides
                most there.
            generator: Source of randomness.
            picked: Set if the rows were chosen by `networld_algos.nn.sharding.pick`.
        """
        u = uniform((rows,), generator, self.alpha_bar.device, picked=picked) ** (1.0 / skew)
        return (u * self.train_steps).long().clamp(max=self.train_steps - 1)

    def grid(self, steps: int) -> list[int]:
        """``steps`` decreasing steps from ``T - 1`` to 0."""
        first = self.train_steps - 1
        if steps == 1:
            return [first]
        return [round(first * (1 - i / (steps - 1))) for i in range(steps)]


def _clamped(x: Tensor, first: Tensor | None) -> Tensor:
    """``x`` with position 0 of the last axis replaced by ``first`` ``(rows, C)``."""
    if first is None:
        return x
    return torch.cat([first.unsqueeze(-1), x[..., 1:]], dim=-1)


def _direction(gradient: Tensor, clamp: Tensor | None) -> Tensor:
    """The gradient with unit norm per row and zero at the clamped position."""
    if clamp is not None:
        gradient = torch.cat([torch.zeros_like(gradient[..., :1]), gradient[..., 1:]], dim=-1)
    norm = gradient.flatten(1).norm(dim=1)[:, None, None]
    return gradient / norm.clamp(min=1e-12)


def sample(
    denoiser: Denoiser,
    schedule: CosineSchedule,
    shape: Sequence[int],
    *,
    steps: int,
    solver: Solver,
    generator: torch.Generator,
    temperature: float = 1.0,
    clamp: Tensor | None = None,
    guidance: Guidance | None = None,
    guidance_weight: float = 0.0,
) -> Tensor:
    """Draw ``x_0``.

    The guided estimate is ``x_0 + w sqrt(1 - ab_t) g``, where ``g`` is the unit-norm gradient. A
    weight therefore means the same at every noise level and for every solver. The clamp is
    applied to x_t, and to the estimate before a multistep solver stores it. Estimates are not
    clipped.

    Args:
        denoiser: ``(x_t, t) -> x_0`` estimate.
        schedule: The schedule it was trained with.
        shape: ``(rows, C, H)``.
        steps: Solver steps, that is, calls of ``denoiser``.
        solver: ``"ddpm"``, ``"ddim"`` or ``"dpm-solver++"``.
        generator: Source of all noise; one draw of ``shape`` per noise term.
        temperature: Scale of all noise drawn.
        clamp: ``(rows, C)`` known value of position 0 of the last axis.
        guidance: ``(x_t, t) -> gradient`` of a score with respect to x_t.
        guidance_weight: ``w``.

    Raises:
        ValueError: If ``steps`` or ``solver`` is not valid.
    """
    if not 1 <= steps <= schedule.train_steps:
        raise ValueError(f"steps must be in [1, {schedule.train_steps}], got {steps}")
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {SOLVERS}, got {solver!r}")
    device = schedule.alpha_bar.device
    x = temperature * normal(shape, generator, device)
    grid = schedule.grid(steps)
    x = _clamped(x, clamp)
    previous: Tensor | None = None  # clean estimate of the step before
    previous_lambda = 0.0
    for i, t in enumerate(grid):
        ab = schedule.levels[t]
        sigma = math.sqrt(1 - ab)
        x0 = denoiser(x, t)
        if guidance is not None and guidance_weight > 0 and i < len(grid) - UNGUIDED_STEPS:
            x0 = x0 + guidance_weight * sigma * _direction(guidance(x, t), clamp)
        x0 = _clamped(x0, clamp)
        if i == len(grid) - 1:
            return x0
        ab_next = schedule.levels[grid[i + 1]]
        sigma_next = math.sqrt(1 - ab_next)
        if solver == "dpm-solver++":
            lam = 0.5 * math.log(ab / (1 - ab))
            h = 0.5 * math.log(ab_next / (1 - ab_next)) - lam
            estimate = x0
            if previous is not None:
                r = (lam - previous_lambda) / h
                estimate = x0 + (x0 - previous) / (2 * r)
            x = (sigma_next / sigma) * x - math.sqrt(ab_next) * math.expm1(-h) * estimate
            previous, previous_lambda = x0, lam
        else:
            eps = (x - math.sqrt(ab) * x0) / sigma
            variance = 0.0
            if solver == "ddpm":
                variance = (1 - ab_next) / (1 - ab) * (1 - ab / ab_next)
            x = math.sqrt(ab_next) * x0 + math.sqrt(max(1 - ab_next - variance, 0.0)) * eps
            if variance > 0:
                x = x + temperature * math.sqrt(variance) * normal(shape, generator, device)
        x = _clamped(x, clamp)
    raise AssertionError("the grid is never empty")
