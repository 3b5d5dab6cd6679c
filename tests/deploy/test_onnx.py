"""Exported stations decide as the original does, and need no torch."""

import json
import subprocess
import sys

import numpy as np
import pytest

from networld_algos import make, save
from networld_algos.deploy import Station, export, load_onnx_station, onnx_export
from tests.helpers.algorithms import untrained

PLANS = {"planner": "diffusion", "horizon": 4, "guidance": "none", "deviation": 1.0}
MODELS = [
    ("bc", "ordered", {}),
    ("ma-iql", "box", {}),
    ("networld", "box", {}),
    ("networld", "discrete", PLANS),
    ("bc", "box", {"mean_field": False}),
]


@pytest.mark.parametrize(("name", "kind", "changes"), MODELS)
def test_onnxruntime_decides_as_torch_does(toy, tmp_path, name, kind, changes):
    save(untrained(name, toy(kind).spec, **changes), tmp_path)
    about = export(tmp_path, tmp_path / "onnx")  # compares random inputs, noise included
    assert about["opset"] == 18
    assert bool(about["noise"]) == (changes is PLANS)
    obs, table = toy(kind).obs(1)[0], toy(kind).table
    ours = [Station.load(tmp_path, i, row, message_delay=1) for i, row in enumerate(table)]
    # Every second station is exchanged: both kinds understand each other's messages.
    mixed = [
        load_onnx_station(tmp_path / "onnx", i, row, message_delay=1)
        if i % 2
        else Station.load(tmp_path, i, row, message_delay=1)
        for i, row in enumerate(table)
    ]
    sent = [[b""] * 6, [b""] * 6]
    for _ in range(3):
        results = []
        for k, team in enumerate((ours, mixed)):
            heard = [[sent[k][j] for j in row if j >= 0 and sent[k][j]] for row in table]
            steps = [s.step(o, box) for s, o, box in zip(team, obs, heard, strict=True)]
            sent[k] = [outbox for _, outbox in steps]
            results.append(np.stack([action for action, _ in steps]))
        if not about["noise"]:
            np.testing.assert_allclose(*results, atol=1e-5)
    assert all(set(s.message_counts) <= {"kept"} and not s.last_error for s in mixed)


WITHOUT_TORCH = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " is not installed")

sys.meta_path.insert(0, Block())
from networld_algos.deploy.onnx_station import load_onnx_station
station = load_onnx_station({folder!r}, 0, [1, 2], message_delay=1)
action, outbox = station.step([0.0] * station.interface.obs_dim)
assert station.counts == {{"decisions": 1}} and not station.fell_back and len(outbox) == 284
assert (station._fallback is None) == {alone}, station._fallback
print(sorted(m for m in sys.modules if m.split(".")[0] in ("torch", "networld_envs")))
"""


@pytest.mark.parametrize("alone", [False, True])
def test_an_exported_station_runs_without_torch(toy, tmp_path, alone):
    from networld_envs import make_vec

    save(untrained("bc", make_vec("rb").task_spec), tmp_path)
    export(tmp_path, tmp_path / "onnx")
    blocked = ["torch", "onnx", "onnxscript"]
    if alone:  # nothing but NumPy and onnxruntime
        blocked += ["gymnasium", "pettingzoo", "minari", "scipy", "rich", "tyro", "safetensors"]
    code = WITHOUT_TORCH.format(blocked=blocked, folder=str(tmp_path / "onnx"), alone=alone)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "'torch" not in done.stdout


def test_what_cannot_be_exported_is_named_and_leaves_nothing(toy, tmp_path):
    save(untrained("ma-dt", toy("box").spec), tmp_path / "dt")
    with pytest.raises(ValueError, match="ma-dt keeps a history"):
        export(tmp_path / "dt", tmp_path / "onnx")
    save(
        untrained("networld", toy("box").spec, **{**PLANS, "guidance": "gradient"}), tmp_path / "nw"
    )
    with pytest.raises(ValueError, match="guidance='gradient' computes gradients"):
        export(tmp_path / "nw", tmp_path / "onnx")
    save(untrained("bc", toy("box").spec), tmp_path / "bc")
    with pytest.raises(ValueError, match="slots must be at least 1, got 0"):
        export(tmp_path / "bc", tmp_path / "onnx", slots=0)
    assert not (tmp_path / "onnx").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file; name a folder"):
        export(tmp_path / "bc", tmp_path / "file")


def test_an_export_that_fails_leaves_the_one_before(toy, tmp_path, monkeypatch):
    """A station that starts while another model is exported always finds a whole one."""
    spec, folder = toy("box").spec, tmp_path / "onnx"
    for seed in (0, 1):
        save(make("bc", spec, {"hidden": 8}, seed=seed), tmp_path / str(seed))
    export(tmp_path / "0", folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    real, written = onnx_export.write_bytes, []

    def full(path, data):
        if len(written) == 1:
            raise OSError("no space left on device")
        written.append(real(path, data))

    with monkeypatch.context() as patch:
        patch.setattr(onnx_export, "write_bytes", full)
        with pytest.raises(OSError, match="no space left"):
            export(tmp_path / "1", folder)
    assert {name: (folder / name).read_bytes() for name in before} == before
    load_onnx_station(folder, 0, [1], message_delay=1)
    about = export(tmp_path / "1", folder)
    assert {file.name for file in folder.iterdir()} == {"station.json", *about["graphs"].values()}


def test_a_damaged_or_small_export_is_named(toy, tmp_path):
    save(untrained("bc", toy("box").spec), tmp_path)
    export(tmp_path, tmp_path / "onnx", slots=2)
    folder = tmp_path / "onnx"
    with pytest.raises(ValueError, match=r"exported for 2 neighbours, got 3.*--slots 3"):
        load_onnx_station(folder, 0, [1, 2, 3], message_delay=1)
    about = json.loads((folder / "station.json").read_text())
    graph = folder / about["graphs"]["decision"]
    graph.write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"decision-\w+\.onnx is damaged"):
        load_onnx_station(folder, 0, [1], message_delay=1)
    graph.unlink()
    with pytest.raises(FileNotFoundError, match=r"decision-\w+\.onnx is missing"):
        load_onnx_station(folder, 0, [1], message_delay=1)
    (folder / "station.json").write_text(json.dumps({**about, "format": 9}))
    with pytest.raises(ValueError, match="it has format 9"):
        load_onnx_station(folder, 0, [1], message_delay=1)
