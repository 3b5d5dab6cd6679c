from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from networld_algos.report import style, summary
from networld_algos.report.axes import cost_axis
from networld_algos.report.sections import cost, pareto, responses, robustness, summary_figure
from networld_algos.report.source import Picture, Source
from networld_algos.report.style import factor_name, level_text
from networld_algos.report.table import interval_text
from networld_algos.results.display import Display
from tests.report.rows import (
    comparison_rows,
    learned,
    reference_rows,
    robustness_rows,
    with_validation,
)

METHODS = {  # score, ms of one station, minutes of training
    "fast": (60.0, 0.5, 1.0),
    "slow and worse": (50.0, 2.0, 0.5),
    "good": (90.0, 4.0, 3.0),
    "too late": (95.0, 40.0, 9.0),
}


def cost_rows():
    rng = np.random.default_rng(0)
    rows = reference_rows(20)
    for label, (score, ms, minutes) in METHODS.items():
        for s in range(2):
            changes = {
                "experiment": "cost",
                "algorithm": label,
                "label": label,
                "seed": s,
                "train_seconds": 60.0 * minutes,
                "extra": {"decision_ms_one_agent": ms},
            }
            rows.append(learned("rb", score, rng, **changes))
            slower = {"factor": "steps", "level": 5.0, "extra": {"decision_ms_one_agent": 2 * ms}}
            rows.append(learned("rb", score + 1, rng, **{**changes, **slower}))
    return rows


@pytest.fixture
def points():
    finals = summary.finals(cost_rows(), "cost", np.random.default_rng(0))
    return pareto.station_points(finals)


def test_the_front_has_what_no_other_beats_in_both(points):
    ((panel, names),) = pareto.on_front(points, Display({}, {})).items()
    assert panel[0] == "rb"
    assert names == [
        "fast",
        "fast at steps 5",
        "good",
        "too late",
        "too late at steps 5",
    ]
    front = pareto.front(points)
    assert [p.cost for p in front] == sorted(p.cost for p in front)
    assert np.all(np.diff([p.score.value for p in front]) > 0)


def test_the_sentence_names_the_points_of_the_line_that_is_drawn(points):
    """Also those with another decision setting, which the line joins as well."""
    display = Display({}, {})
    text = pareto.finding(points, display)
    best = pareto.front(points)[-1]
    assert best.setting == ("steps", 5.0)
    score = interval_text(best.score, 1)
    assert f"to too late at steps 5 (80 ms, {score})" in text
    assert text.endswith(" too late decides too late for a slot of 20 ms.")
    look = style.styles([(p.algorithm, p.label) for p in points], display)
    (ax,) = pareto.figure(points, pareto.STATION, look).axes
    (line,) = (x for x in ax.lines if x.get_drawstyle() == "steps-post")
    assert best.score.value in line.get_ydata()
    assert "steps 5" in {text.get_text() for text in ax.texts}
    two = [replace(p, label="b" if p.setting == ("steps", 5.0) else p.label) for p in points]
    assert "b at steps 5 and too late decide too late" in pareto.finding(two, display)
    early = [p for p in points if p.label != "too late"]
    assert "every method decides within a slot of 20 ms" in pareto.finding(early, display)


def test_variants_of_a_method_have_markers_of_their_own(points):
    same = [replace(p, algorithm="fast") for p in points]
    look = style.styles([(p.algorithm, p.label) for p in same], Display({}, {}))
    (ax,) = pareto.figure(same, pareto.STATION, look).axes
    drawn = {x.get_marker() for x in ax.lines if x.get_linestyle() == "None"}
    assert len(drawn) == len({p.label for p in same})


