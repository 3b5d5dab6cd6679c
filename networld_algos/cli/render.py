"""``networld render``: reference policies as an animation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from networld_algos.cli.terminal import console, task_name

if TYPE_CHECKING:
    pass


def render(
    task: str,
    out: Path,
    policy: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    preset: str = "default",
    seed: int = 0,
    steps: int = 40,
    every: int = 2,
    fps: float = 4.0,
    width: int = 480,
    height: int = 360,
) -> int:
    """Draw reference policies side by side on the same network, as an animation.

    Args:
        task: cbf, rb, ns, or your own, path/to/file.py.
        out: File to write: .webp (smallest), .gif or .png.
        policy: A reference policy; give the option again for the next column. Without it, the
            expert, or the best there is, and random.
        preset: Named parameters of the task.
        seed: Of the network.
        steps: Steps of the episode.
        every: Steps from one picture to the next.
        fps: Pictures a second.
        width: Of one column, px.
        height: Of one column, px.
    """
    from networld_envs.policies import best_policy
    from networld_envs.policies.animation import animate, check_path, save
    from networld_envs.simulator import make_params

    check_path(out)
    task = task_name(task)
    if not policy:
        policy = (best_policy(task, make_params(task, preset)), "random")
    frames = animate(task, policy, seed, steps, every, preset, (width, height))
    save(frames, out, fps)
    console.print(f"wrote {out}: {len(frames)} pictures, {out.stat().st_size / 1e3:.0f} kB")
    return 0
