import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import t as student_t
from scipy.stats import trim_mean

from networld_algos.results import curves, stats
from networld_algos.results.aggregates import (
    improvement_interval,
    interquartile_mean,
    mean_interval,
    paper_score,
    pooled_iqm,
    probability_of_improvement,
    task_mean,
)
from networld_algos.results.crossed import crossed_estimate, mean_estimate
from networld_algos.results.profiles import performance_profile, profile_band


def test_normalised_score_maps_random_to_0_and_expert_to_100():
    assert_allclose(stats.normalised_score([-2.0, 1.0, 4.0, 7.0], -2.0, 4.0), [0, 50, 100, 150])


@pytest.mark.parametrize("expert", [1.0, 0.5, math.nan])
def test_normalised_score_refuses_an_expert_no_better_than_random(expert):
    with pytest.raises(ValueError, match="must be better than random"):
        stats.normalised_score([0.0], 1.0, expert)


def test_t_interval_equals_the_textbook_formula():
    x = np.array([1.0, 4.0, 2.0, 7.0, 3.0])
    interval = stats.t_interval(x, 0.9)
    low, high = student_t.interval(0.9, df=4, loc=x.mean(), scale=x.std(ddof=1) / math.sqrt(5))
    assert_allclose([interval.value, interval.low, interval.high], [x.mean(), low, high])
    assert (interval.count, interval.method) == (5, "t over seeds")


def test_t_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [stats.t_interval(x) for x in rng.normal(3.0, 2.0, (2000, 3))]
    covered = np.mean([i.low <= 3.0 <= i.high for i in intervals])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_one_value_has_no_t_interval():
    interval = stats.t_interval([2.0])
    assert interval.value == 2.0
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_seed_interval_is_student_t_over_seeds_and_networks_with_enough_seeds():
    rng = np.random.default_rng(0)
    table = 50 + rng.normal(0, 4, (5, 1)) + rng.normal(0, 12, 32) + rng.normal(0, 3, (5, 32))
    found = stats.seed_interval(list(table), rng)
    low, high = crossed_estimate(table).limits()
    assert_allclose([found.value, found.low, found.high], [table.mean(), low, high])
    assert (found.method, found.seeds, found.sign) == ("t over seeds and networks", 5, "")
    of_seeds = stats.t_interval(table.mean(axis=1))
    assert found.high - found.low > of_seeds.high - of_seeds.low  # networks count too
    other = [[1.0, 3.0], [5.0, 5.0, 5.0], [4.0]]  # not the same networks
    assert stats.seed_interval(other, rng) == stats.t_interval([2.0, 5.0, 4.0])


def test_two_seeds_have_an_interval_over_seeds_and_networks():
    """Its variance is that of the mean, in closed form; Student's t would be 12.7 / 1.96 wider."""
    rng = np.random.default_rng(0)
    table = 50 + np.array([[-9.0], [9.0]]) + rng.normal(0, 12, 32) + rng.normal(0, 3, (2, 32))
    draws = stats.network_draws(table, np.random.default_rng(1), 40_000)
    assert draws.shape == (40_000, 2)
    of_seeds = table.mean(axis=1).var(ddof=1) / 2
    of_networks = table.mean(axis=0).var(ddof=1) / 32
    assert_allclose(draws.mean(), table.mean(), atol=0.2)
    assert_allclose(draws.mean(axis=1).var(), of_seeds + of_networks, rtol=0.03)
    found = stats.seed_interval(list(table), rng)
    assert (found.method, found.sign) == ("bootstrap over seeds and networks", "‡")
    assert (found.seeds, found.is_of_one_seed) == (2, False)
    assert found.low < table.mean(axis=1).min()
    assert found.high > table.mean(axis=1).max()
    student = stats.t_interval(table.mean(axis=1))
    assert found.high - found.low < 0.3 * (student.high - student.low)
    same = stats.seed_interval([table[0], table[0]], rng)  # only the networks vary
    half = 1.96 * table[0].std(ddof=1) / 32**0.5
    assert_allclose([same.low, same.high], same.value + np.array([-half, half]), atol=0.15 * half)


