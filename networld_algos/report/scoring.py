"""Reference policies, the scale of normalised scores, and the selection of rows.

Rows of robustness and cost vary one factor, such as the number of agents, over several levels.
Where the factor changes the environment, scores are normalised with random and expert at the same
level. Message loss and decision settings do not affect random and expert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from networld_algos.results import stats
from networld_algos.results.rows import DEPLOYMENT, DRIFT, ROLES, Row
from networld_algos.results.stats import Floats, Interval, Method

K = TypeVar("K")
T = TypeVar("T")
Panel = tuple[str, str]
"""(task, dataset) of one panel of a figure."""
FactorLevel = tuple[str | None, float | None]
"""What a row varies beside the method, and its value; (None, None) where it varies nothing."""
Scales = Mapping[tuple[str, FactorLevel], tuple[float, float]]
"""(task, factor and level) -> average reward of (random, expert), see `scales`."""
Ends = Mapping[tuple[str, FactorLevel], tuple[Floats, Floats]]
"""(task, factor and level) -> rewards ``(episodes,)`` of (random, expert), see `ends`."""

PLAIN: FactorLevel = (None, None)
ENVIRONMENT_FACTORS = ("agents", DEPLOYMENT, DRIFT)
"""Starts of factors that change the environment, so that each level needs its own references."""
MESSAGE_FACTORS = ("message_loss", "message_delay")
"""Factors that change what messages arrive, of which models are trained with none at 0."""
BEHAVIOUR = "behaviour"
"""Role of the policy that made a dataset, see `behaviours`."""


@dataclass(frozen=True)
class Reference:
    """A reference policy of one task.

    Attributes:
        name: Name of the policy.
        role: ``"random"``, ``"static"``, ``"heuristic"``, ``"expert"``, ``"genie"``
            or ``"behaviour"``, the policy that made a dataset, see `behaviours`.
        label: Printed name.
        reward: Average reward with a t interval over episodes.
        score: Normalised score with the interval of ``reward``; None without random and expert.
        latency_p50_ms: Median decision time of the whole batch.
    """

    name: str
    role: str
    label: str
    reward: Interval
    score: Interval | None
    latency_p50_ms: float | None


def one_suite(rows: Sequence[Row]) -> str:
    """The suite to which all rows belong.

    Raises:
        ValueError: If there are no rows, or rows of several suites, because references of one
            suite must not normalise scores of another.
    """
    suites = sorted({row.suite for row in rows})
    if len(suites) != 1:
        raise ValueError(f"expected the rows of one suite, got suites {suites}")
    return suites[0]


def factor_level_of(row: Row) -> FactorLevel:
    """(factor, level) of a row."""
    return row.factor, row.level


def factor_levels(rows: Sequence[Row]) -> list[FactorLevel]:
    """Factors and levels at which reference policies were scored, in order of appearance."""
    return list(dict.fromkeys(factor_level_of(r) for r in _references(rows)))


def references(
    rows: Sequence[Row], factor_level: FactorLevel = PLAIN, seed_set: str = "test"
) -> dict[str, list[Reference]]:
    """Reference policies of each task, from random to genie, by average reward within a role.

    Args:
        rows: Rows of one suite.
        factor_level: Where they were scored.
        seed_set: The networks, ``"test"`` or ``"validation"``.

    Raises:
        ValueError: If the rows are of several suites, or two policies have the role random or
            expert.
    """
    one_suite(rows)
    scale = scales(rows, seed_set)
    here = [r for r in _references(rows, seed_set) if factor_level_of(r) == factor_level]
    out: dict[str, list[Reference]] = {}
    for (task, name), group in grouped(here, lambda r: (r.task, r.algorithm)):
        reward = stats.t_interval([x for r in group for x in r.episode_returns])
        score = None
        if (task, factor_level) in scale:
            value, low, high = stats.normalised_score(
                [reward.value, reward.low, reward.high], *scale[task, factor_level]
            ).tolist()
            score = Interval(value, low, high, reward.count, reward.method)
        first = group[0]
        latency = median_or_none([r.latency_p50_ms for r in group])
        out.setdefault(task, []).append(
            Reference(name, first.role or "", first.label, reward, score, latency)
        )
    for policies in out.values():
        policies.sort(key=lambda p: (ROLES.index(p.role), p.reward.value))
    return out


def behaviours(rows: Sequence[Row], rewards: Mapping[str, float]) -> dict[Panel, Reference]:
    """Score of each panel's training data, as a reference without an interval.

    Its scale is that of all scores, although a dataset has other networks than a suite.

    Args:
        rows: Rows of one suite, whose random and expert on test networks make the score.
        rewards: Dataset -> average reward per agent and step in it.
    """
    scale = scales(rows)
    out: dict[Panel, Reference] = {}
    for panel in dict.fromkeys(panel_of(r) for r in rows if r.kind == "learned"):
        both, reward = scale.get((panel[0], PLAIN)), rewards.get(panel[1])
        if both is not None and reward is not None:
            score = float(stats.normalised_score(reward, *both))
            out[panel] = Reference("data", BEHAVIOUR, "data", _bare(reward), _bare(score), None)
    return out


def scales(rows: Sequence[Row], seed_set: str = "test") -> Scales:
    """Average reward of (random, expert), for the tasks and factor levels that have both.

    Args:
        rows: Rows of one suite.
        seed_set: The networks, ``"test"`` or ``"validation"``.
    """
    return {
        key: (float(random.mean()), float(expert.mean()))
        for key, (random, expert) in ends(rows, seed_set).items()
    }


def ends(rows: Sequence[Row], seed_set: str = "test") -> Ends:
    """Rewards of (random, expert) on every network, for the tasks and levels that have both.

    Args:
        rows: Rows of one suite.
        seed_set: The networks, ``"test"`` or ``"validation"``.
    """
    found: dict[tuple[str, FactorLevel, str], dict[str, list[float]]] = {}
    for row in _references(rows, seed_set):
        if row.role in ("random", "expert"):
            key = (row.task, factor_level_of(row), row.role)
            found.setdefault(key, {}).setdefault(row.algorithm, []).extend(row.episode_returns)
    returns: dict[tuple[str, FactorLevel, str], Floats] = {}
    for (task, factor_level, role), policies in found.items():
        if len(policies) > 1:
            raise ValueError(f"task {task!r} has several {role} policies: {sorted(policies)}")
        returns[task, factor_level, role] = np.array(next(iter(policies.values())))
    return {
        (task, factor_level): (
            returns[task, factor_level, "random"],
            returns[task, factor_level, "expert"],
        )
        for task, factor_level in dict.fromkeys(
            (task, factor_level) for task, factor_level, _ in returns
        )
        if (task, factor_level, "random") in returns and (task, factor_level, "expert") in returns
    }


def trained_levels(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    """(Task, factor) -> the level under which models were trained, where there is exactly one.

    There random and expert earn on every network what they earn where nothing is varied. Lost and
    late messages do not affect them, but models are trained without.

    Args:
        rows: Rows of one suite.
    """
    earned = ends(rows)
    found = {
        (r.task, str(r.factor)): {0.0} for r in rows if r.factor in MESSAGE_FACTORS and not r.level
    }
    for (task, (factor, level)), here in earned.items():
        usual = earned.get((task, PLAIN))
        if factor is None or level is None or usual is None:
            continue
        if factor.startswith(ENVIRONMENT_FACTORS) and all(map(np.array_equal, here, usual)):
            found.setdefault((task, factor), set()).add(level)
    return {key: levels.pop() for key, levels in found.items() if len(levels) == 1}


def scale_of(scale: Mapping[tuple[str, FactorLevel], T], row: Row) -> T | None:
    """(random, expert) that normalise a row, from `scales` or `ends`; None if they are missing."""
    own = scale.get((row.task, factor_level_of(row)))
    if own is not None or (row.factor or "").startswith(ENVIRONMENT_FACTORS):
        return own
    return scale.get((row.task, PLAIN))


def learned_rows(rows: Sequence[Row], experiment: str) -> list[Row]:
    """Rows of learned policies in one experiment."""
    return [r for r in rows if r.kind == "learned" and r.experiment == experiment]


def panel_of(row: Row) -> Panel:
    """(task, dataset) of a row."""
    return row.task, row.dataset or ""


def method_of(row: Row) -> tuple[Panel, str]:
    """(panel, label) of a curve or a line of a table."""
    return panel_of(row), row.label


def grouped(items: Sequence[T], key: Callable[[T], K]) -> list[tuple[K, list[T]]]:
    """Items by key, keys in order of appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.items())


def check_unique(rows: Sequence[Row]) -> None:
    """Reject two final rows of one run.

    Raises:
        ValueError: If two rows have the same run, since averaging them would hide a mistake.
    """
    seen: dict[object, Row] = {}
    for row in rows:
        if row.run in seen:
            raise ValueError(
                f"two final rows for the run {row.run} (configurations "
                f"{seen[row.run].config_hash} and {row.config_hash}): give each variant its own "
                "label, or delete the older result file"
            )
        seen[row.run] = row


def median_or_none(values: Sequence[float | None]) -> float | None:
    """Median of the values that are not None; None if there are none."""
    present = [v for v in values if v is not None]
    return float(np.median(present)) if present else None


def _references(rows: Sequence[Row], seed_set: str = "test") -> list[Row]:
    found = [r for r in rows if r.kind == "reference" and r.eval_seed_set == seed_set]
    check_unique(found)
    return found


def _bare(value: float) -> Interval:
    return Interval(value, np.nan, np.nan, 1, Method.NONE)
