import numpy as np
import pytest
from scipy import stats

from networld_envs.physics.arrivals import (
    CELLS,
    LEFT_OVER,
    MAX_COUNT,
    RATES,
    STEP,
    poisson_slots,
    tables,
)

TOP = (STEP * (RATES - 1)) ** 2  # largest rate of the grid
END = (STEP * RATES) ** 2  # beyond it the generator's own method draws
ON_GRID = (STEP * 90) ** 2


def draw(rate, queues, slots, seed=0):
    return poisson_slots(np.random.default_rng(seed), np.full(queues, float(rate)), slots)


@pytest.mark.parametrize(
    "rate",
    [
        *(1e-6, 1e-3, STEP**2, 0.03, 0.3, 1.0),
        *(ON_GRID, ON_GRID * (1 + 1e-9), ON_GRID * (1 - 1e-9), 4.2, 7.8, 30.0),
        *(TOP, (TOP + END) / 2, END * (1 - 1e-9), END * (1 + 1e-9), 300.0, 1e5),
    ],
)
def test_numbers_are_poisson(rate):
    """Chi-square against the exact probabilities, in classes of at least 20 expected draws."""
    drawn = draw(rate, 500, 400).ravel()
    assert (drawn == np.rint(drawn)).all()
    low, high = stats.poisson.ppf([1e-9, 1 - 1e-9], rate)
    edges = np.unique(np.linspace(low - 1, high, 120).astype(int))
    share = np.diff(stats.poisson.cdf(np.concatenate([[-1], edges, [10**9]]), rate))
    counts = np.histogram(drawn, np.concatenate([[-0.5], edges + 0.5, [1e9]]))[0]
    expected = share * drawn.size
    classes = np.searchsorted(np.arange(1, 400) * 20, np.cumsum(expected))
    observed, wanted = (np.bincount(classes, weights=x) for x in (counts, expected))
    keep = wanted > 0
    observed, wanted = observed[keep], wanted[keep]
    statistic = ((observed - wanted) ** 2 / np.maximum(wanted, 1e-300)).sum()
    assert stats.chi2.sf(statistic, max(1, len(wanted) - 1)) > 1e-3


def test_no_rate_gives_no_packets():
    assert (draw(0.0, 20, 100) == 0).all()


def test_totals_of_an_interval_are_poisson():
    totals = draw(2.345, 20_000, 16, seed=1).sum(axis=0)
    assert totals.mean() == pytest.approx(16 * 2.345, abs=4 * np.sqrt(16 * 2.345 / 20_000))
    assert totals.var() == pytest.approx(16 * 2.345, rel=0.05)
    low = stats.poisson.cdf(30, 16 * 2.345)
    assert (totals <= 30).mean() == pytest.approx(low, abs=4 * np.sqrt(0.25 / 20_000))


def test_slots_and_queues_are_independent():
    """The correlation of any two slots, and of any two queues, is that of independent numbers."""
    samples = 40_000
    slots = draw(1.7, samples, 8, seed=2)
    assert np.abs(np.corrcoef(slots) - np.eye(8)).max() < 4.5 / np.sqrt(samples)
    rates = np.array([0.01, 0.3, 1.7, 9.0, 62.0, 500.0])
    queues = poisson_slots(np.random.default_rng(3), rates, samples)
    assert np.abs(np.corrcoef(queues.T) - np.eye(6)).max() < 4.5 / np.sqrt(samples)
    np.testing.assert_allclose(queues.mean(axis=0), rates, atol=4.5 * np.sqrt(500 / samples))


def test_packets_beyond_the_grid_spread_over_all_slots():
    """Between two rates of the grid the remainder is scattered; every slot gets its share."""
    rate = (STEP * 250) ** 2 + 0.9 * ((STEP * 251) ** 2 - (STEP * 250) ** 2)
    mean = draw(rate, 20_000, 7, seed=4).mean(axis=1)
    np.testing.assert_allclose(mean, rate, atol=4.5 * np.sqrt(rate / 20_000))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (13, 1), (3, 5)])
def test_every_shape_and_seed(shape):
    slots, queues = shape
    first, again, other = (draw(5.0, queues, slots, seed) for seed in (0, 0, 1))
    assert first.shape == shape
    np.testing.assert_array_equal(first, again)
    assert (draw(5.0, 50, 50, 0) != draw(5.0, 50, 50, 1)).any()
    assert other.shape == shape


def test_the_table_is_exact():
    """What the cells hold plus what they leave over are the Poisson probabilities."""
    table = tables()
    for row in (0, 1, 7, 90, 255):
        cells = table.number.reshape(RATES, CELLS)[row]
        held = np.bincount(cells, minlength=256)[:MAX_COUNT] / CELLS
        cumulative = table.left_over.reshape(RATES, MAX_COUNT)[row] - row
        left = (cells == LEFT_OVER).mean() * np.diff(cumulative, prepend=0.0)
        exact = stats.poisson.pmf(np.arange(MAX_COUNT), (STEP * row) ** 2)
        np.testing.assert_allclose(held + left, exact, atol=1e-14)
