"""Figures and one self-contained HTML page from the rows of one suite.

The page loads nothing from a network: its content security policy forbids it. Only sorting needs
JavaScript. Equal rows give the same page, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import jinja2

from networld_algos.files import write_text
from networld_algos.report import facts, plain, scoring
from networld_algos.report.export.files import FIGURES, write_tables
from networld_algos.report.focus import focus_of
from networld_algos.report.sections import OnProgress, all_sections
from networld_algos.report.source import Section, Source, ordered
from networld_algos.results.display import Display
from networld_algos.results.folder import Failure
from networld_algos.results.rows import Row
from networld_algos.results.text import markdown, one_line, visible


def write_report(
    rows: Sequence[Row],
    out_dir: str | PathLike[str],
    title: str | None = None,
    *,
    failures: Sequence[Failure] = (),
    commands: Sequence[str] = (),
    notes: Sequence[str] = (),
    data_rewards: Mapping[str, float] | None = None,
    display: Display | None = None,
    focus: str | None = None,
    export: str | PathLike[str] | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write ``figures/*.svg``, ``figures/*.png``, ``report.html`` and its tables.

    The tables are in ``tables.md`` for people and in ``tables.json`` for programs.

    Args:
        rows: All rows of one suite, learned and reference.
        out_dir: Folder for all files. It is created if missing; files of an earlier report are
            replaced one by one.
        title: Heading of the page; by default the name of the focus method.
        failures: Failed runs, from `networld_algos.results.folder.read_failures`.
        commands: The exact commands that made ``rows``.
        notes: What readers must know about copies of committed rows.
        data_rewards: Dataset -> average reward per agent and step in it; its score is drawn
            beside the methods trained on it. See `networld_algos.cli.report.data_rewards`.
        display: Looks of methods and tasks, from `networld_algos.results.folder.read_suite`;
            without it they have plain names and spare colours.
        focus: Label of the focus method; see `networld_algos.report.focus.focus_of`.
        export: Folder for every table as CSV and LaTeX, every figure as PDF, and all runs as one
            data frame; see `networld_algos.report.export`.
        seed: Seed of the bootstrap.
        on_progress: Called before each section is made, see
            `networld_algos.report.sections.all_sections`.

    Returns:
        Path of ``report.html``.

    Raises:
        ValueError: If ``rows`` is empty or of several suites, two final rows claim one run, an
            expert is no better than random, or there is no method ``focus``.
        NotADirectoryError: If ``out_dir`` or ``export`` is a file.
    """
    rows, failures = plain.plain_rows(rows), plain.plain_failures(failures)
    suite = scoring.one_suite(rows)
    out = Path(out_dir)
    copies = None if export is None else Path(export)
    for folder in (out, *([] if copies is None else [copies])):
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file; give a folder for the report")
    shown = plain.plain_display(display or Display())
    rewards = plain.plain_rewards(data_rewards or {})
    centre = focus_of(rows, shown, focus)
    title = one_line((shown.method(centre) or suite) if title is None else title)
    pdf = None if copies is None else copies / FIGURES
    source = Source(ordered(rows, shown, centre), out, seed, rewards, shown, centre, pdf, failures)
    sections = all_sections(source, on_progress)
    made = [facts.versions(source.rows), facts.origins(source.rows, shown)]
    page = _environment().from_string(_template())
    html = page.render(
        title=title,
        suite=suite,
        facts=facts.facts(source.rows, failures),
        notices=[*map(visible, notes), *facts.notices(source.rows, shown)],
        sections=sections,
        failures=failures,
        commands=[visible(command) for command in commands],
        made=made,
    )
    if copies is not None:
        tables = [(s.anchor, part) for s in sections for part in s.tables]
        write_tables([*tables, *(("made", table) for table in made)], rows, copies)
    write_text(out / "tables.md", _tables(title, sections))
    write_text(out / "tables.json", _tables_json(suite, title, sections))
    return write_text(out / "report.html", html)


def _tables(title: str, sections: Sequence[Section]) -> str:
    """All tables of the page as Markdown."""
    parts = [f"# {markdown(title)}"]
    for section in sections:
        tables = [table.markdown for table in section.tables]
        parts += [f"## {markdown(section.title)}", *tables] if tables else []
    return "\n\n".join(parts) + "\n"


def _tables_json(suite: str, title: str, sections: Sequence[Section]) -> str:
    """All tables of the page as JSON: their sections, titles, columns and lines of cells."""
    tables = [
        {"section": section.title, **table.to_dict()}
        for section in sections
        for table in section.tables
    ]
    found = {"suite": suite, "title": title, "tables": tables}
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def _template() -> str:
    return (Path(__file__).parent / "templates" / "report.html.j2").read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
