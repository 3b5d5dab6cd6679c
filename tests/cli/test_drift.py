"""``networld drift``: a log against a model's training data."""

import json

import numpy as np
import pytest

from networld_algos.cli.command import main
from networld_algos.data.load import load_episodes
from networld_envs import store
from networld_envs.store.importing.logs import export_npz
from tests.helpers.catalogue import build_short

DATA = "networld/rb/random-v0"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of resource blocks, and the store of its data."""
    root = tmp_path_factory.mktemp("drift")
    with pytest.MonkeyPatch.context() as patch:
        build_short(patch, root, 12, DATA)
        words = ["--task", "rb", "--dataset", DATA, "--updates", "3", "--config.hidden", "8"]
        assert main(["train", "ma-iql", *words, "--out", str(root / "model")]) == 0
        yield root / "model"


def write(path, change=lambda arrays: None):
    """The training data as a log file, perhaps changed."""
    plain = path.with_name("plain.npz")
    plain.unlink(missing_ok=True)
    export_npz(store.load(DATA), plain)
    with np.load(plain) as file:
        arrays = dict(file)
    change(arrays)
    np.savez(path, **arrays)
    return str(path)


def busier(arrays):
    for name, values in arrays.items():
        if name.endswith("observations"):
            values[:-1, :, 0] = np.minimum(values[:-1, :, 0] + 9.0, 50.0)  # arrivals


def test_training_leaves_a_description_and_its_data_are_no_drift(model, capsys):
    assert (model / "monitor.safetensors").is_file()
    assert main(["drift", DATA, "--model", str(model)]) == 0
    said = capsys.readouterr().out
    assert "no alarm" in said
    assert "0 (arrivals)" in said
    assert "ensemble disagreement" in said
    assert "fallback decisions: not known" in said


def test_a_file_that_moved_raises_an_alarm_and_leaves_no_dataset(model, tmp_path, capsys):
    logs = write(tmp_path / "busy.npz", busier)
    before = sorted(store.local_datasets())
    assert main(["drift", logs, "--model", str(model), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert sorted(store.local_datasets()) == before
    assert next(c["name"] for c in found["columns"] if c["alarm"]) == "0 (arrivals)"
    assert found["alarms"][0].startswith("column 0 (arrivals) has moved")
    assert (found["episodes"], found["view"]) == (12, "network")
    assert main(["drift", logs, "--model", str(model), "--dataset", DATA]) == 1


def test_fallbacks_are_counted_by_the_caller(model, capsys):
    decisions = load_episodes(DATA).actions.size
    assert main(["drift", DATA, "--model", str(model), "--fallbacks", str(decisions // 2)]) == 1
    assert "alarm: fallback decisions: 0.5, limit 0.01" in capsys.readouterr().out
    assert main(["drift", DATA, "--model", str(model), "--fallbacks", str(decisions + 1)]) == 2


def test_what_cannot_be_compared_says_why(model, tmp_path, capsys):
    def error(*words):
        assert main(["drift", *words]) == 2
        return capsys.readouterr().err

    for file in ("logs.npz", "logs/may.csv", "logs/may.csv.gz", "may.parquet"):
        assert f"there is no file {file}" in error(file, "--model", str(model))
    mapping = ("--mapping", str(tmp_path / "mapping.toml"))
    assert "there is no file logs/may" in error("logs/may", "--model", str(model), *mapping)
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in model.iterdir():
        if file.name != "monitor.safetensors":
            (bare / file.name).write_bytes(file.read_bytes())
    assert "has no monitor.safetensors" in error(DATA, "--model", str(bare))
    assert main(["drift", DATA, "--model", str(bare), "--dataset", DATA]) == 0
