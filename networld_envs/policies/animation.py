"""Animations: reference policies side by side on the same network, as GIF, WebP or PNG.

A chart below the pictures shows each policy's mean reward so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import KDTree

from networld_envs import validate
from networld_envs.files import replacing
from networld_envs.policies.base import get_policy, policy_actions
from networld_envs.render.canvas import (
    BLUE,
    COST,
    GREEN,
    HIGH_RATE,
    INK,
    LINE,
    ORANGE,
    PAPER,
    PURPLE,
    QUEUE,
    SATISFIED,
    SOFT,
    VIOLATED,
    Canvas,
    Colour,
)
from networld_envs.render.frame import draw
from networld_envs.simulator import Simulator, make_params
from networld_envs.spec import Stream

TITLE_PX = 26
CHART_PX = 84
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
SUFFIXES = (".gif", ".webp", ".png")
PALETTE = 46
CLEAR = PALETTE - 1
KEPT = (PAPER, INK, SOFT, LINE, *COLOURS, COST, HIGH_RATE, QUEUE, SATISFIED, VIOLATED)


def animate(
    task: str,
    policies: Sequence[str] = ("expert", "random"),
    seed: int = 0,
    steps: int = 40,
    every: int = 2,
    preset: str = "default",
    size: tuple[int, int] = (480, 360),
    **params: Any,
) -> list[NDArray[np.uint8]]:
    """Frames of an episode, with one policy per column.

    Args:
        task: Key in ``networld_envs.TASKS``.
        policies: One to four reference policies.
        seed: Seed of the network, the same for all policies.
        steps: Steps of the episode.
        every: Steps between two pictures; the last step is always shown.
        preset: Name of a preset of the task's parameters.
        size: Width and height of one policy's picture in pixels, at least 480 x 360.
        **params: Fields of the task's ``Params`` that override the preset's.

    Returns:
        Pictures ``(H, W, 3)``.

    Raises:
        ValueError: For an unknown task, preset or policy, a policy that cannot act with these
            parameters, or a number out of range.
        TypeError: If an argument is of the wrong type.
    """
    made = make_params(task, preset, **params)
    if isinstance(policies, str) or not isinstance(policies, Sequence):
        raise TypeError(f"policies must be a list of names, got {policies!r}")
    if not 1 <= len(policies) <= len(COLOURS):
        raise ValueError(f"choose 1 to {len(COLOURS)} policies, got {len(policies)}")
    seed = validate.whole("seed", seed, 0)
    steps, every = validate.whole("steps", steps, 1), validate.whole("every", every, 1)
    for name in policies:
        get_policy(task, name, made)
    shown = range((steps - 1) % every, steps, every)
    columns = [_episode(task, made, name, seed, steps, shown, size) for name in policies]
    means = np.stack([rewards for _, rewards in columns])  # (policies, steps), so far
    return [_frame([pictures[t] for pictures, _ in columns], policies, means, t) for t in shown]


def check_path(path: Path) -> None:
    """Raise a ValueError unless the file's suffix is that of an animation format."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path} must end in one of {', '.join(SUFFIXES)}")


def save(frames: Sequence[NDArray[np.uint8]], path: Path, fps: float = 4.0) -> Path:
    """Write an animation that loops; the suffix ``.gif``, ``.webp`` or ``.png`` sets the format.

    Args:
        frames: Pictures ``(H, W, 3)`` of one size.
        path: File to write.
        fps: Frames per second, in [0.1, 100]; the last frame is shown for two seconds.

    Raises:
        ValueError: For another suffix, no frames, or a rate out of range.
        TypeError: If the rate is not a number.
    """
    if not frames:
        raise ValueError("need at least one frame, got none")
    fps = validate.number("fps", fps, 0.1, 100.0)
    path = Path(path)
    check_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = _quantised(frames)
    options: dict[str, Any] = {
        "save_all": True,
        "duration": [round(1000 / fps)] * (len(pictures) - 1) + [2000],
        "loop": 0,
    }
    if path.suffix == ".gif":
        pictures = _changes(pictures)
        options.update(transparency=CLEAR, disposal=1, optimize=False)
    else:
        pictures = [picture.convert("RGB") for picture in pictures]
    if path.suffix == ".webp":
        options.update(lossless=True, quality=60, method=4)
    with replacing(path) as file:
        options["format"] = path.suffix[1:].upper()
        pictures[0].save(file, append_images=pictures[1:], **options)
    return path


