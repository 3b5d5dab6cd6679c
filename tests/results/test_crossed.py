import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from scipy.stats import t as student_t

from networld_algos.results import stats
from networld_algos.results.crossed import crossed_estimate, mean_estimate, share_limits

TABLES = 500
ALLOWED = 4 * math.sqrt(0.95 * 0.05 / TABLES)
"""Four standard deviations of a share that should be 95%."""


def table_of(rng, seeds, networks, spread, mean=0.0):
    """Scores with known deviations of the effects of (seed, network, both)."""
    of_seed, of_network, rest = spread
    return (
        mean
        + rng.normal(0, of_seed, (seeds, 1))
        + rng.normal(0, of_network, (1, networks))
        + rng.normal(0, rest, (seeds, networks))
    )


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("spread", [(3, 0, 0.1), (0, 10, 0.1), (0, 0, 9), (2, 10, 3), (1, 8, 10)])
def test_intervals_cover_the_mean_whether_seeds_or_networks_vary(seeds, spread):
    rng = np.random.default_rng(0)
    tables = [table_of(rng, seeds, 40, spread, mean=70.0) for _ in range(TABLES)]
    limits = [crossed_estimate(table).limits() for table in tables]
    covered = np.mean([low <= 70 <= high for low, high in limits])
    assert covered > 0.95 - ALLOWED
    if 0 in spread or spread[0] < 0.1 * spread[1]:  # with two parts, it is wider than it need be
        assert covered < 0.95 + ALLOWED
    if spread[1] > spread[0]:  # seeds alone say too little about what new networks would give
        over_seeds = [stats.t_interval(table.mean(axis=1)) for table in tables]
        assert np.mean([i.low <= 70 <= i.high for i in over_seeds]) < 0.92


def test_the_rest_counts_once():
    """Its variance is in the means of seeds and in those of networks."""
    rng = np.random.default_rng(0)
    for spread in ((0, 0, 9), (2, 10, 30)):
        tables = [table_of(rng, 5, 40, spread) for _ in range(TABLES)]
        true = spread[0] ** 2 / 5 + spread[1] ** 2 / 40 + spread[2] ** 2 / 200
        estimated = np.mean([crossed_estimate(table).error ** 2 for table in tables])
        assert 0.95 * true < estimated < 1.2 * true  # a part below zero counts as zero


def test_small_error_probabilities_are_no_larger_than_they_say():
    """Both parts are equal, which is where degrees of freedom for the sum would be wrong."""
    rng = np.random.default_rng(0)
    tables = [table_of(rng, 3, 30, (1, 30**0.5 / 3**0.5, 0)) for _ in range(4000)]
    missed = [
        not low <= 0 <= high for low, high in (crossed_estimate(t).limits(0.995) for t in tables)
    ]
    assert np.mean(missed) < 0.005 + 4 * math.sqrt(0.005 * 0.995 / 4000)


def test_quantiles_of_a_bootstrap_are_too_narrow_for_few_seeds():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(TABLES):
        draws = stats.network_draws(table_of(rng, 5, 20, (3, 0, 0.1)), rng, 300).mean(axis=-1)
        low, high = np.quantile(draws, [0.025, 0.975])
        covered.append(low <= 0 <= high)
    assert 0.84 < np.mean(covered) < 0.91


def test_the_variance_is_that_of_the_bootstrap_over_seeds_and_networks():
    rng = np.random.default_rng(0)
    table = table_of(rng, 4, 25, (5, 9, 3))
    draws = stats.network_draws(table, rng, 40_000).mean(axis=-1)
    assert_allclose(crossed_estimate(table).error, draws.std(), rtol=0.02)


def test_without_variation_of_one_kind_it_is_the_textbook_interval_of_the_other():
    rng = np.random.default_rng(0)
    seeds, networks = rng.normal(size=6), rng.normal(size=30)
    for values, table in (
        (seeds, np.repeat(seeds[:, None], 30, axis=1)),
        (seeds, seeds[:, None]),
        (networks, np.repeat(networks[None], 6, axis=0)),
        (networks, networks[None]),
    ):
        expected = student_t.interval(
            0.9,
            df=len(values) - 1,
            loc=values.mean(),
            scale=values.std(ddof=1) / len(values) ** 0.5,
        )
        assert_allclose(crossed_estimate(table).limits(0.9), expected)
    estimate = crossed_estimate(np.repeat(networks[None], 6, axis=0))
    assert (estimate.seeds, estimate.networks) == (6, 30)


def test_a_share_that_never_varied_has_exact_limits():
    assert_allclose(share_limits(0.0, 100), (0.0, 100 * (1 - 0.025**0.01)))
    assert_allclose(share_limits(100.0, 100), (100 * 0.025**0.01, 100.0))
    exact = binomtest(3, 40).proportion_ci(0.9, method="exact")
    assert_allclose(share_limits(7.5, 40, 0.9), (100 * exact.low, 100 * exact.high))


def test_degenerate_tables():
    same = crossed_estimate(np.full((3, 4), 7.0))
    assert (same.value, same.limits()) == (7.0, (7.0, 7.0))
    one = crossed_estimate(np.array([[7.0]]))
    assert (one.value, one.seeds, one.networks) == (7.0, 1, 1)
    assert all(map(math.isnan, one.limits()))
    for wrong in (np.zeros((0, 3)), np.zeros(3)):
        with pytest.raises(ValueError, match=r"expected scores \(seeds, networks\), got shape"):
            crossed_estimate(wrong)


def test_what_one_task_does_not_say_leaves_the_variance_of_the_others():
    """A task whose scores are one value per seed has no part of networks."""
    rng = np.random.default_rng(0)
    full, means = table_of(rng, 4, 20, (1, 6, 2)), rng.normal(0, 1, (4, 1))
    one, other = crossed_estimate(full), crossed_estimate(means)
    mean = mean_estimate([one, other])
    assert other.of_networks is None
    assert one.of_networks is not None
    assert mean.of_networks is not None
    assert_allclose(mean.of_networks.variance, one.of_networks.variance / 4)


def test_the_mean_of_tasks_covers_their_true_mean():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(TABLES):
        tables = [table_of(rng, 4, 20, (s, 6, 2), mean=k) for k, s in ((10, 1), (50, 4), (90, 0))]
        mean = mean_estimate([crossed_estimate(table) for table in tables])
        assert (mean.seeds, mean.networks) == (4, 20)
        low, high = mean.limits()
        covered.append(low <= 50 <= high)
    assert np.mean(covered) > 0.95 - ALLOWED
