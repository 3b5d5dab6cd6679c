import re
from dataclasses import replace

import numpy as np
import pytest

from networld_algos.report import scoring, summary
from networld_algos.report.facts import notices
from networld_algos.report.sections import responses, robustness
from networld_algos.report.source import Picture, Source
from networld_algos.report.table import interval_text, verdict
from networld_algos.results import stats
from networld_algos.results.display import Display
from networld_algos.results.text import minus
from tests.report.rows import REFERENCES, reference_rows, robustness_rows


def test_a_changed_environment_is_scored_by_its_own_references(display):
    rng = np.random.default_rng(0)
    rows = robustness_rows() + reference_rows(20)
    found = responses.responses(summary.finals(rows, "robustness", rng))
    agents = [r for r in found if r.factor == "agents"]
    assert [r.levels for r in agents] == [[7, 19, 91]] * 3
    for response in agents:  # rewards are doubled; on the plain scale scores would be far off
        assert [p.value for p in response.points] == pytest.approx([88] * 3, abs=6)
    own = [r for r in rows if r.kind == "learned" or r.factor is None]
    left = responses.responses(summary.finals(own, "robustness", rng))
    assert {r.factor for r in left} == {"message_loss"}
    (notice,) = (n for n in notices(own, display) if n.startswith("Left out"))
    assert "cbf at agents 7" in notice


@pytest.mark.parametrize("factor", ["drift:load", "deployment:ring6"])
def test_drifts_and_deployments_are_scored_by_their_own_references(factor):
    rng = np.random.default_rng(0)
    found = [replace(r, factor=factor) for r in robustness_rows() if r.factor == "agents"]
    rows = [*found, *reference_rows(20)]
    for response in responses.responses(summary.finals(rows, "robustness", rng)):
        assert response.factor == factor
        assert [p.value for p in response.points] == pytest.approx([88] * 3, abs=6)
    own = [r for r in rows if r.kind == "learned" or r.factor is None]
    assert not responses.responses(summary.finals(own, "robustness", rng))


def test_loss_of_messages_is_scored_by_the_plain_references_and_its_change_is_paired():
    rng = np.random.default_rng(0)
    rows = robustness_rows() + reference_rows(20)
    finals = summary.finals(rows, "robustness", rng)
    found = [r for r in responses.responses(finals) if r.factor == "message_loss"]
    assert {(r.label, r.panel[0]) for r in found} == {
        (label, task) for label in ("networld", "bc") for task in REFERENCES
    }
    for r in found:
        assert r.levels == [0.0, 0.3, 0.6, 0.9]
        first, last = (f.seed_scores for f in (r.finals[0], r.finals[-1]))
        assert first is not None
        assert last is not None
        lost = robustness.worst(r, 0.0, rng)
        assert lost is not None
        if r.label == "networld":
            assert lost.level == 0.9
            assert lost.change.value == pytest.approx((last - first).mean())
            assert lost.change.value == pytest.approx(-54, abs=8)
            plain = stats.paired_interval(r.finals[-1].runs, r.finals[0].runs, rng)
            assert lost.change.low < plain.low  # the worst of three levels
        else:
            assert verdict(lost.change) in ("level", "undecided")


def test_the_level_of_the_training_is_that_of_the_references():
    rows = robustness_rows() + reference_rows(20)
    lost = {(task, "message_loss"): 0.0 for task in REFERENCES}
    assert scoring.trained_levels(rows) == lost
    usual = [replace(r, factor="agents", level=19.0) for r in reference_rows(20)]
    rows = [r for r in rows if r.kind == "learned" or r.level != 19.0] + usual
    expected = lost | {(task, "agents"): 19.0 for task in REFERENCES}
    assert scoring.trained_levels(rows) == expected


def test_the_worst_is_not_that_of_the_training():
    """A method that is worst where it was trained gains everywhere else."""
    rng = np.random.default_rng(0)
    rows = robustness_rows() + reference_rows(20)
    found = [
        r
        for r in responses.responses(summary.finals(rows, "robustness", rng))
        if (r.factor, r.label) == ("message_loss", "networld")
    ]
    for r in found:
        backwards = robustness.worst(r, 0.9, rng)
        assert backwards is not None
        assert backwards.level == 0.6
        assert backwards.change.low > 0
        assert robustness.worst(r, None, rng) is None
        assert robustness.worst(r, 0.5, rng) is None