def test_network_bootstrap_draws_networks_too_with_any_number_of_seeds():
    """Networks vary by 12 and seeds by 1: a bootstrap over seeds alone is far too narrow."""
    rng = np.random.default_rng(0)
    tables = [
        rng.normal(k, 12, (1, 30)) + rng.normal(0, 1, (5, 1)) + np.zeros((5, 30)) for k in (40, 60)
    ]
    found = stats.network_bootstrap(tables, task_mean, rng)
    means = [table.mean(axis=1) for table in tables]
    assert found.value == pytest.approx(np.mean(means))
    assert (found.method, found.count, found.sign) == ("bootstrap over seeds and networks", 5, "")
    half = 1.96 * np.hypot(*(crossed_estimate(table).error for table in tables)) / 2
    assert_allclose([found.low, found.high], found.value + np.array([-half, half]), atol=0.1 * half)
    over_seeds = stats.bootstrap(means, task_mean, rng)
    assert found.high - found.low > 4 * (over_seeds.high - over_seeds.low)
    other = [[[1.0, 3.0], [5.0]], [[2.0], [3.0]]]  # not the same networks in the first task
    assert stats.network_bootstrap(other, task_mean, rng).method == "bootstrap over seeds"


def by_seed(*runs):
    return dict(enumerate(runs))


def test_the_mean_over_tasks_counts_seeds_and_networks_of_every_task():
    rng = np.random.default_rng(0)
    tables = [rng.normal(0, 9, (1, 40)) + rng.normal(k, 2, (4, 40)) for k in (10, 20, 60)]
    found = mean_interval([(f"task {k}", by_seed(*t)) for k, t in enumerate(tables)], rng)
    expected = mean_estimate([crossed_estimate(table) for table in tables])
    assert_allclose([found.value, found.low, found.high], [expected.value, *expected.limits()])
    assert (found.seeds, found.method) == (4, "t over seeds and networks")
    two = [(f"task {k}", by_seed(*t[:2])) for k, t in enumerate(tables)]
    assert (found2 := mean_interval(two, rng)).sign == "‡"
    assert found2.seeds == 2
    assert mean_interval(two, rng, paired=True).method == "t over seeds and networks"


def test_every_task_counts_with_the_seeds_it_has():
    rng = np.random.default_rng(0)
    tables = [rng.normal(k, 2, (s, 40)) for k, s in ((10, 5), (20, 3), (60, 4))]
    dicts = [{s + k: run for s, run in enumerate(t)} for k, t in enumerate(tables)]
    found = mean_interval([(f"task {k}", t) for k, t in enumerate(dicts)], rng)
    expected = mean_estimate([crossed_estimate(table) for table in tables])
    assert_allclose([found.value, found.low, found.high], [expected.value, *expected.limits()])
    assert found.seeds == 3
    single = mean_interval([("a", dicts[0]), ("b", {0: [1.0, 2.0]})], rng)
    assert (single.value, single.seeds) == ((tables[0].mean() + 1.5) / 2, 1)
    assert math.isnan(single.low)


