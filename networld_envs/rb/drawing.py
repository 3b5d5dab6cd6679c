"""How resource-block scheduling is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from networld_envs.rb import task
from networld_envs.render.canvas import (
    BLUE,
    HEADER_PX,
    HIGH_RATE,
    INK,
    LINE,
    ORANGE,
    PAPER,
    PURPLE,
    QUEUE,
    SOFT,
    Canvas,
    Legend,
    blend,
    header_note,
)


def draw(canvas: Canvas, params: task.Params, state: task.State) -> None:
    """Draw environment 0 of ``state`` on ``canvas``."""
    nodes, heads = task.layout(params, state)[0], state.heads[0]
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
    header_note(
        canvas, f"queued {int(state.queue[0].sum())}    served {served}    dropped {dropped}"
    )
    legend = Legend(canvas)
    legend.item("transmits", lambda x, y: canvas.disc((x, y), 7, HIGH_RATE, BLUE, 2))
    legend.item("queue of buffer", lambda x, y: _little_pie(canvas, x, y))
    legend.item("drops", lambda x, y: canvas.disc((x, y), 6, PAPER, ORANGE, 2))
    legend.item("conflict", lambda x, y: canvas.line((x - 8, y), (x + 8, y), LINE, 1.2))
    legend.item("collides", lambda x, y: canvas.line((x - 8, y), (x + 8, y), ORANGE, 2.6))
    legend.item("burst", lambda x, y: canvas.box(x - 4, y - 4, x + 4, y + 4, PURPLE))


def _little_pie(canvas: Canvas, x: float, y: float) -> None:
    canvas.pie((x, y), 6, 0.35, QUEUE)
    canvas.disc((x, y), 6, None, INK)


def _apart(
    points: NDArray[np.float64], gap: float, canvas: Canvas, margin: float
) -> NDArray[np.float64]:
    """Points ``(C, 2)`` pushed ``gap`` apart, if there is room, and kept inside the picture."""
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
