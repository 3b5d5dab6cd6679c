import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from networld_algos.report import style
from networld_algos.report.axes import crossings
from networld_algos.report.cards import Card, Cards
from networld_algos.report.page import write_report
from networld_algos.report.scoring import references
from networld_algos.report.sections import answer, summary_figure
from networld_algos.report.source import Section, Source, ordered
from networld_algos.report.summary import Final
from networld_algos.report.table import DASH
from networld_algos.results.display import Display
from networld_algos.results.folder import Failure
from networld_algos.results.rows import STATION_MS, Row
from tests.report.rows import (
    comparison_rows,
    cost_rows,
    make_row,
    reference_rows,
    with_validation,
)


def source_of(rows: Sequence[Row], display: Display, out: Path, focus: str = "networld") -> Source:
    return Source(ordered(rows, display, focus), out, 0, {}, display, focus)


def methods(source: Source, *labels: str) -> Sequence[Final]:
    return [f for f in source.finals("comparison") if f.label in labels]


def cards_of(section: Section) -> Sequence[Card]:
    first = section.parts[0]
    assert isinstance(first, Cards)
    return first.cards


@pytest.fixture(scope="module")
def compared() -> list[Row]:
    """Five seeds, ten evaluations on validation networks, one on test networks."""
    return with_validation(reference_rows(40) + comparison_rows(5, 2))


@pytest.fixture(scope="module")
def made(compared, display, tmp_path_factory) -> Section:
    station = [
        make_row(
            experiment="cost",
            task="rb",
            algorithm="networld",
            label="networld",
            extra={"decision_ms_one_agent": 0.5},
        )
    ]
    out = tmp_path_factory.mktemp("answer")
    return answer.make(source_of([*compared, *station], display, out))


def test_the_first_screen_says_how_much_was_run_and_what_failed(compared, display, tmp_path, made):
    (text,) = made.text
    assert text.startswith(
        "Training seeds of a method: 5. Test networks: 16. Not in these rows: few-"
    )
    assert text.endswith(", ablations, robustness.")  # a decision was timed in the part cost
    assert made.warning == ""
    runs = [
        Failure(suite="cpu", run=f"comparison / rb / ma-cql / seed {i}", error="E", traceback="")
        for i in range(5)
    ]
    source = replace(source_of(compared, display, tmp_path), failures=runs)
    section = answer.make(source)
    assert section.warning.startswith(f"Failed, and in no result: {runs[0].run}; {runs[1].run}; ")
    assert f"{runs[2].run}; and 2 more. If a method failed" in section.warning
    few = source_of([r for r in compared if r.seed < 1], display, tmp_path)
    small = answer.make(replace(few, failures=runs))
    assert small.text == []
    assert small.warning.startswith("Small run: 1 training seed, ")
    assert "Failed, and in no result" in small.warning


def test_the_first_screen_says_who_wins_by_how_much_how_surely_and_at_what_cost(made):
    assert made.finding.startswith("Of 3 comparisons, NetWorld wins 2")
    cbf, rb, _ = cards_of(made)
    assert (cbf.place, cbf.result, cbf.kind) == ("CBF", "NetWorld wins", "won")
    assert re.fullmatch(r"\+\d+\.\d points \[\d+\.\d, \d+\.\d\] over (BC|MA-DD)", cbf.lines[0])
    assert cbf.lines[-1] == "NetWorld: 1.0 min of training"
    assert rb.lines[-1] == "NetWorld: 1.0 min of training, 0.5 ms a decision"
    assert not made.warning


def test_every_win_says_whether_it_holds_among_all_comparisons(made, compared, display, tmp_path):
    table = made.tables[0]
    assert "of all 45 comparisons" in table.caption  # three cards, each with 15 pairs of 6 methods
    column = [c.name for c in table.columns].index("Corrected")
    for card, line in zip(cards_of(made), table.lines, strict=True):
        said = [text for text in card.lines if text.endswith("when corrected")]
        assert said == [line[column].text] or (said == [] and line[column].text == DASH)
        assert bool(said) == (card.kind in ("won", "lost"))
    assert re.search(r"Corrected for the number of comparisons, .+ holds?\.$", made.finding)
    found = answer.make(source_of(compared, display, tmp_path, "ma-dd"))
    assert cards_of(found)[1].lines[-2] in ("holds when corrected", "does not hold when corrected")


def test_another_focus_loses_where_networld_wins(compared, display, tmp_path):
    found = answer.make(source_of(compared, display, tmp_path, "ma-dd"))
    assert found.finding.startswith("Of 3 comparisons, MA-DD wins none")
    assert "NetWorld wins 2." in found.finding
    card = cards_of(found)[1]
    assert (card.place, card.result, card.kind) == ("RB", "NetWorld wins", "lost")
    assert any(
        re.match(r"MA-DD is \d+\.\d points \[.*\] behind NetWorld$", line) for line in card.lines
    )


