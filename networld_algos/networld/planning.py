"""How NetWorld plans: draw a segment around the forecast, or take the forecast itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from networld_algos.networld.config import NetWorldConfig
from networld_algos.networld.nets import Nets
from networld_algos.nn.diffusion import Guidance, sample
from networld_algos.nn.unet import Conditioned


@torch.no_grad()
def plan(
    nets: Nets,
    config: NetWorldConfig,
    task: str,
    z: Tensor,
    m: Tensor,
    present: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Plan for every row.

    Args:
        nets: Networks to plan with, normally the averaged ones.
        config: Solver, guidance and temperature.
        task: Name of the task of all rows.
        z: ``(rows, d)`` latents now.
        m: ``(rows, d)`` standardised messages, zero without neighbours.
        present: ``(rows, 1)`` 1.0 where there is a neighbour.
        generator: Source of all noise.

    Returns:
        The plan ``(rows, C, H)``, or ``(rows, d, 2)`` if the forecast alone decides: position 0 is
        the present, and the first d channels are latents. Also the forecast ``(rows, d)``.
    """
    shared = nets.shared
    forecast = ahead = shared.forecast(z, m, present, task)
    if config.follows_forecast:
        return torch.stack([z, ahead], dim=-1), forecast
    assert shared.denoiser is not None
    clamp = torch.cat([z, m], dim=-1) if shared.context else z
    copies = config.candidates if config.guidance == "select" else 1
    if copies > 1:
        rows = (clamp, present, ahead)
        clamp, present, ahead = (v.repeat_interleave(copies, dim=0) for v in rows)

    grid = shared.schedule.grid(config.steps)
    shifts = _shifts(shared.denoiser, grid, shared.embedding(task))

    def denoiser(x: Tensor, t: int) -> Tensor:
        step = torch.tensor([t], device=x.device)
        output = shared.denoise(x, step, present, ahead, task, frozen=True, shifts=shifts[t])
        return shared.schedule.to_x0(output, x, t, config.prediction)

    guided = config.guidance == "gradient"
    segment = sample(
        denoiser,
        shared.schedule,
        (len(clamp), shared.channels, config.horizon),
        steps=config.steps,
        solver=config.solver,
        generator=generator,
        temperature=config.temperature,
        clamp=clamp,
        guidance=_guidance(nets, task, present, grid) if guided else None,
        guidance_weight=config.guidance_weight,
    )
    if copies == 1:
        return segment, forecast
    score = _score(nets, task, present, [0])(segment, 0)
    best = score.view(-1, copies).argmax(1)
    segment = segment.view(-1, copies, *segment.shape[1:])[torch.arange(len(best)), best]
    return segment, forecast


def _shifts(
    network: Conditioned, grid: Sequence[int], embedding: Tensor
) -> dict[int, list[Tensor]]:
    """What each block of a network adds at each step of ``grid``, computed in one pass."""
    every = network.shifts(torch.tensor(grid, device=embedding.device), embedding)
    return {t: [shift[i : i + 1] for shift in every] for i, t in enumerate(grid)}


def _score(
    nets: Nets, task: str, present: Tensor, grid: Sequence[int]
) -> Callable[[Tensor, int], Tensor]:
    """Function from ``x_t`` and a step ``t`` of ``grid`` to scores ``(rows,)`` of order one."""
    bins = nets.task(task).returns
    assert nets.shared.classifier is not None
    assert bins is not None
    shifts = _shifts(nets.shared.classifier, grid, nets.shared.embedding(task))

    def score(x: Tensor, t: int) -> Tensor:
        step = torch.tensor([t], device=x.device)
        logits = nets.shared.classify(x, step, present, task, frozen=True, shifts=shifts[t])
        return bins.score(logits)

    return score


def _guidance(nets: Nets, task: str, present: Tensor, grid: Sequence[int]) -> Guidance:
    """Gradient of the score with respect to the noised segment, independent between rows."""
    score = _score(nets, task, present, grid)

    def gradient(x: Tensor, t: int) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            return torch.autograd.grad(score(x, t).sum(), x)[0]

    return gradient
