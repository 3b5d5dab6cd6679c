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
from networld_algos.results.claims.paper import CONTROLS
from networld_algos.results.stats import MATTERS, Floats, Interval

TUNED = "not tuned"
"""The trained model as it is: a difference from it is what the target's data add."""
CONTRASTS = (*CONTROLS, TUNED)
VERDICTS = ("one seed", "loss", "no gain", "undecided", "gain")
"""From the worst to the best; the worst against any control counts."""


def verdict(lead: Interval) -> str:
    """What a lead over a control says, by the rule of the claims about transfer.

    ``"loss"`` if the interval is below zero, otherwise ``"no gain"`` if it is below `MATTERS`,
    otherwise ``"gain"`` if it is above zero, and otherwise ``"undecided"``.
    """
    if lead.is_of_one_seed or not math.isfinite(lead.low):
        return "one seed"
    if lead.high < MATTERS:
        return "loss" if lead.high < 0 else "no gain"
    return "gain" if lead.low > 0 else "undecided"


@dataclass(frozen=True)
class Difference:
    """One curve minus another, paired by seed and network.

    Attributes:
        x: ``(X,)`` shares of target data that both have.
        points: ``(X,)``, the difference at each share.
        panels: Number of targets behind it.
    """

    x: Floats
    points: list[Interval]
    panels: int = 1

    def at(self, share: float) -> Interval | None:
        """The difference at a share; None if the two were not both run there."""
        return dict(zip(self.x.tolist(), self.points, strict=True)).get(share)


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
            control: lead
            for control in CONTROLS
            if control in self.against and (lead := self.against[control].at(share)) is not None
        }
        if not leads:
            return "", ""
        decides = min(leads, key=lambda c: (VERDICTS.index(verdict(leads[c])), leads[c].value))
        return verdict(leads[decides]), decides


def difference(
    first: FewShotCurve, second: FewShotCurve, rng: np.random.Generator
) -> Difference | None:
    """The first curve minus the second at the shares of both; None if no seed has both.

    A model that was not trained on the data is the same at every share.
    """
    found: dict[float, Interval] = {}
    for share in _shares(first, second):
        if runs := _pairs(first, second, share):
            mine, others = zip(*runs.values(), strict=True)
            found[share] = stats.paired_interval(mine, others, rng)
    return Difference(np.array(list(found)), list(found.values())) if found else None


def mean_difference(
    pairs: Sequence[tuple[FewShotCurve, FewShotCurve]], rng: np.random.Generator
) -> Difference | None:
    """Mean of `difference` over targets, at the shares and for the seeds of all.

    Returns:
        The mean; None if there are fewer than two targets, or no seed and share that all have.
    """
    if len(pairs) < 2:
        return None
    found: dict[float, Interval] = {}
    for share in _shares(*(curve for pair in pairs for curve in pair)):
        runs = [_pairs(*pair, share) for pair in pairs]
        seeds = sorted(set.intersection(*(set(r) for r in runs)))
        if seeds:
            tables = [stats.differences(*zip(*(r[s] for s in seeds), strict=True)) for r in runs]
            found[share] = stats.mean_interval(tables, rng, paired=True)
    if not found:
        return None
    return Difference(np.array(list(found)), list(found.values()), len(pairs))


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
    out: list[Gain] = []
    for curve in curves:
        pairs = {name: at.get((curve.panel, f"{curve.label} ({name})")) for name in CONTRASTS}
        found = {
            name: change
            for name, other in pairs.items()
            if other is not None and (change := difference(curve, other, rng)) is not None
        }
        if found:
            out.append(Gain(curve.panel, curve.label, curve.x, curve.episodes, found))
    for label in dict.fromkeys(gain.label for gain in out):
        mine = [c for c in curves if c.label == label]
        found = {
            name: change
            for name in CONTRASTS
            if (change := _mean_against(at, mine, f"{label} ({name})", rng)) is not None
        }
        if found:
            x = mine[0].x
            counts = [c.episodes for c in mine if np.array_equal(c.x, x)]
            same = len(counts) == len(mine) and all(np.array_equal(counts[0], n) for n in counts)
            episodes = counts[0] if same else np.full(len(x), np.nan)
            out.append(Gain((mean, ""), label, x, episodes, found))
    return out


def _mean_against(
    at: dict[tuple[Panel, str], FewShotCurve],
    mine: Sequence[FewShotCurve],
    other: str,
    rng: np.random.Generator,
) -> Difference | None:
    return mean_difference(
        [(curve, at[curve.panel, other]) for curve in mine if (curve.panel, other) in at], rng
    )


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