def _quantised(frames: Sequence[NDArray[np.uint8]]) -> list[Image.Image]:
    """Pictures in one palette, so that unchanged pixels are equal and compress well.

    Colours with a meaning are kept exactly; the others are approximated.
    """
    sample = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // 6)]))
    others = sample.quantize(PALETTE - 1 - len(KEPT), Image.Quantize.MEDIANCUT).getpalette() or []
    kept = [value for colour in KEPT for value in colour]
    colours = np.array((kept + others)[: 3 * (PALETTE - 1)], np.uint8).reshape(-1, 3)
    nearest = KDTree(colours)
    pictures = []
    for frame in frames:
        code = frame.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)  # (H, W)
        found, where = np.unique(code, return_inverse=True)
        rgb = np.stack([found >> 16, (found >> 8) & 255, found & 255], axis=-1)
        place = np.asarray(nearest.query(rgb)[1], np.uint8)
        index = place[where].reshape(code.shape)
        picture = Image.fromarray(index)
        picture.putpalette([*colours.ravel().tolist(), 0, 0, 0])
        pictures.append(picture)
    return pictures


def _changes(pictures: Sequence[Image.Image]) -> list[Image.Image]:
    """The same pictures, with pixels that equal the previous picture's made transparent."""
    result = [pictures[0]]
    for before, after in pairwise(pictures):
        index = np.asarray(after)
        changed = np.where(index == np.asarray(before), CLEAR, index)
        picture = Image.fromarray(changed.astype(np.uint8))
        picture.putpalette(after.getpalette() or [])
        result.append(picture)
    return result


def _episode(
    task: str,
    params: Any,
    policy: str,
    seed: int,
    steps: int,
    shown: Sequence[int],
    size: tuple[int, int],
) -> tuple[dict[int, NDArray[np.uint8]], NDArray[np.float64]]:
    """Pictures of the steps ``shown`` and the mean reward so far ``(steps,)``."""
    sim = Simulator(task, params, 1, steps)
    sim.seed(seed)
    rngs = [np.random.default_rng([seed, Stream.ANIMATION])]
    chosen = get_policy(task, policy)
    obs = sim.reset()
    pictures: dict[int, NDArray[np.uint8]] = {}
    rewards: list[float] = []
    for t in range(steps):
        outcome = sim.step(policy_actions(chosen, sim, obs, rngs, t))
        obs = outcome.obs
        rewards.append(float(outcome.rewards.mean(dtype=np.float64)))
        if t in shown:
            pictures[t] = draw(task, params, sim.state, outcome.rewards[0], t + 1, size)
    return pictures, np.cumsum(rewards) / np.arange(1, steps + 1)


def _frame(
    pictures: Sequence[NDArray[np.uint8]],
    policies: Sequence[str],
    means: NDArray[np.float64],
    step: int,
) -> NDArray[np.uint8]:
    """Titles, pictures and the chart of the mean rewards up to ``step``."""
    width = sum(picture.shape[1] for picture in pictures)
    titles, chart = Canvas((width, TITLE_PX)), Canvas((width, CHART_PX))
    x = 0
    for i, (picture, name) in enumerate(zip(pictures, policies, strict=True)):
        titles.box(x + 14, 8, x + 26, 20, COLOURS[i])
        text = f"{name}: mean reward so far {means[i, step]:.2f}"
        titles.text((x + 34, TITLE_PX / 2 + 1), text, 15, INK, "lm")
        x += picture.shape[1]
    _chart(chart, means, step)
    return np.concatenate([titles.array(), np.concatenate(pictures, axis=1), chart.array()])


def _chart(canvas: Canvas, means: NDArray[np.float64], step: int) -> None:
    """Curves ``(policies, steps)`` up to ``step``, on a scale that fits all of them."""
    low, high = float(means.min()), float(means.max())
    span = max(high - low, 1e-9)
    x0, x1, top, bottom = 64.0, canvas.width - 24.0, 8.0, canvas.height - 18.0
    steps = means.shape[1]
    xs = x0 + (x1 - x0) * np.arange(steps) / max(steps - 1, 1)
    ys = bottom - (bottom - top) * (means - low) / span
    for value, y in ((high, top), (low, bottom)):
        canvas.line((x0, y), (x1, y), LINE, 0.8)
        canvas.text((x0 - 6, y), f"{value:.2f}", 10, SOFT, "rm")
    canvas.text((x0, canvas.height - 8), "mean reward so far", 10, SOFT, "lm")
    canvas.text((x1, canvas.height - 8), f"step {steps}", 10, SOFT, "rm")
    for i, row in enumerate(ys):
        _curve(canvas, xs[: step + 1], row[: step + 1], COLOURS[i])


def _curve(
    canvas: Canvas, xs: NDArray[np.float64], ys: NDArray[np.float64], colour: Colour
) -> None:
    points = np.stack([xs, ys], axis=-1)
    for a, b in pairwise(points):
        canvas.line(a, b, colour, 2.0)
    canvas.disc(points[-1], 3.5, colour)
