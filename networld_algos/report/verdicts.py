"""What a comparison decided: the winner of each task and data, or the methods that are level.

Each algorithm is represented by one method, see `representatives`. The method with the highest mean
leads. Its lead over every other method is the paired difference of their scores, with an interval:

* *level*: the whole interval is within `MATTERS` of zero, so no difference that matters is left,
* *beaten*: not level, and the interval lies above zero,
* *open*: neither, so these rows do not decide between the two.

The leader wins if it beats all others. Each lead is judged by itself, at 95%; which of them hold
after a correction for their number stands beside it (`networld_algos.results.multiple`). Methods
with fewer than `MARK_SEEDS` seeds do not compete where at least two others have as many. If the
leader shares fewer seeds than that with any other that competes, nothing is decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from networld_algos.report.scoring import Panel, grouped
from networld_algos.report.summary import Final, one_each, pairs
from networld_algos.results import stats
from networld_algos.results.multiple import holm, paired_p_value
from networld_algos.results.stats import MATTERS, Interval

MARK_SEEDS = stats.ENOUGH_SEEDS
"""Fewest training seeds, shared by the leader and each other method, behind a verdict."""


class Standing(StrEnum):
    """How a method stands against the leader."""

    BEATEN = "beaten"
    LEVEL = "level"
    OPEN = "open"


class Outcome(StrEnum):
    """What was decided on a panel, or for one method on it."""

    WIN = "win"
    TIE = "tie"
    LOSS = "loss"
    OPEN = "undecided"


@dataclass(frozen=True)
class Rival:
    """A method behind the leader of a panel.

    Attributes:
        final: Its final score.
        lead: Score of the leader minus its own, paired by seed and network.
        standing: What follows from ``lead``.
        seeds: Number of training seeds that it shares with the leader.
        p_value: Two-sided p-value of the lead; NaN where nothing is decided.
        is_confirmed: Whether the lead holds after the correction for all `comparisons`.
    """

    final: Final
    lead: Interval
    standing: Standing
    seeds: int
    p_value: float = math.nan
    is_confirmed: bool = False


@dataclass(frozen=True)
class Verdict:
    """What was decided on one panel.

    Attributes:
        panel: (task, dataset).
        leader: The method with the highest mean score.
        rivals: All others, from the second best to the worst.
        best_variant: The best method that represents no algorithm, if it is above the leader.
        few_seeds: Methods that do not compete, because they have too few seeds.
    """

    panel: Panel
    leader: Final
    rivals: list[Rival] = field(default_factory=list)
    best_variant: Final | None = None
    few_seeds: list[Final] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """Win if the leader beats all others, tie if it is level with some and beats the rest."""
        standings = {rival.standing for rival in self.rivals}
        if not standings or Standing.OPEN in standings:
            return Outcome.OPEN
        return Outcome.TIE if Standing.LEVEL in standings else Outcome.WIN

    @property
    def seeds(self) -> int:
        """Training seeds that the leader shares with the rival that has the fewest of them."""
        return min((r.seeds for r in self.rivals), default=len(self.leader.seeds))

    @property
    def closest(self) -> Rival:
        """The rival that keeps the leader from winning, or the second best if it wins.

        It is the best rival against which nothing is decided, or else the second best.
        """
        return next((r for r in self.rivals if r.standing is Standing.OPEN), self.rivals[0])

    @property
    def is_confirmed(self) -> bool:
        """Whether the leader is ahead of every other after the correction."""
        return bool(self.rivals) and all(r.is_confirmed for r in self.rivals)

    def rival(self, label: str) -> Rival | None:
        """The rival of this label; None if it is the leader or does not compete here."""
        return next((r for r in self.rivals if r.final.label == label), None)

    def outcome_of(self, label: str) -> Outcome | None:
        """The outcome for one method; None if it was not compared here."""
        if self.leader.label == label:
            return self.outcome
        if (rival := self.rival(label)) is not None:
            return {
                Standing.BEATEN: Outcome.LOSS,
                Standing.LEVEL: Outcome.TIE,
                Standing.OPEN: Outcome.OPEN,
            }[rival.standing]
        return Outcome.OPEN if any(f.label == label for f in self.few_seeds) else None


def representatives(finals: Sequence[Final], focus: str = "") -> list[Final]:
    """The method that stands for each algorithm on each panel, in order of appearance.

    It is the focus method, ``focus``, if that was scored there, and otherwise the one with the
    algorithm's own name. If neither was, it is the one with the most panels and then the highest
    mean score, which favours algorithms with many variants.
    """
    scored = [f for f in finals if f.score is not None]
    places = {
        key: (-len(mine), -float(np.mean([_mean(f) for f in mine])))
        for key, mine in grouped(scored, lambda f: (f.algorithm, f.label))
    }
    return one_each(scored, focus, lambda f: places[f.algorithm, f.label])


def verdicts(
    finals: Sequence[Final], competing: Sequence[Final], rng: np.random.Generator
) -> list[Verdict]:
    """What was decided on each panel with at least two methods that compete.

    Args:
        finals: Final scores of the comparison.
        competing: Those that compete, from `representatives`.
        rng: Source of bootstraps.
    """
    out: list[Verdict] = []
    compete = {(f.panel, f.label) for f in competing}
    for panel, group in grouped([f for f in finals if f.score is not None], lambda f: f.panel):
        ranked = sorted(group, key=lambda f: -_mean(f))
        compared = [f for f in ranked if (panel, f.label) in compete]
        if len(compared) < 2:
            continue
        several_have_enough = sum(len(f.seeds) >= MARK_SEEDS for f in compared) > 1
        fewest = MARK_SEEDS if several_have_enough else 0
        few = [f for f in compared if len(f.seeds) < fewest]
        compared = [f for f in compared if len(f.seeds) >= fewest]
        leader = compared[0]
        shared = [len(pairs(leader, other)) for other in compared[1:]]
        enough = min(shared) >= MARK_SEEDS
        rivals: list[Rival] = []
        for other, seeds in zip(compared[1:], shared, strict=True):
            lead = difference(leader, other, rng)
            if enough:
                p = paired_p_value(*zip(*pairs(leader, other).values(), strict=True))
                rivals.append(Rival(other, lead, standing(lead), seeds, p))
            else:
                rivals.append(Rival(other, lead, Standing.OPEN, seeds))
        variants = (f for f in ranked if (panel, f.label) not in compete)
        above = next((f for f in variants if _mean(f) > _mean(leader)), None)
        out.append(Verdict(panel, leader, rivals, above, few))
    return _corrected(out)


def comparisons(found: Sequence[Verdict]) -> int:
    """Number of comparisons that the correction counts: all pairs of methods of decided panels.

    Only leads of the best method are judged. But which one is best was seen in the same rows, so
    every other pair could have been among them.
    """
    judged = [sum(not math.isnan(rival.p_value) for rival in v.rivals) for v in found]
    return sum(math.comb(rivals + 1, 2) for rivals in judged)


def _corrected(found: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts, with the leads that hold after Holm's correction for `comparisons`."""
    rivals = [rival for v in found for rival in v.rivals]
    holds = iter(holm([rival.p_value for rival in rivals], among=comparisons(found)))
    return [
        replace(
            v,
            rivals=[replace(r, is_confirmed=next(holds) and r.lead.value > 0.0) for r in v.rivals],
        )
        for v in found
    ]


def difference(first: Final, second: Final, rng: np.random.Generator) -> Interval:
    """Score of the first minus the second over the seeds of both.

    It is without limits if the two share no seed.
    """
    found = pairs(first, second)
    if not found:
        gap = _mean(first) - _mean(second)
        return Interval(gap, math.nan, math.nan, 0, stats.Method.NONE)
    mine, others = zip(*found.values(), strict=True)
    return stats.paired_interval(mine, others, rng)


def standing(lead: Interval) -> Standing:
    """What follows from the lead over a method."""
    if lead.low > -MATTERS and lead.high < MATTERS:
        return Standing.LEVEL
    return Standing.BEATEN if lead.low > 0 else Standing.OPEN


def _mean(final: Final) -> float:
    return -math.inf if final.score is None else final.score.value
