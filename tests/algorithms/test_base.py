"""What the contract of an algorithm brings along."""

import pytest

from networld_algos.base import Diagnostic


@pytest.mark.parametrize(
    ("low", "high", "inside", "outside", "words"),
    [
        (0.5, 2.0, (0.5, 2.0), (0.49, 2.01, float("nan"), float("inf")), "0.5 to 2"),
        (3.0, float("inf"), (3.0, 1e9), (2.9,), "at least 3"),
        (float("-inf"), 2.0, (-1e9, 2.0), (2.1,), "at most 2"),
        (float("-inf"), float("inf"), (-7.0, 7.0), (float("nan"),), ""),
    ],
)
def test_a_diagnostic_is_judged_by_its_own_range(low, high, inside, outside, words):
    assert all(Diagnostic(value, low, high).is_healthy for value in inside)
    assert not any(Diagnostic(value, low, high).is_healthy for value in outside)
    assert Diagnostic(1.0, low, high).healthy_range == words


def test_a_range_has_its_ends_in_order():
    with pytest.raises(ValueError, match=r"low must be at most high, got 2.0 and 1.0"):
        Diagnostic(1.0, low=2.0, high=1.0)
