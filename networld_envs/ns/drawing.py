"""How network slicing is drawn."""

from __future__ import annotations

import numpy as np

from networld_envs.ns import task
from networld_envs.ns.fluid_types import Params, State
from networld_envs.render.canvas import (
    BLUE,
    GREEN,
    INK,
    LINE,
    PURPLE,
    SATISFIED,
    VIOLATED,
    Canvas,
    Legend,
    blend,
    header_note,
    hexagons,
)

SLICES = (("VoLTE", BLUE), ("video", GREEN), ("URLLC", PURPLE))


def draw(canvas: Canvas, params: Params, state: State) -> None:
    """Draw environment 0 of ``state`` on ``canvas``."""
    stations = task.layout(params, state)[0]
    ssr = task.metrics(params, state)["ssr"][0]  # (N, 3)
    share = state.allocation_hz[0] / params.bandwidth_hz  # (N, 3)
    at, unit = canvas.fit(stations, 1 / np.sqrt(3.0))
    cell = unit / np.sqrt(3.0)
    started = state.started[0]
    for k, corners in enumerate(hexagons(at, cell)):
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
    header_note(canvas, mean)
    legend = Legend(canvas)
    for name, colour in SLICES:
        legend.item(name, lambda x, y, c=colour: canvas.box(x - 4, y - 7, x + 4, y + 7, c))
    legend.note("bars: share of the band")
    legend.scale("SSR", "0.5", "1", VIOLATED, SATISFIED)
