"""Checkpoints that are damaged, only half written, or written and read by many at once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from networld_algos import make
from networld_algos.files import DamagedFileError
from networld_algos.training import checkpoint
from networld_algos.training.checkpoint import load, save
from tests.helpers.algorithms import assert_same_state, prepared, train


def test_damaged_checkpoints_are_refused(toy, tmp_path):
    task = toy("box")
    algorithm = prepared("bc", task.collect(3))
    path = tmp_path / "run"
    with pytest.raises(ValueError, match="no checkpoint in"):
        load(path)
    with pytest.raises(ValueError, match="JSON types only"):
        save(algorithm, path, {"rng": object()})
    path.mkdir()
    (path / "mine.safetensors").write_bytes(b"somebody else's")
    save(algorithm, path)
    save(algorithm, path, {"again": True})
    assert len(list(path.iterdir())) == 4  # nothing stale, nothing temporary, nothing else touched
    with pytest.raises(ValueError, match=r"model for \['toy'\], not for task 'rb'"):
        load(path, expect_task="rb")
    with pytest.raises(ValueError, match="use the same preset"):
        load(path, expect_task=toy("ordered").spec)
    index, text = path / "checkpoint.json", (path / "checkpoint.json").read_text()
    for key, value, message in (
        ("format", 99, "has format 99"),
        ("algorithm", "ppo", "unknown algorithm 'ppo'"),
        ("config", {"hiden": 3}, "unknown config keys"),
        ("specs", [{"task": "toy"}], "is damaged"),
        ("files", {}, "does not name its model file"),
        ("sha256", "0" * 64, "does not match its hash"),
    ):
        changed = {**json.loads(text), key: value}
        if key not in ("format", "sha256"):
            index.write_text(json.dumps(changed))
            with pytest.raises(ValueError, match=r"checkpoint\.json is damaged .* match its hash"):
                load(path)
            del changed["sha256"]  # as in the checkpoints of earlier versions
        index.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=message):
            load(path)
    index.write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        load(path)
    index.write_text(text)
    model = next(path.glob("model-*"))
    data = model.read_bytes()
    model.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match="does not match its hash"):
        load(path)
    model.unlink()
    with pytest.raises(ValueError, match="lacks its model file"):
        load(path)


def test_interrupted_save_keeps_the_previous_checkpoint(toy, tmp_path, monkeypatch):
    data = toy("box").collect(3)
    algorithm = prepared("bc", data)
    save(algorithm, tmp_path, {"update": 0})
    train(algorithm, [data], 0, 1)
    real = json.dumps

    def stop(value, **options):
        if options.get("indent"):  # the index, after the tensors
            raise KeyboardInterrupt
        return real(value, **options)

    monkeypatch.setattr(json, "dumps", stop)
    with pytest.raises(KeyboardInterrupt):
        save(algorithm, tmp_path, {"update": 1})
    monkeypatch.undo()
    assert load(tmp_path)[1] == {"update": 0}


def test_what_a_killed_save_left_behind_goes_with_the_next(toy, tmp_path, monkeypatch):
    algorithm = prepared("bc", toy("box").collect(3))
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", lambda *_, **__: None)  # kill -9 cleans up nothing
        patch.setattr("pathlib.Path.replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save(algorithm, tmp_path)
    assert any(file.name.startswith(".model-") for file in tmp_path.iterdir())
    save(algorithm, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def tiny(seed):
    """A model whose first weight says which one it is; quick to save."""
    from networld_envs import make_vec

    model = make("bc", make_vec("rb").simulator.spec, {"hidden": 8, "layers": 1}, seed)
    with torch.no_grad():
        next(model.parameters()).fill_(float(seed))
    return model


def save_often(folder, seed, times):
    model = tiny(seed)
    for _ in range(times):
        save(model, folder, {"seed": seed})


def whole(folder):
    """Load; weights and index must be of the same save."""
    model, extra = load(folder)
    first = next(model.parameters())
    assert (first == extra["seed"]).all()
    return extra["seed"]


def test_readers_and_writers_at_the_same_time_meet_only_whole_checkpoints(tmp_path):
    save(tiny(9), tmp_path, {"seed": 9})
    done = threading.Event()
    found = []

    def read():
        while not done.is_set():
            found.append(whole(tmp_path))

    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=save_often, args=(tmp_path, 1, 12))
    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        writer.start()
        writers = [pool.submit(save_often, tmp_path, seed, 12) for seed in (2, 3)]
        try:
            for future in writers:
                future.result()
            writer.join()
        finally:
            done.set()
        for future in readers:
            future.result()
    assert writer.exitcode == 0
    assert {2, 3} <= set(found)
    assert whole(tmp_path) in (1, 2, 3)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_checkpoint_replaced_between_two_reads_is_read_again(tmp_path, monkeypatch):
    save(tiny(1), tmp_path, {"seed": 1})
    real, once = checkpoint.read_index, [True]

    def replaced(path):
        index = real(path)
        if once and once.pop():
            save(tiny(2), tmp_path, {"seed": 2})
        return index

    monkeypatch.setattr(checkpoint, "read_index", replaced)
    assert whole(tmp_path) == 2


JUNK = [None, True, -1, 0.5, 10**400, "", "x", "\ud800", [], {}, [[]], {"a": {}}, [1, "x", None]]


def places(value, at=()):
    """Paths of all values inside a JSON value."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield (*at, key)
        if isinstance(child, dict | list):
            yield from places(child, (*at, key))


