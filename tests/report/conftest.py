from pathlib import Path

import pytest

from networld_algos.bench.looks import current_display
from networld_algos.report.page import write_report
from networld_algos.results.display import Display
from networld_algos.results.folder import Failure
from networld_algos.results.rows import Row
from tests.report.rows import comparison_rows, fewshot_rows, reference_rows


@pytest.fixture(scope="session")
def display() -> Display:
    """How the built-in tasks and algorithms are shown."""
    return current_display()


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return reference_rows() + comparison_rows() + fewshot_rows()


@pytest.fixture(scope="session")
def report(rows, display, tmp_path_factory) -> Path:
    failure = Failure(
        suite="cpu",
        run="comparison / cbf / ma-cql / seed 9",
        error="ValueError: <nan>",
        traceback="T",
    )
    return write_report(
        rows,
        tmp_path_factory.mktemp("report"),
        "Results & figures",
        failures=[failure],
        commands=["networld bench --suite cpu --jobs 2"],
        display=display,
    )
