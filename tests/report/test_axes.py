import pytest

from networld_algos.report import axes


def test_labels_move_as_little_as_needed():
    assert axes.spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert axes.spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert axes.spread([0.0, 0.0, 0.02, 0.9], 0.1) == pytest.approx([0.0, 0.1, 0.2, 0.9])
    assert axes.spread([0.4, 1.0, 1.0], 0.2) == pytest.approx([0.4, 0.8, 1.0])
