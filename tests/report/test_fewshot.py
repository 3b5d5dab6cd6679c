import numpy as np
import pytest

from networld_algos.report.sections import fewshot
from networld_algos.report.sections.fewshot_curves import (
    average_over_tasks,
    fewshot_curves,
    pretraining_gains,
)
from networld_algos.results import stats
from networld_algos.results.curves import area_under_curve
from tests.report.rows import VARIANTS, fewshot_rows, learned, reference_rows, value


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
    assert np.isnan(averaged["networld (no fine-tuning)"].reach)
    for curve in (*curves, *averaged.values()):  # three seeds: seeds and networks
        for interval in (*curve.points, curve.area):
            assert interval is not None
            assert interval.method == "bootstrap over seeds and networks"
            assert interval.low < interval.value < interval.high


def test_curves_of_five_seeds_have_student_t_over_seeds():
    rows = [*reference_rows(20), *fewshot_rows(seeds=5)]
    curves = fewshot_curves(rows, np.random.default_rng(0))
    for curve in (*curves, *average_over_tasks(curves, np.random.default_rng(0))):
        assert curve.points[0] == stats.t_interval([y[0] for y in curve.by_seed.values()])
        area = stats.t_interval([area_under_curve(curve.x, y) for y in curve.by_seed.values()])
        assert (curve.area.value, curve.area.low) == pytest.approx((area.value, area.low))


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
