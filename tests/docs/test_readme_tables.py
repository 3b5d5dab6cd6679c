"""The tables of numbers in README.md are those that committed results give."""

from __future__ import annotations

from pathlib import Path

import pytest

from networld_envs.files import run_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tables():
    return run_file(ROOT / "benchmarks" / "tables.py")


def test_they_are_the_generated_ones(tables):
    text = (ROOT / "README.md").read_text()
    assert "<!-- table references -->" in text
    assert text == tables.replaced(text), "run: python benchmarks/tables.py"


def test_the_rows_give_a_table_of_scores(tables):
    head, ruler, *lines = tables.scores("expert").split("\n")
    assert head.split(" | ")[1:] == ["`cbf`", "`rb`", "`ns` |"]
    assert ruler == "| --- | --- | --- | --- |"
    assert lines[0].startswith("| NetWorld | ")
    assert lines[-1].startswith("| Training data | ")
    assert all(line.count("[") == 3 for line in lines[:-1])
    with pytest.raises(ValueError, match="has no scores on random data"):
        tables.scores("random")


def test_an_unknown_table_is_refused(tables):
    with pytest.raises(ValueError, match="no table 'speed'; tables: references, expert, mixed, "):
        tables.replaced("<!-- table speed -->\n\nx\n\n<!-- /table -->")
    assert tables.replaced("text without tables") == "text without tables"
