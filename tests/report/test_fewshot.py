import re
from dataclasses import replace

import numpy as np
import pytest

from networld_algos.report.sections import fewshot
from networld_algos.report.sections.fewshot_curves import (
    average_over_shared,
    average_over_tasks,
    fewshot_curves,
    pretraining_gains,
)
from networld_algos.report.sections.fewshot_reach import reach_cell, reaches
from networld_algos.report.source import Picture, Section, Source
from networld_algos.report.table import DASH, Table
from networld_algos.results.curves import area_under_curve
from networld_algos.results.display import Display
from tests.report.rows import (
    DEPLOYMENTS,
    REFERENCES,
    VARIANTS,
    deployment_rows,
    fewshot_rows,
    learned,
    reference_rows,
    value,
)


def test_few_shot_curves_and_their_average(rows):
    curves = fewshot_curves(rows, np.random.default_rng(0))
    assert {c.label for c in curves} == set(VARIANTS)
    assert len(curves) == 3 * len(VARIANTS)
    averaged = {c.label: c for c in average_over_tasks(curves, np.random.default_rng(0))}
    for label, mean in averaged.items():
        parts = [c for c in curves if c.label == label]
        by_hand = np.mean([[p.value for p in c.points] for c in parts], axis=0)
        assert [p.value for p in mean.points] == pytest.approx(by_hand)
        assert value(mean.area) == pytest.approx(np.mean([value(c.area) for c in parts]))
        assert mean.episodes.tolist() == [1, 5, 16, 50, 165, 500]
    assert value(averaged["networld"].area) > value(averaged["networld (from scratch)"].area)
    for curve in (*curves, *averaged.values()):  # three seeds: seeds and networks
        for interval in (*curve.points, curve.area):
            assert interval is not None
            assert interval.method == "t over seeds and networks"
            assert interval.low < interval.value < interval.high


def test_curves_count_seeds_and_networks_with_two_seeds_and_with_five():
    for seeds, method in (
        (2, "bootstrap over seeds and networks"),
        (5, "t over seeds and networks"),
    ):
        curves = fewshot_curves(
            [*reference_rows(20), *fewshot_rows(seeds=seeds)], np.random.default_rng(0)
        )
        for curve in (*curves, *average_over_tasks(curves, np.random.default_rng(0))):
            assert curve.area is not None
            assert {p.method for p in (*curve.points, curve.area)} == {method}
            assert curve.area.seeds == seeds
            mean = np.mean([area_under_curve(curve.x, y) for y in curve.by_seed.values()])
            assert curve.area.value == pytest.approx(mean)


def test_pretraining_gains_are_paired_by_seed_and_put_into_words():
    rng = np.random.default_rng(0)
    rows = reference_rows(20)
    for label, start in (("networld", 30), ("networld (from scratch)", 10)):
        for s in range(3):
            for fraction, episodes, gain in ((0.01, 5, 0), (1.0, 500, 40)):
                score = start + gain + 25 * s  # a wide spread over seeds that both share
                changes = {"label": label, "seed": s, "fraction": fraction, "episodes": episodes}
                rows.append(learned("cbf", score, rng, experiment="fewshot", **changes))
    curves = fewshot_curves(rows, rng)
    (gain,) = pretraining_gains(curves, rng)
    assert (gain.label, gain.x.tolist(), gain.episodes.tolist()) == (
        "networld",
        [0.01, 1.0],
        [5, 500],
    )
    with_, without = (
        next(c for c in curves if c.label == name)
        for name in ("networld", "networld (from scratch)")
    )
    differences = [with_.by_seed[s][0] - without.by_seed[s][0] for s in range(3)]
    assert gain.points[0].value == pytest.approx(np.mean(differences))
    assert gain.points[0].low > 0
    assert without.points[0].high > with_.points[0].low  # not to be seen without pairing
    text = fewshot.gain_sentence([gain])
    assert "a gain over the same method from scratch in 1 of 1 cases: CBF (5 episodes)" in text
    one = [r for r in rows if r.seed < 1]
    text = fewshot.gain_sentence(pretraining_gains(fewshot_curves(one, rng), rng))
    assert "single training seed" in text


