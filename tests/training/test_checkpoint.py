"""Checkpoints that are damaged or only half written."""

from __future__ import annotations

import json

import pytest

from networld_algos.training.checkpoint import load, save
from tests.helpers.algorithms import prepared, train


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
        ("specs", [{"task": "toy"}], "damaged task spec"),
        ("files", {}, "lacks its model file"),
    ):
        index.write_text(json.dumps({**json.loads(text), key: value}))
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
