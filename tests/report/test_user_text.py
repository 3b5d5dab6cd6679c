"""Names that a user chose are shown as they are, in every figure, table and page of a report."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from networld_algos.cli.command import main
from networld_algos.report import style
from networld_algos.report.axes import grid, legend, save
from networld_algos.report.page import write_report
from networld_algos.results.display import Display, MethodLook, TaskLook
from networld_algos.results.folder import Failure, write_failure
from networld_algos.results.rows import read_rows, write_rows
from networld_algos.results.text import name
from tests.report.rows import (
    ablation_rows,
    comparison_rows,
    cost_rows,
    fewshot_rows,
    make_row,
    reference_rows,
    robustness_rows,
)

NASTY = (
    "see [/home/me/pf]",
    "sac[lr=3e-4] :smile:",
    r"$\foo$ costs $5",
    "a$b$c_{d}^e",
    "two\nlines\tand a tab",
    "<script>alert(1)</script> &lt;",
    "a|b `code` *x* _y_ ~~z~~ [t](u)",
    '_first "quoted" \\',
    "\x1b[31mred\x07 \u202eback\u2028\ud800",
)


class Cells(HTMLParser):
    """Text of the table cells and headings, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: list[str] = []
        self.open = False
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value or "" for key, value in attrs if key == "id"]
        if tag in ("td", "h1", "h2"):
            self.cells.append("")
            self.open = True
        elif tag in ("small", "sup"):
            self.open = False

    def handle_endtag(self, tag):
        self.open = self.open and tag not in ("td", "h1", "h2")

    def handle_data(self, data):
        if self.open:
            self.cells[-1] += data


def renamed(task_name: str):
    """Rows of every section, with a nasty name wherever a row has a text."""
    every = [
        *reference_rows(4),
        *comparison_rows(2, 2),
        *fewshot_rows(2),
        *ablation_rows(2),
        *robustness_rows(2),
        *cost_rows(2),
    ]
    rows = [r for r in every if r.task == "ns"]
    rows += [replace(r, experiment=NASTY[0]) for r in rows if r.experiment == "ablation"]
    new = {old: NASTY[i % len(NASTY)] for i, old in enumerate(dict.fromkeys(r.label for r in rows))}
    new = {old: f"{text} {i}" for i, (old, text) in enumerate(new.items())}
    return [
        replace(
            r,
            task=task_name,
            dataset=r.dataset and f"networld/{task_name}/expert-v0",
            label=new[r.label],
            algorithm=new.get(r.algorithm, r.algorithm),
            factor="agents" if r.factor == "agents" else r.factor and NASTY[2],
            suite=NASTY[5],
            version=NASTY[6],
            git_commit=NASTY[4],
            machine=NASTY[3],
            extra={NASTY[i % len(NASTY)]: v for i, v in enumerate(r.extra.values())},
        )
        for r in rows
        if r.factor not in ("candidates", "message_loss")
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    rows = renamed(NASTY[2])
    display = Display(
        {NASTY[2]: TaskLook(NASTY[4], NASTY[3])},
        {rows[-1].algorithm: MethodLook(NASTY[7])},
    )
    failure = Failure(suite="s", run=NASTY[0], error=NASTY[5], traceback=NASTY[8])
    folder = tmp_path_factory.mktemp("user") / "runs" / "[/a]"
    write_report(
        rows, folder, NASTY[5], failures=[failure], commands=[NASTY[6], NASTY[8]], display=display
    )
    return rows, display, folder


def test_the_page_holds_the_names_and_no_foreign_tag(written):
    rows, display, folder = written
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Cells()
    page.feed(text)
    assert page.tags.count("script") == 1
    assert len(page.ids) == len(set(page.ids))
    shown = [cell.strip() for cell in page.cells]
    assert NASTY[5] in shown
    for label in {r.label for r in rows if r.kind == "learned" and r.experiment == "comparison"}:
        assert name(display.method(label)) in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)


