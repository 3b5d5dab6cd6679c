from dataclasses import replace

import numpy as np
import pytest

from networld_algos.report import scoring, style, summary
from networld_algos.report.sections import comparison_figures
from tests.report.rows import make_row, reference_rows, value


def test_two_experts_are_refused():
    rows = reference_rows(3)
    expert = next(r for r in rows if r.role == "expert")
    with pytest.raises(ValueError, match=r"several expert policies: \['expert', 'other'\]"):
        scoring.scales([*rows, replace(expert, algorithm="other", label="other")])
    with pytest.raises(ValueError, match="two final rows for the run"):
        scoring.scales([*rows, expert])


def test_training_data_is_drawn_on_the_scale_of_the_suite(display):
    rows = reference_rows(20)
    random, expert = scoring.scales(rows)["cbf", scoring.PLAIN]
    middle = (random + expert) / 2
    for u, offset in ((0, -0.5), (9, 0.5)):
        rows.append(make_row(updates=u, is_last=u > 0, episode_returns=(middle + offset,)))
    assert scoring.behaviours(rows, {"mine": middle}) == {}
    found = scoring.behaviours(rows, {"networld/cbf/expert-v0": middle})
    ((panel, data),) = found.items()
    assert (panel[0], value(data.score), value(data.reward)) == ("cbf", pytest.approx(50), middle)
    curves = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    look = style.styles([("bc", "bc")], display)
    policies = {panel: scoring.references(rows)["cbf"]}
    (ax,) = comparison_figures.comparison_figure(curves, policies, look, behaviours=found).axes
    assert any(list(line.get_ydata()) == [data.reward.value] * 2 for line in ax.lines)
