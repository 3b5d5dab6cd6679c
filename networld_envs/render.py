"""Drawings of a network and its state, with Pillow only: what ``render()`` returns.

Everything is drawn at twice the size and reduced, which smooths edges. Colours are told apart in
the common colour visions; colour never carries alone what a shape or a number does not show too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from networld_envs import cbf, ns, rb

Colour = tuple[int, ...]

SCALE = 2
INK = (34, 38, 43)
SOFT = (105, 112, 122)
LINE = (170, 177, 186)
PAPER = (255, 255, 255)
BLUE = (0, 114, 178)
ORANGE = (213, 94, 0)
GREEN = (0, 158, 115)
PURPLE = (126, 70, 170)
LOW_RATE = (243, 246, 250)
HIGH_RATE = (86, 160, 211)
FULL_RATE = 12.0  # bit/s/Hz at the dark end of the scale
SATISFIED = (240, 246, 251)
VIOLATED = (233, 130, 60)
SLICES = (("VoLTE", BLUE), ("video", GREEN), ("URLLC", PURPLE))
HEADER_PX = 34
FOOTER_PX = 46


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
    canvas = _Canvas(size)
    _TASKS[task](canvas, params, state)
    reward = "" if rewards is None else f"    mean reward {float(np.mean(rewards)):.3f}"
    canvas.text((14, HEADER_PX / 2), f"{task.upper()}    step {step}{reward}", 15, INK, "lm")
    return canvas.array()


class _Canvas:
    """Pillow in final pixels, origin top left; drawn `SCALE` times larger."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.width, self.height = size
        self.letters = min(1.0, size[0] / 640)  # smaller type in smaller pictures
        self.image = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), PAPER)
        self.pen = ImageDraw.Draw(self.image, "RGBA")

    def fit(self, points: NDArray[np.float64], margin: float) -> tuple[NDArray[np.float64], float]:
        """Map ``(..., 2)`` points, y up, into the middle; also the pixels of one unit."""
        flat = points.reshape(-1, 2)
        low, high = flat.min(axis=0) - margin, flat.max(axis=0) + margin
        room = np.array([self.width - 20, self.height - HEADER_PX - FOOTER_PX])
        unit = float((room / np.maximum(high - low, 1e-9)).min())
        middle = np.array([self.width / 2, HEADER_PX + room[1] / 2])
        return middle + (points - (low + high) / 2) * unit * np.array([1.0, -1.0]), unit

    def polygon(self, points: Any, fill: Colour | None, line: Colour | None, width: float) -> None:
        flat = [tuple(p) for p in (np.asarray(points) * SCALE).tolist()]
        self.pen.polygon(flat, fill=fill)
        if line is not None:
            self.pen.line([*flat, flat[0]], fill=line, width=round(width * SCALE), joint="curve")

    def line(self, a: Any, b: Any, colour: Colour, width: float) -> None:
        ends = [tuple(p) for p in (np.asarray([a, b]) * SCALE).tolist()]
        self.pen.line(ends, fill=colour, width=max(1, round(width * SCALE)))

    def disc(
        self, at: Any, radius: float, fill: Colour | None, line: Colour | None = None, w: float = 1
    ) -> None:
        box = self._box(at, radius)
        self.pen.ellipse(box, fill=fill, outline=line, width=round(w * SCALE))

    def pie(self, at: Any, radius: float, share: float, fill: Colour) -> None:
        """A slice of ``share`` of the disc, clockwise from the top."""
        if share > 0:
            self.pen.pieslice(self._box(at, radius), -90, -90 + 360 * min(share, 1.0), fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        if x1 > x0 and y1 > y0:
            self.pen.rectangle([v * SCALE for v in (x0, y0, x1, y1)], fill=fill)

    def text(
        self, at: Any, text: str, size: float, colour: Colour, anchor: str = "mm", halo: int = 0
    ) -> float:
        """Write, in a white halo if asked, and return the width in pixels."""
        font = ImageFont.load_default(size * self.letters * SCALE)
        x, y = at
        where = (x * SCALE, y * SCALE)
        self.pen.text(
            where,
            text,
            fill=colour,
            font=font,
            anchor=anchor,
            stroke_width=halo * SCALE,
            stroke_fill=PAPER,
        )
        return float(self.pen.textlength(text, font=font)) / SCALE

    def array(self) -> NDArray[np.uint8]:
        small = self.image.resize((self.width, self.height), Image.Resampling.LANCZOS)
        return np.array(small, dtype=np.uint8)

    def _box(self, at: Any, radius: float) -> list[float]:
        x, y = at
        return [v * SCALE for v in (x - radius, y - radius, x + radius, y + radius)]


def _draw_cbf(canvas: _Canvas, params: cbf.Params, state: cbf.State) -> None:
    stations, users = cbf.layout(params, state)[0], state.user_m[0]
    cell_m = params.inter_site_m / np.sqrt(3.0)
    at, px = canvas.fit(stations, cell_m)
    user_at = at + (users - stations) * px * np.array([1.0, -1.0])
    for k, corners in enumerate(_hexagons(at, cell_m * px)):
        share = float(state.rate[0, k]) / FULL_RATE
        canvas.polygon(corners, _blend(LOW_RATE, HIGH_RATE, share), LINE, 1.0)
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
    legend = _Legend(canvas)
    legend.item("base station", lambda x, y: canvas.polygon(
        [(x, y - 6), (x + 5, y + 4), (x - 5, y + 4)], INK, None, 0))  # fmt: skip
    legend.item("user", lambda x, y: canvas.disc((x, y), 4, PAPER, BLUE, 1.3))
    legend.item("beam", lambda x, y: canvas.disc((x, y), 6, (*ORANGE, 160), (*ORANGE, 220)))
    legend.scale("rate", "0", f"{FULL_RATE:.0f} bit/s/Hz", LOW_RATE, HIGH_RATE)


def _draw_rb(canvas: _Canvas, params: rb.Params, state: rb.State) -> None:
    nodes, heads = rb.layout(params, state)[0], state.heads[0]
    per = params.nodes_per_cluster
    both, _ = canvas.fit(np.concatenate([nodes, heads]), 0.06)
    at, head_at = both[: len(nodes)], both[len(nodes) :]
    load = state.grants[0].reshape(-1, per).sum(axis=1) / params.resource_blocks  # (C,)
    reach = float(np.linalg.norm(at[0] - head_at[0]))
    gap = 2 * reach * np.sin(np.pi / per) if per > 1 else reach
    radius = float(np.clip(0.42 * gap, 2.0, 11.0))
    for c, others in enumerate(state.conflicts[0]):
        for other in (int(o) for o in others if o > c):
            hit = min(load[c], load[other]) > 0
            canvas.line(head_at[c], head_at[other], ORANGE if hit else LINE, 2.6 if hit else 1.2)
    for c, head in enumerate(head_at):
        fill = _blend(PAPER, HIGH_RATE, float(load[c])) if load[c] > 0 else PAPER
        edge = BLUE if load[c] > 0 else LINE
        canvas.disc(head, reach + radius + 4, fill, edge, 2.0 if load[c] > 0 else 1.0)
    for i, node in enumerate(at):
        canvas.disc(node, radius, PAPER)
        canvas.pie(node, radius, float(state.queue[0, i]) / params.buffer, (*GREEN, 190))
        full = state.dropped[0, i] > 0
        canvas.disc(node, radius, None, ORANGE if full else INK, 2.0 if full else 1.0)
        if radius > 8:
            canvas.text(node, str(int(state.queue[0, i])), 9, INK)
    for c, head in enumerate(head_at):
        half = 4.0
        colour = PURPLE if state.burst[0, c] else SOFT
        x, y = head
        canvas.box(x - half, y - half, x + half, y + half, colour)
    served, dropped = int(state.served[0].sum()), int(state.dropped[0].sum())
    _right(canvas, f"queued {int(state.queue[0].sum())}    served {served}    dropped {dropped}")
    legend = _Legend(canvas)
    legend.item("transmits", lambda x, y: canvas.disc((x, y), 7, HIGH_RATE, BLUE, 2))
    legend.item("queue of buffer", lambda x, y: _little_pie(canvas, x, y))
    legend.item("drops", lambda x, y: canvas.disc((x, y), 6, PAPER, ORANGE, 2))
    legend.item("conflict", lambda x, y: canvas.line((x - 8, y), (x + 8, y), LINE, 1.2))
    legend.item("collides", lambda x, y: canvas.line((x - 8, y), (x + 8, y), ORANGE, 2.6))
    legend.item("burst", lambda x, y: canvas.box(x - 4, y - 4, x + 4, y + 4, PURPLE))


def _draw_ns(canvas: _Canvas, params: ns.Params, state: ns.State) -> None:
    stations = ns.layout(params, state)[0]
    ssr = ns.metrics(params, state)["ssr"][0]  # (N, 3)
    share = state.allocation_hz[0] / params.bandwidth_hz  # (N, 3)
    at, unit = canvas.fit(stations, 1 / np.sqrt(3.0))
    cell = unit / np.sqrt(3.0)
    started = state.spectral_efficiency[0] > 0
    for k, corners in enumerate(_hexagons(at, cell)):
        lost = 2.0 * (1.0 - float(ssr[k].mean())) if started[k] else 0.0  # half lost: full colour
        canvas.polygon(corners, _blend(SATISFIED, VIOLATED, lost), LINE, 1.0)
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
    legend = _Legend(canvas)
    for name, colour in SLICES:
        legend.item(name, lambda x, y, c=colour: canvas.box(x - 4, y - 7, x + 4, y + 7, c))
    legend.note("bars: share of the band")
    legend.scale("SSR", "0.5", "1", VIOLATED, SATISFIED)


class _Legend:
    """Entries from left to right at the foot of the picture."""

    def __init__(self, canvas: _Canvas) -> None:
        self.canvas = canvas
        self.x = 14.0
        self.y = canvas.height - FOOTER_PX / 2
        self.gap = 14.0 * canvas.letters

    def item(self, text: str, symbol: Callable[[float, float], None]) -> None:
        symbol(self.x + 8, self.y)
        self.x += 8 + 13 * self.canvas.letters
        self.note(text)

    def note(self, text: str) -> None:
        self.x += self.canvas.text((self.x, self.y), text, 11, INK, "lm") + self.gap

    def scale(self, name: str, low: str, high: str, first: Colour, last: Colour) -> None:
        self.note(name)
        self.x -= 0.6 * self.gap
        self.note(low)
        self.x -= 0.6 * self.gap
        wide = round(60 * self.canvas.letters)
        for i in range(wide):
            colour = _blend(first, last, i / (wide - 1))
            self.canvas.box(self.x + i, self.y - 6, self.x + i + 1, self.y + 6, colour)
        self.x += wide + 5
        self.note(high)


def _right(canvas: _Canvas, text: str) -> None:
    canvas.text((canvas.width - 14, HEADER_PX / 2), text, 12, SOFT, "rm")


def _little_pie(canvas: _Canvas, x: float, y: float) -> None:
    canvas.pie((x, y), 6, 0.35, (*GREEN, 190))
    canvas.disc((x, y), 6, None, INK)


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


def _blend(first: Sequence[int], last: Sequence[int], share: float) -> Colour:
    share = min(max(share, 0.0), 1.0)
    return tuple(round(a + share * (b - a)) for a, b in zip(first, last, strict=True))


_TASKS: dict[str, Callable[[_Canvas, Any, Any], None]] = {
    "cbf": _draw_cbf,
    "rb": _draw_rb,
    "ns": _draw_ns,
}
