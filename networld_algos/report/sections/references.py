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
from networld_algos.results.text import minus


def make(source: Source) -> Section:
    """Every reference policy at every factor level."""
    section = Section("references", "Reference policies")
    policies = {c: scoring.references(source.rows, c) for c in scoring.factor_levels(source.rows)}
    if policies:
        section.finding = finding(policies.get(scoring.PLAIN, {}))
        section.parts.append(table(policies))
        section.text.append(
            "A genie has global or future knowledge. It is an upper reference, not a competitor. "
            "Intervals are over evaluation episodes."
        )
    return section


def finding(policies: Mapping[str, Sequence[Reference]]) -> str:
    """How near the best policy without training comes to the expert, on each task."""
    parts: list[str] = []
    for task, group in policies.items():
        simple = [
            (p.score.value, p.label)
            for p in group
            if p.score is not None and p.role in ("static", "heuristic")
        ]
        if simple:
            score, label = max(simple)
            parts.append(f"{label} on {task.upper()} ({minus(f'{score:.1f}')})")
    if not parts:
        return "No static or heuristic policy was scored beside random and expert."
    return (
        "The best static or heuristic policy, on the scale from random (0) to expert (100): "
        f"{', '.join(parts)}."
    )


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
