"""Paired differences between two few-shot curves, and what they say about a trained model.

A method that starts from a trained model is worth more than one from scratch for several reasons:
what it learned before, more updates, or networks that merely stay as they are. Only a lead over all
of `CONTROLS` shows the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from networld_algos.report.scoring import Panel
from networld_algos.report.sections.fewshot_curves import FewShotCurve
from networld_algos.results import stats
from networld_algos.results.aggregates import mean_interval
from networld_algos.results.claims.check import CONFIDENCE, corrected
from networld_algos.results.claims.paper import CONTROLS
from networld_algos.results.stats import ENOUGH_SEEDS, MATTERS, Floats, Interval

TUNED = "not tuned"
"""The trained model as it is: a difference from it is what the target's data add."""
CONTRASTS = (*CONTROLS, TUNED)
VERDICTS = ("few seeds", "loss", "no gain", "undecided", "gain")
"""From the worst to the best; the worst against any control counts."""


@dataclass(frozen=True)
class Lead:
    """The difference of two curves at one share of the data.

    Attributes:
        interval: With an interval that covers 95%.
        wide: With the interval that refutes a gain. One control of many is enough to refute one,
            so it is corrected for their number.
    """

    interval: Interval
    wide: Interval

    @property
    def verdict(self) -> str:
        """What a lead over a control says, by the rule of the claims about transfer.

        ``"loss"`` if the wide interval is below zero, otherwise ``"no gain"`` if it is below
        `MATTERS`, otherwise ``"gain"`` if the interval is above zero and not below `MATTERS`, and
        otherwise ``"undecided"``. ``"few seeds"`` if there are not `ENOUGH_SEEDS`.
        """
        lead = self.interval
        if lead.seeds < ENOUGH_SEEDS or not math.isfinite(lead.low):
            return "few seeds"
        if self.wide.high < MATTERS:
            return "loss" if self.wide.high < 0 else "no gain"
        return "gain" if lead.low > 0 and lead.high >= MATTERS else "undecided"


@dataclass(frozen=True)
class Difference:
    """One curve minus another, paired by seed and network.

    Attributes:
        leads: Share of target data that both have -> difference.
        panels: Number of targets behind it.
    """

    leads: dict[float, Lead]
    panels: int = 1

    def at(self, share: float) -> Interval | None:
        """The difference at a share; None if the two were not both run there."""
        return self.leads[share].interval if share in self.leads else None


