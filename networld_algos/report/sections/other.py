"""Section of a user-defined experiment: scores and details."""

from __future__ import annotations

from networld_algos.report.sections import comparison_tables
from networld_algos.report.sections.comparison import add_scores
from networld_algos.report.source import Section, Source, slug


def make(source: Source, name: str) -> Section:
    """A user-defined experiment: scores and details."""
    section = Section(slug(name), name.replace("_", " ").capitalize())
    finals = source.finals(name)
    add_scores(section, finals, slug(name), source)
    if finals:
        section.parts.append(comparison_tables.details(finals, source.display))
    return section
