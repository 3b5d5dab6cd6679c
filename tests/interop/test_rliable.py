"""rliable: the reference implementation of the statistics in `networld_algos.results.stats`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from networld_algos.results import stats
from networld_algos.results.aggregates import (
    improvement_interval,
    pooled_iqm,
    probability_of_improvement,
    task_mean,
)
from networld_algos.results.profiles import performance_profile, profile_band

pytestmark = [
    pytest.mark.interop,
    # rliable seeds its bootstraps by what arch has since renamed.
    pytest.mark.filterwarnings("ignore:random_state is deprecated:FutureWarning"),
]
rliable = pytest.importorskip(
    "rliable", reason="rliable is absent: pip install 'networld[interop]'"
)
from rliable import library, metrics  # noqa: E402

SHAPES = {"6 seeds, 3 tasks": (6, 3), "5 seeds, 9 tasks": (5, 9), "10 seeds, 2 tasks": (10, 2)}


@pytest.fixture(params=SHAPES.values(), ids=list(SHAPES))
def scores(request):
    """Scores ``(seeds, tasks)`` of two methods."""
    rng = np.random.default_rng(request.param[0])
    x = rng.normal(80, 10, request.param)
    return x, x + rng.normal(-5, 10, request.param)


def strata(x):
    """rliable's ``(seeds, tasks)`` as our list of one vector a task."""
    return list(x.T)


def theirs(data, statistic, reps):
    """Point and percentile interval ``[low, high]`` by rliable."""
    points, intervals = library.get_interval_estimates(
        {"a": data}, statistic, reps=reps, random_state=np.random.RandomState(0)
    )
    return points["a"].item(), intervals["a"][:, 0]


def assert_equal_intervals(mine, low_high, reps):
    """Equal within six standard errors of the difference of two bootstraps of ``reps`` draws.

    The 2.5% quantile of n normal draws of spread s has a standard error of 2.7 s / sqrt(n).
    """
    spread = np.ptp(low_high) / 3.92
    error = 6 * 2**0.5 * 2.7 * spread / reps**0.5
    assert_allclose([mine.low, mine.high], low_high, rtol=0, atol=error)
    assert 0 < error < 0.15 * (mine.high - mine.low) * (4000 / reps) ** 0.5


@pytest.mark.parametrize(
    ("ours", "reference"),
    [(pooled_iqm, metrics.aggregate_iqm), (task_mean, metrics.aggregate_mean)],
    ids=["IQM", "mean"],
)
def test_aggregates_and_their_intervals(scores, ours, reference):
    point, interval = theirs(scores[0], lambda x: np.array([reference(x)]), 4000)
    mine = stats.bootstrap(strata(scores[0]), ours, np.random.default_rng(1), resamples=4000)
    assert_allclose(mine.value, point, rtol=1e-12)
    assert_equal_intervals(mine, interval, 4000)


def test_probability_of_improvement(scores):
    point, interval = theirs(
        scores, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), 600
    )
    x, y = map(strata, scores)
    mine = improvement_interval(x, y, np.random.default_rng(1), resamples=600)
    assert_allclose(mine.value, point, rtol=1e-12)
    assert_equal_intervals(mine, interval, 600)


def test_probability_of_improvement_with_ties(scores):
    x, y = (array.round(-1) for array in scores)
    assert np.any(x[:, None] == y[None])
    expected = metrics.probability_of_improvement(x, y)
    assert_allclose(probability_of_improvement(strata(x), strata(y)), expected, rtol=1e-12)


def test_performance_profiles(scores):
    thresholds = np.linspace(40, 110, 15)
    profiles, bands = library.create_performance_profile({"a": scores[0]}, thresholds)
    data = strata(scores[0])
    assert_allclose(performance_profile(data, thresholds), profiles["a"], atol=1e-12)
    band = profile_band(data, thresholds, np.random.default_rng(1))
    # Profiles of n runs move in steps of 1 / n; a quantile may fall on either side of a step.
    assert_allclose(band, bands["a"], rtol=0, atol=1.01 / scores[0].size)