def damage_index(folder, rng, signed):
    """Put junk in one place of the index; with a matching hash, it gets past the first check."""
    file = folder / "checkpoint.json"
    index = json.loads(file.read_text())
    *way, last = rng.choice(list(places(index)))
    at = index
    for key in way:
        at = at[key]
    if isinstance(at, dict) and rng.random() < 0.3:
        del at[last]
    else:
        at[last] = rng.choice(JUNK)
    if signed:
        index.pop("sha256", None)
    file.write_text(json.dumps(index))


def damage_bytes(file, rng):
    data = bytearray(file.read_bytes())
    kind = rng.choice(["flip", "cut", "fill", "empty", "nest"])
    where = rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 400))
    if kind == "flip":
        data[where] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[where:]
    elif kind == "fill":
        data[where : where + 16] = bytes(rng.randrange(256) for _ in range(16))
    elif kind == "empty":
        data.clear()
    else:
        data[:] = b"[" * 100_000
    file.write_bytes(bytes(data))


def rename_to_hash(folder, file):
    """Give a damaged tensor file the name that its content asks for, in the index too."""
    part = file.name.split("-")[0]
    name = f"{part}-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}.safetensors"
    index = json.loads((folder / "checkpoint.json").read_text())
    del index["sha256"]
    index["files"][part] = name
    os.replace(file, folder / name)
    (folder / "checkpoint.json").write_text(json.dumps(index))


@pytest.mark.parametrize("signed", [False, True])
def test_no_damage_is_met_with_anything_but_an_error_that_names_the_file(toy, tmp_path, signed):
    """Without matching hashes all damage is found; with them, no reader fails in its own way."""
    algorithm = prepared("bc", toy("box").collect(3), hidden=8, layers=1)
    save(algorithm, tmp_path, {"updates": 3})
    good = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    rng = random.Random(7)
    refused = 0
    for _ in range(200):
        for file in tmp_path.iterdir():
            file.unlink()
        for name, data in good.items():
            (tmp_path / name).write_bytes(data)
        target = rng.choice(sorted(good))
        if target == "checkpoint.json" and rng.random() < 0.8:
            damage_index(tmp_path, rng, signed)
        else:
            damage_bytes(tmp_path / target, rng)
            if signed and target != "checkpoint.json":
                rename_to_hash(tmp_path, tmp_path / target)
        try:
            loaded, extra = load(tmp_path)
        except DamagedFileError as error:
            said, refused = str(error), refused + 1
        else:
            said = f"{tmp_path}; nothing"
            if not signed:
                assert_same_state(loaded, algorithm)
                assert extra == {"updates": 3}
        assert str(tmp_path) in said
        assert "; " in said  # and what to do
    assert refused > (180 if not signed else 60)


def test_a_checkpoint_of_an_earlier_version_loads(toy, tmp_path):
    """It has no hash of the index, and its specs name no columns."""
    algorithm = prepared("bc", toy("box").collect(3))
    save(algorithm, tmp_path, {"updates": 3})
    index = json.loads((tmp_path / "checkpoint.json").read_text())
    del index["sha256"]
    for spec in index["specs"]:
        for name in ("obs_columns", "action_columns", "reward_column"):
            del spec[name]
    (tmp_path / "checkpoint.json").write_text(json.dumps(index))
    assert_same_state(load(tmp_path)[0], algorithm)
