"""Drawings of a network and its state, with Pillow only: what ``render()`` returns.

Colours are told apart in the common colour visions. Colour alone never carries a meaning that a
shape or a number does not show too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf import drawing as cbf_drawing
from networld_envs.ns import drawing as ns_drawing
from networld_envs.rb import drawing as rb_drawing
from networld_envs.render.canvas import (
    FOOTER_PX,
    GREEN,
    HEADER_PX,
    INK,
    ORANGE,
    PANEL_PX,
    SOFT,
    Canvas,
)

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


def _scale(task: str, rewards: NDArray[Any]) -> tuple[float, float]:
    """Ends of the scale of rewards: the task's, or powers of two beyond a mean that leaves it."""
    low, high = REWARDS[task]
    mean = float(np.mean(rewards))
    if mean > high:
        high = 2.0 ** np.ceil(np.log2(mean) + 0.5)
    elif mean < low:
        low = -(2.0 ** np.ceil(np.log2(-mean) + 0.5))
    return low, high


_TASKS: dict[str, Callable[[Canvas, Any, Any], None]] = {
    "cbf": cbf_drawing.draw,
    "rb": rb_drawing.draw,
    "ns": ns_drawing.draw,
}
