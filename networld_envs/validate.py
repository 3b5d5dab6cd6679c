"""Checks of frozen dataclasses, with one wording: ``CLASS.FIELD must be RULE, got VALUE``.

Both packages use them in ``__post_init__``. Accepted values are stored as plain Python numbers and
tuples, so that equal parameters have equal JSON.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, NoReturn


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """An argument of a function as an integer in ``[low, high]``.

    Args:
        name: Name of the argument, for the message.
        value: What was given.
        low: Smallest value.
        high: Largest value; None for no limit.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is out of range.
    """
    rule = f"{name} must be an integer{_range(low, None, high)}, got {_shown(value)}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(rule)
    if not _inside(value, low, None, high):
        raise ValueError(rule)
    return int(value)


def number(name: str, value: Any, low: float, high: float) -> float:
    """An argument of a function as a number in ``[low, high]``.

    Args:
        name: Name of the argument, for the message.
        value: What was given.
        low: Smallest value.
        high: Largest value.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is out of range.
    """
    rule = f"{name} must be a number{_range(low, None, high)}, got {_shown(value)}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(rule)
    if not (_finite(value) and _inside(value, low, None, high)):
        raise ValueError(rule)
    return float(value)


def seed(value: Any) -> int | None:
    """A seed: an integer of at least 0, or None for a random one.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is negative.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"a seed must be an integer or None, got {_shown(value)}")
    if value < 0:
        raise ValueError(f"a seed must be at least 0, got {value!r}")
    return int(value)


def seeds(value: Any) -> list[int]:
    """One or more seeds, e.g. a list or a range.

    Raises:
        TypeError: If it is not a sequence, or an entry is not an integer.
        ValueError: If it is empty, or an entry is negative.
    """
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        given = list(value)
    except TypeError:
        rule = f"seeds must be a sequence of integers, got {_shown(value)}"
        raise TypeError(rule) from None
    if not given:
        raise ValueError(f"seeds must hold one or more integers, got {_shown(value)}")
    return [whole(f"seeds[{i}]", entry, low=0) for i, entry in enumerate(given)]


