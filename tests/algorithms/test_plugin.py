"""A user's own algorithm: the documented example through every command, and clear errors."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from networld_algos import ALGORITHMS
from networld_algos.bench import run_suite
from networld_algos.bench.presets import get_suite
from networld_algos.bench.suite import PARTS, Entry
from networld_algos.cli import command
from networld_algos.plugin import add_algorithm
from networld_algos.results.rows import read_rows
from tests.helpers.catalogue import build_short

pytestmark = pytest.mark.usefixtures("small_store")
EXAMPLE = Path(__file__).parents[2] / "examples" / "filtered_bc.py"
SOURCE = f"{EXAMPLE}:FilteredBC"


@pytest.fixture(scope="module")
def small_store(tmp_path_factory):
    """An expert dataset with few episodes, in a store of its own."""
    with pytest.MonkeyPatch.context() as patch:
        build_short(patch, tmp_path_factory.mktemp("data"), 8, "networld/rb/expert-v0")
        yield


@pytest.fixture(autouse=True)
def table():
    """Leave the table of algorithms as it was."""
    before = dict(ALGORITHMS)
    yield
    ALGORITHMS.clear()
    ALGORITHMS.update(before)


def test_the_example_is_short():
    assert len(EXAMPLE.read_text().splitlines()) < 80


def test_train_evaluate_and_diagnose_from_the_command_line(tmp_path, capsys):
    out = str(tmp_path / "model")
    train = ["train", SOURCE, "--task", "rb", "--dataset", "networld/rb/expert-v0", "--out", out]
    assert command.main([*train, "--updates", "4", "--config.share", "0.5"]) == 0
    with pytest.raises(SystemExit, match="0"):
        command.main(["train", SOURCE, "--help"])
    assert "--config.share" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        command.main(["train", SOURCE, "--task", "rb"])
    said = re.sub(r"[^\S]|│", "", capsys.readouterr().err)  # the box breaks lines
    assert f"networldtrain{SOURCE}--help" in said
    ALGORITHMS.pop("filtered-bc")  # a new process knows the file only
    assert command.main(["evaluate", out, "--episodes", "2"]) == 2
    error = capsys.readouterr().err
    assert "unknown algorithm 'filtered-bc'" in error
    assert "--algorithm path/to/file.py:Name" in error
    assert command.main(["evaluate", out, "--episodes", "2", "--algorithm", SOURCE]) == 0
    assert "filtered-bc" in capsys.readouterr().out
    assert command.main(["health", out, "--algorithm", SOURCE]) == 0
    assert "filtered-bc has no diagnostics" in capsys.readouterr().out


def test_its_diagnostics_are_shown_and_judged_by_its_own_ranges(tmp_path, capsys):
    path, out = tmp_path / "mine.py", str(tmp_path / "model")
    path.write_text(
        "from networld_algos.base import Diagnostic\n"
        "from networld_algos.bc import BC\n"
        "class Mine(BC):\n"
        "    name = 'mine'\n"
        "    def health(self, episodes):\n"
        "        seen = Diagnostic(float(len(episodes)), low=2, meaning='how many it saw')\n"
        "        # Far outside NetWorld's range for the same name.\n"
        "        return {'episodes_seen': seen, 'latent_std': Diagnostic(90.0, high=100)}\n"
    )
    source = f"{path}:Mine"
    assert command.main(["train", source, "--task", "rb", "--out", out, "--updates", "2"]) == 0
    said = capsys.readouterr().out
    assert "episodes_seen 1  latent_std 90\n" in said
    assert "unhealthy: episodes_seen is 1; healthy range: at least 2" in said
    assert said.count("unhealthy") == 1
    show = ["health", out, "--algorithm", source]
    assert command.main(show) == 1
    said = capsys.readouterr().out
    assert re.search(r"episodes_seen +│ +1 +│ NO +│ at least 2 +│ how many it saw", said)
    assert re.search(r"latent_std +│ +90 +│ yes +│ at most 100 ", said)
    assert command.main([*show, "--dataset", "networld/rb/expert-v0", "--episodes", "2"]) == 0
    assert command.main([*show, "--episodes", "17"]) == 2
    assert "--episodes must be in 1 .. 16, got 17" in capsys.readouterr().err


def test_it_runs_in_a_suite_beside_the_others(tmp_path):
    name = add_algorithm(SOURCE)
    entries = (Entry("bc"), Entry(name))
    parts = dict.fromkeys(PARTS[1:])
    suite = replace(get_suite("smoke"), tasks=("rb",), entries=entries, **parts)
    outcomes = run_suite(suite, tmp_path, jobs=2)  # workers are new processes
    assert not [o.error for o in outcomes if o.error]
    assert {r.label for r in read_rows(tmp_path / "smoke") if r.kind == "learned"} == {"bc", name}


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "X", "there is no file"),
        ("class X: pass", "X", "no Algorithm subclass 'X'; its classes: \\['X'\\]"),
        ("from networld_algos.base import Algorithm\nclass X(Algorithm): pass", "X", "lacks: act"),
        ("1/0", "X", "does not run: ZeroDivisionError"),
        (
            "import sys; sys.exit(0)",
            "X",
            r"ends the program when it is imported \(SystemExit\(",
        ),
        (
            "from networld_algos.bc import BC\nclass X(BC): pass",
            "X",
            "the name of a built-in algorithm, .bc.;",
        ),
        ("", "", "path/to/file.py:ClassName"),
    ],
)
def test_errors_say_what_is_wrong(tmp_path, text, name, message):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        add_algorithm(f"{path}:{name}")


def test_a_subclass_of_a_built_in_algorithm_keeps_its_config(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from networld_algos.bc import BC\n"
        "class Mine(BC):\n"
        "    name = 'mine'\n"
    )
    assert add_algorithm(f"{path}:Mine") == "mine"
    assert ALGORITHMS["mine"][0] is ALGORITHMS["bc"][0]
