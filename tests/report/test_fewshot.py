from dataclasses import fields, replace

import numpy as np
import pytest

from networld_algos.bench.presets import CONVERGED
from networld_algos.report.sections import fewshot
from networld_algos.report.sections.fewshot_curves import (
    average_over_shared,
    average_over_tasks,
    fewshot_curves,
)
from networld_algos.report.sections.fewshot_finding import (
    convergence_sentence,
    coverage_sentence,
    focus_sentence,
    transfer_sentence,
)
from networld_algos.report.sections.fewshot_pairs import CONTRASTS, gains
from networld_algos.report.sections.fewshot_reach import reach_cell, reaches
from networld_algos.report.sections.fewshot_tables import focus_table, gain_table, score_table
from networld_algos.report.source import Picture, Section, Source
from networld_algos.report.table import DASH, Table
from networld_algos.report.training import has_converged
from networld_algos.results.curves import area_under_curve
from networld_algos.results.display import Display
from networld_algos.results.rows import BEST_UPDATES
from networld_algos.training.run import EARLIEST, Best, Training
from tests.report.rows import (
    DEPLOYMENTS,
    REFERENCES,
    VARIANTS,
    deployment_rows,
    fewshot_rows,
    learned,
    make_row,
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
            if curve.by_seed:
                mean = np.mean([area_under_curve(curve.x, y) for y in curve.by_seed.values()])
                assert curve.area.value == pytest.approx(mean)


def test_gains_are_paired_by_seed_and_put_into_words():
    rng = np.random.default_rng(0)
    rows = reference_rows(20)
    for label, start in (("networld", 30), ("networld (from scratch)", 10)):
        for s in range(3):
            for fraction, episodes, gain in ((0.01, 5, 0), (1.0, 500, 40)):
                score = start + gain + 25 * s  # a wide spread over seeds that both share
                changes = {"label": label, "seed": s, "fraction": fraction, "episodes": episodes}
                rows.append(learned("cbf", score, rng, experiment="fewshot", **changes))
    curves = fewshot_curves(rows, rng)
    (gain,) = gains(curves, rng, "mean")
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
    first = gain.against["from scratch"].at(0.01)
    assert first.value == pytest.approx(np.mean(differences))
    assert first.low > 0
    assert without.points[0].high > with_.points[0].low  # not to be seen without pairing
    found = [gain], "fewshot", "across layers", "networld", Display()
    text = transfer_sentence(*found)
    assert text.startswith("Across layers, pre-training helps networld more than its controls: ")
    assert "with 5 episodes, its lead is +" in text
    assert "over training from scratch (CBF)" in text
    assert "do not compare it with random frozen networks or pre-training on shuffled" in text
    lone = gains(fewshot_curves([r for r in rows if r.seed < 1], rng), rng, "mean")
    assert "fewer than 3 training seeds do not show" in transfer_sentence(lone, *found[1:])


CONTROL_SCORES = {"from scratch": 40.0, "random frozen": 60.0, "shuffled pre-training": 60.0}


def controlled_rows(experiment="fewshot", seeds=3, tasks=("cbf", "rb"), **scores):
    """NetWorld at 90 and its controls, at every share; NetWorld as it is (80) at the smallest."""
    rng = np.random.default_rng(0)
    every = {"": 90.0, **{f" ({k})": v for k, v in {**CONTROL_SCORES, **scores}.items()}}
    rows = reference_rows(20)
    for task in tasks:
        of_network = rng.normal(0, 5, 16)
        low, high = (REFERENCES[task][name][1] for name in ("random", "expert"))
        for suffix, score in {**every, " (not tuned)": 80.0}.items():
            shares = (0.01,) if "not tuned" in suffix else (0.01, 0.033, 1.0)
            for share in shares:
                for seed in range(seeds):
                    values = score + of_network + rng.normal(0, 0.01) + rng.normal(0, 0.1, 16)
                    rows.append(
                        replace(
                            learned(task, 0.0, rng, experiment=experiment, seed=seed),
                            label=f"networld{suffix}",
                            fraction=share,
                            episodes=round(450 * share),
                            updates=0 if "not tuned" in suffix else 100,
                            episode_returns=tuple(low + (high - low) * values / 100),
                        )
                    )
    return rows


def found_in(rows, experiment="fewshot"):
    curves = fewshot_curves(rows, np.random.default_rng(0), experiment=experiment)
    return curves, gains(curves, np.random.default_rng(0), "mean over tasks")


def test_pre_training_helps_only_if_it_is_above_every_control():
    """Controls that score the same as the method show that nothing was carried over."""
    for changes, verdict, said in (
        ({}, ("gain", "from scratch"), "pre-training helps networld more"),
        ({"shuffled pre-training": 90.0}, ("no gain", "shuffled pre-training"), "does not help"),
        ({"random frozen": 95.0}, ("loss", "random frozen"), "does less for networld than one of"),
        ({"from scratch": 95.0}, ("loss", "from scratch"), "pre-training hurts networld: "),
        (
            {"from scratch": 93.0, "random frozen": 95.0},
            ("loss", "random frozen"),
            "pre-training hurts networld: ",
        ),
    ):
        _, found = found_in(controlled_rows(**changes))
        (mean,) = (gain for gain in found if gain.is_mean)
        answer, control = mean.verdict(0.033)
        assert answer == verdict[0]
        assert answer == "gain" or control == verdict[1]
        text = transfer_sentence(found, "fewshot", "across layers", "networld", Display())
        assert said in text
        assert "over training from scratch" in text
        assert answer == "gain" or verdict[1].split()[0] in text  # the control that decides
        assert "with 15 episodes" in text
        assert text.endswith("on average over 2 targets.")
        table = gain_table(found, Display(), "across layers", "pre-trained")
        heads = [column.name for column in table.columns]
        assert heads[3:-1] == [f"Minus {name}" for name in CONTRASTS]
        assert {line[-1].text for line in table.lines} == {verdict[0]}
        if verdict[0] != "gain":
            assert {line[-1].note for line in table.lines} == {f"against {verdict[1]}"}


def test_a_gain_is_paired_and_its_mean_is_over_the_targets_with_the_control():
    rows = controlled_rows(tasks=("cbf", "rb", "ns"), **{"random frozen": 70.0})
    few = [r for r in rows if r.task != "ns" or "frozen" not in r.label]
    curves, found = found_in(few)
    at = {(c.panel[0], c.label): c for c in curves}
    by_panel = {gain.panel[0]: gain for gain in found}
    assert set(by_panel) == {"cbf", "rb", "ns", "mean over tasks"}
    assert "random frozen" not in by_panel["ns"].against
    mean = by_panel["mean over tasks"].against
    assert (mean["random frozen"].panels, mean["from scratch"].panels) == (2, 3)
    for task in ("cbf", "rb", "ns"):
        tuned, same = at[task, "networld"], at[task, "networld (not tuned)"]
        gap = by_panel[task].against["not tuned"].at(1.0)  # one model for every share
        expected = tuned.points[-1].value - same.points[0].value
        assert value(gap) == pytest.approx(expected)
    parts = [value(by_panel[t].against["from scratch"].at(0.01)) for t in ("cbf", "rb", "ns")]
    whole = mean["from scratch"].at(0.01)
    assert value(whole) == pytest.approx(np.mean(parts))
    assert whole is not None
    assert whole.high - whole.low < 3.0  # networks differ by 5 points
    text = transfer_sentence(found, "fewshot", "across layers", "networld", Display())
    assert "over training from scratch (3 targets)" in text
    assert "over random frozen networks (2 targets)" in text


def test_a_method_without_controls_has_no_verdict():
    bare = ("networld", "networld (not tuned)")
    rows = [r for r in controlled_rows() if r.kind == "reference" or r.label in bare]
    _, found = found_in(rows)
    assert {gain.verdict(0.01) for gain in found} == {("", "")}
    assert transfer_sentence(found, "fewshot", "across layers", "networld", Display()) == ""
    table = gain_table(found, Display(), "across layers", "pre-trained")
    assert {line[-1].text for line in table.lines} == {DASH}


def test_the_focus_has_differences_at_every_share_or_its_absence_is_said():
    rows = controlled_rows()
    other = [
        replace(r, algorithm="mine", label="mine")
        for r in rows
        if r.label == "networld (from scratch)"
    ]
    curves, found = found_in([*rows, *other])
    rng = np.random.default_rng(0)
    table = focus_table(curves, "mine", rng, Display(), "across layers", "mean over tasks")
    assert table is not None
    assert table.title == "Differences from mine, across layers"
    lines = {(line[0].text, line[1].text): line[2:] for line in table.lines}
    assert [c.text for c in lines["CBF", "networld (from scratch)"]] == ["+0.0"] * 3
    assert ("Mean over tasks", "networld") in lines
    behind = lines["RB", "networld"]
    assert all(-52 < (c.order or 0) < -48 and c.strong for c in behind)  # pyright: ignore
    ours = focus_table(curves, "networld", rng, Display(), "across layers", "mean over tasks")
    assert ours is not None
    assert {line[1].text for line in ours.lines} == {"mine"}  # controls have their own table
    nothing = focus_table(curves, "ma-dt", rng, Display(), "across layers", "mean over tasks")
    assert nothing is None
    by_place = {"across layers": curves}, {"across layers": found}
    said = {x: focus_sentence(*by_place, x, Display()) for x in ("networld", "mine", "ma-dt")}
    assert said["networld"] == ""
    assert said["mine"] == "mine has no controls across layers."
    assert said["ma-dt"] == "ma-dt was not run across layers."


def test_methods_that_were_not_run_everywhere_are_named_with_the_reason():
    rows = [*reference_rows(20), *fewshot_rows(seeds=2)]
    curves, _ = found_in(rows)
    compared = ["networld", "bc", "ma-iql", "ma-dt", "ma-dd"]
    text = coverage_sentence(curves, compared, Display())
    assert text.startswith("Not run here: ma-dt, ma-dd. The reason is cost: ")
    assert coverage_sentence(curves, compared[:3], Display()) == ""
    some = [
        c
        for c in curves
        if c.panel[0] == "rb" or c.label not in ("ma-iql", "networld (no fine-tuning)")
    ]
    text = coverage_sentence(some, [], Display())
    assert text.startswith("Only on 1 of 3 targets (RB): networld (no fine-tuning), ma-iql. ")


def test_trainings_that_were_ended_before_they_converged_are_marked_and_counted():
    rows = []
    for row in controlled_rows():
        best = 50 if row.seed or row.fraction == 1.0 else 85  # one seed of the small shares
        rows.append(replace(row, extra={BEST_UPDATES: best} if row.updates else {}))
    curves, _ = found_in(rows)
    table = score_table(curves, Display(), "across layers", np.random.default_rng(0))
    at = [column.name for column in table.columns].index("Converged")
    lines = {line[1].text: line for line in table.lines}
    assert lines["networld"][at].text == "2, 2, 3 of 3"
    assert [c.mark for c in lines["networld"][2:5]] == ["\N{UPWARDS ARROW}"] * 2 + [""]
    assert lines["networld (not tuned)"][at].text == DASH
    (mean,) = (
        c for c in average_over_tasks(curves, np.random.default_rng(0)) if c.label == "networld"
    )
    assert mean.converged == {0.01: (4, 6), 0.033: (4, 6), 1.0: (6, 6)}
    text = convergence_sentence(curves)
    assert text.startswith("Of 72 trainings, 16 had not converged when they reached")
    whole = [replace(c, converged={1.0: (3, 3)}) for c in curves[:2]]
    assert convergence_sentence(whole) == "All 6 trainings converged."
    assert convergence_sentence(found_in(controlled_rows())[0]) == ""


@pytest.mark.parametrize("most", [20, 400, 1600, 2750, 4937])
def test_a_training_has_converged_if_it_ran_out_of_patience(most):
    """For every possible smallest error: as `networld_algos.training.run` ends a training."""
    patience = CONVERGED["patience"]
    marks = sorted(Training([], most, 0, 1, validation=[], patience=patience).validation_marks)  # pyright: ignore
    for best in marks:
        end = next(
            (
                mark
                for mark in marks
                if sum(best < m <= mark for m in marks) >= patience and mark >= EARLIEST * most
            ),
            most,
        )
        since = sum(best < m <= end for m in marks)
        row = make_row(updates=end, extra={BEST_UPDATES: best})
        assert has_converged(row) == (since >= patience), (best, end)
    assert BEST_UPDATES in {field.name for field in fields(Best)}
    assert has_converged(make_row(updates=most)) is None
    assert has_converged(make_row(updates=0, extra={BEST_UPDATES: 0})) is None


def test_without_a_twin_from_scratch_a_trained_model_has_no_score_with_all_data():
    """MA-IQL, tuned from the default deployment, must not be its own yardstick."""
    rows = [
        replace(r, algorithm="ma-iql", label=r.label.replace("networld", "ma-iql"))
        for r in deployment_rows()
        if r.kind == "learned" and "scratch" not in r.label
    ]
    curves, _ = found_in([*reference_rows(20), *deployment_rows(), *rows], "deployments")
    means = average_over_tasks(curves, np.random.default_rng(0))
    for curve in [*curves, *means]:
        beside = curves if curve in curves else means
        texts = {
            reach_cell(x, curve).text for x in reaches(curve, beside, np.random.default_rng(0))
        }
        assert (texts == {DASH}) == (curve.algorithm == "ma-iql"), curve.label
    pretrained = replace(rows[0], experiment="fewshot", label="x", data_hashes={"other": "h"})
    new = replace(
        rows[0], experiment="fewshot", label="y", data_hashes={rows[0].dataset or "": "h"}
    )
    both = [r for r in deployment_rows() if r.kind == "reference"]
    found, _ = found_in([*reference_rows(20), *both, pretrained, new])
    assert {c.label: c.is_pretrained for c in found} == {"x": True, "y": False}


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
    other = replace(tuned, label="other")  # from scratch under its own name: its right end counts
    alone = reaches(other, [other], np.random.default_rng(0))
    assert alone[0].at_most
    assert reach_cell(alone[0], other).text == "≤ 4"
    part = fewshot_curves([r for r in rows if (r.fraction or 0.0) < 1.0], rng)
    assert {reach_cell(reaches(c, part, rng)[0], c).text for c in part} == {DASH}
    one = [r for r in rows if r.seed < 1]
    lone = {c.label: c for c in fewshot_curves(one, rng)}
    (first, _) = reaches(lone["networld (from scratch)"], list(lone.values()), rng)
    assert first.low == first.value == first.high


def test_the_section_shows_both_kinds_and_says_what_was_found(tmp_path):
    rows = [*reference_rows(20), *fewshot_rows(seeds=3), *deployment_rows(seeds=3)]
    source = Source(rows, tmp_path, 0, {}, Display({}, {}), "networld")
    section = fewshot.make(source)
    assert pictures_of(section) == ["fewshot_summary", "fewshot", "deployments"]
    assert "Across layers, pre-training helps networld more" in section.finding
    assert "Across deployments, the positive control, pre-training helps" in section.finding
    assert "over training from scratch, on average over 2 targets." in section.finding
    assert "RB" not in section.finding  # single targets are in the tables
    assert len(section.finding.split()) < 110
    (above,) = (p for p in section.parts if isinstance(p, Picture) and p.name.endswith("summary"))
    assert "Across layers (mean over CBF; RB; NS), models are pre-trained" in above.caption
    assert "Across deployments (mean over RB, ring6; RB, busy), models are" in above.caption
    assert fewshot.make_alone(source).parts == []  # they are shown above
    tables = [part for part in section.parts if isinstance(part, Table)]
    titles = [table.title for table in tables]
    assert "Score by share of target data, across deployments" in titles
    (table,) = (t for t in tables if t.title == "Gain from pre-training, across deployments")
    targets = {line[0].text for line in table.lines}
    assert targets == {"RB, ring6", "RB, busy", "Mean over deployments"}
    only = [r for r in rows if r.experiment != "fewshot"]
    alone = fewshot.make_alone(Source(only, tmp_path, 0, {}, Display({}, {}), "networld"))
    assert pictures_of(alone) == ["deployments"]


def pictures_of(section: Section) -> list[str]:
    return [part.name for part in section.parts if isinstance(part, Picture)]
