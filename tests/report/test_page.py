import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from networld_algos.report import style, summary
from networld_algos.report.page import write_report
from networld_algos.report.sections import comparison_figures
from networld_algos.report.table import Cell, Column, Table
from networld_algos.results.display import Display, MethodLook, TaskLook
from tests.report.rows import (
    ablation_rows,
    comparison_rows,
    cost_rows,
    make_row,
    reference_rows,
    robustness_rows,
    value,
)


class Page(HTMLParser):
    VOID = frozenset({"meta", "img", "source", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.heads: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.cells.append([])
        if tag == "td":
            self.cells[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["button"]:
            self.heads.append(data.strip())
        if "td" in self.open and self.open[-1] not in ("small", "sup"):
            self.cells[-1][-1] += data.strip()


def test_page_is_well_formed_and_loads_nothing(report):
    text = report.read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    addresses = [a[k] or "" for _, a in page.tags for k in ("src", "href", "srcset") if k in a]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    without_figures = re.sub(r'"data:[^"]*"', "", text)
    assert "@import" not in without_figures
    assert "url(" not in without_figures
    images = [a for tag, a in page.tags if tag == "img"]
    assert len(images) == 5
    assert all(len(a["alt"] or "") > 60 for a in images)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"] for tag, a in page.tags if tag == "a"}
    assert links <= {f"#{i}" for i in ids}
    assert all(a["aria-labelledby"] in ids for tag, a in page.tags if tag == "table")


def test_page_states_the_last_checkpoint_of_every_method(report, rows, display):
    page = Page()
    page.feed(report.read_text())
    finals = summary.finals(rows, "comparison", np.random.default_rng(0))
    assert len(finals) == 18
    for final in finals:
        line = next(
            c for c in page.cells if c[:2] == [final.panel[0].upper(), display.method(final.label)]
        )
        assert line[2] == f"{value(final.score):.1f}"
        assert line[3:5] == [f"{final.median:.1f}", f"{final.failed_percent:.1f}"]
        assert line[5].replace("\N{MINUS SIGN}", "-") == f"{final.reward.value:.3f}"
        assert line[6] == "5"


def test_page_tells_failures_commands_and_versions(report):
    text = report.read_text()
    assert "comparison / cbf / ma-cql / seed 9" in text
    assert "ValueError: &lt;nan&gt;" in text
    assert "Results &amp; figures" in text
    assert "networld bench --suite cpu --jobs 2" in text
    for expected in ("0123abc", "1f2e3d4c", "0.1.0", "effective_rank"):
        assert expected in text


def test_figures_are_written_as_svg_and_png(report):
    names = {p.name for p in (report.parent / "figures").iterdir()}
    stems = {n.removesuffix(".svg") for n in names if n.endswith(".svg")}
    assert stems >= {"comparison", "fewshot", "comparison_scores", "profiles"}
    narrow = {s for s in stems if s.endswith("_narrow")}
    assert narrow == {"comparison_summary_narrow", "comparison_scores_narrow"}
    wide = {s for s in stems if not s.endswith("_narrow")}
    assert names == {f"{s}.svg" for s in stems} | {f"{s}.png" for s in wide}
    with Image.open(report.parent / "figures" / "comparison.png") as image:
        assert image.width == pytest.approx(7.16 * 300, abs=2)
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20


def test_equal_rows_give_equal_bytes(tmp_path):
    rows = [r for r in reference_rows(4) + comparison_rows(2, 2) if r.task == "ns"][:12]
    first = write_report(rows, tmp_path / "a", "t").read_bytes()
    assert write_report(rows, tmp_path / "b", "t").read_bytes() == first


def test_tables_are_written_as_markdown_too(tmp_path):
    rows = [r for r in reference_rows(4) + comparison_rows(2, 2) if r.task == "ns"]
    write_report(rows, tmp_path, "A title")
    text = (tmp_path / "tables.md").read_text()
    assert text.startswith("# A title\n\n## What was decided\n\n### Verdicts\n\nWin: ")
    scores = text.split("### ")[2].splitlines()[4:]
    assert scores[0] == "| Method | NS | Failed (%) | Training (min) |"
    assert scores[1] == "| --- | ---: | ---: | ---: |"
    assert all(re.fullmatch(r"\|( [^|]+ \|){4}", line) for line in scores[2:8])
    cells = [Cell("a|b", 1.0, "[0, 2]", strong=True, mark="1")]
    odd = Table("T", "", [Column("x|y")], [cells]).markdown
    assert odd == "### T\n\n| x\\|y |\n| ---: |\n| **a\\|b**<sup>1</sup> [0, 2] |"


def test_reports_of_no_or_several_suites_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rows of one suite"):
        write_report([], tmp_path, "t")
    with pytest.raises(ValueError, match=r"\['cpu', 'demo'\]"):
        write_report([make_row(), make_row(suite="demo")], tmp_path, "t")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"notes\.txt is a file"):
        write_report([make_row()], tmp_path / "notes.txt", "t")


def test_reporting_imports_neither_torch_nor_an_environment():
    code = """
import sys
import networld_algos.report.page
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "networld_envs", "gymnasium", "pettingzoo", "minari", "pygame"}))
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]


def test_page_of_every_experiment(tmp_path, display):
    """Each has its figure and its table, with the numbers of the rows."""
    every = reference_rows(10) + ablation_rows(2) + robustness_rows(2) + cost_rows(2)
    rows = [r for r in every if r.task == "ns"]
    rows += [replace(r, experiment="mine") for r in rows if r.experiment == "cost" and r.level == 1]
    path = write_report(rows, tmp_path, "t", display=display)
    page = Page()
    page.feed(path.read_text())
    sections = [a["id"] for tag, a in page.tags if tag == "section"]
    assert [s for s in sections if s != "claims"] == [
        "ablation",
        "robustness",
        "cost",
        "mine",
        "references",
        "failures",
        "made",
    ]
    figures = {p.stem for p in (tmp_path / "figures").glob("*.svg")}
    assert {"ablations", "robustness_agents", "robustness_message-loss", "cost"} <= figures
    line = next(c for c in page.cells if c[:3] == ["NS", "NetWorld", "Solver steps 5"])
    assert line[4:] == ["19.0", "3.00", "128", "312,345", "60"]
    assert [h for h in page.heads if re.match(r"\d+%", h)] == ["0% (trained)", "30%", "60%", "90%"]
    assert "Ablation" in page.heads
    levels = [c for c in page.cells if c[:3] == ["NS", "genie", "genie"]]
    assert [c[3] for c in levels] == ["\N{EN DASH}", "Agents 7", "Agents 19", "Agents 91"]


def test_a_task_and_an_algorithm_of_the_user_are_shown_like_built_in_ones(tmp_path):
    refs = [replace(r, task="ring") for r in reference_rows(10) if r.task == "rb"]
    rows = [
        *refs,
        *(make_row(task="ring", algorithm="mine", label=n, seed=s, episode_returns=(-1.0, -1.5))
          for n in ("mine", "mine (small)") for s in (0, 1)),
    ]  # fmt: skip
    label = "Average reward (joule)"
    display = Display({"ring": TaskLook("power control", label)}, {"mine": MethodLook("Mine")})
    page = Page()
    page.feed(write_report(rows, tmp_path / "a", "t", display=display).read_text())
    assert {"Mine", "Mine (small)"} <= {c[0] for c in page.cells if c}
    curves = summary.learning_curves(rows, "comparison", np.random.default_rng(0))
    look = style.styles([("mine", "mine"), ("mine", "mine (small)")], display)
    (ax,) = comparison_figures.comparison_figure(curves, {}, look).axes
    assert ax.get_title(loc="left") == "RING: power control"
    assert ax.get_ylabel() == label
    plain = write_report(rows, tmp_path / "b", "t").read_text()
    assert '<td data-order="mine">mine</td>' in plain
    look = style.styles([("mine", "mine"), ("mine", "mine (small)")], Display())
    (ax,) = comparison_figures.comparison_figure(curves, {}, look).axes
    assert (ax.get_title(loc="left"), ax.get_ylabel()) == ("Ring", "Average reward")


def test_an_interval_does_not_depend_on_other_experiments(tmp_path):
    """Every one of them is a bootstrap here, with one seed."""
    rows = [r for r in reference_rows(10) + comparison_rows(1, 2) if r.task == "ns"]
    more = [r for r in ablation_rows(1) + cost_rows(1) if r.task == "ns"]
    texts = []
    for i, (given, seed) in enumerate(((rows, 0), ([*more, *rows], 0), (rows, 1))):
        write_report(given, tmp_path / str(i), "t", seed=seed)
        page = (tmp_path / str(i) / "tables.md").read_text()
        texts.append(page.split("## Comparison\n")[1].split("\n## ")[0])
    assert "†" in texts[0]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
