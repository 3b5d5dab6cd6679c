from dataclasses import replace

import numpy as np
import pytest

from networld_algos.report import scoring, summary
from tests.report.rows import crowd, make_row, reference_rows, value


def test_scores_come_from_the_reference_rows_of_the_task():
    refs = [r for r in reference_rows() if r.task == "rb"]
    random, expert = (
        np.mean(next(r for r in refs if r.role == role).episode_returns)
        for role in ("random", "expert")
    )
    row = make_row(task="rb", episode_returns=(-1.0, -1.5), score=12345.0)
    other = replace(row, seed=1, episode_returns=(-0.5,))
    (final,) = summary.finals([*refs, row, other], "comparison", np.random.default_rng(0))
    expected = 100 * (np.array([-1.25, -0.5]) - random) / (expert - random)
    assert final.seed_scores == pytest.approx(expected)
    assert value(final.score) == pytest.approx(expected.mean())


def test_the_headline_is_the_last_checkpoint_and_never_the_best():
    refs = reference_rows()
    run = [
        make_row(updates=u, is_last=u == 3, episode_returns=(r,))
        for u, r in enumerate((3, 5, 9, 4))
    ]
    validation = [
        make_row(updates=u, is_last=u == 3, eval_seed_set="validation", episode_returns=(r,))
        for u, r in enumerate((0, 8, 1, 2))
    ]
    rng = np.random.default_rng(0)
    scale = scoring.scales(refs)["cbf", scoring.PLAIN]
    (final,) = summary.finals([*refs, *run], "comparison", rng)
    assert final.reward.value == 4.0
    assert (final.best_by, value(final.best_score)) == (
        "test",
        pytest.approx(100 * (9 - scale[0]) / (scale[1] - scale[0])),
    )
    (final,) = summary.finals([*refs, *run, *validation], "comparison", rng)
    assert final.reward.value == 4.0
    assert (final.best_by, value(final.best_score)) == (
        "validation",
        pytest.approx(100 * (5 - scale[0]) / (scale[1] - scale[0])),
    )


def test_curves_hold_the_checkpoints_all_seeds_share_and_one_seed_set():
    rows = [
        make_row(seed=s, updates=u, is_last=False, episode_returns=(float(10 * s + u),))
        for s, updates in ((0, (0, 5, 10)), (1, (0, 10)))
        for u in updates
    ]
    (curve,) = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    assert curve.x.tolist() == [0, 10]
    assert [p.value for p in curve.points] == [5.0, 15.0]
    validation = [replace(r, eval_seed_set="validation") for r in rows]
    last = [make_row(seed=s, updates=10) for s in (0, 1)]
    (curve,) = summary.learning_curves([*validation, *last], "comparison", np.random.default_rng(0))
    assert curve.eval_seed_set == "validation"
    assert [p.value for p in curve.points] == [5.0, 15.0]


def test_two_rows_of_one_run_are_refused():
    rows = [*reference_rows(3), make_row(config_hash="aa"), make_row(config_hash="bb")]
    with pytest.raises(ValueError, match=r"two final rows .* aa and bb.* own label"):
        summary.finals(rows, "comparison", np.random.default_rng(0))


def test_a_crowded_comparison_keeps_one_variant_of_each_algorithm():
    curves = crowd()
    assert {c.label for c in summary.leading(curves)} == {"a", "b, in another way 3"}
    assert len(summary.leading(curves)) == 4
    few = curves[: summary.MOST_CURVES]
    assert summary.leading(few) == few
