"""What a claim says, and the rule that decides it from an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from networld_algos.results.claims.scores import Pick, Scores
from networld_algos.results.stats import MATTERS, Floats

TASKS = ("cbf", "rb", "ns")
Measure = Callable[[Scores, str, Pick], Mapping[int, Floats]]
"""(scores, task, pick) -> seed -> values on every network, see `Scores`."""


class Verdict(StrEnum):
    """What the rows say about a claim."""

    HOLDS = "holds"
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Rule:
    """How an interval decides.

    Attributes:
        text: The rule in words.
        above: The claim holds if the whole interval is at or above this value.
        below: It is refuted if the whole interval is below this value. Refuted goes first.
        is_upper: Whether the claim is about small values: the interval is mirrored at zero, and
            ``above`` and ``below`` are minus the values that it is compared with.
    """

    text: str
    above: float
    below: float
    is_upper: bool = False

    def verdict(self, low: float, high: float) -> Verdict:
        """The verdict of an interval; undecided without limits."""
        if (-low if self.is_upper else high) < self.below:
            return Verdict.REFUTED
        return Verdict.HOLDS if self.holds(low, high) else Verdict.UNDECIDED

    def holds(self, low: float, high: float) -> bool:
        """Whether the whole interval is on the claimed side, even if it refutes as well."""
        return (-high if self.is_upper else low) >= self.above

    def margin(self, value: float) -> float:
        """By how much a value is on the claimed side of the limit; negative if it misses it."""
        return (-value if self.is_upper else value) - self.above


HIGHER = Rule("higher", 0.0, MATTERS)
"""A lead that is surely smaller than `networld_algos.results.stats.MATTERS` is none."""
SMOOTHER = Rule("smoother", 0.0, 0.0, is_upper=True)
"""A smooth curve has a roughness of about one point, so no lead in it is too small to matter."""


def within(points: float) -> Rule:
    """At most so many points behind."""
    return Rule(f"at most {points:g} behind", -points, -points)


def ahead(points: float) -> Rule:
    """At least so many points ahead."""
    return Rule(f"at least {points:g} ahead", points, points)


def at_least(value: float) -> Rule:
    """A value, not a difference, of at least this."""
    return Rule(f"at least {value:g}", value, value)


def at_most(value: float) -> Rule:
    """A value, not a difference, of at most this."""
    return Rule(f"at most {value:g}", -value, -value, is_upper=True)


@dataclass(frozen=True)
class Comparison:
    """Something that must hold for a claim to hold.

    Attributes:
        task: The task.
        mine: The method that the claim is about.
        other: What is subtracted from it: another method, the name of a reference policy, or
            nothing.
        rule: How the interval of the difference decides.
        note: Words that tell it from the claim's other comparisons, if names do not.
        share: Factor of ``other`` before it is subtracted.
    """

    task: str
    mine: Pick
    other: Pick | str | None
    rule: Rule
    note: str = ""
    share: float = 1.0


@dataclass(frozen=True)
class Claim:
    """A sentence that the benchmark tests.

    A task's verdict is the worst of its comparisons. So is the verdict of the claim, except where
    the claim is about the mean over the tasks.

    Attributes:
        key: Short name, unique.
        text: The sentence.
        source: Section or figure of the paper, or ``"aim"``.
        data: The data that it is tested on, in words.
        comparisons: All that must hold.
        measure: The values that are compared.
        unit: Their unit.
        over_tasks: Whether the claim is about the mean over tasks; the verdict is then that of the
            means.
        is_exact: Whether values of seeds are measurements of one thing, such as times, and not
            samples: the interval is from the smallest to the largest.
        is_share: Whether values are shares of networks: each is 0 or 100. The interval is then at
            least as wide as `networld_algos.results.crossed.share_limits`.
    """

    key: str
    text: str
    source: str
    data: str
    comparisons: tuple[Comparison, ...]
    measure: Measure = Scores.scores
    unit: str = "points"
    over_tasks: bool = False
    is_exact: bool = False
    is_share: bool = False
