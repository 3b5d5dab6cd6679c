"""Drawings of a network and its state, with Pillow only: what ``render()`` returns.

Colours are told apart in the common colour visions; colour never carries alone what a shape or a
number does not show too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs import cbf, ns, rb
from networld_envs.canvas import (
    BLUE,
    FOOTER_PX,
    GREEN,
    HEADER_PX,
    INK,
    LINE,
    ORANGE,
    PANEL_PX,
    PAPER,
    PURPLE,
    SOFT,
    Canvas,
    Legend,
    blend,
)

LOW_RATE = (243, 246, 250)
HIGH_RATE = (86, 160, 211)
FULL_RATE = 12.0  # bit/s/Hz at the dark end of the scale
COSTLY = 1.0  # bit/s/Hz that a beam takes from its neighbours before its line is drawn
COST = (170, 130, 205)
QUEUE = (65, 183, 151)
SATISFIED = (240, 246, 251)
VIOLATED = (233, 130, 60)
SLICES = (("VoLTE", BLUE), ("video", GREEN), ("URLLC", PURPLE))
REWARDS = {"cbf": (-5.0, 15.0), "rb": (-6.0, 0.0), "ns": (0.0, 1.0)}
"""Ends of the scale of an agent's reward at the default preset; bars beyond are cut."""
MANY = 60  # agents from which on their rewards are sorted


def draw(
    task: str,
    params: Any,
    state: Any,
    rewards: NDArray[Any] | None,
    step: int,
    size: tuple[int, int] = (640, 480),
) -> NDArray[np.uint8]:
    """Draw environment 0 of a batched state.

    Args:
        task: ``"cbf"``, ``"rb"`` or ``"ns"``.
        params: The task's ``Params``.
        state: The task's ``State``.
        rewards: ``(N,)`` of the last step, or None right after a reset.
        step: Steps since the reset, for the title.
        size: Width and height in pixels, at least 480 x 360.

    Returns:
        ``(H, W, 3)``.

    Raises:
        ValueError: For an unknown task or a size too small to read.
    """
    if task not in _TASKS:
        raise ValueError(f"unknown task {task!r}; choose from {sorted(_TASKS)}")
    if size[0] < 480 or size[1] < 360:
        raise ValueError(f"size must be at least (480, 360), got {size}")
    canvas = Canvas(size)
    _TASKS[task](canvas, params, state)
    if rewards is not None:
        _draw_rewards(canvas, np.asarray(rewards, np.float64), *_scale(task, rewards))
    reward = "" if rewards is None else f"    mean reward {float(np.mean(rewards)):.3f}"
    canvas.text((14, HEADER_PX / 2), f"{task.upper()}    step {step}{reward}", 15, INK, "lm")
    return canvas.array()


def _draw_cbf(canvas: Canvas, params: cbf.Params, state: cbf.State) -> None:
    stations, users = cbf.layout(params, state)[0], state.user_m[0]
    cell_m = params.inter_site_m / np.sqrt(3.0)
    at, px = canvas.fit(stations, cell_m)
    user_at = at + (users - stations) * px * np.array([1.0, -1.0])
    for k, corners in enumerate(_hexagons(at, cell_m * px)):
        share = float(state.rate[0, k]) / FULL_RATE
        canvas.polygon(corners, blend(LOW_RATE, HIGH_RATE, share), LINE, 1.0)
    for k in np.flatnonzero(state.caused_loss[0] > COSTLY):
        victim = int(state.neighbours[0, k, 0])  # the user that this beam disturbs most
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
    _right(canvas, f"mean rate {float(state.rate[0].mean()):.2f} bit/s/Hz")
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


