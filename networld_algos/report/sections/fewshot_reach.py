"""How much data a method needs to come near what all data give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from networld_algos.report.sections.fewshot_curves import FewShotCurve
from networld_algos.report.table import DASH, Cell
from networld_algos.results import stats
from networld_algos.results.curves import data_to_reach
from networld_algos.results.rows import SCRATCH
from networld_algos.results.stats import Floats

TARGETS = (0.90, 0.95)
"""Shares of the score with all data."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Reach:
    """Share of the data at which a curve reaches a share of the score with all data.

    Attributes:
        target: That share of the score.
        value: Share of the data; infinite if the curve never reaches it, 0 for a model that reaches
            it without any, and NaN if no score with all data is known.
        low: Lower end of the 95% interval.
        high: Upper end of it.
        at_most: Whether the curve starts above the target, so that the value is an upper bound.
    """

    target: float
    value: float
    low: float
    high: float
    at_most: bool


def reaches(
    curve: FewShotCurve, curves: Sequence[FewShotCurve], rng: np.random.Generator
) -> list[Reach]:
    """One `Reach` for each of `TARGETS`.

    The score with all data is that of the same algorithm from scratch, see `full_curve`. Seeds and
    networks are drawn anew, the same ones for every share and for both curves, since every share
    was scored on the same networks.

    Args:
        curve: The curve.
        curves: All curves of the section.
        rng: Source of the draws.
    """
    full = full_curve(curve, curves)
    if full is None or not has_all_data(full):
        return [Reach(target, math.nan, math.nan, math.nan, False) for target in TARGETS]
    seed = int(rng.integers(1 << 62))
    height = np.array([p.value for p in curve.points])
    most = full.points[-1].value
    drawn, drawn_most = _draws(curve, seed), _draws(full, seed)
    out = []
    for target in TARGETS:
        value = _first(curve, height, target * most)
        low, high = value, value
        if drawn is not None and drawn_most is not None:
            pairs = zip(drawn, drawn_most[:, -1], strict=True)
            found = [_first(curve, y, target * top) for y, top in pairs]
            # A quantile that is a member of the sample is right for infinite values, too.
            low, high = np.quantile(found, [0.025, 0.975], method="nearest").tolist()
        first = bool(height[0] >= target * most)
        out.append(Reach(target, value, low, high, first and not curve.is_constant))
    return out


def full_curve(curve: FewShotCurve, curves: Sequence[FewShotCurve]) -> FewShotCurve | None:
    """The curve from scratch, whose right end is the score with all data.

    It is the curve itself, if that is from scratch under another name, and None for a model that
    was trained before, if there is none from scratch beside it.
    """
    for other in curves:
        if other.panel == curve.panel and other.label == curve.algorithm + SCRATCH:
            return other
    return None if curve.is_pretrained else curve


def has_all_data(curve: FewShotCurve) -> bool:
    """Whether its right end is the score with all data."""
    return bool(np.isclose(curve.x[-1], 1.0))


def reach_cell(reach: Reach, curve: FewShotCurve) -> Cell:
    """Episodes, with their interval as the note; a dash if the score with all data is unknown."""
    if math.isnan(reach.value):
        return Cell(DASH, None)
    text = _episodes(reach.value, curve)
    if reach.at_most and math.isfinite(reach.value):
        text = f"≤ {text}"
    ends = [_episodes(x, curve) for x in (reach.low, reach.high)]
    note = "" if ends[0] == ends[1] else f"[{ends[0]}, {ends[1]}]"
    return Cell(text, reach.value, note)


def _episodes(share: float, curve: FewShotCurve) -> str:
    if not math.isfinite(share):
        return "not reached"
    if share == 0.0:
        return "none"
    if not np.all(np.isfinite(curve.episodes)):
        return f"{100 * share:.2g}%"
    return f"{_count(share, curve):.3g}"


def _count(share: float, curve: FewShotCurve) -> float:
    """Episodes of a share; in between, they grow with it on log axes."""
    return math.exp(np.interp(math.log(share), np.log(curve.x), np.log(curve.episodes)))


def _first(curve: FewShotCurve, height: Floats, target: float) -> float:
    if curve.is_constant:
        return 0.0 if height[0] >= target else math.inf
    found = data_to_reach(curve.x, height, target)
    return math.inf if math.isnan(found) else found


def _draws(curve: FewShotCurve, seed: int) -> Floats | None:
    """``(R, X)`` heights of the curve for drawn seeds and networks; None for a single seed."""
    seeds = sorted(curve.by_seed)
    tables = [[curve.runs.get((s, x)) for s in seeds] for x in curve.x.tolist()]
    if len(seeds) < 2 or any(run is None for runs in tables for run in runs):
        return None
    if len({len(run) for runs in tables for run in runs if run is not None}) > 1:
        return None
    return np.stack(
        [
            stats.network_draws(
                np.stack([run for run in runs if run is not None]),
                np.random.default_rng(seed),
                RESAMPLES,
            ).mean(axis=-1)
            for runs in tables
        ],
        axis=-1,
    )
