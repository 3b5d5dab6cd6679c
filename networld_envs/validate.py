"""Checks of frozen parameter dataclasses: the error names the field, its value and its range."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def _range(low: float | None, above: float | None, high: float | None) -> str:
    left = f"[{low}" if low is not None else f"({above}" if above is not None else "(-inf"
    return f"{left}, {high}]" if high is not None else f"{left}, inf)"


def _check(
    params: Any, name: str, low: float | None, above: float | None, high: float | None
) -> None:
    value = getattr(params, name)
    legal = (
        math.isfinite(value)
        and (low is None or value >= low)
        and (above is None or value > above)
        and (high is None or value <= high)
    )
    if not legal:
        raise ValueError(
            f"{type(params).__module__}.{type(params).__name__}.{name} must be in "
            f"{_range(low, above, high)}, got {value!r}"
        )


def real(
    params: Any,
    name: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
) -> None:
    """Require a finite number in ``[low, high]`` or ``(above, high]``.

    Raises:
        TypeError: If the field is not a number.
        ValueError: If it is not finite or out of range.
    """
    value = getattr(params, name)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{type(params).__name__}.{name} must be a number, got {value!r}")
    _check(params, name, low, above, high)


def integer(params: Any, name: str, *, low: int | None = None, high: int | None = None) -> None:
    """Require an integer in ``[low, high]``.

    Raises:
        TypeError: If the field is not an integer.
        ValueError: If it is out of range.
    """
    value = getattr(params, name)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{type(params).__name__}.{name} must be an integer, got {value!r}")
    _check(params, name, low, None, high)


def numbers(
    params: Any,
    name: str,
    length: int | None,
    *,
    low: float,
    high: float,
    integers: bool = False,
) -> None:
    """Require a tuple of numbers in ``[low, high]``; a list, as from JSON or TOML, becomes one.

    Args:
        params: Frozen dataclass.
        name: Its field.
        length: How many; None for one or more.
        low: Least value.
        high: Largest value.
        integers: Whether they must be integers.

    Raises:
        ValueError: If the field is anything else.
    """
    values = getattr(params, name)
    if isinstance(values, list):
        values = tuple(values)
        object.__setattr__(params, name, values)
    kind = Integral if integers else Real
    if not (
        isinstance(values, tuple)
        and (len(values) >= 1 if length is None else len(values) == length)
        and all(isinstance(v, kind) and not isinstance(v, bool) for v in values)
        and all(low <= v <= high for v in values)  # False for NaN
    ):
        count = "one or more" if length is None else str(length)
        raise ValueError(
            f"{type(params).__name__}.{name} must be {count} "
            f"{'integers' if integers else 'numbers'} in [{low:g}, {high:g}], got {values!r}"
        )
