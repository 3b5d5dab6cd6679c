"""Offline multi-agent algorithms, and the benchmark that compares them.

>>> from networld_algos import make
>>> algorithm = make("bc", spec, {"hidden": 128}, seed=0)

The table of algorithms is in `networld_algos.registry`. It is imported on first use, since it needs
torch and reading results does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from networld_algos.registry import ALGORITHMS, config_dict, make, make_config

__all__ = ["ALGORITHMS", "config_dict", "make", "make_config"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from networld_algos import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