def test_the_finding_is_corrected_for_all_conditions_and_says_what_is_no_loss(tmp_path):
    rows = [*robustness_rows(), *reference_rows(20)]
    rng = np.random.default_rng(0)
    found = responses.responses(summary.finals(rows, "robustness", rng))
    mine = [r for r in found if (r.factor, r.label) == ("message_loss", "networld")]
    lost = {r.panel: robustness.worst(r, 0.0, rng, among=9) for r in mine}  # 3 tasks, 3 levels
    panel = min(lost, key=lambda p: lost[p].change.value)
    text = robustness.finding(found, scoring.trained_levels(rows), rng, "networld", Display())
    assert f"lost messages {minus(interval_text(lost[panel].change, 1))} (" in text
    assert "Intervals are wider than 95%" in text
    usual = {(task, "message_loss"): 0.9 for task in REFERENCES}
    text = robustness.finding(found, usual, rng, "networld", Display())
    assert re.search(r"lost messages \+\d+\.\d \[.*\], no loss \(", text)
    assert robustness.finding(found, {}, rng, "networld", Display()) == ""


def test_tables_mark_the_training_and_name_the_largest_loss(tmp_path):
    rows = [*robustness_rows(), *reference_rows(20)]
    section = robustness.make(Source(rows, tmp_path, 0, {}, Display(), "networld"))
    (lost,) = (t for t in section.tables if t.title.startswith("Lost messages"))
    names = [c.name for c in lost.columns]
    assert names[2:] == ["0% (trained)", "30%", "60%", "90%", "Largest loss", "At"]
    at = {(line[0].text, line[1].text): line[-1].text for line in lost.lines}
    assert at["CBF", "networld"] == "90%: loss"
    (agents,) = (t for t in section.tables if t.title.startswith("Agents"))
    assert [c.name for c in agents.columns][2:] == ["7", "19", "91"]  # none is that of training
    pictures = {part.name: part for part in section.parts if isinstance(part, Picture)}
    assert "the condition of the training" in pictures["robustness_message-loss"].caption
    assert "the condition of the training" not in pictures["robustness_agents"].caption


def test_the_focus_is_compared_with_every_other_method_under_each_condition():
    rng = np.random.default_rng(0)
    rows = robustness_rows() + reference_rows(20)
    found = responses.responses(summary.finals(rows, "robustness", rng))
    table = robustness.focus_table(found, "networld", rng, Display())
    assert table is not None
    assert table.title == "Differences from networld under each condition"
    assert [c.name for c in table.columns] == ["Task", "Condition", "Minus bc"]
    lines = {(line[0].text, line[1].text): line[2] for line in table.lines}
    conditions = [f"Lost messages {loss}%" for loss in (0, 30, 60, 90)]
    assert list(lines) == [(task.upper(), c) for task in REFERENCES for c in conditions]
    at = {(r.panel[0], r.label): r for r in found if r.factor == "message_loss"}
    for task in REFERENCES:
        mine, other = at[task, "networld"], at[task, "bc"]
        gap = mine.points[-1].value - other.points[-1].value
        assert lines[task.upper(), "Lost messages 90%"].order == pytest.approx(gap)
        assert lines[task.upper(), "Lost messages 90%"].strong
    behind = robustness.focus_table(found, "bc", rng, Display())
    assert behind is not None
    assert behind.columns[-1].name == "Minus networld"
    assert robustness.focus_table(found, "ma-dt", rng, Display()) is None


def test_a_focus_without_scores_under_other_conditions_is_said(tmp_path):
    rows = [*robustness_rows(), *reference_rows(20)]
    section = robustness.make(Source(rows, tmp_path, 0, {}, Display(), "ma-dt"))
    assert section.finding == "ma-dt was not scored under these conditions."