def test_targets_of_one_task_are_averaged_before_they_count_as_one():
    """They start from the same model, so that a bad seed is bad on all of them."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 3, (3, 1))
    first, second, other = (shared + rng.normal(0, 1, (3, 40)) for _ in range(3))
    found = mean_interval(
        [("rb", by_seed(*first)), ("rb", by_seed(*second)), ("ns", by_seed(*other))], rng
    )
    whole = mean_estimate(
        [crossed_estimate((first + second) / 2), crossed_estimate(other)], weights=[2.0, 1.0]
    )
    assert_allclose([found.value, found.low, found.high], [whole.value, *whole.limits()])
    assert_allclose(found.value, np.mean([first, second, other]))
    apart = mean_estimate([crossed_estimate(t) for t in (first, second, other)])
    assert apart.limits()[1] - apart.limits()[0] < 0.7 * (found.high - found.low)
    # Only their common seeds, and only means where numbers of networks differ.
    short = mean_interval([("rb", by_seed(*first)), ("rb", {2: second[2], 3: first[0]})], rng)
    assert (short.seeds, short.value) == (1, np.mean([first[2], second[2]]))
    uneven = mean_interval([("rb", by_seed([1.0, 3.0], [5.0])), ("rb", by_seed([2.0], [3.0]))], rng)
    assert (uneven.value, uneven.seeds) == (3.0, 2)
    assert mean_interval([("rb", {0: [1.0]}), ("rb", {1: [2.0]})], rng) is None


def test_seed_interval_falls_back_to_episodes_and_says_so():
    episodes = np.random.default_rng(1).normal(10.0, 2.0, 400)
    interval = stats.seed_interval([episodes], np.random.default_rng(0))
    assert interval.method == "bootstrap over episodes"
    assert interval.is_of_one_seed
    assert (interval.count, interval.seeds) == (400, 1)
    half = 1.96 * episodes.std() / 20  # central limit
    assert_allclose(
        [interval.low, interval.high], episodes.mean() + np.array([-half, half]), atol=0.1 * half
    )


def test_paired_interval_is_the_interval_of_the_differences_on_every_network():
    rng = np.random.default_rng(0)
    shared = 30.0 * np.arange(4)[:, None] + 20.0 * rng.normal(size=9)  # of seed and network
    x, y = shared + rng.normal(5, 1, (4, 9)), shared + rng.normal(0, 1, (4, 9))
    paired = stats.paired_interval(list(x), list(y), rng)
    expected = crossed_estimate(x - y)
    assert_allclose([paired.value, paired.low, paired.high], [expected.value, *expected.limits()])
    assert paired.low > 3  # what is shared cancels out
    alone = [stats.seed_interval(list(table), rng) for table in (x, y)]
    assert alone[0].low < alone[1].high
    two = stats.paired_interval(list(x[:2]), list(y[:2]), rng)
    assert (two.method, two.sign) == ("t over seeds and networks", "")  # verdicts rest on it
    unequal = stats.paired_interval([[1.0], [2.0]], [[0.0, 2.0], [0.0, 0.0]], rng)
    assert unequal == stats.t_interval([0.0, 2.0])
    one = stats.paired_interval([[1.0, 2.0, 4.0]], [[0.0, 1.0, 3.0]], rng)
    assert (one.value, one.low, one.high) == (1.0, 1.0, 1.0)
    assert one.method == "bootstrap over episodes"


@pytest.mark.parametrize("n", [1, 3, 4, 5, 10, 15])
def test_interquartile_mean_equals_scipy_trim_mean(n):
    x = np.random.default_rng(n).normal(size=(7, n))
    assert_allclose(interquartile_mean(x), [trim_mean(row, 0.25) for row in x])


def test_interquartile_mean_ignores_outliers():
    assert interquartile_mean([-1e9, 1.0, 2.0, 1e9]) == 1.5


def test_task_mean_weights_tasks_equally():
    assert task_mean([np.array([0.0]), np.array([10.0, 10.0, 10.0])]) == 5.0


def test_bootstrap_enumerates_a_two_seed_stratum():
    # The mean of two draws from {0, 1} is 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
    interval = stats.bootstrap([[0.0, 1.0]], task_mean, np.random.default_rng(0), confidence=0.4)
    assert (interval.value, interval.low, interval.high) == (0.5, 0.5, 0.5)
    wide = stats.bootstrap([[0.0, 1.0]], task_mean, np.random.default_rng(0), confidence=0.6)
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_bootstrap_resamples_inside_strata_only():
    rng = np.random.default_rng(0)
    low, high = stats.resample([np.array([1.0, 2.0]), np.array([10.0, 20.0, 30.0])], rng, 500)
    assert low.shape == (500, 2)
    assert high.shape == (500, 3)
    assert set(np.unique(low)) == {1.0, 2.0}
    assert set(np.unique(high)) == {10.0, 20.0, 30.0}
    # Tasks far apart add nothing to the interval when each has no spread.
    constant = stats.bootstrap([[0.0] * 3, [100.0] * 3], task_mean, rng)
    assert (constant.low, constant.high) == (50.0, 50.0)


def test_bootstrap_equals_a_loop_over_the_same_draws():
    strata = [np.array([3.0, 9.0, 4.0]), np.array([1.0, 7.0, 8.0, 2.0])]
    interval = stats.bootstrap(strata, pooled_iqm, np.random.default_rng(5), resamples=300)
    draws = stats.resample(strata, np.random.default_rng(5), 300)
    looped = [trim_mean(np.concatenate([d[r] for d in draws]), 0.25) for r in range(300)]
    assert_allclose([interval.low, interval.high], np.quantile(looped, [0.025, 0.975]))


def test_bootstrap_depends_on_the_generator_only():
    args = [[1.0, 2.0, 4.0, 9.0]], task_mean
    first = stats.bootstrap(*args, np.random.default_rng(0), resamples=50)
    assert first == stats.bootstrap(*args, np.random.default_rng(0), resamples=50)
    assert first != stats.bootstrap(*args, np.random.default_rng(1), resamples=50)


def test_probability_of_improvement_equals_a_loop():
    rng = np.random.default_rng(3)
    x = [rng.integers(0, 5, n).astype(float) for n in (4, 2, 3)]
    y = [rng.integers(0, 5, n).astype(float) for n in (3, 5, 3)]
    tasks = []
    for a, b in zip(x, y, strict=True):
        wins = [1.0 if i > j else 0.5 if i == j else 0.0 for i, j in itertools.product(a, b)]
        tasks.append(sum(wins) / len(wins))
    expected = sum(tasks) / 3
    assert_allclose(probability_of_improvement(x, y), expected)
    assert_allclose(probability_of_improvement(y, x), 1 - expected)
    interval = improvement_interval(x, y, np.random.default_rng(0))
    assert_allclose(interval.value, expected)
    assert interval.low <= expected <= interval.high


def test_probability_of_improvement_at_its_limits():
    rng = np.random.default_rng(0)
    interval = improvement_interval([[5.0, 6.0]], [[1.0, 2.0]], rng)
    assert (interval.low, interval.value, interval.high) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="same tasks"):
        improvement_interval([[1.0]], [[1.0], [2.0]], rng)


def test_performance_profile_equals_a_loop():
    rng = np.random.default_rng(4)
    strata = [rng.normal(50, 20, 5) for _ in range(3)]
    thresholds = np.linspace(0, 100, 11)
    expected = [np.mean([[score > tau for score in x] for x in strata]) for tau in thresholds]
    assert_allclose(performance_profile(strata, thresholds), expected)
    low, high = profile_band(strata, thresholds, np.random.default_rng(0), resamples=500)
    assert np.all(low <= expected)
    assert np.all(expected <= high)
    assert np.any(high - low > 0.2)


def test_profile_weights_tasks_equally_and_is_strict():
    profile = performance_profile([[10.0], [0.0, 0.0, 0.0]], [-1.0, 0.0, 10.0])
    assert_allclose(profile, [1.0, 0.5, 0.0])


def test_area_of_closed_forms():
    fractions = np.array([0.002, 0.01, 0.033, 0.1, 0.33, 1.0])
    assert_allclose(curves.area_under_curve(fractions, np.full(6, 42.0)), 42.0)
    linear_in_log = np.log(fractions / 0.002) / np.log(500.0)  # 0 to 1
    assert_allclose(curves.area_under_curve(fractions, linear_in_log), 0.5)
    assert_allclose(curves.area_under_curve(fractions, [linear_in_log, np.ones(6)]), [0.5, 1.0])


@pytest.mark.parametrize("bad", [[1.0], [0.0, 1.0], [0.5, 0.5], [1.0, 0.5]])
def test_area_refuses_bad_fractions(bad):
    with pytest.raises(ValueError, match="fraction"):
        curves.area_under_curve(bad, np.zeros(len(bad)))


def test_data_to_reach_interpolates_in_log_fraction():
    reach = curves.data_to_reach([0.01, 0.1, 1.0], [40.0, 80.0, 100.0], 90.0)
    assert_allclose(reach, 10**-0.5)


def test_data_to_reach_at_its_ends():
    assert_allclose(curves.data_to_reach([0.01, 1.0], [95.0, 99.0], 90.0), 0.01)
    assert_allclose(curves.data_to_reach([0.01, 1.0], [0.0, 90.0], 90.0), 1.0)
    assert math.isnan(curves.data_to_reach([0.01, 1.0], [0.0, 89.9], 90.0))
    # A dip after the first crossing does not move it.
    assert_allclose(curves.data_to_reach([0.01, 0.1, 1.0], [90.0, 10.0, 95.0], 90.0), 0.01)


def test_paper_score_is_min_max_across_methods():
    means = {
        "cbf": {"a": 2.0, "b": 6.0, "c": 4.0},
        "rb": {"a": -1.0, "b": -3.0, "c": -2.0, "only here": 9.0},
    }
    scores = paper_score(means)
    # On rb, -3 to -1: the method missing from cbf takes no part.
    assert scores == pytest.approx({"a": 50.0, "b": 50.0, "c": 50.0})
    assert paper_score({}) == {}
    tied = paper_score({"cbf": {"a": 1.0, "b": 1.0}})
    assert all(math.isnan(v) for v in tied.values())


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], 3.0])
def test_vectors_are_required(bad):
    with pytest.raises(ValueError, match="non-empty vector"):
        stats.t_interval(bad)
