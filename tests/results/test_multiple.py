import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from networld_algos.results.crossed import crossed_estimate
from networld_algos.results.multiple import holm, paired_p_value
from networld_algos.results.stats import paired_interval


def test_holm_stops_at_the_first_that_does_not_hold():
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]  # Holm's own steps
    assert holm([0.02, 0.02]) == [True, True]
    assert holm([0.03, 0.04]) == [False, False]
    assert holm([]) == []


def test_what_cannot_be_decided_does_not_count():
    assert holm([0.04, np.nan]) == [True, False]


def test_selected_comparisons_are_corrected_for_all_they_were_selected_from():
    assert holm([0.01, 0.04], among=5) == [True, False]
    assert holm([0.011, 0.04], among=5) == [False, False]
    assert holm([0.01, 0.0125], among=5) == [True, True]


def test_leads_of_the_best_of_equal_methods_rarely_hold():
    """Which method is best is seen in the rows that are then tested: leads are the largest."""
    rng = np.random.default_rng(0)
    panels, methods, seeds, suites = 9, 6, 5, 1000
    wrong = {0: 0, panels * math.comb(methods, 2): 0}
    for _ in range(suites):
        table = rng.normal(size=(panels, methods, seeds))
        best = table.mean(axis=-1).argmax(axis=-1)
        gaps = table[np.arange(panels), best][:, None] - table
        others = gaps[np.arange(methods) != best[:, None]]
        p_values = ttest_1samp(others, 0.0, axis=-1).pvalue.tolist()
        for among in wrong:
            wrong[among] += any(holm(p_values, among=among))
    few, all_pairs = wrong.values()
    assert few > 0.07 * suites  # the 45 leads alone are too few to allow for
    assert all_pairs < 0.05 * suites


def test_the_p_value_is_that_of_the_interval():
    rng = np.random.default_rng(0)
    for shift in (0.1, 0.5, 2.0):
        table = rng.normal(shift, 1.0, (4, 30)) + rng.normal(0.0, 0.3, (4, 1))
        estimate = crossed_estimate(table)
        p = estimate.p_value
        low, high = estimate.limits(1.0 - p)
        assert min(abs(low), abs(high)) == pytest.approx(0.0, abs=1e-6)
        runs, zeros = list(table), [np.zeros(30)] * 4
        assert paired_p_value(runs, zeros) == pytest.approx(p)
        interval = paired_interval(runs, zeros, rng)
        assert (p < 0.05) == (interval.low > 0.0 or interval.high < 0.0)


def test_a_single_seed_has_no_p_value():
    assert np.isnan(paired_p_value([np.arange(5.0)], [np.ones(5)]))


def test_ends_of_the_scale():
    assert crossed_estimate(np.ones((3, 4))).p_value == 0.0
    assert crossed_estimate(np.zeros((3, 4))).p_value == pytest.approx(1.0)
    assert np.isnan(crossed_estimate(np.ones((1, 1))).p_value)


def test_the_correction_keeps_its_promise():
    """Of many sets of ten comparisons without a difference, few have even one that holds."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        p_values = [crossed_estimate(rng.normal(size=(5, 12))).p_value for _ in range(10)]
        wrong += any(holm(p_values))
    assert wrong <= 0.08 * 200
