"""Trained NetWorld models that come with the package: ``pretrained:cbf``, ``:rb`` and ``:ns``.

    networld evaluate pretrained:rb

Each is the NetWorld model of the first training seed of the suite ``cpu`` on the task's expert
data. A folder beside this file holds it as a compact checkpoint, see
`networld_algos.training.checkpoint`, with its recorded score and the description of its training
data for `networld drift`. ``make pretrained`` makes them again.
"""

from __future__ import annotations

import difflib
from pathlib import Path

SCHEME = "pretrained:"
ROOT = Path(__file__).parent


def names() -> list[str]:
    """Names of the models, without `SCHEME`."""
    return sorted(file.parent.name for file in ROOT.glob("*/checkpoint.json"))


def folder(source: str) -> Path:
    """Folder of a model.

    Args:
        source: ``pretrained:NAME``.

    Raises:
        ValueError: If there is no model of that name; lists the valid ones.
    """
    name, known = source.removeprefix(SCHEME), names()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f" (did you mean {SCHEME}{near[0]}?)" if near else ""
        valid = ", ".join(SCHEME + other for other in known)
        raise ValueError(f"there is no model {source!r}{hint}; models of the package: {valid}")
    return ROOT / name
