"""Other data under the same id: nothing goes on, and nothing is averaged, without a word."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from networld_algos import bench
from networld_algos.bench.suite import Entry, FewShot, Robustness, Suite
from networld_algos.cli.command import main
from networld_algos.report.facts import notices, versions
from networld_algos.results.display import Display
from networld_algos.results.folder import read_suite
from networld_algos.results.rows import read_rows, write_rows
from networld_algos.training import checkpoint
from networld_envs import store
from networld_envs.store.minari_io import update_record
from networld_envs.store.reading import identity
from tests.helpers.catalogue import build_short
from tests.report.rows import make_row

RB, NS = "networld/rb/expert-v0", "networld/ns/expert-v0"


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds the expert datasets with a number of episodes; returns their hashes."""

    def build(episodes):
        for dataset_id in (RB, NS):
            shutil.rmtree(tmp_path / "minari" / dataset_id, ignore_errors=True)
        build_short(monkeypatch, tmp_path, episodes, RB, NS)
        return {i: store.recorded_hash(store.load(i)) for i in (RB, NS)}

    return build


def suite(**changes):
    values = {
        "name": "tiny",
        "tasks": ("rb",),
        "entries": (Entry("bc", config={"hidden": 8}),),
        "seeds": 1,
        "updates": 2,
        "eval_episodes": 2,
    }
    return Suite(**{**values, **changes})


def run(results, **changes):
    return [outcome.error for outcome in bench.run_suite(suite(**changes), results)]


def learned(folder):
    return [row for row in read_rows(folder) if row.kind == "learned"]


def test_rows_hold_the_hash_of_all_data_behind_the_model(tmp_path, build):
    hashes = build(4)
    small = Entry("networld", config={"dim": 8, "hidden": 16}, pretrained=True)
    few = FewShot((small,), (0.5,), 1, 2, 2)
    assert not any(run(tmp_path / "out", tasks=("rb", "ns"), fewshot=few))
    for row in learned(tmp_path / "out"):
        own = {row.dataset: hashes[row.dataset]}
        assert row.data_hashes == (hashes if row.experiment == "fewshot" else own)
    assert all(not r.data_hashes for r in read_rows(tmp_path / "out") if r.kind == "reference")


def test_rows_say_which_data_equal_the_catalogue_up_to_rounding(tmp_path, build):
    build(4)
    assert not any(run(tmp_path / "exact"))
    assert not any(row.data_rounded for row in learned(tmp_path / "exact"))
    folder = Path(store.load(RB).storage.data_path)
    update_record(folder, **{identity.ROUNDING: "f" * 64})
    robust = Robustness(("bc",), seeds=1, agents=False, message_loss=(0.5,), message_delay=())
    assert not any(run(tmp_path / "out", robustness=robust))
    rows = learned(tmp_path / "out")
    assert {row.experiment for row in rows} == {"comparison", "robustness"}
    assert all(row.data_rounded == {RB: "f" * 64} for row in rows)


def test_a_suite_does_not_go_on_with_other_data(tmp_path, build):
    old = build(4)[RB]
    assert not any(run(tmp_path))
    before = {p: p.read_bytes() for p in sorted((tmp_path / "tiny").glob("*.*"))}
    new = build(6)[RB]
    for seeds in (1, 2):  # also where all is done
        with pytest.raises(ValueError, match=f"{old[:16]}.*{new[:16]}.*--results"):
            run(tmp_path, seeds=seeds)
    assert {p: p.read_bytes() for p in sorted((tmp_path / "tiny").glob("*.*"))} == before
    build(4)
    assert run(tmp_path, seeds=2) == [""]
    assert {r.data_hashes[RB] for r in learned(tmp_path / "tiny")} == {old}


def test_an_unfinished_run_does_not_go_on_with_other_data(tmp_path, build, monkeypatch):
    old = build(4)[RB]

    def killed(path, rows):
        if rows[0].kind == "learned":
            raise KeyboardInterrupt
        write_rows(path, rows)

    with monkeypatch.context() as patch:
        patch.setattr("networld_algos.bench.worker.write_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    new = build(6)[RB]
    with pytest.raises(ValueError, match=f"checkpoints.*{old[:16]}.*{new[:16]}"):
        run(tmp_path)


def test_rows_of_earlier_versions_are_read_and_their_suite_goes_on(tmp_path, build):
    build(4)
    assert not any(run(tmp_path))
    (path,) = (tmp_path / "tiny").glob("comparison*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line.pop("data_hashes") for line in lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert {repr(r.data_hashes) for r in learned(path)} == {"{}"}
    assert dict(_versions(read_rows(path)))["datasets"] == RB
    assert run(tmp_path, seeds=2) == [""]
    rows = read_suite(tmp_path / "tiny").rows
    said = [text for text in notices(rows, Display()) if "did not record the content" in text]
    assert len(said) == 1
    assert RB in said[0]


def _versions(rows):
    return [[cell.text for cell in row] for row in versions(rows).lines]


def test_a_report_never_averages_two_contents(tmp_path, build, capsys):
    hashes = build(4)
    assert not any(run(tmp_path, seeds=2))
    folder = tmp_path / "tiny"
    shown = dict(_versions(read_suite(folder).rows))["datasets"]
    assert shown == f"{RB} ({hashes[RB][:12]})"
    path = next(iter(sorted(folder.glob("comparison*s1*.jsonl"))))
    other = {RB: "0" * 64}
    write_rows(path, [replace(row, data_hashes=other) for row in learned(path)])
    assert main(["report", str(folder)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    for word in (hashes[RB][:16], "0" * 16, path.name, "superseded"):
        assert word in said
    (folder / "superseded").mkdir()
    path.rename(folder / "superseded" / path.name)
    read_suite(folder)


@pytest.mark.parametrize("hashes", [{"a-v0": ""}, {"a-v0": 3}, ["a-v0"], {"": "ab"}])
def test_rows_with_wrong_hashes_are_refused(hashes):
    with pytest.raises(TypeError, match="data_hashes has the wrong type"):
        make_row(data_hashes=hashes)


def test_a_training_does_not_go_on_with_other_data(tmp_path, build, capsys):
    old = build(4)[RB]
    out = tmp_path / "model"
    words = ["train", "bc", "--task", "rb", "--config.hidden", "8", "--out", str(out)]
    assert main([*words, "--updates", "2"]) == 0
    extra = checkpoint.read_extra(out)
    assert extra["data_hashes"] == {RB: old}
    assert main([*words, "--updates", "2"]) == 0
    assert "not known whether" not in capsys.readouterr().out
    weights = checkpoint.weights_file(out)
    # Other content of the same size: what is recorded counts.
    folder = store.load(RB).storage.data_path
    identity.update_record(folder, sha256="0" * 64)
    capsys.readouterr()
    assert main([*words, "--updates", "2"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert old[:16] in said
    assert "content 0000000000000000" in said
    assert "--out" in said
    assert checkpoint.weights_file(out) == weights
    model, _ = checkpoint.load(out)
    del extra["data_hashes"]
    checkpoint.save(model, out, extra)  # as earlier versions did
    assert main([*words, "--updates", "2"]) == 0
    assert "not known whether" in capsys.readouterr().out
