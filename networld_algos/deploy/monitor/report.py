"""What a monitor found, as numbers with their limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Watched:
    """A number and its limit.

    Attributes:
        name: What it is.
        value: The number.
        limit: Above it, there is an alarm; None if no limit is known.
    """

    name: str
    value: float
    limit: float | None

    @property
    def alarm(self) -> bool:
        """Whether the limit is exceeded."""
        return self.limit is not None and self.value > self.limit


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column of the observation has moved.

    Attributes:
        column: Its number.
        name: Its number and name.
        psi: Population stability index, see `networld_algos.deploy.monitor.bins`.
        limit: Above it, there is an alarm; None if there is too little data.
        ks: Kolmogorov-Smirnov statistic: the largest gap between the two distributions, 0 to 1.
        median_then: Median in the training data.
        median_now: Median now.
    """

    column: int
    name: str
    psi: float
    limit: float | None
    ks: float
    median_then: float
    median_now: float

    @property
    def alarm(self) -> bool:
        """Whether the limit is exceeded."""
        return self.limit is not None and self.psi > self.limit


@dataclass(frozen=True)
class Report:
    """What a monitor found.

    Attributes:
        task: Name of the task.
        view: ``"network"`` or ``"station"``.
        decisions: Decisions taken in.
        episodes: Episodes taken in.
        units: Size of the window: whole episodes of the usual length, at most `episodes`. With 0,
            there is too little data for limits of columns, support and disagreement.
        needed: Decisions of a unit.
        calibrated: Whether the training data was enough to calibrate limits. Otherwise columns have
            the limit of the usual rule of thumb, and support and disagreement have none.
        columns: Drift of each column.
        support: Share of decisions out of support; None without decisions.
        observations_outside: Share of observations out of support.
        actions_outside: Share of actions out of support.
        disagreement: Mean disagreement of the ensemble; None if it was not given.
        fallback: Share of decisions that were not the model's.
        invalid: Share of observations with a value that is not finite.
    """

    task: str
    view: str
    decisions: int
    episodes: int
    units: int
    needed: int
    calibrated: bool
    columns: tuple[ColumnDrift, ...]
    support: Watched | None
    observations_outside: float
    actions_outside: float
    disagreement: Watched | None
    fallback: Watched
    invalid: Watched

    @property
    def watched(self) -> list[Watched]:
        """The numbers beside the columns that are known."""
        every = (self.support, self.disagreement, self.fallback, self.invalid)
        return [w for w in every if w is not None]

    @property
    def notes(self) -> list[str]:
        """What limits the report, in words."""
        found = []
        if not self.units:
            found.append(
                f"too little data for limits: {self.decisions} decisions, and an episode of the "
                f"{self.view} has {self.needed}"
            )
        if not self.calibrated:
            found.append(
                "the training data has too few episodes to calibrate limits; columns have the "
                "limit of the usual rule of thumb, and expect false alarms"
            )
        return found

    @property
    def alarms(self) -> list[str]:
        """Each exceeded limit in words, the columns that moved most first."""
        moved = sorted((c for c in self.columns if c.alarm), key=lambda c: -c.psi)
        found = [
            f"column {c.name} has moved: stability index {c.psi:.3g}, limit {c.limit:.3g}; median "
            f"{c.median_now:.4g}, {c.median_then:.4g} in the training data"
            for c in moved
        ]
        found += [f"{w.name}: {w.value:.3g}, limit {w.limit:.3g}" for w in self.watched if w.alarm]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return {**asdict(self), "alarms": self.alarms}
