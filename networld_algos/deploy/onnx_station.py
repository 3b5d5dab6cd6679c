"""A station whose model was exported to ONNX. It needs NumPy and onnxruntime, but not torch.

    networld export runs/campus --out station      # where torch is installed

>>> from networld_algos.deploy.onnx_station import load_onnx_station
>>> station = load_onnx_station("station", number=3, neighbours=[1, 7], message_delay=1)
>>> action, outbox = station.step(observation, inbox)

The folder holds ``station.json`` and two graphs::

    message-<hash>.onnx    observation (O,)                                   -> message (M,)
    decision-<hash>.onnx   observation (O,), held (D, M), usable (D,), noise  -> action (A,) or ()

All inputs are float32. ``station.json`` lists the noise inputs, if there are any, the sizes, and
the names of the graphs, which are those of their content.
`networld_algos.deploy.interface.Engine` says what the others mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_algos.deploy.interface import Interface, stream_seed
from networld_algos.deploy.station import Fallback, Station

FORMAT = 2
ABOUT = "station.json"
MESSAGE, DECISION = "message", "decision"
"""The graphs; a model that does not communicate has no first one."""
AGAIN = "run networld export again"


def graph_name(graph: str, data: bytes) -> str:
    """Name of the file of a graph, by its content."""
    return f"{graph}-{hashlib.sha256(data).hexdigest()[:16]}.onnx"


class OnnxEngine:
    """Decides with an exported model on one thread of the CPU.

    Args:
        folder: What `networld export` wrote.
        seed: Seed of the noise, for models that sample.

    Attributes:
        about: The content of ``station.json``.
        noise: Name, kind and shape of each noise input.

    Raises:
        ValueError: If a file is damaged or of another format.
        OSError: If a file is missing.
        ImportError: If onnxruntime is not installed.
    """

    def __init__(self, folder: str | Path, seed: int = 0) -> None:
        try:
            ort = import_module("onnxruntime")
        except ImportError as error:
            raise ImportError(
                "exported models need onnxruntime: pip install 'networld[deploy]'"
            ) from error
        folder = Path(folder)
        try:
            graphs = self._read(folder)
        except FileNotFoundError:
            graphs = self._read(folder)  # another export may have replaced the files in between
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1

        def session(graph: str) -> Any:
            try:
                return ort.InferenceSession(
                    graphs[graph], options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # onnxruntime has an exception for each cause
                raise ValueError(
                    f"the {graph} graph in {folder} cannot be run by this onnxruntime ({error})"
                ) from error

        self._decision = session(DECISION)
        self._message = session(MESSAGE) if self.interface.message_width else None
        self._seed = seed
        self.reset()
        blank = np.zeros(self.interface.obs_dim, np.float32)
        if self._message is not None:
            self.message(blank)
        width = self.interface.message_width
        self.decide(blank, np.zeros((0, width), np.float32), np.zeros(0, np.float32))
        self.reset()

    def _read(self, folder: Path) -> dict[str, bytes]:
        """Read the description of the model; returns its graphs."""
        text = (folder / ABOUT).read_text(encoding="utf-8")
        try:
            self.about: dict[str, Any] = json.loads(text)
            if self.about["format"] != FORMAT:
                raise ValueError(
                    f"it has format {self.about['format']}, this version reads {FORMAT}"
                )
            self.interface = Interface.from_dict(self.about["interface"])
            self.slots = int(self.about["neighbour_slots"])
            self.noise = [(n["name"], n["kind"], tuple(n["shape"])) for n in self.about["noise"]]
            wanted = [DECISION, *([MESSAGE] if self.interface.message_width else [])]
            names = {graph: str(self.about["graphs"][graph]) for graph in wanted}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{folder / ABOUT} cannot be used ({error}); write it again with networld export"
            ) from error
        found = {}
        for graph, name in names.items():
            file = folder / Path(name).name
            if not file.is_file():
                raise FileNotFoundError(f"{file} is missing; {AGAIN}")
            found[graph] = file.read_bytes()
            if graph_name(graph, found[graph]) != name:
                raise ValueError(f"{file} is damaged: its content does not match its name; {AGAIN}")
        return found

    def reset(self, seed: int | None = None) -> None:
        """Start the noise again, from another seed if one is given; there is no other history."""
        self._seed = self._seed if seed is None else seed
        self._rng = np.random.default_rng(self._seed)

    def message(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `networld_algos.deploy.interface.Engine`."""
        assert self._message is not None
        return self._message.run(None, {"observation": observation})[0]

    def decide(
        self,
        observation: NDArray[np.float32],
        held: NDArray[np.float32],
        usable: NDArray[np.float32],
    ) -> NDArray[Any]:
        """See `networld_algos.deploy.interface.Engine`."""
        feed = {"observation": observation}
        if self.interface.message_width:
            more = self.slots - len(usable)
            feed["held"] = np.pad(held, ((0, more), (0, 0)))
            feed["usable"] = np.pad(usable, (0, more))
        for name, kind, shape in self.noise:
            draw = self._rng.standard_normal if kind == "normal" else self._rng.random
            feed[name] = draw(shape, dtype=np.float32)
        return self._decision.run(None, feed)[0]


def load_onnx_station(
    folder: str | Path,
    number: int,
    neighbours: Sequence[int],
    *,
    message_delay: int,
    deadline_ms: float | None = None,
    seed: int = 0,
    fallback: Fallback | None = None,
) -> Station:
    """A station of an exported model. It exchanges messages with stations of the same weights.

    Args:
        folder: What `networld export` wrote.
        number: Number of the station.
        neighbours: Numbers of its neighbours, at most as many as the model was exported for.
        message_delay: Slots that messages take.
        deadline_ms: Most time of a decision.
        seed: Seed of the noise; each station number has its own stream.
        fallback: Action if the model has none. By default, that of the task, which needs NetWorld's
            environments; without them, the last action.

    Raises:
        ValueError: If a file is damaged, or there are too many neighbours.
        OSError: If a file is missing.
        ImportError: If onnxruntime is not installed.
    """
    engine = OnnxEngine(folder, stream_seed(seed, number))
    if len(neighbours) > engine.slots:
        raise ValueError(
            f"{folder} was exported for {engine.slots} neighbours, got {len(neighbours)}; export "
            f"it with --slots {len(neighbours)}"
        )
    if fallback is None:
        try:
            # gymnasium and pettingzoo may be absent here
            heuristic = import_module("networld_algos.deploy.fallback").heuristic
        except ImportError:
            heuristic = None
        if heuristic is not None:
            network = engine.about["network"]
            fallback = heuristic(engine.interface.task, len(neighbours), **network)
    return Station(
        engine,
        number,
        neighbours,
        message_delay=message_delay,
        deadline_ms=deadline_ms,
        fallback=fallback,
    )
