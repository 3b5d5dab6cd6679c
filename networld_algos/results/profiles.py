"""Performance profiles: the share of runs above each score (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from networld_algos.results import stats
from networld_algos.results.stats import Floats


def performance_profile(strata: Sequence[ArrayLike], thresholds: ArrayLike) -> Floats:
    """Share of runs whose score exceeds each threshold, with equal weight per task.

    Args:
        strata: Scores ``(n_k,)`` of each task.
        thresholds: ``(P,)``.

    Returns:
        ``(P,)`` in [0, 1], non-increasing for increasing thresholds.
    """
    return _profile([stats.vector(x) for x in strata], stats.vector(thresholds))


def profile_band(
    strata: Sequence[ArrayLike],
    thresholds: ArrayLike,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = stats.RESAMPLES,
) -> tuple[Floats, Floats]:
    """Pointwise stratified bootstrap band of `performance_profile`: two arrays ``(P,)``."""
    draws = _profile(
        stats.resample([stats.vector(x) for x in strata], rng, resamples), stats.vector(thresholds)
    )
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return low, high


def _profile(strata: list[Floats], thresholds: Floats) -> Floats:
    return np.mean([(x[..., None, :] > thresholds[:, None]).mean(axis=-1) for x in strata], axis=0)
