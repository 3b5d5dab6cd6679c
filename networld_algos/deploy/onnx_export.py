"""Export what one station computes to ONNX, see `networld_algos.deploy.onnx_station`.

Needs the extra ``[export]``. Models with a history, such as MA-DT, and plans that are guided by a
gradient cannot be exported. The exported model is compared with the original before it is kept.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from networld_algos.base import Algorithm
from networld_algos.deploy.loading import network_of, read
from networld_algos.deploy.onnx_station import (
    ABOUT,
    DECISION,
    FORMAT,
    MESSAGE,
    OnnxEngine,
    graph_name,
)
from networld_algos.files import write_bytes
from networld_algos.nn.random import GivenNoise
from networld_envs.store.exporting.extras import optional
from networld_envs.version import __version__

OPSET = 18
"""Version of the ONNX operators that are used."""
TOLERANCE = 1e-5
"""Largest difference of a number from the original's, as a share of its range or of 1."""
CHECKED = 8  # random inputs that are compared


class _Message(nn.Module):
    def __init__(self, algorithm: Algorithm, task: str) -> None:
        super().__init__()
        self.algorithm, self.task = algorithm, task

    def forward(self, observation: Tensor) -> Tensor:
        sent = self.algorithm.message(observation[None, None], {"task": self.task})
        assert sent is not None
        return sent[0, 0]


class _Decision(nn.Module):
    def __init__(self, algorithm: Algorithm, task: str) -> None:
        super().__init__()
        self.algorithm, self.task = algorithm, task

    def forward(
        self, observation: Tensor, held: Tensor, usable: Tensor, noise: list[Tensor]
    ) -> Tensor:
        return self.act(observation, held, usable, GivenNoise(noise))[0]

    def act(
        self, observation: Tensor, held: Tensor, usable: Tensor, noise: GivenNoise
    ) -> tuple[Tensor, dict[str, Any]]:
        table = torch.zeros(1, 1, len(usable), dtype=torch.int64)
        carry = {"task": self.task, "inbox": (held[None, None], usable[None, None])}
        source = cast(torch.Generator, noise)
        actions, after = self.algorithm.act(observation[None, None], table, carry, source)
        return actions[0, 0], after


class _Silent(_Decision):
    """For models that do not communicate."""

    def forward(self, observation: Tensor, noise: list[Tensor]) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.act(observation, torch.zeros(1, 0), torch.zeros(1), GivenNoise(noise))[0]


