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