def test_the_table_has_one_line_for_each_algorithm_and_variants_are_folded(
    compared, display, tmp_path
):
    variants = [
        replace(r, label=f"{r.label} (no mean field)")
        for r in compared
        if r.experiment == "comparison" and r.algorithm in ("bc", "networld")
    ]
    found = answer.make(source_of([*compared, *variants], display, tmp_path))
    scores, others = found.tables[1:]
    names = [line[0].text for line in scores.lines]
    assert names == ["NetWorld", "BC", "MA-IQL", "MA-CQL", "MA-DT", "MA-DD"]
    assert [c.name for c in scores.columns][-1] == "Training (min)"  # decisions were not timed
    timed = [replace(r, extra={**r.extra, STATION_MS: 3.0}) for r in compared]
    table = answer.make(source_of(timed, display, tmp_path)).tables[1]
    assert [c.name for c in table.columns][-2:] == ["Training (min)", "One station (ms)"]
    assert {line[-1].text for line in table.lines} <= {"3", DASH}
    assert not scores.is_folded
    assert others.is_folded
    assert {line[0].text for line in others.lines} == {
        "NetWorld (no mean field)",
        "BC (no mean field)",
    }
    strong = {line[0].text for line in scores.lines if line[1].strong}
    assert strong == {"NetWorld"}


def test_a_demo_says_that_it_decides_nothing(display, tmp_path):
    """The rows of `make demo`: two seeds, three evaluations, expert data."""
    rows = [
        replace(r, suite="demo")
        for r in with_validation(reference_rows(16) + comparison_rows(2, 2), evaluations=3)
    ]
    found = answer.make(source_of(rows, display, tmp_path))
    assert found.warning.startswith(
        "Small demo: 2 training seeds, 16 test networks, 3 evaluations, expert data only."
    )
    assert "nothing is decided by it" in found.warning
    assert found.finding.startswith("Highest mean score of 3 comparisons so far: NetWorld in ")
    assert found.finding.endswith(" Nothing is decided.")
    assert {card.kind for card in cards_of(found)} == {"open"}
    assert all(card.result.endswith("is highest, not decided") for card in cards_of(found))
    assert not any(cell.strong for line in found.tables[1].lines for cell in line)


def test_rows_of_one_algorithm_are_not_called_a_comparison(display, tmp_path):
    rows = [*reference_rows(8), *(make_row(seed=s) for s in range(3))]
    found = answer.make(source_of(rows, display, tmp_path))
    assert found.finding == "Nothing is compared: every task and data has one algorithm, BC."
    assert [table.title for table in found.tables] == ["Scores"]


def test_without_references_there_is_no_first_screen(display, tmp_path):
    rows = comparison_rows(3, 2)
    assert answer.make(source_of(rows, display, tmp_path)).parts == []
    page = write_report(rows, tmp_path, display=display)
    assert 'id="answer"' not in page.read_text()


def test_verdicts_are_in_the_exported_tables(compared, display, tmp_path):
    write_report(compared, tmp_path, display=display)
    tables = json.loads((tmp_path / "tables.json").read_text())["tables"]
    assert (tables[0]["section"], tables[0]["title"]) == ("What was decided", "Verdicts")
    first = [cell["text"] for cell in tables[0]["lines"][0]]
    assert first[:2] == ["CBF, expert", "NetWorld wins"]
    assert (tmp_path / "figures" / "comparison_summary.svg").is_file()
    assert (tmp_path / "figures" / "comparison_summary.png").is_file()


def test_every_section_starts_with_a_sentence(compared, display, tmp_path):
    rows = [*compared, *cost_rows(2)]
    page = write_report(rows, tmp_path, display=display).read_text()
    for section in re.findall(r'<section id="(?!failures|made).*?</section>', page, re.DOTALL):
        assert 'class="finding">' in section, section[:60]


def test_the_summary_has_ten_evaluations_on_an_axis_of_minutes(compared, display, tmp_path):
    source = source_of(compared, display, tmp_path)
    found = summary_figure.scored_curves(source, methods(source, "networld", "bc"))
    assert {c.panel[0] for c, _ in found} == {"cbf", "rb", "ns"}
    for curve, budget in found:
        assert len(curve.points) == 10
        assert curve.eval_seed_set == "validation"
        assert budget.minutes is not None
        assert np.allclose(budget.minutes, np.arange(1, 11) / 10)
        assert np.allclose(budget.share, np.arange(1, 11) / 10)
    figure = summary_figure.figure(found, references(source.rows), source.look)
    assert len(figure.axes) == 3
    assert {ax.get_xlabel() for ax in figure.axes} == {"Seconds of training"}  # one minute
    assert {ax.get_xscale() for ax in figure.axes} == {"linear"}


