"""Section of a user-defined experiment: scores and details."""

from __future__ import annotations

from collections.abc import Sequence

from networld_algos.report.scoring import PLAIN, grouped
from networld_algos.report.sections import comparison_tables, versus
from networld_algos.report.sections.comparison import add_scores
from networld_algos.report.source import Section, Source
from networld_algos.report.summary import Final
from networld_algos.report.table import panel_name, several_datasets
from networld_algos.results.display import Display
from networld_algos.results.text import capital, minus, slug

TAKEN = ("answer", "claims", "references", "health", "failures", "made")
"""Anchors of the page that are not experiments."""


def make(source: Source, name: str) -> Section:
    """A user-defined experiment: scores and details."""
    anchor = slug(name, TAKEN)
    section = Section(anchor, capital(name.replace("_", " ")))
    finals = source.finals(name)
    section.finding = finding(finals, source.display)
    add_scores(section, finals, anchor, source)
    section.parts += versus.tables(source, name)
    if finals:
        section.parts.append(comparison_tables.details(finals, source.display))
    return section


def finding(finals: Sequence[Final], display: Display) -> str:
    """Which method has the highest mean on each task and data."""
    scored = [f for f in finals if f.score is not None and f.factor_level == PLAIN]
    several = several_datasets([f.panel for f in scored])
    parts: list[str] = []
    for panel, group in grouped(scored, lambda f: f.panel):
        score, label = max((f.score.value, f.label) for f in group if f.score is not None)
        place = panel_name(panel, several)
        parts.append(f"{display.method(label)} on {place} ({minus(f'{score:.1f}')})")
    if not parts:
        return "These rows have no normalised score without a varied factor."
    return f"The highest mean score: {', '.join(parts)}."
