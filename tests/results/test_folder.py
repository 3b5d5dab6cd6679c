import pytest

from networld_algos.results.folder import Failure, read_failures, read_suite, write_failure
from networld_algos.results.rows import write_rows
from tests.report.rows import make_row, reference_rows


def test_failures_survive_a_round_trip(tmp_path):
    failure = Failure(suite="cpu", run="r", error="e", traceback="t\nu")
    write_failure(tmp_path / "x.failure.json", failure)
    assert read_failures(tmp_path) == [failure]
    with pytest.raises(ValueError, match=r"must end in \.failure\.json"):
        write_failure(tmp_path / "x.json", failure)
    (tmp_path / "y.failure.json").write_text("{")
    with pytest.raises(ValueError, match=r"y\.failure\.json is damaged"):
        read_failures(tmp_path)


def test_commands_are_derived_where_none_is_recorded(tmp_path):
    write_rows(tmp_path / "demo" / "a.jsonl", [make_row(suite="demo")])
    commands = read_suite(tmp_path / "demo").commands
    assert commands[0].startswith("# The commands were not recorded.")
    assert commands[1] == f"networld bench run demo --results {tmp_path}"
    assert read_suite(tmp_path / "demo" / "a.jsonl").commands == []


def test_unsuitable_folders_are_refused_with_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="run a suite first"):
        read_suite(tmp_path / "none")
    with pytest.raises(ValueError, match=r"no result rows \(\*\.jsonl\).*give that folder"):
        read_suite(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="neither a suite's folder nor a file of rows"):
        read_suite(tmp_path / "notes.txt")
    failure = Failure(suite="cpu", run="comparison / cbf", error="OSError: full", traceback="T")
    write_failure(tmp_path / "bad" / "x.failure.json", failure)
    with pytest.raises(ValueError, match=r"all 1 runs .* OSError: full"):
        read_suite(tmp_path / "bad")
    (tmp_path / "begun" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match="finished yet"):
        read_suite(tmp_path / "begun")
    for suite in ("demo", "cpu"):
        write_rows(tmp_path / "two" / suite / "a.jsonl", [make_row(suite=suite)])
        write_rows(tmp_path / "mixed" / f"{suite}.jsonl", [make_row(suite=suite)])
    with pytest.raises(ValueError, match=r"`networld report .*/two/cpu`"):
        read_suite(tmp_path / "two")
    with pytest.raises(ValueError, match="move every suite to its own folder"):
        read_suite(tmp_path / "mixed")


def test_a_reference_policy_has_one_result(tmp_path):
    """Equal ones, as after unpacking an archive of another state of the suite, are one."""
    rows = reference_rows(3)
    write_rows(tmp_path / "reference-a.jsonl", rows)
    write_rows(tmp_path / "reference-b.jsonl", rows[:2])
    assert read_suite(tmp_path).rows == rows
    write_rows(tmp_path / "reference-c.jsonl", reference_rows(5)[:1])
    with pytest.raises(ValueError, match=r"two results .* in reference-a\.jsonl and reference-c"):
        read_suite(tmp_path)
