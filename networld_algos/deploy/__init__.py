"""Put a trained model to use: a whole network in one process, or one station on its own.

>>> from networld_algos.deploy import Policy, Station
>>> policy = Policy.load("runs/campus")              # NumPy in, NumPy out
>>> actions = policy.act(observations, neighbours)   # of all agents
>>> station = Station.load("runs/campus", number=3, neighbours=[1, 7], message_delay=1)
>>> action, outbox = station.step(observation, inbox)  # of one agent; messages are bytes

`docs/deploy.md` is the guide. A name is imported when it is first used. `OnnxStation` and the
modules that it needs import neither torch nor the environments.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from networld_algos.deploy.onnx_export import export
    from networld_algos.deploy.onnx_station import load_onnx_station
    from networld_algos.deploy.policy import Policy
    from networld_algos.deploy.station import Station
    from networld_algos.deploy.udp import UdpExchange

_HOMES = {
    "Policy": "policy",
    "Station": "station",
    "UdpExchange": "udp",
    "export": "onnx_export",
    "load_onnx_station": "onnx_station",
}

__all__ = ["Policy", "Station", "UdpExchange", "export", "load_onnx_station"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"networld_algos.deploy.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