def test_scores_on_other_deployments_are_normalised_there():
    rows = [*reference_rows(20), *deployment_rows()]
    curves = fewshot_curves(rows, np.random.default_rng(0), experiment="deployments")
    assert {c.panel for c in curves} == {
        ("rb", "networld/rb/ring6/expert-v0"),
        ("rb", "networld/rb/busy/expert-v0"),
    }
    for curve in curves:
        start, end = DEPLOYMENTS[curve.label]
        assert curve.points[0].value == pytest.approx(start, abs=4)  # 20 networks of references
        assert curve.points[-1].value == pytest.approx(end, abs=4)
        assert curve.is_constant == (curve.label == "networld (not tuned)")
    (mean,) = (c for c in average_over_shared(curves, np.random.default_rng(0)) if c.is_constant)
    assert mean.points[0].value == pytest.approx(85, abs=4)
    without = [c for c in curves if c.panel[1].endswith("ring6/expert-v0") or not c.is_constant]
    found = {c.label: c for c in average_over_shared(without, np.random.default_rng(0))}
    assert set(found) == {"networld", "networld (from scratch)"}  # one panel has every method
    third = [replace(c, panel=("ns", "networld/ns/hotspots/expert-v0")) for c in curves[:3]]
    shared = average_over_shared([*without, *third], np.random.default_rng(0))
    assert {c.label for c in shared} == set(DEPLOYMENTS)  # now two have


def test_data_to_come_near_all_data_has_an_interval():
    rng = np.random.default_rng(0)
    rows = reference_rows(20)
    scores = {"networld": (89, 92, 95, 96), "networld (from scratch)": (10, 40, 70, 100)}
    low, high = (REFERENCES["cbf"][name][1] for name in ("random", "expert"))
    of_network = rng.normal(0, 2, 16)
    for label, heights in scores.items():
        for s in range(3):
            for fraction, height in zip((0.01, 0.1, 0.5, 1.0), heights, strict=True):
                changes = {"label": label, "seed": s, "fraction": fraction}
                score = height + 2 * (s - 1) + of_network  # seeds and networks differ
                changes["episodes"] = round(400 * fraction)
                changes["episode_returns"] = low + (high - low) * score / 100
                rows.append(learned("cbf", 0.0, rng, experiment="fewshot", **changes))
    curves = {c.label: c for c in fewshot_curves(rows, rng)}
    tuned, new = curves["networld"], curves["networld (from scratch)"]
    ninety, more = reaches(tuned, [tuned, new], np.random.default_rng(0))
    most = new.points[-1].value  # that from scratch counts for both
    x, y = np.log(tuned.x), [p.value for p in tuned.points]
    assert more.value == pytest.approx(np.exp(np.interp(0.95 * most, y, x)))
    assert more.low < more.value < more.high
    assert 0.9 * most == pytest.approx(90, abs=3)
    scratch = reaches(new, [tuned, new], np.random.default_rng(0))
    assert 0.5 < scratch[0].low <= scratch[0].value <= scratch[0].high <= 1.0
    assert not scratch[0].at_most
    assert ninety.value < scratch[0].value
    assert reach_cell(scratch[0], new).text == f"{400 * scratch[0].value:.3g}"
    alone = reaches(tuned, [tuned], np.random.default_rng(0))  # then its own right end counts
    assert alone[0].at_most
    assert reach_cell(alone[0], tuned).text == "≤ 4"
    part = fewshot_curves([r for r in rows if (r.fraction or 0.0) < 1.0], rng)
    assert {reach_cell(reaches(c, part, rng)[0], c).text for c in part} == {DASH}
    one = [r for r in rows if r.seed < 1]
    lone = {c.label: c for c in fewshot_curves(one, rng)}
    (first, _) = reaches(lone["networld (from scratch)"], list(lone.values()), rng)
    assert first.low == first.value == first.high


def test_the_section_shows_both_kinds_and_says_what_was_found(tmp_path):
    rows = [*reference_rows(20), *fewshot_rows(seeds=2), *deployment_rows(seeds=2)]
    source = Source(rows, tmp_path, 0, {}, Display({}, {}), "networld")
    section = fewshot.make(source)
    assert pictures_of(section) == ["fewshot_summary", "fewshot", "deployments"]
    assert "Across layers: with at most 5 target episodes, pre-training shows" in section.finding
    assert "Across deployments: with at most 5 target episodes" in section.finding
    assert re.search(r"RB, ring6 [45] episodes, from scratch 2\d\d episodes", section.finding)
    assert fewshot.make_alone(source).parts == []  # they are shown above
    tables = [part for part in section.parts if isinstance(part, Table)]
    titles = [table.title for table in tables]
    assert "Score by share of target data, across deployments" in titles
    (table,) = (t for t in tables if t.title == "Gain from pre-training, across deployments")
    assert {line[0].text for line in table.lines} == {"RB, ring6", "RB, busy"}
    only = [r for r in rows if r.experiment != "fewshot"]
    alone = fewshot.make_alone(Source(only, tmp_path, 0, {}, Display({}, {}), "networld"))
    assert pictures_of(alone) == ["deployments"]


def pictures_of(section: Section) -> list[str]:
    return [part.name for part in section.parts if isinstance(part, Picture)]
