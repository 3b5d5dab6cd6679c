import json
import random

import numpy as np
import pytest

from networld_algos.files import DamagedFileError
from networld_algos.results.display import Display, TaskLook
from networld_algos.results.folder import (
    Failure,
    read_suite,
    write_display,
    write_failure,
)
from networld_algos.results.rows import has_rows, read_rows, write_rows
from tests.report.rows import make_row, reference_rows


def test_rows_survive_a_round_trip(tmp_path):
    given = [*reference_rows(3), make_row(extra={"latent_std": 1.0, "loss": float("nan")})]
    path = write_rows(tmp_path / "a" / "run.jsonl", given)
    read = read_rows(path)
    assert read[:-1] == given[:-1]
    assert read[-1].extra["latent_std"] == 1.0
    assert np.isnan(read[-1].extra["loss"])
    assert "NaN" not in path.read_text()
    write_rows(tmp_path / "b.jsonl", given[:1])
    assert len(read_rows(tmp_path)) == len(given) + 1
    assert [p.name for p in sorted(tmp_path.rglob("*")) if p.is_file()] == ["run.jsonl", "b.jsonl"]


def test_rows_take_numpy_scalars():
    row = make_row(
        seed=np.int64(3), fraction=np.float32(0.5), episode_returns=np.array([1, 2], np.float32)
    )
    assert json.loads(row.to_json())["seed"] == 3
    assert row.mean_return == 1.5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"seed": 1.0}, TypeError, "seed must be an integer"),
        ({"seed": True}, TypeError, "seed must be an integer"),
        ({"task": 3}, TypeError, "task has the wrong type"),
        ({"is_last": 1}, TypeError, "is_last has the wrong type"),
        ({"kind": "reference"}, ValueError, "role of a reference row"),
        ({"kind": "reference", "role": "expert"}, ValueError, "seed of a reference row must be -1"),
        ({"role": "expert"}, ValueError, "role of a learned row"),
        ({"kind": "other"}, ValueError, "kind must be one of"),
        ({"fraction": 0.0}, ValueError, r"fraction must be in \(0, 1\], got 0.0"),
        ({"episode_returns": ()}, ValueError, "at least one episode"),
        ({"episode_returns": (1.0, float("nan"))}, ValueError, "episode_returns must be finite"),
        ({"episode_returns": "1.0"}, TypeError, "episode_returns must be a sequence"),
        ({"latency_p50_ms": float("inf")}, ValueError, "latency_p50_ms must be finite"),
        ({"extra": {"a": "b"}}, TypeError, r"extra\['a'\] must be a number"),
    ],
)
def test_bad_rows_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        make_row(**change)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"suite": "cpu"', "line 2, is damaged"),
        ("[1, 2]", "a row is a JSON object, got list"),
        ('{"suite": "cpu", "colour": 1}', r"unknown keys \['colour'\]"),
        ('{"suite": "cpu"}', r"missing keys \['algorithm'"),
    ],
)
def test_corrupt_lines_are_named(tmp_path, line, message):
    path = tmp_path / "run.jsonl"
    path.write_text(make_row().to_json() + "\n" + line + "\n")
    with pytest.raises(ValueError, match=message) as caught:
        read_rows(path)
    assert "run.jsonl, line 2" in str(caught.value)
    assert "run its suite again" in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n", "   "])
def test_a_file_without_rows_is_no_result(tmp_path, content):
    path = tmp_path / "run.jsonl"
    path.write_text(content)
    with pytest.raises(DamagedFileError, match=r"run\.jsonl is damaged \(it has no rows\)"):
        read_rows(path)
    assert not has_rows(path)
    assert not has_rows(tmp_path / "none.jsonl")
    assert has_rows(write_rows(path, [make_row()]))


JUNK = [None, True, -1, 10**400, 1e400, "", "x", [], {}, [[]], {"a": {}}, [1, "x", None]]


def test_damaged_files_of_a_suite_are_named_and_nothing_else_is_raised(tmp_path):
    """A few hundred corruptions of rows, failures, looks and commands."""
    row = make_row(extra={"loss": 1.0})
    write_rows(tmp_path / "run.jsonl", [row, make_row(seed=1)])
    write_failure(tmp_path / "b.failure.json", Failure(suite="s", run="r", error="e", traceback=""))
    write_display(tmp_path, Display({"rb": TaskLook("beams")}))
    (tmp_path / "commands.txt").write_text("networld bench run demo\n")
    good = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    rng = random.Random(3)
    refused = 0
    for _ in range(300):
        for name, data in good.items():
            (tmp_path / name).write_bytes(data)
        name = rng.choice(sorted(good))
        data = bytearray(good[name])
        where = rng.randrange(len(data))
        kind = rng.choice(["junk", "flip", "cut", "nest", "empty"])
        if kind == "junk" and name != "commands.txt":
            values = json.loads(data.splitlines()[0] if name == "run.jsonl" else data)
            values[rng.choice(sorted(values))] = rng.choice(JUNK)
            data[:] = json.dumps(values).encode() + b"\n"
        elif kind == "flip":
            data[where] ^= 1 << rng.randrange(8)
        elif kind == "nest":
            data[:] = b"[" * 50_000
        else:
            del data[where if kind == "cut" else 0 :]
        (tmp_path / name).write_bytes(data)
        said = f"{tmp_path / name}; nothing"
        try:
            read_suite(tmp_path)
        except ValueError as error:
            said, refused = str(error), refused + 1
        if "rows of 2 suites" not in said:  # a legal name that has changed
            assert str(tmp_path / name) in said
            assert "; " in said
    assert refused > 100


def test_absent_rows_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="run a suite first"):
        read_rows(tmp_path / "none.jsonl")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "run.jsonl", [make_row()])
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_rows(path, [make_row(seed=1)])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
