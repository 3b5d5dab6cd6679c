import numpy as np
import pytest
from numpy.testing import assert_allclose

from networld_algos.results import stats
from networld_algos.results.networks import failed_share, median_score, relative, relative_scores


def test_median_and_share_of_failed_networks_show_what_a_mean_hides():
    runs = [[100.0, 98.0, 102.0, -60.0], [101.0, 99.0, 49.9, 50.0]]
    assert median_score(runs) == (98.0 + 99.0) / 2
    assert failed_share(runs) == 2 / 8  # 50 itself has not failed
    assert failed_share([[-1.0]]) == 1.0


def test_what_a_network_does_to_everybody_is_no_spread_of_the_score():
    rng = np.random.default_rng(0)
    random, expert = rng.normal(1.0, 0.3, 20), rng.normal(5.0, 2.0, 20)
    runs = [random + share * (expert - random) for share in (0.7, 0.9)]
    scores = relative_scores(runs, random, expert)
    assert_allclose(scores[0] + scores[1], 160.0)  # 70 and 90 on average, on every network
    plain = [stats.normalised_score(run, random.mean(), expert.mean()) for run in runs]
    assert_allclose([s.mean() for s in scores], [s.mean() for s in plain])
    assert np.std(plain[0] + plain[1]) > 20
    own = rng.normal(0.0, 0.4, (2, 20))  # what a policy does on a network is left
    moved = relative([run + x for run, x in zip(runs, own, strict=True)], random, expert)
    still = relative(runs, random, expert)
    assert np.corrcoef((moved[0] - still[0]), own[0])[0, 1] > 0.95


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_intervals_of_scores_cover_what_new_networks_would_give(share):
    """Networks differ by 2 rewards and the policy by 0.5; random and expert are scored on each."""
    rng = np.random.default_rng(0)
    covered, widths = [], []
    for _ in range(400):
        random = rng.normal(1.0, 0.3, 40)
        expert = random + rng.gamma(4.0, 1.0, 40)
        runs = random + share * (expert - random) + rng.normal(0, 0.5, (4, 40))
        both = [
            relative_scores(list(runs), random, expert),
            [stats.normalised_score(run, random.mean(), expert.mean()) for run in runs],
        ]
        intervals = [stats.seed_interval(scores, rng) for scores in both]
        covered.append(intervals[0].low <= 100 * share <= intervals[0].high)
        widths.append([i.high - i.low for i in intervals])
    assert 0.92 < np.mean(covered) <= 1.0
    relative_, fixed = np.mean(widths, axis=0)
    assert relative_ < 0.7 * fixed  # with a fixed scale, an interval is of something else


def test_other_networks_are_left_alone():
    runs = [np.array([1.0, 2.0]), np.array([3.0, 5.0])]
    for random, expert in (([0.0] * 3, [9.0] * 3), ([0.0, 1.0], [9.0]), ([4.0, 4.0], [3.0, 5.0])):
        assert_allclose(relative(runs, random, expert), runs)
