"""The tables of numbers in README.md are those that committed results give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from networld_algos.report import summary
from networld_algos.results.folder import read_suite
from networld_algos.results.stats import Interval, Method
from networld_envs.files import run_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tables():
    return run_file(ROOT / "benchmarks" / "tables.py")


def test_they_are_the_generated_ones(tables):
    assert "<!-- table references -->" in (ROOT / "README.md").read_text()
    for page in tables.PAGES:
        text = page.read_text()
        assert "<!-- table legacy -->" in text
        assert text == tables.replaced(text), "run: python benchmarks/tables.py"


def test_medians_failed_networks_and_under_trained_results_are_those_of_the_report(tables):
    rows = read_suite(tables.ROWS).rows
    finals = summary.finals(rows, "comparison", np.random.default_rng(0))
    (mine,) = [
        f for f in finals if f.label == "ma-iql" and f.panel == ("rb", "networld/rb/mixed-v0")
    ]
    line = next(x for x in tables.scores("mixed").split("\n") if x.startswith("| MA-IQL "))
    medians, failed = (cell.split(" / ") for cell in line.split(" | ")[4:6])
    assert medians[1] == f"{mine.median:.1f}"
    assert float(failed[1]) == pytest.approx(mine.failed_percent, abs=0.05)
    calm = replace(mine, rise=Interval(0.0, -0.5, 0.5, 5, Method.T))
    rising = replace(mine, rise=Interval(1.5, 1.0, 2.0, 5, Method.T))
    assert tables.score_text(rising) == f"{tables.score_text(calm)} \N{UPWARDS ARROW}"
    assert tables.score_text(None) == ""
    assert tables.by_task([calm, None, calm], lambda f: f.label) == "ma-iql / \N{EN DASH} / ma-iql"
    assert tables.by_task([calm, calm], lambda f: f.label) == "ma-iql"


def test_the_rows_give_a_table_of_scores(tables, monkeypatch, capsys):
    table = tables.scores("expert")
    head, ruler, *lines = table.split("\n")
    assert head.split(" | ")[1:] == ["`cbf`", "`rb`", "`ns`", "median", "failed, %", "seeds |"]
    assert ruler == "| --- | --- | --- | --- | --- | --- | --- |"
    assert lines[0].startswith("| NetWorld | ")
    assert lines[-1].startswith("| Training data | ")
    assert all(line.count("[") == 3 for line in lines[:-1])
    assert all(line.count(" / ") in (2, 4) for line in lines[:-1])
    assert "score below\n50" in tables.LEGEND
    assert "\N{UPWARDS ARROW}" in tables.LEGEND
    monkeypatch.setattr("sys.argv", ["tables.py", "--rows", str(tables.ROWS)])
    tables.main()
    printed = capsys.readouterr().out
    assert printed.startswith(table)
    assert printed.endswith(f"{tables.LEGEND}\n")
    with pytest.raises(ValueError, match="has no scores on random data"):
        tables.scores("random")


def test_an_unknown_table_is_refused(tables):
    with pytest.raises(ValueError, match="no table 'speed'; tables: references, expert, mixed, "):
        tables.replaced("<!-- table speed -->\n\nx\n\n<!-- /table -->")
    assert tables.replaced("text without tables") == "text without tables"
