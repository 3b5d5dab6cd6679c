import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from networld_algos.report import axes, style
from networld_algos.results.stats import Interval


def test_labels_move_as_little_as_needed():
    assert axes.spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert axes.spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert axes.spread([0.0, 0.0, 0.02, 0.9], 0.1) == pytest.approx([0.0, 0.1, 0.2, 0.9])
    assert axes.spread([0.4, 1.0, 1.0], 0.2) == pytest.approx([0.4, 0.8, 1.0])


def test_a_bar_ends_where_its_interval_ends():
    """A bar that reaches over zero would show a decided loss as undecided."""
    look = {"color": "#FF0000", "weight": 1.0, "marker": "o", "markerfacecolor": "#FF0000"}
    with style.drawing():
        figure = Figure(figsize=(4, 1), dpi=200)
        canvas = FigureCanvasAgg(figure)
        ax = figure.subplots()
        axes.interval_bar(ax, Interval(-0.5, -0.9, -0.1, 3, "t"), 0.0, look)
        ax.set_xlim(-1.0, 0.2)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())
        limits = ax.transData.transform([(-0.9, 0.0), (-0.1, 0.0)])[:, 0]
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
    columns = np.flatnonzero(red.any(axis=0))
    assert [columns[0], columns[-1] + 1] == pytest.approx(limits.tolist(), abs=1.5)
