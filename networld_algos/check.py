"""Validation of config dataclasses: each error names the field and the value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def _fail(config: Any, field: str, rule: str) -> None:
    value = getattr(config, field)
    raise ValueError(f"{type(config).__name__}.{field} must be {rule}, got {value!r}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def at_least(config: Any, minimum: int, *fields: str) -> None:
    """Each field is an integer not below ``minimum``."""
    for field in fields:
        value = getattr(config, field)
        if not _is_int(value) or value < minimum:
            _fail(config, field, f"an integer of at least {minimum}")


def positive_int(config: Any, *fields: str) -> None:
    """Each field is an integer above zero."""
    at_least(config, 1, *fields)


def positive(config: Any, *fields: str) -> None:
    """Each field is a finite number above zero."""
    for field in fields:
        value = getattr(config, field)
        if not _is_number(value) or value <= 0:
            _fail(config, field, "a finite number above 0")


def within(config: Any, low: float, high: float, *fields: str) -> None:
    """Each field is a number in ``[low, high]``."""
    for field in fields:
        value = getattr(config, field)
        if not _is_number(value) or not low <= value <= high:
            _fail(config, field, f"a number in [{low}, {high}]")


def flag(config: Any, *fields: str) -> None:
    """Each field is True or False."""
    for field in fields:
        if not isinstance(getattr(config, field), bool):
            _fail(config, field, "True or False")


def one_of(config: Any, field: str, allowed: Iterable[Any]) -> None:
    """The field is one of ``allowed``."""
    choices = tuple(allowed)
    if getattr(config, field) not in choices:
        _fail(config, field, f"one of {choices}")


def diffusion(config: Any, groups: int) -> None:
    """Sizes of a U-Net over a segment, and its number of steps, fit together.

    Args:
        config: With ``dim``, ``mults``, ``horizon``, ``steps`` and ``train_steps``.
        groups: Of its normalisation.
    """
    if config.dim < groups or config.dim % groups:
        raise ValueError(f"dim must be a multiple of {groups} (GroupNorm), got {config.dim}")
    if not config.mults or any(type(m) is not int or m < 1 for m in config.mults):
        raise ValueError(f"mults must be positive integers, got {config.mults}")
    unit = 2 ** (len(config.mults) - 1)
    if config.horizon % unit:
        raise ValueError(
            f"horizon={config.horizon} must be a multiple of {unit} for {len(config.mults)} levels"
        )
    if config.steps > config.train_steps:
        raise ValueError(f"steps={config.steps} exceeds train_steps={config.train_steps}")
