"""Many comparisons at once: which of them hold although there are many.

An interval that covers 95% excludes zero in one of twenty cases without any difference. Holm's
correction bounds the probability that *any* of m comparisons is wrong by 5% (Holm, "A simple
sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979),
whether or not they depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from networld_algos.results import stats
from networld_algos.results.crossed import crossed_estimate

ERROR = 0.05
"""Probability that any comparison is wrong."""


def paired_p_value(x: Sequence[ArrayLike], y: Sequence[ArrayLike]) -> float:
    """Two-sided p-value of the mean of X minus Y, from `networld_algos.results.stats`.

    It is below 0.05 where the interval of `networld_algos.results.stats.paired_interval` excludes
    zero.

    Args:
        x: One entry for each seed, the values ``(episodes,)``.
        y: The same of the other method, on the same seeds and networks.

    Returns:
        The value; NaN for a single seed, which says nothing about the spread between seeds.
    """
    found = stats.differences(x, y)
    if not stats.have_same_networks(found):
        return math.nan
    return crossed_estimate(np.stack(found)).p_value


def holm(p_values: Sequence[float], error: float = ERROR, among: int = 0) -> list[bool]:
    """Which comparisons hold after Holm's correction for their number.

    The smallest value is compared with ``error / m``, the next with ``error / (m - 1)``, and so on
    up to the first that is larger.

    Args:
        p_values: One for each comparison; NaN for one that cannot be decided and does not count.
        error: Probability that any is wrong.
        among: Number m of comparisons from which these were selected because of what they showed,
            such as those with the best of several methods; by default they are all.
    """
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    total = max(among, len(known))
    holds = [False] * len(p_values)
    for done, i in enumerate(sorted(known, key=lambda i: p_values[i])):
        if p_values[i] > error / (total - done):
            break
        holds[i] = True
    return holds
