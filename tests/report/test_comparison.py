import itertools
import re
from dataclasses import replace

import numpy as np
from matplotlib.text import Text

from networld_algos.report import scoring, style, summary
from networld_algos.report.sections import comparison_figures, comparison_tables
from networld_algos.results.stats import Interval, Method
from tests.report.rows import (
    FINAL_SCORES,
    REFERENCES,
    comparison_rows,
    crowd,
    make_row,
    reference_rows,
    returns_at,
)


def test_comparison_draws_every_method_and_names_every_reference(rows, display):
    references = scoring.references(rows)
    curves = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    look = style.styles([(c.algorithm, c.label) for c in curves], display)
    policies = {c.panel: references[c.panel[0]] for c in curves}
    figure = comparison_figures.comparison_figure(curves, policies, look)
    figure.draw_without_rendering()
    assert len(figure.axes) == 3
    for ax, task in zip(figure.axes, REFERENCES, strict=True):
        bands = [c for c in ax.collections if len(c.get_paths())]
        assert len(bands) == len(FINAL_SCORES)
        named = {text.get_text().split()[0]: text for text in ax.texts}
        assert set(named) == set(REFERENCES[task])
        low, high = ax.get_ylim()
        for name, (_, mean) in REFERENCES[task].items():
            assert ("↓" in named[name].get_text()) == (mean < low)
            assert mean < high
        boxes = sorted((Text.get_window_extent(t) for t in named.values()), key=lambda b: b.y0)
        for below, above in itertools.pairwise(boxes):
            assert above.y0 - below.y0 > 0.6 * below.height  # no overlap of letters
        drawn = {tuple(np.asarray(line.get_ydata())) for line in ax.lines}
        for curve in curves:
            if curve.panel[0] == task:
                assert tuple(p.value for p in curve.points) in drawn
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert names == {"NetWorld", "BC", "MA-IQL", "MA-CQL", "MA-DT", "MA-DD"}


def test_the_expert_is_always_in_range(display):
    rows = [*reference_rows(5), make_row(episode_returns=(-40.0,))]
    curves = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    look = style.styles([("bc", "bc")], display)
    policies = {c.panel: scoring.references(rows)[c.panel[0]] for c in curves}
    (ax,) = comparison_figures.comparison_figure(curves, policies, look).axes
    low, high = ax.get_ylim()
    assert low < -40
    assert high > REFERENCES["cbf"]["expert"][1]


def test_a_far_reference_does_not_flatten_the_curves(display):
    refs = [r for r in reference_rows() if r.task == "cbf"]
    far = replace(refs[1], algorithm="far", label="far", episode_returns=(-500.0, -501.0))
    rows = [*refs, far, *comparison_rows(2, 3)]
    curves = [
        c
        for c in summary.learning_curves(rows, "comparison", np.random.default_rng(0))
        if c.panel[0] == "cbf"
    ]
    look = style.styles([(c.algorithm, c.label) for c in curves], display)
    policies = {c.panel: scoring.references(rows)[c.panel[0]] for c in curves}
    (ax,) = comparison_figures.comparison_figure(curves, policies, look).axes
    assert ax.get_ylim()[0] > 0
    assert "far ↓ -500" in {text.get_text() for text in ax.texts}


def test_many_methods_leave_the_axes_their_height(display):
    curves = crowd()
    pairs = dict.fromkeys((c.algorithm, c.label) for c in curves)
    look = style.styles(list(pairs), display)
    heights = []
    for drawn in (summary.leading(curves), curves):
        figure = comparison_figures.comparison_figure(drawn, {}, look, 1)
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height)
    assert heights[1] > 0.85 * heights[0]


def test_a_score_far_below_random_is_named_and_does_not_squeeze_the_rest(display):
    rows = [r for r in reference_rows(4) + comparison_rows(3, 2) if r.task == "rb"]
    poor = [replace(r, episode_returns=returns_at("rb", -400.0, np.random.default_rng(0)))
            if r.algorithm == "bc" else r for r in rows]  # fmt: skip
    finals = summary.finals(poor, "comparison", np.random.default_rng(0))
    look = style.styles(list(dict.fromkeys((f.algorithm, f.label) for f in finals)), display)
    (ax,) = comparison_figures.score_figure(finals, look).axes
    assert ax.get_xlim()[0] > -60.0
    assert any(re.fullmatch(r"\N{LEFTWARDS ARROW} -(39|40)\d", t.get_text()) for t in ax.texts)


def test_a_few_under_trained_results_are_named_and_the_others_counted(rows, display):
    finals = summary.finals(rows, "comparison", np.random.default_rng(0))
    rising = [replace(f, rise=Interval(5.0, 4.0, 6.0, 5, Method.T)) for f in finals]
    text = comparison_tables.under_trained(rising, display)
    assert text.startswith("18 of 18 results are under-trained")
    assert text.count(" on ") == comparison_tables.MOST_NAMED
    assert text.endswith(" and 12 more, which the tables mark.")
    few = comparison_tables.under_trained(rising[:2], display)
    assert few.endswith("They are NetWorld on CBF, BC on CBF.")
