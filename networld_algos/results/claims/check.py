"""Claims compared with the rows of a suite.

Every comparison has an interval of its difference, which counts how training seeds and networks
vary (`networld_algos.results.crossed`). Both verdicts of a claim are wrong in at most 5% of cases,
whatever the number m of its comparisons:

* A claim holds only if *all* of its comparisons hold. If it is false, one of them is false, and the
  interval of that one, which covers 95%, has to be wrong. No correction is needed (the
  intersection-union test; Berger, Technometrics 24, 1982).
* It is refuted if *any* of its comparisons is. There are m chances of an error, so the intervals
  that refute cover ``1 - 0.05 / m`` each (Bonferroni). For a claim about the mean over tasks, the
  comparisons on single tasks count in m as well. That makes up for the degrees of freedom of a
  mean, see `networld_algos.results.crossed.mean_estimate`.

Intervals, and not p-values with Holm's correction, because a reader sees from them why. A claim is
a question of its own, asked before there were rows, so there is no further correction over claims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from networld_algos.results import stats
from networld_algos.results.claims.claim import Claim, Comparison, Measure, Verdict
from networld_algos.results.claims.scores import Pick, Scores
from networld_algos.results.crossed import (
    Estimate,
    crossed_estimate,
    mean_estimate,
    share_limits,
)
from networld_algos.results.stats import ENOUGH_SEEDS, Floats

CONFIDENCE = 0.95
"""One minus the largest probability that a verdict on a claim is wrong."""
ORDER = (Verdict.REFUTED, Verdict.NOT_RUN, Verdict.UNDECIDED, Verdict.HOLDS)
"""From the worst verdict to the best. One refutation refutes; what is missing could have."""
MEAN = "mean"
"""Stands for the mean over tasks."""


@dataclass(frozen=True)
class Finding:
    """What the rows say about one comparison.

    Attributes:
        comparison: The comparison; for a mean over tasks that of the first task.
        place: Task, or `MEAN`.
        estimate: The difference; None if rows are missing.
        low: Lower limit of the interval behind the verdict.
        high: Upper limit.
        coverage: Coverage of that interval: 95% or, where that is on the wrong side, the larger one
            that refutes or fails to; NaN for the limits of a measurement.
        verdict: What follows. With fewer than `ENOUGH_SEEDS` seeds it is undecided.
    """

    comparison: Comparison
    place: str
    estimate: Estimate | None
    low: float
    high: float
    coverage: float
    verdict: Verdict


@dataclass(frozen=True)
class Answer:
    """What the rows say about one claim.

    Attributes:
        claim: The claim.
        findings: Every comparison; for a claim about the mean over tasks, the means follow.
        confidence: Coverage of each interval that refutes.
    """

    claim: Claim
    findings: list[Finding]
    confidence: float

    @property
    def places(self) -> list[str]:
        """Tasks, and `MEAN` for a claim about the mean over tasks."""
        return list(dict.fromkeys(f.place for f in self.findings))

    def at(self, place: str) -> list[Finding]:
        """Findings of one task, or of the mean over tasks."""
        return [f for f in self.findings if f.place == place]

    def deciding(self, place: str) -> Finding:
        """The finding with the worst verdict and, among those, the smallest margin."""

        def key(finding: Finding) -> tuple[int, float]:
            rule, estimate = finding.comparison.rule, finding.estimate
            value = 0.0 if estimate is None else rule.margin(estimate.value)
            return ORDER.index(finding.verdict), value

        return min(self.at(place), key=key)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole claim, see `Claim`."""
        places = [MEAN] if self.claim.over_tasks else self.places
        return min((self.deciding(p).verdict for p in places), key=ORDER.index)

    @property
    def seeds(self) -> list[int]:
        """Fewest and most training seeds behind a difference; empty if nothing was run."""
        found = [f.estimate.seeds for f in self.findings if f.estimate is not None]
        return sorted({min(found), max(found)}) if found else []

    @property
    def networks(self) -> list[int]:
        """Fewest and most networks behind a difference."""
        found = [f.estimate.networks for f in self.findings if f.estimate is not None]
        return sorted({min(found), max(found)}) if found else []


def corrected(comparisons: int) -> float:
    """Coverage of an interval that refutes, as one of so many comparisons (Bonferroni)."""
    return 1.0 - (1.0 - CONFIDENCE) / max(comparisons, 1)


