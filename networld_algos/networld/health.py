"""Six numbers on held-out episodes that say whether NetWorld's latent space is fit for control.

A low diffusion loss is no sign of that, since a collapsed latent is easy to denoise. Control is
limited by how well the action can be recovered from z_t and the planned z_{t+1}.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from networld_algos.base import Diagnostic
from networld_algos.data.episodes import HEALTH_EPISODES, Episodes
from networld_algos.networld.config import INVERSE_NOISE, NetWorldConfig
from networld_algos.networld.nets import Nets, TaskNets
from networld_algos.networld.planning import plan

DIAGNOSTICS: dict[str, tuple[float, float, str]] = {
    "latent_std": (
        0.5,
        2.0,
        "mean standard deviation of a latent's columns; 1 by construction, unless running "
        "statistics and encoder have drifted apart",
    ),
    "effective_rank": (
        3.0,
        math.inf,
        "exp(entropy of the covariance's normalised eigenvalues)",
    ),
    "within_trajectory_share": (
        0.1,
        1.0,
        "share of the latent variance found within (episode, agent); near 0, the latent only "
        "identifies the trajectory",
    ),
    "inverse_error_clean": (
        0.0,
        0.5,
        "error of the action recovered from true latents: RMS over the action's standard deviation "
        "(box, ordered), or error rate over that of the most frequent choice (discrete); 1 is no "
        "information",
    ),
    "inverse_error_noised": (
        0.0,
        0.6,
        "the same with 10% noise on z_{t+1}: the ceiling of control",
    ),
    "next_latent_error": (
        0.0,
        2.0,
        "mean squared error of the planned z_{t+1} over the latent variance: 1 for the overall "
        "mean, 2 for a latent drawn at random, so a sampled plan must stay below 2; not comparable "
        "across encoders or temperatures",
    ),
}
"""Name -> lowest healthy value, highest healthy value, meaning."""

MAX_PLANS = 1024


@torch.no_grad()
def latent_health(nets: Nets, config: NetWorldConfig, episodes: Episodes) -> dict[str, Diagnostic]:
    """The numbers of `DIAGNOSTICS`, measured on the first `HEALTH_EPISODES` episodes."""
    own = nets.task(episodes.spec.task)  # this task's networks
    generator = torch.Generator().manual_seed(0)
    device = own.features.mean.device
    data = episodes.take(torch.arange(min(len(episodes), HEALTH_EPISODES)).numpy())
    obs = torch.as_tensor(data.obs, device=device)
    looks = own.look(obs)
    z = looks.z  # (K, T+1, N, d)
    steps = torch.as_tensor(data.step_mask, device=device)  # (K, T)
    seen = torch.cat([steps[:, :1], steps], dim=1)  # (K, T+1)

    rows = z[seen].flatten(0, 1)  # (R, d)
    total = rows.var(dim=0, correction=0)
    weight = seen[:, :, None, None].to(z.dtype)
    count = weight.sum(1, keepdim=True).clamp(min=1.0)
    centred = (z - (z * weight).sum(1, keepdim=True) / count) * weight
    within = (centred**2).sum((0, 1, 2)) / (weight.sum() * z.shape[2])
    spectrum = torch.linalg.eigvalsh(torch.cov(rows.T)).clamp(min=0)
    share = spectrum / spectrum.sum().clamp(min=1e-12)
    entropy = -(share * share.clamp(min=1e-12).log()).sum()

    z_now, z_next = z[:, :-1][steps], z[:, 1:][steps]  # (S, N, d)
    actions = torch.as_tensor(data.actions, device=device)[steps]
    noise = torch.randn(z_next.shape, generator=generator).to(device)
    table = torch.as_tensor(data.neighbours, device=device).long()
    combined, present = own.received(looks, table[:, None].expand(-1, z.shape[1], -1, -1))
    m = own.standard_message(combined, present)[:, :-1][steps]
    present = present[:, :-1][steps]
    flat = [v.flatten(0, 1) for v in (z_now, m, present, z_next)]
    pick = torch.randperm(len(flat[0]), generator=generator)[:MAX_PLANS].to(device)
    now, m_now, present_now, truth = (v[pick] for v in flat)
    quiet = replace(config, guidance="none")
    imagined, _ = plan(nets, quiet, data.spec.task, now, m_now, present_now, generator)
    error = ((imagined[:, : config.latent, 1] - truth) ** 2).mean()
    values = {
        "latent_std": total.sqrt().mean().item(),
        "effective_rank": entropy.exp().item(),
        "within_trajectory_share": (within.sum() / total.sum().clamp(min=1e-12)).item(),
        "inverse_error_clean": _inverse_error(own, z_now, z_next, actions, generator),
        "inverse_error_noised": _inverse_error(
            own, z_now, z_next + INVERSE_NOISE * noise, actions, generator
        ),
        "next_latent_error": (error / total.mean().clamp(min=1e-12)).item(),
    }
    return {name: Diagnostic(value, *DIAGNOSTICS[name]) for name, value in values.items()}


def _inverse_error(
    own: TaskNets, z: Tensor, z_next: Tensor, actions: Tensor, generator: torch.Generator
) -> float:
    """Normalised error of recovered actions, see ``inverse_error_clean`` in `DIAGNOSTICS`."""
    logits = own.action_logits(z, z_next)
    recovered = own.head.decode(logits, "expectation", 1.0, generator)
    if own.head.kind == "discrete":
        wrong = (recovered != actions).float().mean().item()
        base = 1.0 - torch.bincount(actions.flatten()).max().item() / actions.numel()
        return wrong / max(base, 1e-8)
    columns = (-1, actions.shape[-1]) if own.head.kind == "box" else (-1, 1)
    truth = actions.reshape(columns).to(torch.float32)
    squared = ((recovered.reshape(columns).to(torch.float32) - truth) ** 2).mean(0)
    variance = truth.var(dim=0, correction=0)
    moving = variance > 1e-12 * (1.0 + truth.abs().amax(0) ** 2)
    if not bool(moving.any()):
        return 0.0
    return (squared[moving] / variance[moving]).mean().sqrt().item()
