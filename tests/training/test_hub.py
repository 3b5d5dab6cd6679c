"""Models go to and come from a Hub, here a server of this machine that speaks its protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from networld_algos import make
from networld_algos.cli.command import main
from networld_algos.training import checkpoint, hub
from networld_envs.store.recipes import CATALOG_VARIABLE
from tests.helpers.catalogue import build_short
from tests.helpers.hub import running_hub


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Hub without models; ``repos`` is what it stores, ``asked`` what was asked of it."""
    pytest.importorskip("huggingface_hub", reason="absent: pip install 'networld[hub]'")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with running_hub() as hub_here:
        yield hub_here


@pytest.fixture
def model(toy):
    data = toy("box").collect(4)
    made = make("bc", data.spec, {"hidden": 8}, seed=3)
    made.prepare(data, 10)
    return made


def parameters(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_up_and_down_again(server, model, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    given = {"token": "hf_test", "endpoint": server.url}
    about = {"dataset": "networld/toy/expert-v0", "updates": 10}
    url = hub.push_to_hub(model, "owner/toy-bc", extra=about, **given)
    assert url == f"{server.url}/owner/toy-bc"
    stored = server.repos["owner/toy-bc"]
    assert {"README.md", "checkpoint.json"} < set(stored)
    assert sum(name.endswith(".safetensors") for name in stored) == 2
    card = stored["README.md"].decode()
    assert "library_name: networld" in card
    assert "| dataset | networld/toy/expert-v0 |" in card
    assert "| updates | 10 |" in card
    assert 'from_pretrained("owner/toy-bc")' in card

    back, extra = hub.from_pretrained("owner/toy-bc", "toy", **given)
    assert extra == about
    assert torch.equal(parameters(back), parameters(model))
    assert any(line.startswith("GET /owner/toy-bc/resolve/") for line in server.asked)
    with pytest.raises(ValueError, match="not for task 'cbf'"):
        hub.from_pretrained("hf://owner/toy-bc", "cbf", **given)
    with pytest.raises(FileNotFoundError, match="no model owner/absent on the Hub"):
        hub.from_pretrained("owner/absent", **given)

    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    hub.push_to_hub(model, "owner/toy-bc", **given)  # new weights replace the old ones
    assert sum(name.startswith("model-") for name in server.repos["owner/toy-bc"]) == 1

    damaged = next(n for n in server.repos["owner/toy-bc"] if n.startswith("model-"))
    server.repos["owner/bad"] = {**server.repos["owner/toy-bc"], damaged: b"something else"}
    with pytest.raises(ValueError, match="damaged"):
        hub.from_pretrained("owner/bad", **given)
    index = json.loads(server.repos["owner/toy-bc"]["checkpoint.json"])
    newer = json.dumps({**index, "format": 99}).encode()
    server.repos["owner/new"] = {**server.repos["owner/toy-bc"], "checkpoint.json": newer}
    with pytest.raises(ValueError, match="format 99"):
        hub.from_pretrained("owner/new", **given)


@pytest.mark.slow
def test_the_commands(server, tmp_path, capfd):
    """``networld push``, ``health`` and ``evaluate hf://..`` in processes that know one address."""
    from networld_envs import make_vec

    env = {**os.environ, "HF_ENDPOINT": server.url, "HF_TOKEN": "hf_test", "OMP_NUM_THREADS": "1"}
    env |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_CACHE": str(tmp_path / "cache")}
    with pytest.MonkeyPatch.context() as patch:
        build_short(patch, tmp_path, 2, dataset := "networld/rb/expert-v0")
        env |= {key: os.environ[key] for key in ("MINARI_DATASETS_PATH", CATALOG_VARIABLE)}
    made = make("bc", make_vec("rb", 1).simulator.spec, {"hidden": 8})
    checkpoint.save(made, tmp_path / "rb", {"updates": 0})
    for command in (
        ["push", str(tmp_path / "rb"), "owner/rb"],
        ["health", "hf://owner/rb", "--dataset", dataset],
        ["evaluate", "hf://owner/rb", "--episodes", "2"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "networld_algos", *command],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    assert "normalised score" in done.stdout
    assert "checkpoint.json" in server.repos["owner/rb"]


def test_a_folder_needs_no_hub(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    checkpoint.save(model, tmp_path / "m")
    back, _ = hub.from_pretrained(tmp_path / "m", "toy")
    assert torch.equal(parameters(back), parameters(model))
    with pytest.raises(ImportError, match=r"networld\[hub\]"):
        hub.from_pretrained("owner/name")
    with pytest.raises(ValueError, match="neither an existing folder nor a model named"):
        hub.from_pretrained("no-folder")
    with pytest.raises(ValueError, match="no checkpoint"):
        hub.from_pretrained(tmp_path)


def test_what_is_pushed_can_be_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_hub", lambda: SimpleNamespace())
    with pytest.raises(ValueError, match="no checkpoint"):
        hub.push_to_hub(tmp_path, "owner/name")
    with pytest.raises(ValueError, match="owner/name on the Hub"):
        hub.push_to_hub(tmp_path, "name")


def test_a_save_waits_while_a_checkpoint_is_copied(model, tmp_path, monkeypatch):
    """Without that, an index would be uploaded without the weights that it names."""
    source, whole, savers = tmp_path / "m", [], []
    checkpoint.save(model, source)
    copy = hub.shutil.copy

    def slow(file, target):
        if not savers:
            with torch.no_grad():
                next(model.parameters()).add_(1.0)
            savers.append(threading.Thread(target=checkpoint.save, args=(model, source)))
            savers[0].start()
            savers[0].join(0.5)
        return copy(file, target)

    class Api:
        def create_repo(self, *_, **__):
            return "url"

        def upload_folder(self, folder_path, **_):
            whole.append(checkpoint.verify(folder_path))

    monkeypatch.setattr(hub, "_clear_errors", lambda *_: nullcontext())
    monkeypatch.setattr(hub.shutil, "copy", slow)
    monkeypatch.setattr(hub, "_hub", lambda: SimpleNamespace(HfApi=lambda **_: Api()))
    assert hub.push_to_hub(source, "owner/name") == "url"
    savers[0].join()
    assert len(whole) == 1
    assert checkpoint.weights_file(source) != whole[0]["files"]["model"]


def test_a_score_is_that_of_the_weights(model, tmp_path):
    checkpoint.save(model, tmp_path, {"updates": 1})
    assert "score" not in hub.model_card(tmp_path, "owner/m")
    found = {"task": "toy", "preset": "default", "episodes": 9, "mean": 1.25, "low": 1.0}
    weights = checkpoint.weights_file(tmp_path)
    hub.record_score(tmp_path, weights, {**found, "high": 1.5, "normalised": 87.5})
    card = hub.model_card(tmp_path, "owner/m")
    assert "1.25 [1, 1.5]" in card
    assert "normalised 87.5" in card
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    checkpoint.save(model, tmp_path, {"updates": 2})
    assert hub.score_of(tmp_path) is None
    with pytest.raises(ValueError, match="was replaced during the evaluation"):
        hub.record_score(tmp_path, weights, found)


def test_evaluate_records(tmp_path, capsys):
    from networld_envs import make_vec

    checkpoint.save(make("bc", make_vec("rb", 1).simulator.spec, {"hidden": 8}), tmp_path)
    assert main(["evaluate", str(tmp_path), "--episodes", "2", "--record"]) == 0
    assert "rb (default)" in (hub.score_of(tmp_path) or "")
