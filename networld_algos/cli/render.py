"""``networld render``: an animation of reference policies."""

from __future__ import annotations

from pathlib import Path

import tyro

from networld_algos.cli.terminal import console, task_name
from networld_algos.results.text import count


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
    """Animate reference policies side by side on the same network.

    Args:
        task: cbf, rb, ns, or your own task: path/to/file.py.
        out: File to write: .webp (smallest), .gif or .png.
        policy: A reference policy. Repeat the option for further columns. By default, the expert
            (or the best policy available) and random.
        preset: Preset of the task's parameters.
        seed: Seed of the network.
        steps: Number of steps of the episode.
        every: Steps from one frame to the next.
        fps: Frames per second.
        width: Width of a column in pixels.
        height: Height of a column in pixels.
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
    console.print(f"wrote {out}: {count(len(frames), 'frame')}, {out.stat().st_size / 1e3:.0f} kB")
    return 0