def answer(claim: Claim, scores: Scores) -> Answer:
    """What the rows say about a claim."""
    tables = [differences(c, scores, claim.measure) for c in claim.comparisons]
    estimates = [None if table is None else crossed_estimate(table) for table in tables]
    places = [(c.task, c) for c in claim.comparisons]
    if claim.over_tasks:
        means = _means(claim, estimates)
        places += [(MEAN, comparison) for comparison, _ in means]
        estimates += [estimate for _, estimate in means]
    confidence = corrected(sum(estimate is not None for estimate in estimates))
    findings: list[Finding] = []
    for i, ((place, comparison), estimate) in enumerate(zip(places, estimates, strict=True)):
        if estimate is None:
            missing = Finding(comparison, place, None, np.nan, np.nan, np.nan, Verdict.NOT_RUN)
            findings.append(missing)
            continue
        table = tables[i] if claim.is_exact else None
        found = _decide(claim, comparison, estimate, table, confidence)
        findings.append(Finding(comparison, place, estimate, *found))
    return Answer(claim, findings, confidence)


def _decide(
    claim: Claim,
    comparison: Comparison,
    estimate: Estimate,
    table: Floats | None,
    confidence: float,
) -> tuple[float, float, float, Verdict]:
    """The verdict on one comparison, after the interval that it follows from and its coverage.

    Args:
        claim: Says of what kind the values are.
        comparison: What is decided.
        estimate: The difference.
        table: The differences themselves, if they are measurements of one thing.
        confidence: Coverage of an interval that refutes.
    """
    if table is not None:
        low, high = float(table.min()), float(table.max())
        return low, high, np.nan, comparison.rule.verdict(low, high)
    low, high = _limits(claim, estimate, CONFIDENCE)
    verdict = comparison.rule.verdict(low, high)
    if estimate.seeds < ENOUGH_SEEDS:
        return low, high, CONFIDENCE, Verdict.UNDECIDED
    if verdict is not Verdict.REFUTED:
        return low, high, CONFIDENCE, verdict
    wide = _limits(claim, estimate, confidence)
    if comparison.rule.verdict(*wide) is Verdict.REFUTED:
        return *wide, confidence, Verdict.REFUTED
    if comparison.rule.holds(low, high):  # a lead, but surely a small one only at 95%
        return low, high, CONFIDENCE, Verdict.HOLDS
    return *wide, confidence, Verdict.UNDECIDED


def _limits(claim: Claim, estimate: Estimate, confidence: float) -> tuple[float, float]:
    low, high = estimate.limits(confidence)
    if claim.is_share:
        of_networks = share_limits(estimate.value, estimate.networks, confidence)
        low, high = np.fmin(low, of_networks[0]), np.fmax(high, of_networks[1])
        return float(max(low, 0.0)), float(min(high, 100.0))
    return low, high


def _means(
    claim: Claim, estimates: Sequence[Estimate | None]
) -> list[tuple[Comparison, Estimate | None]]:
    """The mean over tasks of each comparison, named by that of the first task."""
    both = list(zip(claim.comparisons, estimates, strict=True))
    tasks = dict.fromkeys(c.task for c in claim.comparisons)
    found: list[tuple[Comparison, Estimate | None]] = []
    for same in zip(*([x for x in both if x[0].task == task] for task in tasks), strict=True):
        parts = [estimate for _, estimate in same if estimate is not None]
        found.append((same[0][0], mean_estimate(parts) if len(parts) == len(tasks) else None))
    return found


def differences(comparison: Comparison, scores: Scores, measure: Measure) -> Floats | None:
    """The method minus the other ``(seeds, networks)``, paired by seed and network.

    Where the numbers of networks differ, they are paired by seed only.

    Returns:
        The differences over the seeds of both; None if there is no such seed.
    """
    mine = measure(scores, comparison.task, comparison.mine)
    other = comparison.other
    if isinstance(other, str):
        fixed = scores.reference(comparison.task, other)
        theirs = {} if fixed is None else dict.fromkeys(mine, fixed)
    elif isinstance(other, Pick):
        theirs = measure(scores, comparison.task, other)
    else:
        theirs = {seed: np.zeros(len(values)) for seed, values in mine.items()}
    seeds = [seed for seed in sorted(mine) if seed in theirs]
    if not seeds:
        return None
    pairs = [mine[s] for s in seeds], [comparison.share * theirs[s] for s in seeds]
    return np.stack(stats.differences(*pairs))


def answers(claims: Sequence[Claim], scores: Scores) -> list[Answer]:
    """What the rows say about every claim, in order."""
    return [answer(claim, scores) for claim in claims]
