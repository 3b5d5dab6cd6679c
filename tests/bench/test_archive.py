"""Archives of a suite: what fits, what is merged, and what is refused."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace

import pytest
import torch

from networld_algos import make
from networld_algos.bench import Paths
from networld_algos.bench.archive import MANIFEST, pack
from networld_algos.bench.paths import FINISHED
from networld_algos.bench.unpacking import unpack
from networld_algos.cli.command import main
from networld_algos.files import locked
from networld_algos.results.folder import (
    RATES,
    Failure,
    read_failures,
    read_suite,
    record_command,
    write_failure,
)
from networld_algos.results.rows import read_rows, write_rows
from networld_algos.training import checkpoint
from networld_algos.training.run import BEST
from networld_algos.training.tuning.choices import RATE, read_choices, write_choices
from tests.report.rows import make_row

A, B, C = (f"comparison-cbf-expert-bc-s{i}-0000000{i}" for i in range(3))
DATA = {"networld/cbf/expert-v0": "ab" * 32}


def row(seed=0, **changes):
    return make_row(suite="mine", seed=seed, data_hashes=DATA, **changes)


@pytest.fixture
def model(toy):
    return make("bc", toy().collect(episodes=2, length=4).spec, {"hidden": 16})


@pytest.fixture
def save(model):
    """Saves a training: ``save(folder, key, updates)``; equal updates give equal weights."""

    def made(folder, key, updates, *, finished=False, seconds=1.0, **extra):
        at = folder / "checkpoints" / key
        with torch.no_grad():
            next(model.parameters()).fill_(float(updates))
        given = {"updates": updates, "seconds": seconds, "data_hashes": DATA, **extra}
        checkpoint.save(model, at, given)
        if finished:
            (at / FINISHED).write_text("done\n")
        return at

    return made


@pytest.fixture
def suite(tmp_path, save):
    """A suite with the rows of A, a failure of B, an unfinished training C and a model of A."""
    folder = tmp_path / "there" / "mine"
    write_rows(folder / f"{A}.jsonl", [row()])
    write_failure(
        folder / f"{B}.failure.json", Failure(suite="mine", run="b", error="e", traceback="")
    )
    record_command(folder, ["bench", "run", "mine"])
    save(folder, A, 10, finished=True)
    save(folder, C, 6, seconds=60.0)
    return folder


def updates_of(folder, key):
    return checkpoint.read_extra(folder / "checkpoints" / key)["updates"]


def test_a_suite_comes_out_as_it_went_in(suite, tmp_path):
    save_best = suite / "checkpoints" / C / BEST
    shutil.copytree(suite / "checkpoints" / A, save_best)
    (save_best / FINISHED).unlink()
    packed = pack(suite, tmp_path / "a.zip")
    assert (packed.rows, packed.trainings, packed.models, packed.left_out) == (1, (C,), (A,), ())
    found = unpack(tmp_path / "a.zip", tmp_path / "here")
    here = tmp_path / "here" / "mine"
    assert (found.rows, sorted(found.trainings), found.kept) == ([A], sorted([A, C]), [])
    files = {p.relative_to(suite) for p in suite.rglob("*") if p.is_file()}
    files = {p for p in files if ".lock" not in p.name}
    assert files == {
        p.relative_to(here) for p in here.rglob("*") if p.is_file() and ".lock" not in p.name
    }
    for name in files:
        assert (here / name).read_bytes() == (suite / name).read_bytes()
    assert not list((tmp_path / "here").glob(".unpack-*"))
    checkpoint.load(here / "checkpoints" / C)
    assert Paths(here).has_model(A)
    assert not Paths(here).has_model(C)
    again = unpack(tmp_path / "a.zip", tmp_path / "here")
    assert (again.rows, again.trainings) == ([], [])
    first = (tmp_path / "a.zip").read_bytes()
    pack(here, tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == first


def test_an_archive_stays_below_its_size_and_says_what_is_left_out(suite, tmp_path, capsys):
    whole = pack(suite, tmp_path / "a.zip").size
    seen = set()
    for limit in range(whole // 4, whole + 2_000, max(1, whole // 40)):
        packed = pack(suite, tmp_path / "b.zip", limit)
        assert packed.size == (tmp_path / "b.zip").stat().st_size <= limit
        seen.add((packed.trainings, packed.models))
        assert {*packed.trainings, *packed.models, *packed.left_out} == {A, C}
    assert ((C,), ()) in seen  # the unfinished training goes before the model
    assert ((), ()) in seen
    middle = (whole - 200) / 1e6
    command = ["bench", "pack", str(suite), "--out", str(tmp_path / "c.zip"), "--max-size"]
    assert main([*command, str(middle)]) == 0
    assert f"for lack of room: 1 training ({A})" in capsys.readouterr().out
    assert main(["bench", "unpack", str(tmp_path / "c.zip"), "--results", str(tmp_path / "r")]) == 0
    said = capsys.readouterr().out
    assert f"for lack of room: 1 training ({A})" in said
    assert "new are the rows of 1 run and 1 training" in said
    assert main([*command, "0.0001"]) == 2
    assert "more than the limit of" in capsys.readouterr().err
    assert main([*command, "inf"]) == 2
    assert "--max-size must be positive and finite, got inf" in capsys.readouterr().err


def test_unpacking_says_how_to_go_on_with_the_same_settings(suite, tmp_path, capsys):
    """Other settings have other keys, so the rows of the archive would be set aside."""
    line = ["bench", "run", "mine.py", "--settings", "my choices.toml", "--results", "there"]
    record_command(suite, line)
    commands = suite / "commands.txt"
    commands.write_text(commands.read_text() + "networld bench run 'no end\n")
    pack(suite, tmp_path / "a.zip")
    here = tmp_path / "here"
    assert main(["bench", "unpack", str(tmp_path / "a.zip"), "--results", str(here)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"next: networld bench run mine.py --settings 'my choices.toml' --results {here}" in said


def test_trainings_that_took_longest_go_first(suite, tmp_path, save):
    save(suite, B, 2, seconds=600.0)
    size = pack(suite, tmp_path / "a.zip").size
    packed = pack(suite, tmp_path / "b.zip", size * 6 // 10)
    assert packed.trainings[0] == B


def test_what_is_here_stays_and_what_is_further_wins(suite, tmp_path, save):
    archive = tmp_path / "a.zip"
    pack(suite, archive)
    here = tmp_path / "here" / "mine"
    other = row(episode_returns=(1.0, 2.0))
    write_rows(here / f"{A}.jsonl", [other])
    record_command(here, ["bench", "run", "mine", "--jobs", "2"])
    save(here, C, 4)
    save(here, A, 12)  # further, but not finished
    found = unpack(archive, tmp_path / "here")
    assert read_rows(here / f"{A}.jsonl") == [other]
    assert (updates_of(here, C), updates_of(here, A)) == (6, 10)
    assert len(list((here / "checkpoints" / C).glob("*.safetensors"))) == 2  # none is left over
    checkpoint.verify(here / "checkpoints" / C)
    assert (found.rows, sorted(found.trainings), found.kept) == ([], sorted([A, C]), [A])
    assert read_suite(here).commands == [
        "networld bench run mine --jobs 2", "networld bench run mine",
    ]  # fmt: skip
    save(here, C, 9)
    assert C in unpack(archive, tmp_path / "here").kept
    assert updates_of(here, C) == 9
    shutil.rmtree(here / "checkpoints" / C)
    write_rows(here / f"{C}.jsonl", [row(seed=2)])  # it was done here meanwhile
    assert C in unpack(archive, tmp_path / "here").kept
    assert not (here / "checkpoints" / C).exists()


def test_rates_are_added_to_those_that_are_here(suite, tmp_path):
    write_choices(suite / RATES, {"bc": {"rb/expert": {RATE: 1.0}, "ns/expert": {RATE: 2.0}}})
    pack(suite, tmp_path / "a.zip")
    here = tmp_path / "here" / "mine"
    here.mkdir(parents=True)
    write_choices(here / RATES, {"bc": {"rb/expert": {RATE: 3.0}}, "x": {"rb": {RATE: 4.0}}})
    unpack(tmp_path / "a.zip", tmp_path / "here")
    assert read_choices(here / RATES) == {
        "bc": {"rb/expert": {RATE: 3.0}, "ns/expert": {RATE: 2.0}},
        "x": {"rb": {RATE: 4.0}},
    }


def test_rows_replace_damaged_ones_and_failures(suite, tmp_path):
    pack(suite, tmp_path / "a.zip")
    here = tmp_path / "here" / "mine"
    here.mkdir(parents=True)
    (here / f"{A}.jsonl").write_text("{}\n")
    lost = Failure(suite="mine", run="a", error="", traceback="")
    write_failure(here / f"{A}.failure.json", lost)
    write_rows(here / f"{B}.jsonl", [row(seed=1)])
    assert unpack(tmp_path / "a.zip", tmp_path / "here").rows == [A]
    assert read_rows(here / f"{A}.jsonl") == [row()]
    assert not read_failures(here)  # A has rows now, and B had them


def forged(archive, tmp_path, names=(), facts=None, **changes):
    """The archive with other files or another manifest; hashes are made to fit."""
    with zipfile.ZipFile(archive) as old:
        files = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(files.pop(MANIFEST))
    for name, data in dict(names).items():
        files[name] = data
        manifest["files"][name] = {
            "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        }  # fmt: skip
    for name, fact in (facts or {}).items():
        manifest["files"][name] |= fact
    out = tmp_path / "forged.zip"
    with zipfile.ZipFile(out, "w") as new:
        new.writestr(MANIFEST, json.dumps({**manifest, **changes}))
        for name, data in files.items():
            new.writestr(name, data)
    return out


@pytest.mark.parametrize(
    ("names", "changes", "message"),
    [
        ({"../evil.jsonl": b""}, {}, "is no file of a suite"),
        ({"/dev/null/evil-00000000.jsonl": b""}, {}, "is no file of a suite"),
        ({"a/../../b-00000000.jsonl": b""}, {}, "is no file of a suite"),
        ({"checkpoints/../x-00000000/finished": b""}, {}, "is no file of a suite"),
        ({f"checkpoints/{C}/evil.py": b""}, {}, "is no file of a suite"),
        ({f"checkpoints\\{C}\\finished": b""}, {}, "is no file of a suite"),
        ({f"checkpoints/{C}/model-{'0' * 16}.safetensors": b""}, {}, "does not name"),
        ({f"checkpoints/{B}/finished": b""}, {}, "no checkpoint in"),
        ({f"{B}.jsonl": b"print('hello')\n"}, {}, "is damaged"),
        ({f"{B}.jsonl": row(seed=1).to_json().replace("mine", "yours").encode()}, {}, "'yours'"),
        ({"display.json": b"[]"}, {}, "display.json is damaged"),
        ({"rates.toml": b"["}, {}, "rates.toml is damaged"),
        ({}, {"suite": "../mine"}, "impossible name"),
        ({}, {"suite": "yours"}, "is of suite 'yours', but holds results of 'mine'"),
        ({}, {"format": 2}, "has format 2, but this version reads 1"),
        ({}, {"files": {}}, "does not hold the files that its manifest lists"),
        ({}, {"left_out": [1]}, "what was left out"),
    ],
)
def test_foreign_content_is_refused_before_anything_is_written(
    suite, tmp_path, names, changes, message
):
    pack(suite, tmp_path / "a.zip")
    archive = forged(tmp_path / "a.zip", tmp_path, names, **changes)
    with pytest.raises(ValueError, match=message):
        unpack(archive, tmp_path / "here")
    assert not list((tmp_path / "here").rglob("*.jsonl"))
    assert not list((tmp_path / "here").iterdir())
    assert {p.name for p in tmp_path.iterdir()} == {"there", "here", "a.zip", "forged.zip"}


def test_files_are_no_larger_than_the_manifest_says(suite, tmp_path, monkeypatch):
    pack(suite, tmp_path / "a.zip")
    small = forged(tmp_path / "a.zip", tmp_path, facts={f"{A}.jsonl": {"size": 5}})
    with pytest.raises(ValueError, match="larger than it should be"):
        unpack(small, tmp_path / "here")
    other = forged(tmp_path / "a.zip", tmp_path, facts={f"{A}.jsonl": {"sha256": "00"}})
    with pytest.raises(ValueError, match="does not match its hash"):
        unpack(other, tmp_path / "here")
    huge = forged(tmp_path / "a.zip", tmp_path, facts={f"{A}.jsonl": {"size": 10**18}})
    with pytest.raises(ValueError, match="has room for"):
        unpack(huge, tmp_path / "here")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"cut\.zip is damaged .* pack the suite again"):
        unpack(tmp_path / "cut.zip", tmp_path / "here")
    with pytest.raises(FileNotFoundError, match="networld bench pack"):
        unpack(tmp_path / "none.zip", tmp_path / "here")


def test_results_from_other_data_are_not_merged(suite, tmp_path):
    pack(suite, tmp_path / "a.zip")
    here = tmp_path / "here" / "mine"
    other = replace(row(seed=2), data_hashes={"networld/cbf/expert-v0": "cd" * 32})
    write_rows(here / f"{C}.jsonl", [other])
    with pytest.raises(ValueError, match=r"of content abab.* are from content cdcd"):
        unpack(tmp_path / "a.zip", tmp_path / "here")
    assert [p.name for p in here.glob("*.jsonl")] == [f"{C}.jsonl"]


def test_a_suite_that_runs_is_neither_packed_nor_unpacked_into(suite, tmp_path):
    pack(suite, tmp_path / "a.zip")
    with locked(suite / ".lock"):
        with pytest.raises(ValueError, match="another process is running the suite"):
            pack(suite, tmp_path / "b.zip")
        with pytest.raises(ValueError, match="another process is running the suite"):
            unpack(tmp_path / "a.zip", suite.parent)
    assert not (tmp_path / "b.zip").exists()


def test_packing_names_what_is_wrong(suite, tmp_path):
    with pytest.raises(ValueError, match=r"no folder .*; give the folder of a suite"):
        pack(tmp_path / "none", tmp_path / "a.zip")
    with pytest.raises(ValueError, match="holds no rows and no trainings"):
        pack(suite.parent, tmp_path / "a.zip")
    write_rows(suite / f"{C}.jsonl", [replace(row(seed=2), suite="yours")])
    with pytest.raises(ValueError, match=r"several suites: mine in .*, yours in"):
        pack(suite, tmp_path / "a.zip")
    (suite / f"{C}.jsonl").unlink()
    (tensors,) = (suite / "checkpoints" / C).glob("model-*")
    tensors.write_bytes(b"")
    with pytest.raises(ValueError, match="does not match its hash"):
        pack(suite, tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))
