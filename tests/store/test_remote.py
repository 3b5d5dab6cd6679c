"""Downloads and uploads, end to end against servers on the loopback interface."""

import contextlib
import functools
import http.server
import json
import logging
import shutil
import socket
import subprocess
import sys
import threading
import time

import h5py
import minari
import pooch
import pytest

from networld_algos.cli import command
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store import local, remote
from networld_envs.store.transfer import Limits

TINY = "networld/rb/tiny-v0"


def recipe(dataset_id=TINY, **changes):
    values = {
        "dataset_id": dataset_id,
        "task": "rb",
        "episodes": 4,
        "max_cycles": 6,
        "seed": 77,
        "behaviours": (Behaviour("random"),),
    }
    return store.Recipe(**{**values, **changes})


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; ``server.faults`` are used up by requests for the data file."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append(self.path)
        faults = self.server.faults
        if not self.path.endswith("main_data.hdf5") or not faults:
            super().do_GET()
            return
        fault = faults.pop(0)
        with open(self.translate_path(self.path), "rb") as file:
            data = file.read()
        if fault == 503:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        half = len(data) // 2
        if fault == "truncated":
            self.wfile.write(data[:half])
        elif fault == "wrong":
            self.wfile.write(bytes(len(data)))
        elif fault == "stalls":
            self.wfile.write(data[:half])
            self.wfile.flush()
            time.sleep(1.0)
        elif fault == "slow":
            for i in range(0, len(data), -(-len(data) // 5)):
                self.wfile.write(data[i : i + -(-len(data) // 5)])
                self.wfile.flush()
                time.sleep(0.1)


@contextlib.contextmanager
def serving(folder):
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.faults, server.requests = [], []
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.delenv(store.MIRROR, raising=False)
    return tmp_path / "minari"


@pytest.fixture
def mirror(local_store, tmp_path, monkeypatch):
    """A served mirror that has TINY, which the local store has no more; its retries do not wait."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda s: None)
    store.build(recipe())
    remote.upload(TINY, str(tmp_path / "mirror"))
    shutil.rmtree(local_store)
    with serving(tmp_path / "mirror") as (server, url):
        server.folder, server.url = tmp_path / "mirror", url
        yield server


def nothing_left(local_store, dataset_id=TINY):
    left = [p for p in local_store.rglob("*") if p.is_file() and p.suffix != ".lock"]
    return not store.is_local(dataset_id) and not left


def test_download_is_what_was_uploaded(mirror, local_store):
    seen = []
    dataset = remote.download(TINY, mirror.url, progress=lambda n, total: seen.append((n, total)))
    assert dataset.total_episodes == 4
    built = store.metadata(store.build(recipe(), force=True))["sha256"]
    assert store.content_hash(dataset) == built
    sizes = [
        f["bytes"]
        for f in json.loads((mirror.folder / "index.json").read_text())["datasets"][TINY][
            "files"
        ].values()
    ]
    assert seen[-1] == (sum(sizes), sum(sizes))
    assert [n for n, _ in seen] == sorted(n for n, _ in seen)
    assert minari.load_dataset(TINY).recover_environment().spec.id == "networld/RB-v0"
    assert not list(local_store.rglob(".*.download"))
    with pytest.raises(store.DatasetError, match="use --force to download it again"):
        remote.download(TINY, mirror.url)


@pytest.mark.parametrize("fault", ["truncated", "wrong", "stalls", 503])
def test_a_bad_transfer_is_tried_again(mirror, fault):
    mirror.faults = [fault]
    remote.download(TINY, mirror.url, retries=1, limits=Limits(silence_s=0.3))
    assert store.verify(TINY)[0]
    assert not mirror.faults


@pytest.mark.parametrize("fault", ["truncated", "wrong", "stalls", 503])
def test_a_bad_server_leaves_nothing_behind(mirror, local_store, fault):
    mirror.faults = [fault] * 2
    with pytest.raises(store.DatasetError, match="cannot download 'networld/rb/tiny-v0' from http"):
        remote.download(TINY, mirror.url, retries=1, limits=Limits(silence_s=0.3))
    assert not store.is_local(TINY)
    assert not list(local_store.rglob("main_data.hdf5"))
    mirror.requests.clear()
    remote.download(TINY, mirror.url)  # the metadata had arrived whole: only the rest is fetched
    assert [r.rsplit("/", 1)[-1] for r in mirror.requests] == ["index.json", "main_data.hdf5"]


def test_a_slow_server_is_waited_for(mirror):
    mirror.faults = ["slow"]
    remote.download(TINY, mirror.url, retries=0, limits=Limits(silence_s=0.3))
    assert store.verify(TINY)[0]


def test_what_is_not_there_is_not_tried_again(mirror, local_store):
    with pytest.raises(store.DatasetError, match="has no dataset 'networld/rb/other-v0'"):
        remote.download("networld/rb/other-v0", mirror.url)
    (mirror.folder / TINY / "data" / "main_data.hdf5").unlink()
    mirror.requests.clear()
    with pytest.raises(store.DatasetError, match="404"):
        remote.download(TINY, mirror.url)
    assert sum(r.endswith("main_data.hdf5") for r in mirror.requests) == 1
    (mirror.folder / "index.json").unlink()
    with pytest.raises(store.DatasetError, match=r"cannot reach the mirror: 404"):
        remote.download(TINY, mirror.url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(store.DatasetError, match="cannot reach the mirror"):
            remote.list_remote(
                f"http://127.0.0.1:{free.getsockname()[1]}", limits=Limits(silence_s=0.5)
            )
    assert not store.is_local(TINY)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<html>", "is not JSON"),
        ("[1]", "is not an index of datasets"),
        ('{"format": 2, "datasets": {}}', "format 2; this version reads format 1"),
        ('{"format": 1, "datasets": {"a-v0": {"sha256": 3}}}', "sha256 is 3, not of type str"),
        ('{"format": 1, "datasets": {"a-v0": {"sha256": "0"}}}', "'episodes'"),
    ],
)
def test_a_bad_index_is_refused(mirror, text, why):
    (mirror.folder / "index.json").write_text(text)
    with pytest.raises(store.DatasetError, match=why):
        remote.list_remote(mirror.url)


def republish(mirror, change):
    """Change the served data and make the transfer checksums fit, as a forger would."""
    path = mirror.folder / TINY / "data" / "main_data.hdf5"
    with h5py.File(path, "r+") as file:
        change(file)
    index = json.loads((mirror.folder / "index.json").read_text())
    entry = index["datasets"][TINY]["files"]["data/main_data.hdf5"]
    entry.update(sha256=pooch.file_hash(str(path)), bytes=path.stat().st_size)
    (mirror.folder / "index.json").write_text(json.dumps(index))


def test_content_that_is_not_the_recorded_one_is_thrown_away(mirror, local_store):
    republish(mirror, lambda f: f["episode_1"]["actions"].__setitem__((0, 0), 3))
    with pytest.raises(store.DatasetError, match="the mirror's index says; it was thrown away"):
        remote.download(TINY, mirror.url)
    assert nothing_left(local_store)
    republish(mirror, lambda f: f["episode_1"].__delitem__("infos"))
    with pytest.raises(store.DatasetError, match="infos"):
        remote.download(TINY, mirror.url)
    assert nothing_left(local_store)


def test_content_that_is_not_the_catalogues_is_thrown_away(mirror, local_store, monkeypatch):
    known = recipe(sha256="0" * 64)
    monkeypatch.setattr(remote, "catalog", lambda: {TINY: known})
    with pytest.raises(store.DatasetError, match="not 0000000000000000 as the catalogue says"):
        remote.download(TINY, mirror.url)
    assert nothing_left(local_store)


def test_another_dataset_under_the_id_is_refused(mirror, local_store):
    store.build(recipe("networld/rb/other-v0", seed=5))
    remote.upload("networld/rb/other-v0", str(mirror.folder))
    index = json.loads((mirror.folder / "index.json").read_text())
    index["datasets"][TINY] = index["datasets"]["networld/rb/other-v0"]
    (mirror.folder / "index.json").write_text(json.dumps(index))
    shutil.copytree(
        mirror.folder / "networld/rb/other-v0", mirror.folder / TINY, dirs_exist_ok=True
    )
    with pytest.raises(store.DatasetError, match="sent 'networld/rb/other-v0' for"):
        remote.download(TINY, mirror.url)
    assert not store.is_local(TINY)


def test_damaged_data_are_not_uploaded(local_store, tmp_path):
    store.build(recipe())
    with h5py.File(local_store / TINY / "data" / "main_data.hdf5", "r+") as file:
        file["episode_0"]["actions"][0, 0] += 1
    with pytest.raises(store.DatasetError, match="it is not uploaded"):
        remote.upload(TINY, str(tmp_path / "mirror"))
    assert not (tmp_path / "mirror").exists()
    with pytest.raises(store.DatasetError, match="not in the local store"):
        remote.upload("networld/rb/none-v0", str(tmp_path / "mirror"))


def test_load_takes_the_mirror_first_and_says_so(mirror, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "networld")
    monkeypatch.setattr(local, "catalog", lambda: {TINY: recipe()})
    monkeypatch.setattr(local, "find_recipe", lambda i: recipe())
    store.load(TINY)
    assert "no mirror in NETWORLD_MIRROR; building" in caplog.text
    here = minari.storage.local.get_dataset_path(TINY)
    caplog.clear()
    shutil.rmtree(here)
    monkeypatch.setenv(store.MIRROR, mirror.url)
    store.load(TINY)
    assert f"downloading from {mirror.url}" in caplog.text
    assert any(r.endswith("main_data.hdf5") for r in mirror.requests)
    shutil.rmtree(here)
    (mirror.folder / TINY / "data" / "main_data.hdf5").unlink()
    store.load(TINY)
    assert "404" in caplog.text
    assert "building networld/rb/tiny-v0 from its recipe" in caplog.text
    assert store.verify(TINY)[0]


def test_two_at_once_make_one_dataset(local_store):
    """Two processes ask for the same absent dataset; one builds it, both get it."""
    code = (
        "import sys; from networld_envs import store;"
        "from networld_envs.policies.rollout import Behaviour;"
        "r = store.Recipe('networld/rb/tiny-v0', 'rb', 20, 20, 77, (Behaviour('random'),),"
        " chunk_episodes=2); made = [];"
        "d = store.build(r, keep=True, progress=lambda n, _: made.append(n));"
        "print(len(made), store.metadata(d)['sha256'])"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    (a, first), (b, second) = (r.communicate()[0].split() for r in runs)
    assert first == second
    assert sorted((int(a), int(b))) == [0, 11]


def test_the_command_downloads_lists_and_builds(mirror, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert command.main(["dataset", "download", TINY, "--from", mirror.url]) == 0
    out = capsys.readouterr().out
    assert f"downloading {TINY} from {mirror.url}" in out
    assert f"{TINY}: ok" in out
    assert command.main(["dataset", "list", "--remote", mirror.url]) == 0
    out = capsys.readouterr().out
    line = next(row for row in out.splitlines() if TINY in row)
    sha256 = store.metadata(minari.load_dataset(TINY))["sha256"]
    for word in ("here, remote", " 4 ", " 24 ", sha256[:12], "random"):
        assert word in line
    assert sum("buildable" in row for row in out.splitlines()) == len(store.catalog())
    assert command.main(["dataset", "download", TINY, "--from", "ftp://x"]) == 2
    assert "must begin with one of http://, https://, gcp://, hf://" in capsys.readouterr().err
    assert command.main(["dataset", "upload", TINY, "--to", mirror.url]) == 2
    assert "takes no uploads" in capsys.readouterr().err


@pytest.fixture
def bucket(local_store, monkeypatch):
    """A bucket of the Google Cloud Storage emulator, as a remote of Minari's."""
    server = pytest.importorskip("gcp_storage_emulator.server")
    pytest.importorskip("google.cloud.storage")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    emulator = server.create_server("127.0.0.1", port, in_memory=True, default_bucket="shelf")
    emulator.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MINARI_REMOTE", "gcp://shelf")
    try:
        yield "gcp://shelf"
    finally:
        emulator.stop()


def test_minaris_remotes_carry_our_datasets(bucket, local_store):
    built = store.metadata(store.build(recipe()))["sha256"]
    remote.upload(TINY, bucket)
    shutil.rmtree(local_store)
    listed = remote.list_remote(bucket)
    assert listed[TINY]["sha256"] == built
    assert listed[TINY]["episodes"] == 4
    remote.download(TINY, bucket)
    good, why = store.verify(TINY)
    assert good, why
    with pytest.raises(store.DatasetError, match="gcp://shelf: NotFound"):
        remote.download("networld/rb/none-v0", bucket)
    assert not store.is_local("networld/rb/none-v0")


def test_minaris_own_client_gets_and_puts_them(bucket, local_store):
    store.build(recipe())
    minari.upload_dataset(TINY, token=None)
    shutil.rmtree(local_store)
    minari.download_dataset(f"{bucket}/{TINY}")
    assert store.verify(TINY)[0]


def test_a_forged_copy_in_a_bucket_is_thrown_away(bucket, local_store):
    store.build(recipe())
    with h5py.File(local_store / TINY / "data" / "main_data.hdf5", "r+") as file:
        file["episode_0"]["actions"][0, 0] += 1
    minari.upload_dataset(TINY, token=None)  # Minari's own client does not look
    shutil.rmtree(local_store)
    with pytest.raises(store.DatasetError, match="its own metadata says; it was thrown away"):
        remote.download(TINY, bucket)
    assert nothing_left(local_store)


def test_a_mirror_of_an_earlier_version_is_named(mirror, local_store):
    """Its hash covers less, so it cannot show that what arrives is what was uploaded."""
    path = mirror.folder / "index.json"
    index = json.loads(path.read_text())
    del index["datasets"][TINY]["hash_version"]
    path.write_text(json.dumps(index))
    with pytest.raises(store.DatasetError, match="uploaded by another version of networld"):
        remote.download(TINY, mirror.url)
    assert nothing_left(local_store)
