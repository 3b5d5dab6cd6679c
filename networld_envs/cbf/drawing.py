"""How coordinated beamforming is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf import task
from networld_envs.render.canvas import (
    BLUE,
    COST,
    HIGH_RATE,
    INK,
    LINE,
    LOW_RATE,
    ORANGE,
    PAPER,
    SOFT,
    Canvas,
    Legend,
    blend,
    header_note,
    hexagons,
)

FULL_RATE = 12.0  # bit/s/Hz at the dark end of the scale

COSTLY = 1.0  # bit/s/Hz: a line is drawn for beams that cost their neighbours more than this


def draw(canvas: Canvas, params: task.Params, state: task.State) -> None:
    """Draw environment 0 of ``state`` on ``canvas``."""
    stations, users = task.layout(params, state)[0], state.user_m[0]
    cell_m = params.inter_site_m / np.sqrt(3.0)
    at, px = canvas.fit(stations, cell_m)
    user_at = at + (users - stations) * px * np.array([1.0, -1.0])
    for k, corners in enumerate(hexagons(at, cell_m * px)):
        share = float(state.rate[0, k]) / FULL_RATE
        canvas.polygon(corners, blend(LOW_RATE, HIGH_RATE, share), LINE, 1.0)
    for k in np.flatnonzero(state.caused_loss[0] > COSTLY):
        victim = int(state.neighbours[0, k, 0])  # the user with the largest gain from this beam
        if victim >= 0:
            width = min(1.0 + 0.35 * float(state.caused_loss[0, k]), 3.0)
            canvas.line(at[k], user_at[victim], COST, width)
    for k, lobe in enumerate(_lobes(users - stations, state.beamformer[0])):
        canvas.polygon(at[k] + lobe * 0.8 * cell_m * px, (*ORANGE, 160), (*ORANGE, 220), 0.8)
    dot = float(np.clip(0.05 * cell_m * px, 1.5, 4.0))
    for k in range(len(at)):
        canvas.line(at[k], user_at[k], (*SOFT, 150), 0.8)
        x, y = at[k]
        canvas.polygon(
            [(x, y - 1.5 * dot), (x + 1.3 * dot, y + dot), (x - 1.3 * dot, y + dot)], INK, None, 0
        )
        canvas.disc(user_at[k], dot, PAPER, BLUE, 1.3)
        if cell_m * px > 30:
            label = (x, y + 0.72 * cell_m * px)
            canvas.text(label, f"{state.rate[0, k]:.1f}", 10, INK, halo=1)
    header_note(canvas, f"mean rate {float(state.rate[0].mean()):.2f} bit/s/Hz")
    legend = Legend(canvas)
    legend.item("base station", lambda x, y: canvas.polygon(
        [(x, y - 6), (x + 5, y + 4), (x - 5, y + 4)], INK, None, 0))  # fmt: skip
    legend.item("user", lambda x, y: canvas.disc((x, y), 4, PAPER, BLUE, 1.3))
    legend.item("beam", lambda x, y: canvas.disc((x, y), 6, (*ORANGE, 160), (*ORANGE, 220)))
    legend.item(
        f"costs others > {COSTLY:.0f}",
        lambda x, y: canvas.line((x - 8, y), (x + 8, y), COST, 2),
    )
    legend.scale("rate", "0", f"{FULL_RATE:.0f} bit/s/Hz", LOW_RATE, HIGH_RATE)


def _lobes(to_user: NDArray[np.float64], w: NDArray[Any]) -> NDArray[np.float64]:
    """Outlines ``(K, P, 2)`` of the field patterns, y down, 1 for full power in one direction.

    The field toward azimuth t is ``|sum_n e^{-j n pi (cos t - cos t_own)} w_n| / sqrt(N)``, with
    the array along x and beamformers in their own frame, see `networld_envs.cbf`. Its square would
    be the power; the field keeps weak beams visible.

    Args:
        to_user: ``(K, 2)`` from each base station to its user.
        w: ``(K, N)`` beamformers, norm at most 1.
    """
    azimuth = np.linspace(0.0, 2 * np.pi, 180, endpoint=False)
    own = to_user[:, 0] / np.linalg.norm(to_user, axis=1)  # cos of its own azimuth
    psi = np.pi * (np.cos(azimuth) - own[:, None])  # (K, P)
    n = np.arange(w.shape[1])
    response = np.exp(-1j * psi[:, :, None] * n) @ w[:, :, None]  # (K, P, 1)
    field = np.abs(response[:, :, 0]) / np.sqrt(w.shape[1])
    return field[:, :, None] * np.stack([np.cos(azimuth), -np.sin(azimuth)], axis=-1)
