"""Section of a user-defined experiment: scores and details."""

from __future__ import annotations

from networld_algos.report.sections import comparison_tables, versus
from networld_algos.report.sections.comparison import add_scores
from networld_algos.report.source import Section, Source
from networld_algos.results.text import capital, slug

TAKEN = ("references", "health", "failures", "made")
"""Anchors of the page that are not experiments."""


def make(source: Source, name: str) -> Section:
    """A user-defined experiment: scores and details."""
    anchor = slug(name, TAKEN)
    section = Section(anchor, capital(name.replace("_", " ")))
    finals = source.finals(name)
    add_scores(section, finals, anchor, source)
    section.parts += versus.tables(source, name)
    if finals:
        section.parts.append(comparison_tables.details(finals, source.display))
    return section
