"""Settings that a search has chosen, as a file that commands and suites read.

A TOML file with one table for each algorithm and data, with the keys of
`networld_algos.bench.parts.Entry.by_data`::

    [ma-iql."rb/expert"]
    beta = 3.0
    learning_rate = 0.0012
    updates_per_minute = 2900.0

The last line is no setting: it says how fast one core trained with them, so that suites can give
all methods the same time. A key is a task, a quality, both as ``"task/quality"``, or the id of a
dataset.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from networld_algos.files import reading, write_text
from networld_algos.registry import ALGORITHMS, make_config

Choices = dict[str, dict[str, dict[str, Any]]]
"""Algorithm -> data -> fields of its config."""
RATE = "updates_per_minute"
"""Key beside the settings, see above."""
HEADER = """\
# Settings that `networld tune` chose on validation networks, and how fast they train on one core.
"""


def read_choices(path: str | Path) -> Choices:
    """Read a file of choices.

    Args:
        path: A TOML file.

    Raises:
        ValueError: If the file is not TOML, or holds something else than settings of algorithms;
            names the place. Algorithms that are not in the table are not checked.
        OSError: If it cannot be read.
    """
    path = Path(path)
    with reading(path, "mend it, or let `networld tune` write it again"):
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    for algorithm, tables in found.items():
        for data, fields in tables.items() if isinstance(tables, dict) else [("", tables)]:
            if not isinstance(fields, dict):
                raise ValueError(
                    f"{path} has {algorithm}.{data} = {fields!r}; settings stand in a table: "
                    f'[{algorithm}."task/quality"]'
                )
            try:
                settings, _ = split(fields)
                if algorithm in ALGORITHMS:
                    make_config(algorithm, settings)
            except (ValueError, TypeError) as error:
                raise ValueError(f'{path}, [{algorithm}."{data}"]: {error}') from error
    return found


def write_choices(path: str | Path, choices: Choices) -> Path:
    """Write a file of choices, sorted, whole or not at all.

    Raises:
        ValueError: If a value is none that TOML has, such as None.
    """
    parts = [HEADER]
    for algorithm in sorted(choices):
        for data, fields in sorted(choices[algorithm].items()):
            lines = [f"{name} = {_text(name, fields[name])}" for name in sorted(fields)]
            parts.append("\n".join([f"[{_key(algorithm)}.{_key(data)}]", *lines]) + "\n")
    return write_text(path, "\n".join(parts))


def settings_on(choices: Mapping[str, Any], algorithm: str, task: str, data: str) -> dict[str, Any]:
    """Fields of the config of ``algorithm`` on some data; empty if there are none.

    Args:
        choices: From `read_choices`.
        algorithm: Key in `networld_algos.ALGORITHMS`.
        task: Name of the task.
        data: Quality of the task's data, or the id of a dataset.
    """
    tables, found = choices.get(algorithm, {}), {}
    quality = catalogue_quality(task, data) or data
    for key in (task, quality, f"{task}/{quality}", data):
        found.update(split(tables.get(key, {}))[0])
    return found


def split(fields: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
    """Settings of a table, and its updates per minute; None if it does not say them.

    Raises:
        ValueError: If they are no positive number.
    """
    rate = fields.get(RATE)
    if rate is not None and (isinstance(rate, bool | str) or not 0 < rate < 1e9):
        raise ValueError(f"{RATE} must be a positive number, got {rate!r}")
    return {name: value for name, value in fields.items() if name != RATE}, rate


def open_choices(path: Path) -> Choices:
    """`read_choices` of a file that a user has named.

    Raises:
        ValueError: Also if there is no such file.
    """
    if not path.is_file():
        raise ValueError(f"there is no file of settings {path}; `networld tune` writes one")
    return read_choices(path)


def settings_for(path: Path, algorithm: str, task: str, data: str) -> dict[str, Any]:
    """`settings_on` for a file that a user has named.

    Raises:
        ValueError: If there is no such file, or it has nothing for this algorithm and data; says
            what it has.
    """
    choices = open_choices(path)
    found = settings_on(choices, algorithm, task, data)
    if not found:
        there = ", ".join(f"{a} on {d}" for a in choices for d in choices[a]) or "nothing"
        raise ValueError(f"{path} has no settings for {algorithm} on {data}; it has: {there}")
    return found


def catalogue_quality(task: str, dataset: str) -> str | None:
    """``"expert"`` for ``"networld/rb/expert-v0"`` of task rb; None for other datasets."""
    first, last = f"networld/{task}/", "-v0"
    if dataset.startswith(first) and dataset.endswith(last):
        return dataset[len(first) : -len(last)]
    return None


def data_key(task: str, dataset: str) -> str:
    """``"rb/expert"`` for ``"networld/rb/expert-v0"`` of task rb; other ids as they are."""
    quality = catalogue_quality(task, dataset)
    return dataset if quality is None else f"{task}/{quality}"


def _key(text: str) -> str:
    bare = text.replace("-", "").replace("_", "")
    return text if bare.isascii() and bare.isalnum() else json.dumps(text)


def _text(name: str, value: Any) -> str:
    """A value as TOML; for these types it is written as in JSON."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(name, v) for v in value)}]"
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    raise ValueError(f"{name} = {value!r} cannot be written to a file of settings")
