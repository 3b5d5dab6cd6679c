"""Trained NetWorld models that come with the package: ``pretrained:cbf``, ``:rb`` and ``:ns``.

    networld evaluate pretrained:rb

Each is the NetWorld model of the first training seed of the suite ``cpu`` on the task's expert
data. A folder beside this file holds it as a compact checkpoint, see
`networld_algos.training.checkpoint`, with its recorded score and the description of its training
data for `networld drift`. ``make pretrained`` makes them again.
"""

from __future__ import annotations

from pathlib import Path

from networld_algos.results.text import suggestion

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
        valid = [SCHEME + other for other in known]
        near = suggestion(SCHEME + name, valid)
        known = ", ".join(valid)
        raise ValueError(f"there is no model {source!r}{near}; models of the package: {known}")
    return ROOT / name
