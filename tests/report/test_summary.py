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
    (final,) = summary.finals([*refs, run[-1], *validation], "comparison", rng)
    assert final.best_score is None  # scored once on test networks: nothing to choose


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


def test_two_shares_of_the_data_are_not_averaged():
    rows = reference_rows(20)
    rows += [
        make_row(experiment="mine", label="a", seed=s, fraction=f, updates=9, is_last=True)
        for s in range(3)
        for f in (0.1, 1.0)
    ]
    with pytest.raises(ValueError, match=r"'a' has several results .* \[0\.1, 1\.0\].*own label"):
        summary.finals(rows, "mine", np.random.default_rng(0))


def test_a_crowded_comparison_keeps_one_variant_of_each_algorithm():
    curves = crowd()
    assert {c.label for c in summary.leading(curves)} == {"a", "b, in another way 3"}
    assert len(summary.leading(curves)) == 4
    few = curves[: summary.MOST_CURVES]
    assert summary.leading(few) == few


def training_of(scores: dict[int, float], seed: int = 0, **changes):
    """Rows of one training on CBF, with two networks; ``scores`` are normalised."""
    low, high = scoring.scales(reference_rows())["cbf", scoring.PLAIN]
    return [
        make_row(
            seed=seed,
            updates=u,
            is_last=u == max(scores),
            episode_returns=tuple(low + (high - low) * (s + d) / 100 for d in (-1.0, 1.0)),
            epochs=u / 100,
            **changes,
        )
        for u, s in scores.items()
    ]


@pytest.mark.parametrize(
    ("scores", "rise"),
    [
        ({20: 10.0, 40: 50.0, 60: 70.0, 80: 80.0, 100: 88.0}, 88 - 77.5),  # between two evaluations
        ({25: 10.0, 50: 50.0, 75: 70.0, 100: 70.5}, 0.5),
        ({33: 50.0, 67: 80.0, 100: 70.0}, 70 - (80 - 10 * 8 / 33)),
        ({50: 60.0, 100: 70.0}, 5.0),
        ({2: 60.0, 5: 70.0}, 70 - (60 + 10 * 1.75 / 3)),  # the mark of 2.5 updates is rounded
        ({100: 70.0}, None),
        ({1: 70.0}, None),
        ({2: 70.0}, None),
        ({20: 60.0, 100: 70.0}, None),  # nothing between half and three quarters
    ],
)
def test_a_result_is_under_trained_if_its_score_still_rises(scores, rise):
    rows = [*reference_rows(), *training_of(scores)]
    (final,) = summary.finals(rows, "comparison", np.random.default_rng(0))
    assert final.updates == max(scores)
    assert final.epochs == max(scores) / 100
    assert final.is_under_trained == (rise is not None and rise > 1)
    assert (final.rise is None) == (rise is None)
    if rise is not None:
        assert value(final.rise) == pytest.approx(rise)


def test_the_rise_is_paired_by_network_and_prefers_validation_networks():
    rising, level = {50: 60.0, 100: 70.0}, {50: 70.0, 100: 70.2}
    rows = [r for s in (0, 1) for r in training_of(rising, seed=s)]
    rng = np.random.default_rng(0)
    (final,) = summary.finals([*reference_rows(), *rows], "comparison", rng)
    assert final.rise is not None
    assert (final.rise.seeds, final.rise.low) == (2, pytest.approx(5.0))  # no spread is left
    assert final.rise.high == pytest.approx(5.0)
    seen = [r for s in (0, 1) for r in training_of(level, seed=s, eval_seed_set="validation")]
    (final,) = summary.finals([*reference_rows(), *rows, *seen], "comparison", rng)
    assert value(final.rise) == pytest.approx(0.1)
    assert not final.is_under_trained
    (final,) = summary.finals([*reference_rows(), *rows, *seen[:2]], "comparison", rng)
    assert final.rise is None  # one seed was validated and the other was not
