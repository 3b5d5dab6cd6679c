"""The sections of a report, one module per experiment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from networld_algos.report.sections import (
    ablation,
    answer,
    claims,
    comparison,
    cost,
    fewshot,
    health,
    other,
    references,
    robustness,
)
from networld_algos.report.source import Section, Source

OnProgress = Callable[[int, int, str], None]
"""Receives how many sections are made, how many there are, and the name of the next."""
SECTIONS = {
    "comparison": comparison.make,
    "fewshot": fewshot.make,
    "deployments": fewshot.make_alone,
    "ablation": ablation.make,
    "robustness": robustness.make,
    "cost": cost.make,
}
"""Experiments with their own section, in the order of the page."""


def all_sections(source: Source, on_progress: OnProgress | None = None) -> list[Section]:
    """Every section with content, in the order of the page.

    Args:
        source: Rows of one suite.
        on_progress: Called before each section with the number of finished ones, the number of
            all, and the name of the one that is made next.
    """
    makers: list[tuple[str, Callable[[], Section]]] = []
    if answer.EXPERIMENT in source.experiments:
        makers.append(("what was decided", partial(answer.make, source)))
    makers.append(("claims", partial(claims.make, source)))
    for name, make in SECTIONS.items():
        if name in source.experiments:
            makers.append((name, partial(make, source)))
    for name in source.experiments:
        if name not in SECTIONS:
            makers.append((name, partial(other.make, source, name)))
    makers.append(("reference policies", partial(references.make, source)))
    makers.append(("diagnostics", partial(health.make, source)))
    found: list[Section] = []
    for done, (name, make_section) in enumerate(makers):
        if on_progress is not None:
            on_progress(done, len(makers), name)
        found.append(make_section())
    return [section for section in found if section.parts]
