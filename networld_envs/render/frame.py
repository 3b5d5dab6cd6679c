"""Drawings of a network and its state, with Pillow only: what ``render()`` returns.

The colours can be told apart with common colour vision deficiencies, and a shape or number always
shows what a colour means.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.render.canvas import (
    BLUE,
    FOOTER_PX,
    GREEN,
    HEADER_PX,
    INK,
    LINE,
    ORANGE,
    PANEL_PX,
    PAPER,
    SOFT,
    Canvas,
    Legend,
    header_note,
)
from networld_envs.simulator import about, task_module

MOST_PX = 8192  # of a side
MANY = 60  # with more agents than this, their rewards are drawn sorted


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
        task: Name of the task. A task without its own drawing is drawn from its ``layout``.
        params: The task's ``Params``.
        state: The task's ``State``.
        rewards: ``(N,)`` of the last step, or None right after a reset.
        step: Steps since the reset, for the title.
        size: Width and height in pixels, at least 480 x 360 and at most 8,192 each.

    Returns:
        ``(H, W, 3)``.

    Raises:
        ValueError: For an unknown task, or a size out of range.
        TypeError: If the size is not a pair of integers.
    """
    module = task_module(task)
    canvas = Canvas(_checked(size))
    if hasattr(module, "draw"):
        module.draw(canvas, params, state)
    else:
        _draw_layout(canvas, module, params, state)
    if rewards is not None:
        _draw_rewards(
            canvas, np.asarray(rewards, np.float64), *_scale(about(task).reward_range, rewards)
        )
    reward = ""
    if rewards is not None:
        column = module.spec(params).reward_column
        unit = f" {column.unit}" if column is not None and column.unit else ""
        reward = f"    mean reward {float(np.mean(rewards)):.3f}{unit}"
    canvas.text((14, HEADER_PX / 2), f"{task.upper()}    step {step}{reward}", 15, INK, "lm")
    return canvas.array()


def _checked(size: Any) -> tuple[int, int]:
    """The size, if a picture of it can be read and drawn."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise TypeError(f"size must be a width and a height in pixels, got {size!r}")
    width, height = size
    return (
        validate.whole("the width in size", width, 480, MOST_PX),
        validate.whole("the height in size", height, 360, MOST_PX),
    )


def _draw_layout(canvas: Canvas, task: ModuleType, params: Any, state: Any) -> None:
    """Draw any task: agents at their ``layout``, lines to neighbours, and mean metrics."""
    places = np.asarray(task.layout(params, state)[0], np.float64)  # (N, 2)
    at, _ = canvas.fit(places, 0.1 * max(float(np.ptp(places, axis=0).max()), 1e-9))
    table = task.neighbours(params, state)[0]
    for i, row in enumerate(table.tolist()):
        for j in row:
            if j > i or (j >= 0 and i not in table[j]):
                canvas.line(at[i], at[j], LINE, 1.0)
    radius = float(np.clip(40.0 / np.sqrt(len(at)), 2.0, 11.0))
    for i, place in enumerate(at):
        canvas.disc(place, radius, PAPER, BLUE, 1.5)
        if radius > 8:
            canvas.text(place, str(i), 9, INK)
    scalars = {k: v for k, v in task.metrics(params, state).items() if np.ndim(v) == 2}
    note = "    ".join(f"{k} {float(np.mean(v[0])):.3g}" for k, v in list(scalars.items())[:3])
    header_note(canvas, note)
    legend = Legend(canvas)
    legend.item(task.AGENT, lambda x, y: canvas.disc((x, y), 5, PAPER, BLUE, 1.5))
    legend.item("neighbours", lambda x, y: canvas.line((x - 8, y), (x + 8, y), LINE, 1.2))


def _draw_rewards(canvas: Canvas, rewards: NDArray[np.float64], low: float, high: float) -> None:
    """A bar per agent at the right edge, from top to bottom; sorted if there are many agents."""
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


def _scale(ends: tuple[float, float] | None, rewards: NDArray[Any]) -> tuple[float, float]:
    """Ends of the reward scale: the task's, or a power of two beyond a mean outside of it."""
    mean = float(np.mean(rewards))
    low, high = ends or ((0.0, 1.0) if mean >= 0 else (-1.0, 0.0))
    if mean > high:
        high = 2.0 ** np.ceil(np.log2(mean) + 0.5)
    elif mean < low:
        low = -(2.0 ** np.ceil(np.log2(-mean) + 0.5))
    return low, high
