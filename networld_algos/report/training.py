"""Whether a method was trained for long enough: what its score or error still gains at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from networld_algos.results import stats
from networld_algos.results.rows import BEST_UPDATES, Row
from networld_algos.results.stats import Floats, Interval

RISE = 1.0
"""A result is under-trained if its score rises by more than this in the last quarter."""
DEFINITION = (
    "the score at the end minus the score after three quarters of the updates, which is "
    "interpolated between evaluations; mean over seeds, paired by seed and network"
)
"""How `last_quarter` is computed, for captions."""

LEVEL = 0.2
"""A training has converged if this share of its updates, the last, brought no smaller error."""


def has_converged(row: Row) -> bool | None:
    """Whether the error on held-out data had stopped falling at the end of a training.

    It is told from the updates and from those of the smallest error. With the patience of the
    suites `cpu` and `paper`, 4 of 20 validations, a training that has converged is one that ran
    out of patience, and any other one was ended by its largest number of updates.

    Args:
        row: Final row of a training.

    Returns:
        The answer; None for a model that was not trained or not validated.
    """
    best = row.extra.get(BEST_UPDATES)
    if not row.updates or best is None:
        return None
    return row.updates - best >= LEVEL * row.updates - 0.5  # validations are at whole updates


def last_quarter(
    rows: Sequence[Row],
    finals: Sequence[Row],
    scale: Mapping[str, tuple[float, float] | None],
    rng: np.random.Generator,
) -> Interval | None:
    """Rise of the score over the last quarter of a training.

    The score after three quarters of the updates is interpolated linearly between the evaluations
    before and after. Validation networks are used if a seed was evaluated on them often enough, and
    the test networks otherwise. The decay of the learning rate is part of the rise.

    Args:
        rows: Rows of the method at one factor level, with all checkpoints.
        finals: The last test row of each seed.
        scale: Set of networks -> average reward of (random, expert) there; None if unknown.
        rng: Source of the bootstrap of `networld_algos.results.stats.seed_interval`.

    Returns:
        The rise; None if a seed has no evaluation of this kind between half and three quarters
        of its updates.
    """
    for name in ("validation", "test"):
        ends = scale.get(name)
        if ends is None:
            continue
        rises = [_rise(rows, final, name, ends) for final in finals]
        if found := [rise for rise in rises if rise is not None]:
            return stats.seed_interval(found, rng) if len(found) == len(rises) else None
    return None


def _rise(rows: Sequence[Row], final: Row, name: str, scale: tuple[float, float]) -> Floats | None:
    """Rise of one run on every network ``(episodes,)``."""
    at: Mapping[int, Floats] = {
        row.updates: stats.normalised_score(row.episode_returns, *scale)
        for row in rows
        if row.run == final.run and row.eval_seed_set == name and row.updates is not None
    }
    end = final.updates
    if end is None or end not in at or len({len(scores) for scores in at.values()}) > 1:
        return None
    wanted = 0.75 * end
    before = max((u for u in at if u <= wanted), default=0)
    after = min(u for u in at if u >= wanted)
    # The number of updates of an evaluation is rounded.
    if before not in at or before < end / 2 - 1:
        return None
    share = (wanted - before) / max(after - before, 1)
    return at[end] - ((1.0 - share) * at[before] + share * at[after])