def _draw_rb(canvas: Canvas, params: rb.Params, state: rb.State) -> None:
    nodes, heads = rb.layout(params, state)[0], state.heads[0]
    per = params.nodes_per_cluster
    both, _ = canvas.fit(np.concatenate([nodes, heads]), 0.06)
    at, head_at = both[: len(nodes)], both[len(nodes) :]
    load = state.grants[0].reshape(-1, per).sum(axis=1) / params.resource_blocks  # (C,)
    reach = float(np.linalg.norm(at[0] - head_at[0]))
    gap = 2 * reach * np.sin(np.pi / per) if per > 1 else reach
    radius = float(np.clip(0.42 * gap, 2.0, 11.0))
    ring = reach + radius + 4
    moved = _apart(head_at, 2 * ring + 12, canvas, ring)
    at = at + np.repeat(moved - head_at, per, axis=0)
    head_at = moved
    for c, others in enumerate(state.conflicts[0]):
        for other in (int(o) for o in others if o > c):
            hit = min(load[c], load[other]) > 0
            canvas.line(head_at[c], head_at[other], ORANGE if hit else LINE, 2.6 if hit else 1.2)
    for c, head in enumerate(head_at):
        fill = blend(PAPER, HIGH_RATE, float(load[c])) if load[c] > 0 else PAPER
        edge = BLUE if load[c] > 0 else LINE
        canvas.disc(head, ring, fill, edge, 2.0 if load[c] > 0 else 1.0)
    for i, node in enumerate(at):
        canvas.disc(node, radius, PAPER)
        canvas.pie(node, radius, float(state.queue[0, i]) / params.buffer, QUEUE)
        full = state.dropped[0, i] > 0
        canvas.disc(node, radius, None, ORANGE if full else INK, 2.0 if full else 1.0)
        if radius > 8:
            canvas.text(node, str(int(state.queue[0, i])), 9, INK)
    for c, head in enumerate(head_at):
        half = 4.0
        colour = PURPLE if state.burst[0, c] else SOFT
        x, y = head
        canvas.box(x - half, y - half, x + half, y + half, colour)
        if radius > 8 and load[c] > 0:
            canvas.text((x, y + ring + 8), f"load {load[c]:.2f}", 10, INK, halo=2)
    served, dropped = int(state.served[0].sum()), int(state.dropped[0].sum())
    _right(canvas, f"queued {int(state.queue[0].sum())}    served {served}    dropped {dropped}")
    legend = Legend(canvas)
    legend.item("transmits", lambda x, y: canvas.disc((x, y), 7, HIGH_RATE, BLUE, 2))
    legend.item("queue of buffer", lambda x, y: _little_pie(canvas, x, y))
    legend.item("drops", lambda x, y: canvas.disc((x, y), 6, PAPER, ORANGE, 2))
    legend.item("conflict", lambda x, y: canvas.line((x - 8, y), (x + 8, y), LINE, 1.2))
    legend.item("collides", lambda x, y: canvas.line((x - 8, y), (x + 8, y), ORANGE, 2.6))
    legend.item("burst", lambda x, y: canvas.box(x - 4, y - 4, x + 4, y + 4, PURPLE))


def _draw_ns(canvas: Canvas, params: ns.Params, state: ns.State) -> None:
    stations = ns.layout(params, state)[0]
    ssr = ns.metrics(params, state)["ssr"][0]  # (N, 3)
    share = state.allocation_hz[0] / params.bandwidth_hz  # (N, 3)
    at, unit = canvas.fit(stations, 1 / np.sqrt(3.0))
    cell = unit / np.sqrt(3.0)
    started = state.started[0]
    for k, corners in enumerate(_hexagons(at, cell)):
        lost = 2.0 * (1.0 - float(ssr[k].mean())) if started[k] else 0.0  # half lost: full colour
        canvas.polygon(corners, blend(SATISFIED, VIOLATED, lost), LINE, 1.0)
        x, base = at[k][0], at[k][1] + 0.38 * cell
        tall, wide = 0.95 * cell, 0.3 * cell
        for s, (_, colour) in enumerate(SLICES):
            left = x + (s - 1.5) * 1.15 * wide + 0.075 * wide
            canvas.box(left, base - tall, left + wide, base, (255, 255, 255, 190))
            canvas.box(left, base - tall * float(share[k, s]), left + wide, base, colour)
        if cell > 30 and started[k]:
            canvas.text((x, at[k][1] + 0.62 * cell), f"{ssr[k].mean():.2f}", 10, INK)
    mean = f"mean SSR {float(ssr[started].mean()):.3f}" if started.any() else ""
    _right(canvas, mean)
    legend = Legend(canvas)
    for name, colour in SLICES:
        legend.item(name, lambda x, y, c=colour: canvas.box(x - 4, y - 7, x + 4, y + 7, c))
    legend.note("bars: share of the band")
    legend.scale("SSR", "0.5", "1", VIOLATED, SATISFIED)