def test_figures_are_valid_and_read_no_maths(written):
    _, _, folder = written
    files = sorted((folder / "figures").glob("*.svg"))
    stems = {re.sub("_narrow$", "", f.stem) for f in files}
    assert all(re.fullmatch(r"[a-z0-9_-]+", stem) for stem in stems)
    assert len(stems) == 10
    for file in files:
        ElementTree.parse(file)
    text = (folder / "figures" / "comparison.svg").read_text()
    assert "costs $5" in text
    assert "two\\nlines" in text


def test_tables_are_read_as_the_same_text_by_a_markdown_parser(written):
    rows, display, folder = written
    text = (folder / "tables.md").read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inline = [t for t in tokens if t.type == "inline"]
    kinds = {child.type for t in inline for child in t.children or []}
    assert kinds <= {"text", "strong_open", "strong_close", "html_inline", "text_special"}
    html = {c.content for t in inline for c in t.children or [] if c.type == "html_inline"}
    assert html <= {"<sup>", "</sup>"}
    plain = {"".join(c.content for c in t.children or []) for t in inline}
    assert NASTY[5] in plain
    for label in {r.label for r in rows if r.kind == "learned" and r.experiment == "comparison"}:
        assert name(display.method(label)).strip() in plain
    widths = [t.type for t in tokens if t.type in ("tr_open", "td_open", "th_open")]
    assert widths.count("tr_open") > 10
    assert len([t for t in tokens if t.type == "heading_open"]) == len(
        re.findall(r"(?m)^#+ ", text)
    )


def test_every_character_of_a_title_is_drawn(tmp_path):
    with style.drawing():
        figure, (ax,) = grid(1, 1)
        ax.set_axis_off()
        ax.set_title("a$b$c")
    drawn = save(figure, tmp_path, "x", png=False).read_text()
    assert drawn.count("<use ") == 5


@pytest.mark.parametrize("label", NASTY)
def test_a_legend_names_every_method_as_it_is_called(label):
    with style.drawing():
        figure, _ = grid(1, 1)
        legend(figure, [label], style.styles([(label, label)], Display()), 1)
    (text,) = figure.legends[0].get_texts()
    assert text.get_text() == label
    assert not text.get_parse_math()


def test_the_command_writes_into_any_folder_and_names_it(tmp_path, capsys):
    folder = tmp_path / "runs [/a] $x$"
    rows = [make_row(suite="demo", label=NASTY[0]), *reference_rows(4)]
    rows = [replace(r, suite="demo") for r in rows if r.task == "cbf"]
    write_rows(folder / "a.jsonl", rows)
    record = Failure(suite="demo", run=NASTY[1], error=NASTY[0], traceback="")
    write_failure(folder / "x.failure.json", record)
    assert main(["report", str(folder), "--title", NASTY[0]]) == 0
    said = capsys.readouterr().out
    assert str(folder) in said.replace("\n", "")
    assert NASTY[0] in (folder / "report" / "report.html").read_text()


def test_experiments_with_similar_names_have_their_own_files(tmp_path):
    """Their figures would otherwise replace each other, and share an anchor."""
    names = ["a b", "a-b", "A b", "made", "\u65e5\u672c", "\u6771\u4eac"]
    rows = [r for r in reference_rows(4) if r.task == "ns"]
    rows += [make_row(task="ns", experiment=n, episode_returns=(0.9, 0.95)) for n in names]
    text = write_report(rows, tmp_path, "t").read_text()
    page = Cells()
    page.feed(text)
    assert len(page.ids) == len(set(page.ids))
    assert len(list((tmp_path / "figures").glob("*_scores.svg"))) == len(names)


def test_rows_survive_a_file_with_every_name(tmp_path):
    rows = [make_row(label=label, algorithm=label) for label in NASTY]
    assert read_rows(write_rows(tmp_path / "a.jsonl", rows)) == rows
