import subprocess
import sys
from pathlib import Path

from networld_algos.cli import command
from networld_algos.cli.report import data_rewards
from networld_algos.report.scoring import PLAIN, scales
from networld_algos.results.display import Display, MethodLook
from networld_algos.results.folder import read_suite, record_command, write_display
from networld_algos.results.rows import write_rows
from networld_algos.results.stats import normalised_score
from tests.report.rows import REFERENCES, make_row

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "results" / "cpu"


def test_datasets_of_the_catalogue_score_in_the_order_of_their_quality():
    rewards = data_rewards()
    rows = read_suite(COMMITTED).rows
    for task, (low, high) in ((t, scales(rows)[t, PLAIN]) for t in REFERENCES):
        random, mixed, medium, expert = (
            normalised_score(rewards[f"networld/{task}/{quality}-v0"], low, high)
            for quality in ("random", "mixed", "medium", "expert")
        )
        assert abs(random) < 10
        assert random < min(mixed, medium)
        assert max(mixed, medium) < expert < 103


def test_report_command_says_what_is_missing(tmp_path, capsys):
    write_rows(tmp_path / "demo" / "a.jsonl", [make_row(suite="demo")])
    record_command(tmp_path / "demo", ["bench", "run", "demo", "--results", "my results"])
    record_command(tmp_path / "demo", ["bench", "run", "demo", "--results", "my results"])
    assert command.main(["report", str(tmp_path / "demo")]) == 0
    assert "No normalised score for cbf" in " ".join(capsys.readouterr().out.split())
    text = (tmp_path / "demo" / "report" / "report.html").read_text()
    assert text.count("networld bench run demo --results &#39;my results&#39;") == 1


def test_the_report_command_loads_torch_only_for_looks_that_are_not_recorded(tmp_path):
    write_rows(tmp_path / "demo" / "a.jsonl", [make_row(suite="demo")])
    code = f"""
import sys
from networld_algos.cli import command
assert command.main(["report", {str(tmp_path / "demo")!r}]) == 0
print("torch" in sys.modules)
"""

    def loads_torch() -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return done.stdout.split()[-1]

    assert loads_torch() == "True"
    assert ">BC<" in (tmp_path / "demo" / "report" / "report.html").read_text()
    write_display(tmp_path / "demo", Display({}, {"bc": MethodLook("Cloned")}))
    assert loads_torch() == "False"
    assert ">Cloned<" in (tmp_path / "demo" / "report" / "report.html").read_text()
