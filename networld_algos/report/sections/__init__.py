"""The sections of a report, one module per experiment."""

from __future__ import annotations

from networld_algos.report.sections import (
    ablation,
    comparison,
    cost,
    fewshot,
    health,
    other,
    references,
    robustness,
)
from networld_algos.report.source import Section, Source

SECTIONS = {
    "comparison": comparison.make,
    "fewshot": fewshot.make,
    "deployments": fewshot.make_alone,
    "ablation": ablation.make,
    "robustness": robustness.make,
    "cost": cost.make,
}
"""Experiments with their own section, in the order of the page."""


def all_sections(source: Source) -> list[Section]:
    """Every section with content, in the order of the page."""
    found = [make(source) for name, make in SECTIONS.items() if name in source.experiments]
    found += [other.make(source, name) for name in source.experiments if name not in SECTIONS]
    return [s for s in [*found, references.make(source), health.make(source)] if s.parts]