def export(
    source: str | Path,
    out: str | Path,
    *,
    task: str | None = None,
    slots: int | None = None,
    preset: str | None = None,
    **decisions: Any,
) -> dict[str, Any]:
    """Write the ONNX graphs of one station and ``station.json``.

    Args:
        source: Folder of a checkpoint, ``pretrained:NAME`` or ``hf://owner/name``.
        out: Folder to write. An earlier export in it is replaced when the new one is complete.
        task: The task, if the model has several.
        slots: Most neighbours of a station; by default, the width of the training data's table.
        preset: Preset of the task's parameters, for the fallback action. By default, that of the
            training data.
        **decisions: Settings that are read only when acting, e.g. ``decode="argmax"``.

    Returns:
        The content of ``station.json``.

    Raises:
        ValueError: If the model has a history or needs gradients to act, or onnxruntime's decisions
            differ from torch's. Nothing is then written.
        ImportError: If the extra ``[export]`` is not installed.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        optional(package, "the export", "export")
    if Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"{out} is a file; name a folder for the exported station")
    loaded = read(source, task)
    algorithm, face = loaded.algorithm, loaded.interface
    algorithm.reconfigure(**decisions)
    if _needs_gradients(algorithm.config):
        raise ValueError(
            "guidance='gradient' computes gradients while acting, which ONNX cannot; export with "
            "guidance='none' or 'select'"
        )
    width = algorithm.known(face.task).neighbour_slots or 1 if slots is None else int(slots)
    if width < 1:
        raise ValueError(f"slots must be at least 1, got {slots}")
    blank = torch.zeros(face.obs_dim)
    mail = (torch.zeros(width, face.message_width), torch.zeros(width))
    step = (_Decision if face.message_width else _Silent)(algorithm, face.task)
    probe = GivenNoise()
    _, after = step.act(blank, *mail, probe)
    if history := sorted(set(after) - {"task", "inbox"}):
        raise ValueError(
            f"{algorithm.name} keeps a history ({', '.join(history)}), and only models without one "
            "can be exported; use networld_algos.deploy.Station, which needs torch"
        )
    noise = [torch.zeros(shape) for _, shape in probe.drawn]
    names = [f"noise_{i}" for i in range(len(noise))]
    about: dict[str, Any] = {
        "format": FORMAT,
        "networld": __version__,
        "opset": OPSET,
        "algorithm": algorithm.name,
        "interface": face.to_dict(),
        "neighbour_slots": width,
        "noise": [
            {"name": name, "kind": kind, "shape": list(shape)}
            for name, (kind, shape) in zip(names, probe.drawn, strict=True)
        ],
        "network": network_of(loaded, preset),
    }
    with tempfile.TemporaryDirectory(prefix="networld-") as made:
        folder = Path(made)
        graphs = about["graphs"] = {}
        if face.message_width:
            sent = _Message(algorithm, face.task)
            graphs[MESSAGE] = _write(sent, (blank,), ["observation"], folder, MESSAGE)
        heard, heard_names = (mail, ["held", "usable"]) if face.message_width else ((), [])
        inputs = ["observation", *heard_names, *names]
        graphs[DECISION] = _write(step, (blank, *heard, noise), inputs, folder, DECISION)
        (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        _compare(step, OnnxEngine(folder), algorithm)
        out = Path(out)
        for name in (*graphs.values(), ABOUT):  # the index comes last, so a reader finds a whole
            write_bytes(out / name, (folder / name).read_bytes())
    for graph in (MESSAGE, DECISION):
        for stale in out.glob(f"{graph}-{'[0-9a-f]' * 16}.onnx"):
            if stale.name not in graphs.values():
                stale.unlink(missing_ok=True)
    return about


def _needs_gradients(config: Any) -> bool:
    """Whether NetWorld draws plans and guides them by a gradient."""
    plans = not getattr(config, "follows_forecast", True) and config.act_by != "slot"
    return plans and config.guidance == "gradient" and config.guidance_weight > 0


def _write(
    module: nn.Module, inputs: tuple[Any, ...], names: list[str], folder: Path, graph: str
) -> str:
    """Write a graph into a folder; returns the name of its file."""
    path = folder / graph
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        torch.onnx.export(
            module.eval(),
            inputs,
            str(path),
            input_names=names,
            output_names=["message" if graph == MESSAGE else "action"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    name = graph_name(graph, path.read_bytes())
    path.rename(folder / name)
    return name


def _compare(step: _Decision, engine: OnnxEngine, algorithm: Algorithm) -> None:
    """Raise unless both decide alike on random inputs, with the features' own scale."""
    face, rng = engine.interface, np.random.default_rng(0)
    span = np.array(face.action_high) - np.array(face.action_low)
    for trial in range(CHECKED):
        scale = 10.0 ** rng.uniform(-2, 2, face.obs_dim)
        observation = (rng.standard_normal(face.obs_dim) * scale).astype(np.float32)
        held = rng.standard_normal((engine.slots, face.message_width)).astype(np.float32)
        usable = (rng.random(engine.slots) < trial / CHECKED).astype(np.float32)
        if face.message_width:
            ours = _Message(algorithm, face.task)(torch.from_numpy(observation)).numpy()
            _close("message", engine.message(observation), ours, np.maximum(np.abs(ours), 1.0))
        engine.reset(trial)
        theirs = engine.decide(observation, held, usable)
        draws = np.random.default_rng(trial)
        noise = [
            torch.from_numpy(
                (draws.standard_normal if kind == "normal" else draws.random)(shape, dtype="f4")
            )
            for _, kind, shape in engine.noise
        ]
        given = (torch.from_numpy(observation), torch.from_numpy(held), torch.from_numpy(usable))
        with torch.no_grad():
            chosen = step.act(*given, GivenNoise(noise))[0].numpy()
        _close("action", theirs, chosen, span if face.action_kind == "box" else 1.0)


def _close(what: str, exported: Any, original: Any, span: Any) -> None:
    worst = float(np.max(np.abs(exported - original) / span))
    if not worst <= TOLERANCE:
        raise ValueError(
            f"onnxruntime's {what} differs from torch's by {worst:.2g} of its range, more than "
            f"{TOLERANCE}; nothing was written"
        )
