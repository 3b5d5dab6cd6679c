"""A user's algorithm against committed rows: what is reused, what is refused, what is marked."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from networld_algos import bench
from networld_algos.bench import Robustness
from networld_algos.bench.archive import pack
from networld_algos.bench.estimate import Pace, entry_rates
from networld_algos.bench.paths import Paths
from networld_algos.bench.submission import committed, joining
from networld_algos.bench.submission.against import against as prepare
from networld_algos.bench.submission.joining import join
from networld_algos.bench.unpacking import unpack
from networld_algos.cli.command import main
from networld_algos.plugin import add_algorithm
from networld_algos.registry import ALGORITHMS
from networld_algos.results.folder import COMMITTED, Failure, read_suite, write_failure
from networld_algos.results.rows import read_rows
from networld_algos.training.tuning.choices import RATE, write_choices
from tests.helpers.catalogue import build_short
from tests.helpers.submissions import EXAMPLE, SUITE, tiny_suite


@pytest.fixture(scope="module", autouse=True)
def store_of_tests(tmp_path_factory):
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        yield build_short(patch, tmp_path_factory.mktemp("minari"), 8, "networld/rb/expert-v0")


@pytest.fixture(scope="module")
def original(tmp_path_factory, store_of_tests):
    """Rows of the suite, made once."""
    results = tmp_path_factory.mktemp("committed")
    assert not [o for o in bench.run_suite(tiny_suite(), results) if o.error]
    shutil.rmtree(results / "tiny" / "checkpoints")
    return results / "tiny"


@pytest.fixture
def theirs(original, tmp_path):
    """A copy of the committed rows that a test may spoil."""
    return Path(shutil.copytree(original, tmp_path / "theirs" / "tiny"))


@pytest.fixture
def mine():
    yield add_algorithm(EXAMPLE)
    ALGORITHMS.pop("filtered-bc")


def changed(folder, change):
    """Apply ``change`` to the values of every row."""
    for path in folder.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(change(row) or row) + "\n" for row in rows))


def against(suite, names, root, folder, *options):
    found = prepare(suite, names, root, folder, *options)
    committed.copy_committed(found.committed, root)
    return found


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_only_the_own_algorithm_is_trained_and_the_report_has_both(theirs, tmp_path, capsys):
    suite = tmp_path / "suite.py"
    suite.write_text(SUITE)
    before = contents(theirs)
    results = tmp_path / "results"
    words = ["bench", "run", str(suite), "--algorithm", EXAMPLE, "--against-committed"]
    words += ["--committed", str(theirs), "--results", str(results)]
    try:
        assert main([*words, "--dry-run"]) == 0
        assert not (results / "tiny").exists()
        assert "5 runs" in capsys.readouterr().out
        assert main(words) == 0
    finally:
        ALGORITHMS.pop("filtered-bc", None)
    said = capsys.readouterr().out
    assert "joins fewshot: filtered-bc from scratch only, because it has no adapt()" in said
    assert "does not join ablation: it compares variants of bc" in said
    assert "note on them" not in said
    assert re.search(r"5 runs done, 0 failed, in \d+ s; results in ", said)
    assert f"next: networld report {results / 'tiny'} --focus filtered-bc" in said
    assert contents(theirs) == before
    own = [row for path in (results / "tiny").glob("*.jsonl") for row in read_rows(path)]
    assert {row.algorithm for row in own} == {"filtered-bc"}
    assert {row.experiment for row in own} == {"comparison", "fewshot", "robustness", "cost"}
    rows = read_suite(results / "tiny")
    assert len(rows.rows) == len(own) + len(read_rows(theirs))
    assert rows.display.method("filtered-bc") == "%BC"
    assert any("copies of committed" in line for line in rows.commands)
    assert [note.split(".")[0] for note in rows.notes] == [
        "Only your own algorithms were trained here"
    ]
    final = {
        (row.algorithm, row.seed): row
        for row in rows.rows
        if row.experiment == "comparison" and row.is_last and row.eval_seed_set == "test"
    }
    one, other = final["bc", 0], final["filtered-bc", 0]
    assert (one.updates, one.data_hashes) == (other.updates, other.data_hashes)
    assert len(one.episode_returns) == len(other.episode_returns)
    assert main(["report", str(results / "tiny"), "--out", str(tmp_path / "page")]) == 0
    tables = (tmp_path / "page" / "tables.md").read_text()
    assert "%BC" in tables
    assert (
        "Only your own algorithms were trained" in (tmp_path / "page" / "report.html").read_text()
    )
    # A run of the whole suite would write a second result of each committed run.
    assert main(["bench", "run", str(suite), "--results", str(results)]) == 2
    assert "go on with --against-committed" in capsys.readouterr().err


def test_a_refused_command_changes_nothing_in_a_folder_that_is_in_use(theirs, tmp_path, capsys):
    suite = tmp_path / "suite.py"
    suite.write_text(SUITE)
    root = tmp_path / "results" / "tiny"
    (root / COMMITTED).mkdir(parents=True)
    (root / COMMITTED / "kept.jsonl").write_text("")
    words = ["bench", "run", str(suite), "--algorithm", EXAMPLE, "--against-committed"]
    words += ["--committed", str(theirs), "--results", str(tmp_path / "results")]
    words += ["--budget", "updates"]
    try:
        with Paths(root).sole_user():
            assert main(words) == 2
            assert "another process is running the suite" in capsys.readouterr().err
            assert [p.name for p in (root / COMMITTED).iterdir()] == ["kept.jsonl"]
    finally:
        ALGORITHMS.pop("filtered-bc", None)


def test_budgets_are_those_of_the_suite_or_its_minutes(theirs, tmp_path, mine, monkeypatch):
    suite = tiny_suite()
    found = against(suite, [mine], tmp_path / "a", theirs, "updates")
    of = lambda found: [r for r in bench.unroll(found.suite) if r.experiment == "comparison"]  # noqa: E731
    assert {run.updates for run in of(found)} == {6}
    assert [run.seed for run in of(found)] == [0, 1]
    changed(theirs, lambda row: {**row, "train_seconds": 12.0} if row["train_seconds"] else row)
    monkeypatch.setattr(joining, "measured_rate", lambda *args: 50.0)
    found = against(suite, [mine], tmp_path / "a", theirs, "minutes")
    assert {run.updates for run in of(found)} == {10}  # a fifth of a minute
    monkeypatch.setattr(joining, "measured_rate", lambda *args: 500.0)  # the machine is idle now
    assert of(against(suite, [mine], tmp_path / "a", theirs, "minutes")) == of(found)
    given = write_choices(tmp_path / "given.toml", {mine: {"rb": {RATE: 100.0}}})
    own = against(suite, [mine], tmp_path / "a", theirs, "minutes", given)
    assert {run.updates for run in of(own)} == {20}  # by the rate in the settings
    failure = Failure(suite="tiny", run="a run", error="an error", traceback="")
    write_failure(tmp_path / "a" / "comparison-00000000.failure.json", failure)
    pack(tmp_path / "a", tmp_path / "a.zip")  # and goes on with these budgets elsewhere
    root = unpack(tmp_path / "a.zip", tmp_path / "b").folder
    assert of(against(suite, [mine], root, theirs, "minutes")) == of(found)


def test_the_estimated_times_use_the_rates_that_were_measured(mine):
    suite = tiny_suite(minutes={"rb": 2.0}, robustness=Robustness(("bc",), seeds=1, drift=True))
    joined = join(suite, [mine])
    assert "drifted traffic or channel" in joined.parts["robustness"]
    slow = tuple(replace(entry, rates={"rb/expert": 6.0}) for entry in joined.suite.entries)
    suite = replace(joined.suite, entries=slow)
    (run,) = [r for r in bench.unroll(suite) if r.experiment == "comparison" and r.seed == 0]
    (few,) = [r for r in bench.unroll(suite) if r.experiment == "fewshot"]
    assert run.updates == 12
    pace = Pace(rates=entry_rates(suite))
    assert pace.is_measured
    assert pace.seconds(run) == pytest.approx(120.0, abs=10.0)  # its two minutes
    assert pace.seconds(few) == pytest.approx(30.0, abs=10.0)


def test_a_rate_is_measured(mine):
    assert joining.measured_rate(bench.Entry(mine), "rb", "expert") > 0


def test_an_algorithm_with_adapt_is_pre_trained(original, tmp_path):
    few = bench.FewShot((bench.Entry("bc"),), (1.0,), 1, 2, 2)
    suite = bench.Suite("two", ("rb", "ns"), (bench.Entry("bc"),), 1, 2, fewshot=few)
    joined = joining.join(suite, ["networld"])
    assert joined.suite.fewshot is not None
    entries = joined.suite.fewshot.entries
    assert [(e.label, e.pretrained) for e in entries] == [
        ("networld", True),
        ("networld (from scratch)", False),
    ]
    assert {"ablation", "robustness", "cost"} <= set(joined.left_out)
    assert {"comparison", "fewshot"} == set(joined.parts)


def refusal(theirs, mine, tmp_path, suite=None):
    with pytest.raises(ValueError, match=r".") as error:
        against(suite or tiny_suite(), [mine], tmp_path / "own", theirs)
    assert not (tmp_path / "own").exists()
    return str(error.value)


def test_rows_on_other_networks_are_refused(theirs, mine, tmp_path):
    text = refusal(theirs, mine, tmp_path, tiny_suite(eval_episodes=3))
    assert "score 2 test networks" in text
    assert "scores 3" in text
    assert "The suite has changed since" in text

    def shift(row):
        if row["algorithm"] == "random":
            return {**row, "episode_returns": [r + 1.0 for r in row["episode_returns"]]}
        return row

    changed(theirs, shift)
    assert "the networks or the simulator are not the same" in refusal(theirs, mine, tmp_path)
    for path in theirs.glob("reference-rb-random*"):
        path.unlink()
    assert "lack the random or the expert policy" in refusal(theirs, mine, tmp_path)


def test_rows_of_other_data_are_refused_unless_only_rounding_differs(
    theirs, mine, tmp_path, monkeypatch
):
    other = {"networld/rb/expert-v0": "f" * 64}
    changed(theirs, lambda row: {**row, "data_hashes": other} if row["dataset"] else row)
    text = refusal(theirs, mine, tmp_path)
    assert "'networld/rb/expert-v0' of content ffffffffffffffff" in text
    assert "networld dataset verify" in text
    monkeypatch.setattr(committed, "own_record", lambda dataset: {committed.ROUNDING: "f" * 64})
    found = against(tiny_suite(), [mine], tmp_path / "own", theirs)
    assert ["by rounding" in mark for mark in found.committed.marks] == [True]
    changed(theirs, lambda row: {**row, "data_hashes": {}})
    found = against(tiny_suite(), [mine], tmp_path / "own", theirs)
    assert ["was not recorded" in mark for mark in found.committed.marks] == [True]
    assert "was not recorded" in (tmp_path / "own" / COMMITTED / "notes.txt").read_text()


def test_other_versions_settings_and_missing_runs_are_marked(theirs, mine, tmp_path, monkeypatch):
    (gone,) = theirs.glob("comparison-rb-expert-bc-s1-*.jsonl")
    gone.unlink()
    other = tiny_suite(hidden=24)
    (settings, missing) = against(other, [mine], tmp_path / "own", theirs).committed.marks
    assert "comparison: bc" in settings
    assert missing.startswith("6 runs of 15 ")
    changed(theirs, lambda row: {**row, "version": "0.0.9"})
    marks = against(tiny_suite(), [mine], tmp_path / "own", theirs).committed.marks
    assert "made by version 0.0.9" in marks[0]
    changed(theirs, lambda row: {**row, "machine": "torch 1, default products, Some CPU"})
    marks = against(tiny_suite(), [mine], tmp_path / "own", theirs).committed.marks
    assert "were measured on Some CPU, and yours on" in marks[-1]
    assert len(list((tmp_path / "own" / COMMITTED).glob("*.jsonl"))) == len(
        list(theirs.glob("*.jsonl"))
    )
    (tmp_path / "own" / COMMITTED / "report").mkdir()  # somebody made a report of the copies
    against(tiny_suite(), [mine], tmp_path / "own", theirs)
    gone.write_text("not a row\n")
    with pytest.raises(ValueError, match=r"line 1.*is damaged"):
        against(tiny_suite(), [mine], tmp_path / "own", theirs)


def test_the_committed_folder_never_receives_results(theirs, mine, tmp_path):
    for root in (theirs, theirs / "mine", theirs.parent):
        with pytest.raises(ValueError, match="which must not change"):
            against(tiny_suite(), [mine], root, theirs)


def test_where_committed_rows_are_looked_for(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="has no result rows"):
        committed.find_committed("tiny", tmp_path)
    with pytest.raises(ValueError, match=r"no committed results of suite 'tiny'.*cpu"):
        committed.find_committed("tiny")
    monkeypatch.setattr(committed, "CHECKOUT", tmp_path)
    with pytest.raises(ValueError, match=r"an installed package has no.*--committed path/to/cpu"):
        committed.find_committed("cpu")
