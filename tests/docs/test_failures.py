"""Every promise of "What can go wrong, and what then" names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
PROMISES = [line for line in PAGE.splitlines() if line.startswith("* ")]
PROMISE = re.compile(r"\* [A-Z].*\. <!-- (tests/[\w/]+\.py)::(test_\w+) -->")


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_there_are_promises():
    assert len(PROMISES) > 50


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_has_a_test(promise):
    named = PROMISE.fullmatch(promise)
    assert named, "a promise is one sentence and a comment: <!-- tests/FILE.py::test_NAME -->"
    path, test = named.groups()
    assert test in functions_of(ROOT / path)


def test_no_promise_rests_on_the_test_of_another():
    tests = [found.groups() for found in map(PROMISE.fullmatch, PROMISES) if found]
    assert len(tests) == len(set(tests))
