"""Section "Reference policies": every reference policy at every factor level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from networld_algos.report import scoring
from networld_algos.report.scoring import FactorLevel, Reference
from networld_algos.report.source import Section, Source
from networld_algos.report.table import (
    Cell,
    Column,
    Table,
    factor_level_cell,
    interval_cell,
    number_cell,
    text_cell,
)


def make(source: Source) -> Section:
    """Every reference policy at every factor level."""
    section = Section("references", "Reference policies")
    policies = {c: scoring.references(source.rows, c) for c in scoring.factor_levels(source.rows)}
    if policies:
        section.parts.append(table(policies))
        section.text.append(
            "A genie has global or future knowledge. It is an upper reference, not a competitor. "
            "Intervals are over evaluation episodes."
        )
    return section


def table(policies: Mapping[FactorLevel, Mapping[str, Sequence[Reference]]]) -> Table:
    """Every reference policy at every factor level: reward, score, latency."""
    several = len(policies) > 1
    lines = [
        [
            text_cell(task.upper()),
            text_cell(p.label),
            text_cell(p.role),
            *([factor_level_cell(factor_level)] if several else []),
            interval_cell(p.reward, 3),
            interval_cell(p.score, 1),
            Cell(str(p.reward.count), float(p.reward.count)),
            number_cell(p.latency_p50_ms, 1),
        ]
        for factor_level, by_task in policies.items()
        for task, group in by_task.items()
        for p in group
    ]
    columns = [
        Column("Task", False),
        Column("Policy", False),
        Column("Role", False),
        *([Column("Condition", False)] if several else []),
        Column("Average reward"),
        Column("Score"),
        Column("Episodes"),
        Column("Latency p50 (ms)"),
    ]
    caption = "Mean [95% t interval] over evaluation episodes."
    return Table("Reference policies", caption, columns, lines)
