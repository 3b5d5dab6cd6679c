"""Summaries of a few-shot curve: its area, and the data at which it reaches a score."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from networld_algos.results.stats import Floats, vector


def area_under_curve(fractions: ArrayLike, scores: ArrayLike) -> Floats:
    """Average height of a few-shot curve over ``log(fraction)`` (trapezoid rule).

    It is in units of the score: the area of a constant curve is its height.

    Args:
        fractions: ``(F,)`` shares of target data, increasing, at least two.
        scores: ``(..., F)``.
    """
    x = np.log(_increasing(fractions))
    if len(x) < 2:
        raise ValueError("the area under a curve needs at least two fractions")
    y = np.asarray(scores, dtype=np.float64)
    return np.trapezoid(y, x, axis=-1) / (x[-1] - x[0])


def data_to_reach(fractions: ArrayLike, scores: ArrayLike, target: float) -> float:
    """Smallest share of target data at which a curve first reaches ``target``.

    The curve is interpolated linearly in ``log(fraction)``. A curve that starts at or above the
    target gives its first share, which is an upper bound. A curve that never reaches it gives NaN.

    Args:
        fractions: ``(F,)``, increasing.
        scores: ``(F,)``.
        target: In units of the score.
    """
    # Plain numbers: a report calls this for every draw of a bootstrap, with a handful of shares.
    x, y = np.asarray(fractions).tolist(), np.asarray(scores).tolist()
    if min(x) <= 0 or any(b <= a for a, b in pairwise(x)):
        raise ValueError(f"fractions must be positive and increasing, got {x}")
    j = next((j for j, value in enumerate(y) if value >= target), None)
    if j is None:
        return math.nan
    if j == 0:
        return float(x[0])
    share = (target - y[j - 1]) / (y[j] - y[j - 1])
    return float(x[j - 1] * (x[j] / x[j - 1]) ** share)


def _increasing(fractions: ArrayLike) -> Floats:
    x = vector(fractions)
    if np.any(x <= 0) or np.any(np.diff(x) <= 0):
        raise ValueError(f"fractions must be positive and increasing, got {x.tolist()}")
    return x
