"""How often a training has seen its data: transitions seen over transitions in the data.

A transition is one step of one agent. Every update draws windows with replacement, so an epoch is
an average: after one epoch, about a third of the transitions have not been drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from networld_algos.base import Algorithm
from networld_algos.data.episodes import Episodes


def epochs_per_update(algorithm: Algorithm, data: Sequence[Episodes]) -> float:
    """Share of the data that an update sees, on average over the tasks, which take turns.

    Args:
        algorithm: What is trained; `Algorithm.rows_per_update` says what an update learns from.
        data: Training episodes of each task, without those that are held out or validated on.
    """
    seen, there = 0.0, 0.0
    for episodes in data:
        segments, steps = algorithm.rows_per_update(episodes.spec)
        seen += segments * _real_steps(episodes.lengths, steps) / len(data)
        there += float(episodes.lengths.sum()) * episodes.spec.num_agents
    return seen / there


def _real_steps(lengths: np.ndarray, window: int) -> float:
    """Mean number of steps of a window that are not padding, over all first steps.

    Windows start at every step of an episode with equal probability, and run past its end.
    """
    whole = np.minimum(lengths, window)  # the windows that start this close to the end are cut
    real = (lengths - whole) * window + whole * (whole + 1) / 2
    return float(real.sum() / lengths.sum())