def _draw_rewards(canvas: Canvas, rewards: NDArray[np.float64], low: float, high: float) -> None:
    """A bar for each agent at the right edge, from the top; sorted where there are many."""
    wide = PANEL_PX * canvas.letters - 22
    x0, x1 = canvas.width - 12 - wide, canvas.width - 12.0
    top, bottom = HEADER_PX + 26.0, canvas.height - FOOTER_PX - 8.0
    many = len(rewards) > MANY
    label = "rewards, sorted" if many else "reward of agents"
    canvas.text((x1, HEADER_PX + 4), label, 9, SOFT, "rm")
    for x, value, anchor in ((x0, low, "lm"), (x1, high, "rm")):
        canvas.text((x, HEADER_PX + 17), f"{value:g}", 9, SOFT, anchor)
    values = np.clip(np.sort(rewards)[::-1] if many else rewards, low, high)
    zero = float(np.clip(0.0, low, high))
    place = (values - low) / (high - low) * (x1 - x0) + x0
    origin = (zero - low) / (high - low) * (x1 - x0) + x0
    each = (bottom - top) / len(values)
    for i, x in enumerate(place.tolist()):
        colour = GREEN if x >= origin else ORANGE
        y = top + i * each
        canvas.box(min(x, origin), y, max(x, origin), y + (each if many else 0.72 * each), colour)
    canvas.line((origin, top - 2), (origin, bottom), SOFT, 0.8)


def _right(canvas: Canvas, text: str) -> None:
    canvas.text((canvas.width - 14, HEADER_PX / 2), text, 12, SOFT, "rm")


def _little_pie(canvas: Canvas, x: float, y: float) -> None:
    canvas.pie((x, y), 6, 0.35, QUEUE)
    canvas.disc((x, y), 6, None, INK)


def _scale(task: str, rewards: NDArray[Any]) -> tuple[float, float]:
    """Ends of the scale of rewards: the task's, or powers of two beyond a mean that leaves it."""
    low, high = REWARDS[task]
    mean = float(np.mean(rewards))
    if mean > high:
        high = 2.0 ** np.ceil(np.log2(mean) + 0.5)
    elif mean < low:
        low = -(2.0 ** np.ceil(np.log2(-mean) + 0.5))
    return low, high


def _apart(
    points: NDArray[np.float64], gap: float, canvas: Canvas, margin: float
) -> NDArray[np.float64]:
    """Points ``(C, 2)`` pushed to ``gap`` from one another where there is room, in the picture."""
    room = canvas.room
    low = np.array([10.0, HEADER_PX]) + margin
    high = np.array([10.0, HEADER_PX]) + room - margin - [0, 14]
    moved = points.copy()
    for _ in range(60):
        off = moved[:, None] - moved[None]  # (C, C, 2)
        length = np.linalg.norm(off, axis=-1) + np.eye(len(moved)) * 1e9
        short = np.maximum(gap - length, 0.0)
        moved += 0.5 * (off * (short / np.maximum(length, 1e-6))[..., None]).sum(axis=1)
        moved = np.clip(moved, low, np.maximum(low, high))
    return moved


def _hexagons(at: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Corners ``(K, 6, 2)`` of hexagonal cells that touch along the lines between centres."""
    angle = np.pi / 6
    if len(at) > 1:
        nearest = at[1 + int(np.argmin(np.linalg.norm(at[1:] - at[0], axis=1)))] - at[0]
        angle += float(np.arctan2(nearest[1], nearest[0]))
    corner = angle + np.pi / 3 * np.arange(6)
    return at[:, None] + radius * np.stack([np.cos(corner), np.sin(corner)], axis=-1)


def _lobes(to_user: NDArray[np.float64], w: NDArray[Any]) -> NDArray[np.float64]:
    """Outlines ``(K, P, 2)`` of the field patterns, y down, 1 for full power in one direction.

    The field toward azimuth t is ``|sum_n e^{-j n pi (cos t - cos t_own)} w_n| / sqrt(N)``, with
    the array along x and beamformers in the frame of the own user, see `cbf`. Its square is the
    power; the field keeps weak beams visible.

    Args:
        to_user: ``(K, 2)`` from base station to its user.
        w: ``(K, N)`` beamformers, norm at most 1.
    """
    azimuth = np.linspace(0.0, 2 * np.pi, 180, endpoint=False)
    own = to_user[:, 0] / np.linalg.norm(to_user, axis=1)  # cos of the own azimuth
    psi = np.pi * (np.cos(azimuth) - own[:, None])  # (K, P)
    n = np.arange(w.shape[1])
    response = np.exp(-1j * psi[:, :, None] * n) @ w[:, :, None]  # (K, P, 1)
    field = np.abs(response[:, :, 0]) / np.sqrt(w.shape[1])
    return field[:, :, None] * np.stack([np.cos(azimuth), -np.sin(azimuth)], axis=-1)


_TASKS: dict[str, Callable[[Canvas, Any, Any], None]] = {
    "cbf": _draw_cbf,
    "rb": _draw_rb,
    "ns": _draw_ns,
}