def options(value: Any) -> Mapping[str, Any]:
    """The argument ``options`` of a reset: a dictionary, or None for an empty one.

    Raises:
        TypeError: If it is neither.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"options must be a dictionary or None, got {_shown(value)}")
    return value


def fail(params: Any, name: str, rule: str, error: type[Exception] = ValueError) -> NoReturn:
    """Raise the error about a field that breaks a rule.

    Args:
        params: The dataclass.
        name: Its field.
        rule: Continues "must be", e.g. ``"a number above 0"``.
        error: Class of the error.
    """
    raise error(f"{type(params).__name__}.{name} must be {rule}, got {getattr(params, name)!r}")


def real(
    params: Any,
    *names: str,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
) -> None:
    """Require finite numbers in ``[low, high]`` or ``(above, high]``.

    Args:
        params: The dataclass.
        *names: Its fields.
        low: Smallest value; None for no limit.
        above: Lower limit that is itself excluded, in place of ``low``.
        high: Largest value; None for no limit.

    Raises:
        TypeError: If a field is not a number.
        ValueError: If one is not finite or out of range.
    """
    rule = f"a number{_range(low, above, high)}"
    for name in names:
        value = getattr(params, name)
        if isinstance(value, bool) or not isinstance(value, Real):
            fail(params, name, rule, TypeError)
        if not (_finite(value) and _inside(value, low, above, high)):
            fail(params, name, rule)
        if not isinstance(value, int | float):
            object.__setattr__(params, name, float(value))


def integer(params: Any, *names: str, low: int | None = None, high: int | None = None) -> None:
    """Require integers in ``[low, high]``.

    Args:
        params: The dataclass.
        *names: Its fields.
        low: Smallest value; None for no limit.
        high: Largest value; None for no limit.

    Raises:
        TypeError: If a field is not an integer.
        ValueError: If one is out of range.
    """
    rule = f"an integer{_range(low, None, high)}"
    for name in names:
        value = getattr(params, name)
        if isinstance(value, bool) or not isinstance(value, Integral):
            fail(params, name, rule, TypeError)
        if not _inside(value, low, None, high):
            fail(params, name, rule)
        object.__setattr__(params, name, int(value))


def numbers(
    params: Any,
    name: str,
    length: int | None,
    *,
    low: float | None = None,
    high: float | None = None,
    integers: bool = False,
) -> None:
    """Require a tuple of numbers in ``[low, high]``; a list, e.g. from JSON, becomes a tuple.

    Args:
        params: The dataclass.
        name: Its field.
        length: How many; None for one or more.
        low: Smallest value; None for no limit.
        high: Largest value; None for no limit.
        integers: Whether they must be integers.

    Raises:
        ValueError: If the field is anything else.
    """
    values = getattr(params, name)
    kind = Integral if integers else Real
    if not (
        isinstance(values, list | tuple)
        and (len(values) >= 1 if length is None else len(values) == length)
        and all(isinstance(v, kind) and not isinstance(v, bool) for v in values)
        and all(_finite(v) and _inside(v, low, None, high) for v in values)
    ):
        count = "one or more" if length is None else str(length)
        what = "integers" if integers else "numbers"
        fail(params, name, f"{count} {what}{_range(low, None, high)}")
    plain = (v if isinstance(v, int | float) else (int if integers else float)(v) for v in values)
    object.__setattr__(params, name, tuple(plain))


def ranges(params: Any, limits: Mapping[str, tuple[float, float]]) -> None:
    """Require that every field in a table lies in its range, both ends included.

    The annotation of a field says what it holds: integers, numbers or a tuple of them, and whether
    it can be None.

    Args:
        params: The dataclass.
        limits: Field -> smallest and largest value.

    Raises:
        TypeError: If a field is not a number or not an integer.
        ValueError: If one is out of range.
    """
    annotations = {f.name: str(f.type) for f in fields(params)}
    for name, (low, high) in limits.items():
        kind = annotations[name].removesuffix(" | None")
        if kind != annotations[name] and getattr(params, name) is None:
            continue
        if kind.startswith("tuple["):
            parts = kind.removeprefix("tuple[").removesuffix("]").split(", ")
            length = None if parts[-1] == "..." else len(parts)
            numbers(params, name, length, low=low, high=high, integers=parts[0] == "int")
        elif kind == "int":
            integer(params, name, low=int(low), high=int(high))
        else:
            real(params, name, low=low, high=high)


def size(params: Any, what: str, amount: int, most: int, names: Iterable[str]) -> None:
    """Require that a simulation, whose size follows from several fields, takes seconds at most.

    Args:
        params: The dataclass.
        what: What is counted, e.g. ``"entries of the neighbour table"``.
        amount: How many of them the fields need.
        most: Largest legal number.
        names: The fields, for the message.

    Raises:
        ValueError: If there are more.
    """
    if amount > most:
        given = ", ".join(f"{name}={getattr(params, name)!r}" for name in names)
        raise ValueError(
            f"{type(params).__name__} with {given} needs {amount:,} {what}, and at most {most:,} "
            "are allowed: reduce one of these parameters"
        )


def flag(params: Any, *names: str) -> None:
    """Require True or False.

    Raises:
        ValueError: If a field is anything else, 0 and 1 included.
    """
    for name in names:
        if not isinstance(getattr(params, name), bool):
            fail(params, name, "True or False")


def one_of(params: Any, name: str, allowed: Iterable[str]) -> None:
    """Require one of several words.

    Raises:
        ValueError: If the field is anything else.
    """
    words = tuple(allowed)
    value = getattr(params, name)
    if not isinstance(value, str) or value not in words:
        fail(params, name, f"one of {words}")


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _inside(value: Any, low: float | None, above: float | None, high: float | None) -> bool:
    return (
        (low is None or value >= low)
        and (above is None or value > above)
        and (high is None or value <= high)
    )


def _range(low: float | None, above: float | None, high: float | None) -> str:
    """The legal values in words, after "a number"."""
    if high is None:
        if low is None:
            return "" if above is None else f" above {_text(above)}"
        return f" of at least {_text(low)}"
    if low is None:
        return (
            f" of at most {_text(high)}"
            if above is None
            else f" in ({_text(above)}, {_text(high)}]"
        )
    return f" in [{_text(low)}, {_text(high)}]"


def _shown(value: Any) -> str:
    """A value for a message, shortened: an array or a long list would fill the screen."""
    return reprlib.repr(value)


def _text(number: float) -> str:
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
