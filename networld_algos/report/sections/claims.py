"""Section "Claims": what the rows say about the paper's sentences and about the project's aims."""

from __future__ import annotations

import math
from collections.abc import Sequence

from networld_algos.report import scoring
from networld_algos.report.source import Section, Source
from networld_algos.report.table import Cell, Column, Table, text_cell
from networld_algos.results.claims import table as claims_table
from networld_algos.results.claims.aims import AIMS
from networld_algos.results.claims.check import MEAN, ORDER, Answer, Finding, answers
from networld_algos.results.claims.claim import TASKS, Verdict
from networld_algos.results.claims.paper import PAPER
from networld_algos.results.claims.scores import Scores
from networld_algos.results.display import Display
from networld_algos.results.rows import Row
from networld_algos.results.stats import Floats


def make(source: Source) -> Section:
    """What the rows say about every claim; without content if they say nothing about any."""
    section = Section("claims", "Claims")
    found = checked(source.rows)
    if all(f.estimate is None for answer in found for f in answer.findings):
        return section
    section.finding = claims_table.tally(found)
    section.parts += [summary(found, source.display), details(found, source.display)]
    return section


def checked(rows: Sequence[Row]) -> list[Answer]:
    """What the rows of a suite say about every claim of the paper and every aim."""
    beside = {name: scoring.ends(rows, name) for name in ("test", "validation")}

    def ends(row: Row) -> tuple[Floats, Floats] | None:
        return scoring.scale_of(beside[row.eval_seed_set] or beside["test"], row)

    return answers((*PAPER, *AIMS), Scores(rows, ends))


def summary(found: Sequence[Answer], display: Display) -> Table:
    """One line per claim: the verdict on each task and on the whole."""
    lines: list[list[Cell]] = []
    for answer in found:
        line = [text_cell(text) for text in claims_table.cells(answer, display.method)]
        for i, task in enumerate(TASKS, start=claims_table.HEAD.index(TASKS[0].upper())):
            line[i] = _cell(answer, task, display)
        place = MEAN if answer.claim.over_tasks else ""
        verdict = _cell(answer, place, display) if place else Cell(str(answer.verdict), None)
        order = float(ORDER.index(answer.verdict))
        at = claims_table.HEAD.index("Verdict")
        line[at] = Cell(verdict.text, order, verdict.note, strong=True)
        lines.append(line)
    columns = [Column(name, False) for name in claims_table.HEAD]
    return Table("Claims", claims_table.RULE.replace("*", ""), columns, lines, is_open=True)


def _cell(answer: Answer, place: str, display: Display) -> Cell:
    verdict, note = claims_table.place_parts(answer, place, display.method)
    return Cell(verdict, verdict, note)


def details(found: Sequence[Answer], display: Display) -> Table:
    """One line per comparison behind a claim."""
    lines = [
        [
            text_cell(answer.claim.key),
            text_cell(finding.place.upper()),
            text_cell(claims_table.name_of(finding, display.method)),
            text_cell(claims_table.difference_text(finding)),
            _coverage_cell(finding),
            text_cell(answer.claim.unit),
            text_cell(finding.comparison.rule.text),
            text_cell(str(finding.verdict)),
            Cell(str(finding.estimate.seeds), float(finding.estimate.seeds)),
            Cell(str(finding.estimate.networks), float(finding.estimate.networks)),
        ]
        for answer in found
        for finding in answer.findings
        if finding.estimate is not None and finding.verdict is not Verdict.NOT_RUN
    ]
    columns = [
        Column("Claim", False),
        Column("Task", False),
        Column("Against", False, "the other method, or what tells the comparison from others"),
        Column("Difference", False, "with the interval behind the verdict"),
        Column("Coverage", hint="of the interval"),
        Column("Unit", False),
        Column("Rule", False),
        Column("Verdict", False),
        Column("Seeds"),
        Column("Networks"),
    ]
    caption = (
        f"Every comparison behind the claims. Intervals cover {claims_table.CONFIDENCE:.0%}; where "
        "such an interval is on the wrong side, the wider one is shown that would have to be there "
        "as well to refute the claim. Limits without a coverage are those of measurements. What "
        "was not run is left out."
    )
    return Table("Comparisons behind the claims", caption, columns, lines, folded=True)


def _coverage_cell(finding: Finding) -> Cell:
    if math.isnan(finding.coverage):
        return Cell(claims_table.DASH, None)
    return Cell(f"{100 * finding.coverage:.3g}%", finding.coverage)