@dataclass(frozen=True)
class Gain:
    """A method against its controls on one target, or on the mean over targets.

    Attributes:
        panel: (task, dataset), or the name of the mean.
        label: The method.
        x: ``(X,)`` shares of target data.
        episodes: ``(X,)`` training episodes at each share; NaN if they differ between targets.
        against: One of `CONTRASTS` -> score of the method minus that of the control.
    """

    panel: Panel
    label: str
    x: Floats
    episodes: Floats
    against: dict[str, Difference]

    @property
    def has_controls(self) -> bool:
        """Whether it was compared with any of `CONTROLS`, so that there can be a verdict."""
        return any(control in self.against for control in CONTROLS)

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean over targets."""
        return any(change.panels > 1 for change in self.against.values())

    def verdict(self, share: float) -> tuple[str, str]:
        """The worst of `VERDICTS` against `CONTROLS` at a share, and the control that decides it.

        Of several that decide, it is the one with the smallest lead. Both are empty if it was
        compared with no control there.
        """
        leads = {
            control: self.against[control].leads[share]
            for control in CONTROLS
            if control in self.against and share in self.against[control].leads
        }
        if not leads:
            return "", ""
        decides = min(
            leads, key=lambda c: (VERDICTS.index(leads[c].verdict), leads[c].interval.value)
        )
        return leads[decides].verdict, decides


def difference(
    first: FewShotCurve, second: FewShotCurve, rng: np.random.Generator, comparisons: int = 1
) -> Difference | None:
    """The first curve minus the second at the shares of both; None if no seed has both.

    A model that was not trained on the data is the same at every share.

    Args:
        first: The curve.
        second: What is subtracted.
        rng: Source of bootstraps.
        comparisons: Number of comparisons that `Lead.wide` allows for.
    """
    found: dict[float, Lead] = {}
    for share in _shares(first, second):
        if runs := _pairs(first, second, share):
            mine, others = zip(*runs.values(), strict=True)
            interval, wide = (
                stats.paired_interval(mine, others, rng, confidence)
                for confidence in (CONFIDENCE, corrected(comparisons))
            )
            found[share] = Lead(interval, wide)
    return Difference(found) if found else None


def mean_difference(
    pairs: Sequence[tuple[FewShotCurve, FewShotCurve]],
    rng: np.random.Generator,
    comparisons: int = 1,
) -> Difference | None:
    """Mean of `difference` over targets, at the shares of all.

    Returns:
        The mean; None if there are fewer than two targets, or no share that all have.
    """
    if len(pairs) < 2:
        return None
    found: dict[float, Lead] = {}
    for share in _shares(*(curve for pair in pairs for curve in pair)):
        tables = [
            (pair[0].panel[0], stats.seed_differences(_pairs(*pair, share))) for pair in pairs
        ]
        interval, wide = (
            mean_interval(tables, rng, paired=True, confidence=confidence)
            for confidence in (CONFIDENCE, corrected(comparisons))
        )
        if interval is not None and wide is not None:
            found[share] = Lead(interval, wide)
    return Difference(found, len(pairs)) if found else None


def gains(curves: Sequence[FewShotCurve], rng: np.random.Generator, mean: str) -> list[Gain]:
    """Every method minus its controls, on every target and on the mean over targets.

    A control is labelled as the method is, with one of `CONTRASTS` in brackets. The mean is over
    all targets where a control was run, which may be fewer for one control than for another.

    Args:
        curves: Curves of every target.
        rng: Source of bootstraps.
        mean: Name of the mean.
    """
    at = {(c.panel, c.label): c for c in curves}
    labels = dict.fromkeys(c.label for c in curves)
    mine = {label: [c for c in curves if c.label == label] for label in labels}
    counts = {label: _comparisons(at, mine[label]) for label in labels}
    out: list[Gain] = []
    for curve in curves:
        found = {
            name: change
            for name in CONTRASTS
            for pair in _pairs_against(at, [curve], name)
            if (change := difference(*pair, rng, counts[curve.label])) is not None
        }
        if found:
            out.append(Gain(curve.panel, curve.label, curve.x, curve.episodes, found))
    for label in dict.fromkeys(gain.label for gain in out):
        found = {
            name: change
            for name in CONTRASTS
            if (pairs := _pairs_against(at, mine[label], name))
            and (change := mean_difference(pairs, rng, counts[label])) is not None
        }
        if found:
            x = mine[label][0].x
            episodes = [c.episodes for c in mine[label] if np.array_equal(c.x, x)]
            same = len(episodes) == len(mine[label])
            same = same and all(np.array_equal(episodes[0], n) for n in episodes)
            known = episodes[0] if same else np.full(len(x), np.nan)
            out.append(Gain((mean, ""), label, x, known, found))
    return out


Curves = dict[tuple[Panel, str], FewShotCurve]
"""(Target, label) -> curve."""


def _pairs_against(
    at: Curves, mine: Sequence[FewShotCurve], name: str
) -> list[tuple[FewShotCurve, FewShotCurve]]:
    """The method's curves, each with that of one of `CONTRASTS` that was run on the same target."""
    keys = ((curve, (curve.panel, f"{curve.label} ({name})")) for curve in mine)
    return [(curve, at[key]) for curve, key in keys if key in at]


def _comparisons(at: Curves, mine: Sequence[FewShotCurve]) -> int:
    """Comparisons of a method with `CONTROLS` at one share: on targets and on their means."""
    counts = [len(_pairs_against(at, mine, control)) for control in CONTROLS]
    return sum(count + (count > 1) for count in counts)


def _shares(*curves: FewShotCurve) -> list[float]:
    """Shares that all of these have, of those that were trained on the data."""
    trained = [c for c in curves if not c.is_constant] or list(curves)
    return sorted(set.intersection(*(set(c.x.tolist()) for c in trained)))


def _pairs(
    first: FewShotCurve, second: FewShotCurve, share: float
) -> dict[int, tuple[Floats, Floats]]:
    """Seed -> scores of both on every network, at a share."""
    of_first, of_second = (
        {s: run for (s, f), run in c.runs.items() if c.is_constant or f == share}
        for c in (first, second)
    )
    return {seed: (of_first[seed], of_second[seed]) for seed in of_first if seed in of_second}
