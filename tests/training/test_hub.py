"""Models go to and come from a Hub, here a server of this machine that speaks its protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import urlparse

import pytest
import torch

from networld_algos import make
from networld_algos.cli.command import main
from networld_algos.training import checkpoint, hub
from networld_envs.store.recipes import CATALOG_VARIABLE
from tests.helpers.catalogue import build_short

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """Just enough of the Hub for one branch of small files."""

    protocol_version = "HTTP/1.1"

    @property
    def repos(self):
        return self.server.repos

    def answer(self, status, body=b"", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def no_repository(self):
        self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.asked.append(f"{self.command} {self.path}")
        parts = urlparse(self.path).path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            files = self.repos.get("/".join(parts[2:4]))
            if files is None:
                return self.no_repository()
            if len(parts) > 4 and parts[4] == "tree":
                rows = [
                    {"type": "file", "path": k, "size": len(v), "oid": hashlib.sha1(v).hexdigest()}
                    for k, v in files.items()
                ]
                return self.answer(200, rows)
            found = [{"rfilename": name} for name in files]
            return self.answer(
                200, {"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": found, "tags": []}
            )
        files = self.repos.get("/".join(parts[:2]))
        if files is None:
            return self.no_repository()
        name = "/".join(parts[4:])
        if name not in files:
            return self.answer(404, b"", X_Error_Code="EntryNotFound")
        tag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
        return self.answer(200, files[name], ETag=tag, X_Repo_Commit=COMMIT)

    def do_POST(self):
        self.server.asked.append(f"POST {self.path}")
        parts = urlparse(self.path).path.strip("/").split("/")
        if self.path.startswith("/api/validate-yaml"):
            self.body()
            return self.answer(200, {"errors": [], "warnings": []})
        if parts[:3] == ["api", "repos", "create"]:
            given = json.loads(self.body())
            name = f"{given.get('organization') or 'owner'}/{given['name']}"
            self.repos.setdefault(name, {})
            return self.answer(200, {"url": f"{self.server.url}/{name}"})
        name = "/".join(parts[2:4])
        if parts[4] == "preupload":
            files = json.loads(self.body())["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            return self.answer(200, {"files": modes})
        lines = [json.loads(line) for line in self.body().splitlines()]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.repos[name][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del self.repos[name][value["path"]]
        return self.answer(
            200, {"commitUrl": f"{self.server.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT}
        )

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Hub without models; ``repos`` is what it stores, ``asked`` what was asked of it."""
    pytest.importorskip("huggingface_hub", reason="absent: pip install 'networld[hub]'")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.repos, httpd.asked = {}, []
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


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
