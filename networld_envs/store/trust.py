"""Datasets are data: which code the environment that a dataset names may run.

Minari's ``recover_environment`` calls whatever function the dataset's metadata names. A dataset
that comes from elsewhere must therefore name an environment of this package, Gymnasium's own
wrappers around it, or a package that the user allows by name in the environment variable
``NETWORLD_ALLOW_PACKAGES`` (names separated by commas).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import gymnasium
import minari
from minari.dataset.minari_storage import MinariStorage

from networld_envs.store.ids import DatasetError
from networld_envs.store.reading.sizes import check_total

ALLOW = "NETWORLD_ALLOW_PACKAGES"
"""Environment variable: packages, separated by commas, whose environments datasets may name."""
ENVIRONMENTS = frozenset(
    {
        "networld_envs.joint:JointEnv",
        "networld_envs.joint:JointVectorEnv",
        "networld_envs.one_agent:OneAgentEnv",
    }
)
"""Not the whole package: it has functions that run a file or write one."""
WRAPPERS = frozenset(gymnasium.wrappers.__all__) - {"RecordVideo"}  # which writes files
FORM = re.compile(r"(\w+(?:\.\w+)*):(\w+)")


def open_trusted(data: Path) -> minari.MinariDataset:
    """Open the files of a dataset whose environment may be made.

    Args:
        data: The folder with ``metadata.json``.

    Raises:
        DatasetError: If the dataset names a function that is not allowed, or does not say what its
            spaces are. Nothing has been called then.
        OSError, ValueError, KeyError, AssertionError, TypeError: If the files are damaged.
    """
    about = MinariStorage.read_raw_metadata(data)
    if not isinstance(about, dict):
        raise DatasetError(f"the metadata is of type {type(about).__name__}, not an object")
    for space in ("observation_space", "action_space"):
        if not isinstance(about.get(space), str):  # Minari would make the environment to find out
            raise DatasetError(f"the metadata has no {space}")
    check_total(data, about)
    dataset = minari.MinariDataset(data)
    # These objects, rather than the text they were read from, are what would be called.
    for spec in (dataset.env_spec, getattr(dataset, "_eval_env_spec", None)):
        if spec is None:
            continue
        for entry_point in (spec.entry_point, spec.vector_entry_point):
            _check(entry_point, ENVIRONMENTS)
        for wrapper in spec.additional_wrappers:
            if not _is_gymnasium_wrapper(wrapper.entry_point):
                _check(wrapper.entry_point, frozenset())
    return dataset


def _check(entry_point: Any, known: frozenset[str]) -> None:
    """Raise unless an entry point is absent, known, or of a package that the user allows."""
    if entry_point is None or (isinstance(entry_point, str) and entry_point in known):
        return
    match = FORM.fullmatch(entry_point) if isinstance(entry_point, str) else None
    package = match[1].split(".")[0] if match else ""
    allowed = {name.strip() for name in os.environ.get(ALLOW, "").split(",")} - {""}
    if package in allowed:
        return
    hint = (
        f". If you trust the package {package!r}, set {ALLOW}={package}"
        if match and package != "networld_envs"
        else ""
    )
    raise DatasetError(
        f"the dataset names {entry_point!r} as its environment or a wrapper, which would run code "
        f"from outside networld_envs{hint}"
    )


def _is_gymnasium_wrapper(entry_point: Any) -> bool:
    match = FORM.fullmatch(entry_point) if isinstance(entry_point, str) else None
    return (
        match is not None
        and f"{match[1]}.".startswith("gymnasium.wrappers.")
        and match[2] in WRAPPERS
    )
