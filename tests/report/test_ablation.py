from dataclasses import replace

import numpy as np
import pytest

from networld_algos.report import summary, table
from networld_algos.report.sections import ablation
from networld_algos.report.source import Source
from tests.report.rows import ABLATIONS, REFERENCES, ablation_rows, reference_rows


def test_ablations_are_differences_paired_by_seed():
    rng = np.random.default_rng(0)
    finals = summary.finals(reference_rows(20) + ablation_rows(), "ablation", rng)
    found = ablation.ablations(finals, rng)
    assert {a.label for a in found} == set(ABLATIONS) - {"networld"}
    assert len(found) == 3 * 4  # three tasks and their mean
    for a in found:
        assert a.change.value == pytest.approx(a.score.value - a.base_score.value)
        # The spread that seeds share is taken out.
        change, score, base = (i.high - i.low for i in (a.change, a.score, a.base_score))
        assert change < 0.7 * np.hypot(score, base)
    by_key = {(a.label, a.panel[0]): a for a in found}
    mean = np.mean([by_key["no message", t].change.value for t in REFERENCES])
    assert by_key["no message", "mean over tasks"].change.value == pytest.approx(mean)
    assert table.verdict(by_key["no message", "rb"].change) == "loss"
    assert table.verdict(by_key["no guidance", "cbf"].change) == "undecided"
    assert ablation.ablations([f for f in finals if f.label != "networld"], rng) == []


def test_a_change_to_a_variant_is_compared_with_the_variant():
    labels = ["networld", "plan", "plan, no guidance", "plan, no guidance, 4 steps", "planless"]
    bases = {label: ablation.base_of(label, "networld", labels) for label in labels}
    assert bases["plan, no guidance"] == "plan"
    assert bases["plan, no guidance, 4 steps"] == "plan, no guidance"
    assert bases["plan"] == bases["planless"] == bases["networld"] == "networld"
    rng = np.random.default_rng(0)
    rows = ablation_rows()
    names = {"no message": "plan", "no guidance": "plan, no guidance"}
    rows = [replace(row, label=names.get(row.label, row.label)) for row in rows]
    finals = summary.finals(reference_rows(20) + rows, "ablation", rng)
    found = ablation.ablations(finals, rng)
    scores = {(f.label, f.panel): f.score.value for f in finals}
    for a in found:
        assert a.base == ("plan" if a.label == "plan, no guidance" else "networld")
        if a.panel != ablation.MEAN:
            difference = scores[a.label, a.panel] - scores[a.base, a.panel]
            assert a.change.value == pytest.approx(difference)
    # Without the plans beside it, a change to them is one of the full method.
    alone = ablation.ablations([f for f in finals if f.label != "plan"], rng)
    assert {a.base for a in alone} == {"networld"}


def test_the_finding_counts_changes_and_names_the_largest_loss(display):
    rng = np.random.default_rng(0)
    finals = summary.finals(reference_rows(20) + ablation_rows(), "ablation", rng)
    found = ablation.ablations(finals, rng)
    text = ablation.finding(found, display)
    single = [a for a in found if a.panel != ablation.MEAN]
    losses = sum(table.verdict(a.change) == "loss" for a in single)
    assert text.startswith(f"Of 9 changes to a method, {losses} cost score, ")
    assert "The largest loss: no message on RB, \N{MINUS SIGN}2" in text


def test_what_changes_nothing_on_a_task_is_neither_counted_nor_averaged(display, tmp_path):
    """On CBF, two methods that are one: what the ablation takes away does not occur there."""
    rows = ablation_rows()
    full = {(r.task, r.seed): r for r in rows if r.label == "networld"}
    same = [
        replace(r, episode_returns=full[r.task, r.seed].episode_returns)
        if (r.label, r.task) == ("no message", "cbf")
        else r
        for r in rows
    ]
    source = Source([*reference_rows(20), *same], tmp_path, 0, {}, display, "networld")
    section = ablation.make(source)
    assert section.finding.startswith("Of 8 changes to a method, ")
    assert " A further 1 change has no effect: the score is the same on every " in section.finding
    (changes,) = (t for t in section.tables if t.title == "Ablations")
    at = {(line[1].text, line[0].text): line[-1].text for line in changes.lines}
    assert at["no message", "CBF"] == "no effect"
    assert ("no message", "Mean over tasks") not in at
    assert ("no guidance", "Mean over tasks") in at
    found = ablation.ablations(source.finals("ablation"), np.random.default_rng(0))
    assert "no message" not in ablation.describe([a for a in found if a.is_same], display)


def test_a_figure_is_left_out_if_no_ablation_changes_anything(display, tmp_path):
    full = {(r.task, r.seed): r for r in ablation_rows() if r.label == "networld"}
    same = [replace(r, label="no message") for r in full.values()]
    rows = [*reference_rows(20), *full.values(), *same]
    section = ablation.make(Source(rows, tmp_path, 0, {}, display, "networld"))
    assert [type(part) for part in section.parts] == [table.Table, table.Table]
    assert section.finding == "3 changes have no effect: the score is the same on every network."


def test_ablations_without_what_they_change_are_named(display, tmp_path):
    rows = [r for r in ablation_rows() if (r.label, r.task) != ("networld", "rb")]
    source = Source([*reference_rows(20), *rows], tmp_path, 0, {}, display, "networld")
    section = ablation.make(source)
    (text,) = section.text
    assert text.startswith("Not compared, because what they change was not scored there: ")
    assert "no message, RB" in text
    assert "CBF" not in text
