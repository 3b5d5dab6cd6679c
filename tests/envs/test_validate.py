"""Checks of dataclasses: one wording for every rule, and plain values afterwards."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from networld_envs import validate


@dataclass(frozen=True)
class Box:
    """One field, for any check."""

    x: Any


@pytest.mark.parametrize(
    ("check", "bad", "error", "rule"),
    [
        ({"low": 0, "high": 1}, 1.5, ValueError, "a number in [0, 1]"),
        ({"low": 0, "high": 1}, float("nan"), ValueError, "a number in [0, 1]"),
        ({"low": 0, "high": 1}, "1", TypeError, "a number in [0, 1]"),
        ({"low": 0, "high": 1}, True, TypeError, "a number in [0, 1]"),
        ({"low": 0, "high": 1}, None, TypeError, "a number in [0, 1]"),
        ({"above": 0.0}, 0.0, ValueError, "a number above 0"),
        ({"above": 0.0}, float("inf"), ValueError, "a number above 0"),
        ({"above": 0.0}, 10**400, ValueError, "a number above 0"),
        ({"above": 0.0, "high": 10}, 11, ValueError, "a number in (0, 10]"),
        ({"low": 2}, 1, ValueError, "a number of at least 2"),
        ({"high": 2}, 3, ValueError, "a number of at most 2"),
        ({"low": 123456.789, "high": 2e6}, 1, ValueError, "a number in [123456.789, 2e+06]"),
        ({}, float("inf"), ValueError, "a number"),
    ],
)
def test_numbers_out_of_range_are_named(check, bad, error, rule):
    with pytest.raises(error) as raised:
        validate.real(Box(bad), "x", **check)
    assert str(raised.value) == f"Box.x must be {rule}, got {bad!r}"


@pytest.mark.parametrize(
    ("check", "bad", "error", "rule"),
    [
        ({"low": 1}, 0, ValueError, "an integer of at least 1"),
        ({"low": 1}, 1.0, TypeError, "an integer of at least 1"),
        ({"low": 1}, True, TypeError, "an integer of at least 1"),
        ({"low": 0, "high": 60}, 61, ValueError, "an integer in [0, 60]"),
    ],
)
def test_integers_out_of_range_are_named(check, bad, error, rule):
    with pytest.raises(error) as raised:
        validate.integer(Box(bad), "x", **check)
    assert str(raised.value) == f"Box.x must be {rule}, got {bad!r}"


@pytest.mark.parametrize(
    ("length", "options", "bad", "rule"),
    [
        (2, {"low": 0, "high": 1}, (0.5,), "2 numbers in [0, 1]"),
        (2, {"low": 0, "high": 1}, (0.5, 1.5), "2 numbers in [0, 1]"),
        (2, {"low": 0, "high": 1}, (0.5, float("nan")), "2 numbers in [0, 1]"),
        (2, {"low": 0, "high": 1}, 0.5, "2 numbers in [0, 1]"),
        (2, {"low": 0, "high": 1}, "ab", "2 numbers in [0, 1]"),
        (None, {"low": 1, "integers": True}, (), "one or more integers of at least 1"),
        (None, {"low": 1, "integers": True}, (1, 2.0), "one or more integers of at least 1"),
        (None, {"low": 1, "integers": True}, (1, True), "one or more integers of at least 1"),
    ],
)
def test_tuples_are_named(length, options, bad, rule):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        validate.numbers(Box(bad), "x", length, **options)
    assert str(raised.value) == f"Box.x must be {rule}, got {bad!r}"


@pytest.mark.parametrize("bad", [0, 1, None, "True"])
def test_flags_are_bool(bad):
    with pytest.raises(ValueError, match=rf"Box\.x must be True or False, got {bad!r}"):
        validate.flag(Box(bad), "x")


@pytest.mark.parametrize("bad", ["c", 1, None, ["a"]])
def test_words_are_among_the_allowed(bad):
    with pytest.raises(ValueError, match=r"Box\.x must be one of \('a', 'b'\), got"):
        validate.one_of(Box(bad), "x", ("a", "b"))


def test_every_field_that_is_given_is_checked():
    @dataclass(frozen=True)
    class Pair:
        a: float = 0.5
        b: float = 2.0

    with pytest.raises(ValueError, match=r"Pair\.b"):
        validate.real(Pair(), "a", "b", low=0, high=1)


def test_what_is_accepted_is_plain():
    """NumPy's numbers are not JSON; an int given for a number stays one."""
    for value, plain in ((np.int64(3), 3), (3, 3)):
        box = Box(value)
        validate.integer(box, "x", low=1)
        assert type(box.x) is type(plain)
        assert box.x == plain
    for value, kind in ((np.float32(0.5), float), (Fraction(1, 2), float), (1, int), (0.5, float)):
        box = Box(value)
        validate.real(box, "x", low=0, high=1)
        assert type(box.x) is kind
        assert box.x == value
    box = Box([np.int64(1), 2])
    validate.numbers(box, "x", 2, low=0, high=5, integers=True)
    assert box.x == (1, 2)
    assert [type(v) for v in box.x] == [int, int]


def test_a_table_of_ranges_is_read_with_the_annotations():
    @dataclass(frozen=True)
    class Some:
        whole: "int" = 2
        share: "float" = 0.5
        limit: "int | None" = None
        pair: "tuple[int, int]" = (1, 2)
        sizes: "tuple[float, ...]" = (1.0, 2.0, 3.0)

        def __post_init__(self):
            limits = {"whole": (1, 3), "share": (0, 1), "limit": (1, 9), "pair": (0, 5)}
            validate.ranges(self, {**limits, "sizes": (0.0, 4.0)})

    assert Some(limit=9, pair=[0, 5], sizes=[4.0]).pair == (0, 5)  # pyright: ignore[reportArgumentType]
    for name, bad, error, rule in (
        ("whole", 4, ValueError, "an integer in [1, 3]"),
        ("whole", 2.0, TypeError, "an integer in [1, 3]"),
        ("share", 1.5, ValueError, "a number in [0, 1]"),
        ("limit", 0, ValueError, "an integer in [1, 9]"),
        ("limit", 1.5, TypeError, "an integer in [1, 9]"),
        ("pair", (1, 6), ValueError, "2 integers in [0, 5]"),
        ("pair", (1, 2, 3), ValueError, "2 integers in [0, 5]"),
        ("sizes", (), ValueError, "one or more numbers in [0, 4]"),
    ):
        with pytest.raises(error) as raised:
            Some(**{name: bad})
        assert str(raised.value) == f"Some.{name} must be {rule}, got {bad!r}"
