"""``networld act`` and ``networld export``: a trained model in use."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from networld_algos.cli.terminal import console, task_name


def act(
    model: Positional[str],
    task: str | None = None,
    number: int | None = None,
    neighbours: tuple[int, ...] = (),
    delay: int = 0,
    deadline_ms: float | None = None,
    preset: str | None = None,
    seed: int = 0,
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Decide for a program in any language: JSON lines on standard input and output.

    docs/deploy.md describes the lines. Without --number, a line holds the observations of a whole
    network. With it, the model decides for one station.

    Args:
        model: Folder written by `networld train`, pretrained:NAME, hf://owner/name, or, for a
            station, a folder written by `networld export`.
        task: The task, if the model has several.
        number: Number of the station.
        neighbours: Numbers of the station's neighbours.
        delay: Slots that messages take; with 0, those of the same slot are used.
        deadline_ms: Most time of a station's decision; then it takes the fallback action.
        preset: Preset of the task's parameters, for the fallback action.
        seed: Seed of the model's own randomness.
        algorithm: File of the model's algorithm if it is your own: path/to/file.py:ClassName.
    """
    from networld_algos.deploy import lines
    from networld_algos.deploy.onnx_station import ABOUT, load_onnx_station

    if isinstance(sys.stdin, io.TextIOWrapper):  # JSON is UTF-8, and a damaged line ends no service
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    if number is None and (neighbours or deadline_ms is not None):
        raise ValueError("--neighbours and --deadline-ms are for one station; give its --number")
    if (Path(model) / ABOUT).is_file():
        if number is None:
            raise ValueError(f"{model} is an exported station; give its --number")
        station = load_onnx_station(
            model, number, neighbours, message_delay=delay, deadline_ms=deadline_ms, seed=seed
        )
        lines.serve_station(station, sys.stdin, sys.stdout)
        return 0
    from networld_algos.cli.model import add_algorithms
    from networld_algos.deploy.policy import Policy
    from networld_algos.deploy.station import Station

    _one_thread()
    add_algorithms(algorithm)
    task = task and task_name(task)
    if number is None:
        policy = Policy.load(model, task=task, seed=seed, message_delay=delay)
        lines.serve_network(policy, sys.stdin, sys.stdout)
        return 0
    station = Station.load(
        model, number, neighbours, message_delay=delay, deadline_ms=deadline_ms, task=task,
        preset=preset, seed=seed,
    )  # fmt: skip
    lines.serve_station(station, sys.stdin, sys.stdout)
    return 0


def export(
    model: Positional[str],
    out: Path,
    task: str | None = None,
    slots: int | None = None,
    preset: str | None = None,
    decisions: Annotated[
        tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE"), tyro.conf.UseAppendAction
    ] = (),
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Export what one station computes to ONNX, to run without torch.

    The exported model is compared with the original on random inputs before it is written.

    Args:
        model: Folder written by `networld train`, pretrained:NAME or hf://owner/name.
        out: Folder to write.
        task: The task, if the model has several.
        slots: Most neighbours of a station. By default, the width of the training data's table.
        preset: Preset of the task's parameters, for the fallback action.
        decisions: Override a setting that is read only when acting, e.g. decode=argmax. Repeat the
            option for several settings.
        algorithm: File of the model's algorithm if it is your own: path/to/file.py:ClassName.
    """
    from networld_algos.cli.model import _setting, add_algorithms
    from networld_algos.deploy.onnx_export import export as write

    _one_thread()
    add_algorithms(algorithm)
    changes: dict[str, Any] = dict(_setting(text) for text in decisions)
    task = task and task_name(task)
    about = write(model, out, task=task, slots=slots, preset=preset, **changes)
    face = about["interface"]
    console.print(
        f"wrote {out}: a {about['algorithm']} station for task {face['task']}, at most "
        f"{about['neighbour_slots']} neighbours, messages of {face['message_width']} values, ONNX "
        f"opset {about['opset']}"
    )
    return 0


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