def test_minutes_are_those_of_every_evaluation(tmp_path):
    """Every method of `cpu` trains equally long, so that final scores alone would be one stack."""
    rows = with_validation(reference_rows(20) + comparison_rows(2, 2))
    validation = [replace(r, eval_seed_set="validation") for r in reference_rows(8)]
    timed = [replace(r, experiment="cost") for r in rows if r.is_final]
    source = Source([*rows, *validation, *timed], tmp_path, 0, {}, Display({}, {}), "networld")
    section = cost.make(source)
    pictures = {part.name: part for part in section.parts if isinstance(part, Picture)}
    assert "at every evaluation on validation networks" in pictures["cost_training"].caption
    assert "deadline" not in pictures["cost_training"].caption
    found = summary_figure.scored_curves(source, source.finals("comparison"))
    points = pareto.training_points(found)
    for panel in {p.panel for p in points}:
        mine = [p for p in points if p.panel == panel and p.label == "bc"]
        assert [p.cost for p in mine] == pytest.approx(np.arange(1, 11) / 10)
        assert [p.is_main for p in mine] == [False] * 9 + [True]
    figure = pareto.figure(points, pareto.TRAINING, source.look)
    figure.draw_without_rendering()
    for ax in figure.axes:
        low, high = ax.get_xlim()
        assert sum(low <= tick <= high for tick in ax.get_xticks()) >= 2


def test_an_axis_of_costs_is_logarithmic_only_where_they_differ_much():
    for costs, scale in (((1.0, 1.1), "linear"), ((1.0, 9.0), "log"), ((2.0, 900.0), "log")):
        ax = Figure().add_subplot()
        cost_axis(ax, costs)
        low, high = ax.get_xlim()
        assert ax.get_xscale() == scale
        assert low < costs[0] < costs[1] < high
        assert 2 <= sum(low <= tick <= high for tick in ax.get_xticks()) <= 6


def test_names_of_levels_keep_apart_where_lines_are_close(tmp_path):
    rng = np.random.default_rng(0)
    rows = reference_rows(20)
    for i, label in enumerate(("one", "two", "three", "four")):
        for level in (1.0, 5.0, 20.0):
            changes = {"experiment": "cost", "factor": "steps", "level": level, "label": label}
            ms = 30.0 * (1.0 + 0.05 * i) * level
            rows += [
                learned("rb", 90.0, rng, **changes, seed=s, latency_p50_ms=ms) for s in range(2)
            ]
    source = Source(rows, tmp_path, 0, {}, Display({}, {}), "one")
    found = responses.responses(source.finals("cost"))
    with style.drawing():
        figure = cost.figure(found, [], source.look)
        figure.draw_without_rendering()
        texts = [t for t in figure.axes[0].texts if t.get_text()]
        boxes = [Text.get_window_extent(t) for t in texts]
    assert sorted(t.get_text() for t in texts) == ["1"] * 4 + ["20"] * 4
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_the_section_of_costs_draws_the_front_of_a_station(tmp_path):
    source = Source(cost_rows(), tmp_path, 0, {}, Display({}, {}), "good")
    section = cost.make(source)
    pictures = {part.name: part for part in section.parts if isinstance(part, Picture)}
    assert "cost_training" not in pictures  # no evaluations during training
    assert "a deadline of 20 ms, a slot of CBF" in pictures["cost_station"].caption
    assert section.finding.startswith("What nothing beats in both")


def test_robustness_says_where_the_method_in_the_centre_is_worst(tmp_path):
    rows = [*reference_rows(20), *robustness_rows()]
    section = robustness.make(Source(rows, tmp_path, 0, {}, Display({}, {}), "networld"))
    assert section.finding.startswith(
        "The worst change of networld from the condition of its training"
    )
    assert "lost messages \N{MINUS SIGN}5" in section.finding
    assert ", 90%: 4" in section.finding
    assert ", bc 9" in section.finding
    assert robustness.finding([], {}, np.random.default_rng(0), "networld", Display({}, {})) == ""


def test_drifts_are_named_by_their_parameter():
    assert factor_name("drift:load") == "Load"
    assert factor_name("drift:angular_spread_deg") == "Angular spread (degrees)"
    assert factor_name("deployment:ring6") == "Deployment ring6"
    assert level_text("deployment:ring6", 1.0) == ""
    assert level_text("drift:load", 0.34) == "0.34"
