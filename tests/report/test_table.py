import pytest

from networld_algos.report.table import interval_text, limits_text, number_cell
from networld_algos.results.stats import Interval, Method


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.3, 2.04, "[0.3, 2.0]"),
        (0.04, 2.0, "[0.04, 2.0]"),  # above zero, which 0.0 would hide
        (-0.004, 0.97, "[-0.004, 0.97]"),
        (0.0, 1.0, "[0.0, 1.0]"),
        (-1.02, 1.0004, "[-1.02, 1.000]"),
    ],
)
def test_limits_show_on_which_side_of_a_boundary_they_are(low, high, text):
    interval = Interval((low + high) / 2, low, high, 5, Method.CROSSED)
    assert limits_text(interval, 1) == text
    assert interval_text(interval, 1).endswith(f" {text}")


def test_a_number_that_is_none_is_a_dash():
    assert number_cell(float("nan"), 1) == number_cell(None, 1)
