"""The page of a whole suite: its size, and what only shows where every part has rows."""

import re

import numpy as np
import pytest

from networld_algos.cli.report import data_rewards
from networld_algos.report import scoring, summary
from networld_algos.report.page import write_report
from networld_algos.report.sections import comparison, comparison_figures, pareto, summary_figure
from networld_algos.report.sections.claims import checked
from networld_algos.report.sections.fewshot_curves import fewshot_curves
from networld_algos.report.sections.fewshot_pairs import gains
from networld_algos.report.source import LONGEST_ALT, Source, ordered
from networld_algos.report.verdicts import representatives
from networld_algos.results.claims.check import MEAN
from networld_algos.results.networks import failed_share, median_score
from networld_algos.results.stats import normalised_score
from tests.report.rows import value
from tests.report.test_page import Page
from tests.report.whole_suite import whole_suite


@pytest.fixture(scope="module")
def rows():
    return whole_suite("cpu")


@pytest.fixture(scope="module")
def source(rows, display, tmp_path_factory):
    out = tmp_path_factory.mktemp("source")
    rewards = data_rewards()
    return Source(ordered(rows, display, "networld"), out, 0, rewards, display, "networld")


@pytest.fixture(scope="module")
def report(rows, display, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return write_report(rows, out, display=display, data_rewards=data_rewards())


def test_the_page_leaves_room_below_two_megabytes(report):
    assert report.stat().st_size < 1_700_000
    alts = re.findall(r' alt="([^"]*)"', report.read_text())
    assert len(alts) >= 15
    assert max(map(len, alts)) < LONGEST_ALT + 40
    assert any(alt.endswith("; the rest is in the tables.") for alt in alts)


def test_only_the_first_figures_have_a_form_for_phones(report):
    text = report.read_text()
    assert len(re.findall("<source ", text)) == 2
    assert len(re.findall('<img class="wide"', text)) >= 10


def test_medians_and_failed_networks_stand_beside_the_mean(report, source):
    """On the page as a reader sees it, against numbers from the rows."""
    page = Page()
    page.feed(report.read_text())
    (final,) = [
        f
        for f in source.finals("comparison")
        if f.label == "networld (no mean field)" and f.panel[1] == "networld/rb/expert-v0"
    ]
    name = source.display.method(final.label)
    lines = [c for c in page.cells if c[:2] == ["RB, expert", name] and len(c) > 10]
    assert [f"{median_score(final.runs):.1f}", f"{100 * failed_share(final.runs):.1f}"] in [
        line[3:5] for line in lines
    ]
    heads = re.findall(r'<button type="button"[^>]*>([^<]+)<', report.read_text())
    assert heads.count("Median") >= 1
    assert heads.count("Failed (%)") >= 2  # the first screen has it, too


def test_curves_have_references_of_their_own_networks(source):
    curves = summary.leading(source.curves("comparison"), "networld")
    assert {c.eval_seed_set for c in curves} == {"validation"}
    policies = comparison.beside(curves, source)
    figure = comparison_figures.comparison_figure(curves, policies, source.look)
    panel = curves[0].panel
    own, test = (
        {p.name: value(p.reward) for p in found[panel[0]]}
        for found in (source.validation_references, source.references)
    )
    flat = (set(line.get_ydata()) for line in figure.axes[0].lines)
    drawn = {heights.pop() for heights in flat if len(heights) == 1}
    assert own["expert"] in drawn
    assert test["expert"] not in drawn


def test_the_summary_shows_the_scores_of_the_cards(source):
    """On 16 validation networks a curve ends elsewhere: the score stands beside it."""
    methods = representatives(source.finals("comparison"), "networld")
    labels = {f.label for f in methods}
    found = summary_figure.scored_curves(source, methods)
    ends = summary_figure.final_scores(source)
    figure = summary_figure.figure(found, source.references, source.look, ends=ends)
    figure.draw_without_rendering()
    for ax, task in zip(figure.axes, ("cbf", "rb", "ns"), strict=True):
        for label in labels:
            score = ends[(task, f"networld/{task}/expert-v0"), label]
            style = source.look[label]
            marks = [
                line
                for line in ax.lines
                if line.get_color() == style["color"] and len(line.get_ydata()) == 1
            ]
            assert score.value in [line.get_ydata()[0] for line in marks]
            bars = [sorted(line.get_ydata()) for line in ax.lines if len(line.get_ydata()) == 2]
            assert [score.low, score.high] in bars
        assert max(ax.get_xticks()) < ax.get_xlim()[1]
    picture = summary_figure.picture(source, methods)
    assert "the score of the cards and tables" in picture.caption
    networld = ends[("rb", "networld/rb/expert-v0"), "networld"]
    assert f"NetWorld {networld.value:.1f} on RB" in picture.alt


def test_data_have_the_scale_of_the_methods_beside_them(source):
    rewards = data_rewards()
    for panel, data in source.behaviours.items():
        if panel[1] in rewards:
            ends = scoring.scales(source.rows)[panel[0], scoring.PLAIN]
            assert value(data.score) == pytest.approx(normalised_score(rewards[panel[1]], *ends))


def test_minutes_of_equal_budgets_are_no_stack(source):
    """All methods train equally long: the figure is made of evaluations."""
    methods = representatives(source.finals("comparison"), "networld")
    points = pareto.training_points(summary_figure.scored_curves(source, methods))
    for panel in {p.panel for p in points}:
        costs = {round(p.cost, 3) for p in points if p.panel == panel}
        assert len(costs) >= 10
    assert np.all([p.cost > 0 for p in points])


def test_the_few_shot_section_never_contradicts_the_claims(source, rows):
    """Both decide on the mean over tasks at one thirtieth of the data, against every control."""
    curves = fewshot_curves(source.rows, source.rng("fewshot", "curves"))
    found = gains(curves, source.rng("fewshot", "gains"), "mean over tasks")
    (mean,) = [gain for gain in found if gain.is_mean and gain.label == "networld"]
    share = min(mean.x.tolist(), key=lambda x: abs(x - 1 / 30))
    (claim,) = [a for a in checked(rows) if a.claim.key == "transfer-layers"]
    said = {"gain": "holds", "no gain": "refuted", "loss": "refuted", "undecided": "undecided"}
    for finding in claim.at(MEAN):
        lead = mean.against[finding.comparison.note].leads[share]
        assert said[lead.verdict] == finding.verdict
        assert finding.estimate is not None
        assert lead.interval.value == pytest.approx(finding.estimate.value)
    assert said[mean.verdict(share)[0]] == claim.verdict