def test_budgets_that_differ_much_are_on_a_log_axis(compared, display, tmp_path):
    rows = [
        replace(r, train_seconds=20 * (r.train_seconds or 0.0)) if r.label == "ma-dt" else r
        for r in compared
    ]
    source = source_of(rows, display, tmp_path)
    found = summary_figure.scored_curves(source, methods(source, "networld", "ma-dt"))
    figure = summary_figure.figure(found, {}, source.look)
    assert {ax.get_xscale() for ax in figure.axes} == {"log"}
    assert {ax.get_xlabel() for ax in figure.axes} == {"Minutes of training"}
    for ax, task in zip(figure.axes, ("cbf", "rb", "ns"), strict=True):
        curve, minutes = next(
            (c, b.minutes) for c, b in found if c.panel[0] == task and c.label == "ma-dt"
        )
        assert minutes is not None
        assert ax.get_xlim()[0] < minutes[-1] < ax.get_xlim()[1]
        low, values = ax.get_ylim()[0], np.array([p.value for p in curve.points])
        colour = source.look["ma-dt"]["color"]
        arrows = [x for x in ax.lines if x.get_marker() == "v" and x.get_color() == colour]
        for x in np.concatenate([np.asarray(arrow.get_xdata(), float) for arrow in arrows]):
            # The arrow is on the line, which is straight in the logarithm.
            assert np.interp(np.log(x), np.log(minutes), values) == pytest.approx(low)


def test_without_times_the_axis_is_the_share_of_the_budget(compared, display, tmp_path):
    rows = [replace(r, train_seconds=None) for r in compared]
    source = source_of(rows, display, tmp_path)
    picture = summary_figure.picture(source, methods(source, "networld", "bc"))
    assert picture is not None
    assert "share of a method's own budget" in picture.caption
    found = summary_figure.scored_curves(source, methods(source, "networld", "bc"))
    figure = summary_figure.figure(found, {}, source.look)
    assert {ax.get_xlabel() for ax in figure.axes} == {"Share of the budget (%)"}


def test_validation_curves_are_scored_with_references_on_the_same_networks(
    compared, display, tmp_path
):
    """References are lower by one on validation networks: scores on them are higher."""
    shifted = [
        replace(
            r,
            eval_seed_set="validation",
            episode_returns=tuple(x - 1.0 for x in r.episode_returns),
        )
        for r in compared
        if r.kind == "reference"
    ]
    plain, own = (
        summary_figure.scored_curves(source, methods(source, "bc"))
        for source in (
            source_of(rows, display, tmp_path) for rows in (compared, [*compared, *shifted])
        )
    )
    for (before, _), (after, _) in zip(plain, own, strict=True):
        assert after.points[-1].value > before.points[-1].value + 5.0


def test_an_arrow_marks_where_a_curve_leaves_the_panel(compared, display, tmp_path):
    source = source_of(compared, display, tmp_path)
    found = summary_figure.scored_curves(source, methods(source, "networld", "bc"))
    figure = summary_figure.figure(found, {}, source.look)
    ax = figure.axes[0]
    low = ax.get_ylim()[0]
    for curve, budget in found:
        if curve.panel[0] != "cbf":
            continue
        values = np.array([p.value for p in curve.points])
        colour = source.look[curve.label]["color"]
        arrows = [x for x in ax.lines if x.get_marker() == "v" and x.get_color() == colour]
        marks = np.concatenate([np.asarray(arrow.get_xdata(), float) for arrow in arrows])
        assert len(marks) == np.sum(np.diff(values < low))
        assert budget.minutes is not None
        seconds = 60.0 * budget.minutes
        assert np.all((marks > seconds[0]) & (marks < seconds[-1]))


def test_crossings_are_interpolated():
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([-10.0, 10.0, 10.0, -30.0])
    assert crossings(x, y, y < 0.0, 0.0).tolist() == [1.5, 3.25]
    assert crossings(x, y, y < 50.0, 50.0).tolist() == [4.0]
    assert crossings(x, y, y < -50.0, -50.0).tolist() == []


def test_the_focus_alone_has_a_band(compared, display, tmp_path):
    source = source_of(compared, display, tmp_path, "bc")
    found = summary_figure.scored_curves(source, methods(source, "networld", "bc"))
    look = style.styles([("networld", "networld"), ("bc", "bc")], display, "bc")
    figure = summary_figure.figure(found, {}, look)
    assert all(len(ax.collections) == 1 for ax in figure.axes)


def test_progress_names_every_section_before_it_is_made(compared, display, tmp_path):
    calls: list[tuple[int, int, str]] = []
    write_report(compared, tmp_path, display=display, on_progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(len(calls)))
    assert {total for _, total, _ in calls} == {len(calls)}
    names = [name for _, _, name in calls]
    assert names[0] == "what was decided"
    assert {"comparison", "reference policies", "diagnostics"} <= set(names)


def test_times_are_in_seconds_below_a_minute():
    found = [answer.minutes_text(x) for x in (2.34, 15.2, 60.0, 750.0)]
    assert found == ["2.3 s", "15 s", "1.0 min", "12 min"]
