"""What a mean hides: how the scores of single networks are spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

FAILED_BELOW = 50.0
"""A policy has failed on a network where it scores less than this; most likely it fell silent."""


def median_score(runs: Sequence[ArrayLike]) -> float:
    """Median of all scores, each entry those of one seed ``(episodes,)``.

    A few networks on which a policy fails move the mean and not the median.
    """
    return float(np.median(_pooled(runs)))


def failed_share(runs: Sequence[ArrayLike]) -> float:
    """Share in [0, 1] of the networks of all seeds with a score below `FAILED_BELOW`."""
    return float(np.mean(_pooled(runs) < FAILED_BELOW))


def _pooled(runs: Sequence[ArrayLike]) -> np.ndarray:
    return np.concatenate([np.asarray(run, dtype=np.float64) for run in runs])
