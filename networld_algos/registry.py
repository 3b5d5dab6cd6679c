"""The table of algorithms, and how to make one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from networld_algos.base import Algorithm
from networld_algos.bc import BC, BCConfig
from networld_algos.ma_cql import MACQL, MACQLConfig
from networld_algos.ma_dd import MADD, MADDConfig
from networld_algos.ma_dt import MADT, MADTConfig
from networld_algos.ma_iql import MAIQL, MAIQLConfig
from networld_algos.networld import NetWorld, NetWorldConfig
from networld_envs.spec import TaskSpec

ALGORITHMS: dict[str, tuple[type[Any], type[Algorithm]]] = {
    "networld": (NetWorldConfig, NetWorld),
    "bc": (BCConfig, BC),
    "ma-iql": (MAIQLConfig, MAIQL),
    "ma-cql": (MACQLConfig, MACQL),
    "ma-dt": (MADTConfig, MADT),
    "ma-dd": (MADDConfig, MADD),
}
"""Name -> (config class, algorithm class), in the order of figures and tables."""
BUILT_IN = tuple(ALGORITHMS)
"""Names that a user-defined algorithm must not take."""


def preset_values(name: str, preset: str) -> dict[str, Any]:
    """Fields of algorithm ``name`` that ``preset`` sets; none for ``"default"``.

    Raises:
        ValueError: If the algorithm or preset does not exist; the message lists valid names.
    """
    known = {"default": {}, **_entry(name)[1].presets}
    if preset not in known:
        raise ValueError(f"unknown preset {preset!r} of {name!r}; it has {', '.join(known)}")
    return dict(known[preset])


def make_config(name: str, values: dict[str, Any] | str | None = None) -> Any:
    """The config dataclass of algorithm ``name``, with ``values`` replacing defaults.

    Args:
        name: Key in `ALGORITHMS`.
        values: Fields to change, or the name of a preset, see `Algorithm.presets`.

    Raises:
        ValueError: If ``name``, the preset or a key of ``values`` is unknown, or a value is not
            valid.
    """
    config_type, _ = _entry(name)
    given = preset_values(name, values) if isinstance(values, str) else dict(values or {})
    known = [field.name for field in fields(config_type)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"unknown config keys {unknown} for {name!r}; it has {known}")
    lists = {k: tuple(v) for k, v in given.items() if isinstance(v, list)}  # JSON has no tuples
    return config_type(**{**given, **lists})


def make(
    name: str,
    specs: TaskSpec | Sequence[TaskSpec],
    config: Any = None,
    seed: int = 0,
) -> Algorithm:
    """An untrained algorithm.

    Args:
        name: Key in `ALGORITHMS`.
        specs: The task or tasks to learn.
        config: An instance of the algorithm's config class, a dict of fields to change, the name of
            a preset, or None for the defaults.
        seed: Seeds the initial weights.

    Raises:
        ValueError: If the name, the config or the number of tasks is not valid.
    """
    if config is None or isinstance(config, dict | str):
        config = make_config(name, config)
    config_type, algorithm = _entry(name)
    if type(config) is not config_type:
        raise ValueError(f"{name!r} needs a {config_type.__name__}, got {type(config).__name__}")
    tasks = [specs] if isinstance(specs, TaskSpec) else list(specs)
    return algorithm(tasks, config, seed)


def _entry(name: str) -> tuple[type[Any], type[Algorithm]]:
    if name not in ALGORITHMS:
        raise ValueError(
            f"unknown algorithm {name!r}; choose from {sorted(ALGORITHMS)}, or add your own first: "
            "--algorithm path/to/file.py:Name, or networld_algos.plugin.add_algorithm"
        )
    return ALGORITHMS[name]


def config_dict(algorithm: Algorithm) -> dict[str, Any]:
    """The config of an algorithm as plain types; the inverse of `make_config`."""
    return asdict(algorithm.config)
