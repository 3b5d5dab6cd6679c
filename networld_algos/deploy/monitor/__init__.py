"""Watch a deployed model: does it still see, and do, what its training data holds?

>>> from networld_algos.deploy.monitor import Monitor, Reference
>>> monitor = Monitor(Reference.load("runs/campus"))
>>> monitor.start_episode()
>>> monitor.update(observations, actions)  # after every decision; NumPy arrays
>>> print(monitor.report().alarms)

`docs/monitoring.md` is the guide. A name is imported when it is first used. Nothing here imports
torch, except `ensemble`, which needs the model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from networld_algos.deploy.monitor.ensemble import disagreements
    from networld_algos.deploy.monitor.reference import Reference
    from networld_algos.deploy.monitor.report import Report
    from networld_algos.deploy.monitor.watch import Monitor

_HOMES = {
    "Monitor": "watch",
    "Reference": "reference",
    "Report": "report",
    "disagreements": "ensemble",
}

__all__ = ["Monitor", "Reference", "Report", "disagreements"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"networld_algos.deploy.monitor.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
