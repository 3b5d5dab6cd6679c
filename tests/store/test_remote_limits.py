"""What a mirror may use up: bytes, time, memory; and what a stopped download leaves behind."""
# ruff: noqa: F811 - fixtures are imported

import functools
import http.server
import json
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from networld_algos.cli import command
from networld_envs import store
from networld_envs.store import remote
from networld_envs.store.transfer import Limits
from tests.store.test_remote import TINY, local_store, mirror, nothing_left, recipe  # noqa: F401

DATA_FILE = f"{TINY}/data/main_data.hdf5"
QUICK = Limits(total_s=1.0)


class Endless(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, but answers for one path as ``server.way`` says."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        if not self.path.endswith(self.server.path):
            super().do_GET()
            return
        self.server.asked += 1
        try:
            getattr(self, self.server.way)()
        except (BrokenPipeError, ConnectionResetError):
            self.server.broken.set()
        self.close_connection = True

    def send(self, *headers):
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def flood(self, piece=1 << 20, pause=0.0, chunked=False):
        while not self.server.over.is_set():
            body = b"[" * piece
            self.wfile.write(b"%x\r\n%s\r\n" % (piece, body) if chunked else body)
            self.wfile.flush()
            self.server.sent += piece
            self.server.over.wait(pause)  # the fixture replaces time.sleep

    def announces_much(self):
        self.send(("Content-Length", str(3_600_000_000)))
        self.flood()

    def without_length(self):
        self.send()
        self.flood()

    def in_chunks(self):
        self.send(("Transfer-Encoding", "chunked"))
        self.flood(chunked=True)

    def drips(self):
        self.send()
        self.flood(1, 0.05)

    def drips_in_chunks(self):
        self.send(("Transfer-Encoding", "chunked"))
        self.flood(1, 0.05, chunked=True)

    def drips_headers(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self.flood(1, 0.05)

    def redirects(self):
        self.send_response(302)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def bad_server(folder, path, way):
    handler = functools.partial(Endless, directory=str(folder))
    handler.protocol_version = "HTTP/1.1"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.path, server.way, server.sent, server.asked = path, way, 0, 0
        server.over, server.broken = threading.Event(), threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("way", ["announces_much", "without_length", "in_chunks"])
def test_a_file_longer_than_announced_is_cut_off(mirror, local_store, way):
    with bad_server(mirror.folder, DATA_FILE, way) as server:
        with pytest.raises(store.DatasetError, match=r"the server sends .* as the index announces"):
            remote.download(TINY, server.url)
        assert server.broken.wait(10)
        assert server.asked == 1  # of no use to try again
        assert server.sent < 100_000_000  # what fits into buffers, not gigabytes
    assert nothing_left_but_metadata(local_store)


@pytest.mark.parametrize("way", ["announces_much", "without_length", "in_chunks"])
def test_an_index_is_not_read_without_end(mirror, local_store, way, capsys):
    with bad_server(mirror.folder, "index.json", way) as server:
        with pytest.raises(store.DatasetError, match=r"16000000 .*--max-index-mb"):
            remote.list_remote(server.url)
        assert server.broken.wait(10)
        with pytest.raises(store.DatasetError, match=r"3000000 .*--max-index-mb"):
            remote.download(TINY, server.url, limits=Limits(index_mb=3))
        arguments = ["dataset", "list", "--remote", server.url, "--max-index-mb", "2"]
        assert command.main(arguments) == 1
        assert "2000000 " in capsys.readouterr().err
    assert nothing_left(local_store)


@pytest.mark.parametrize("path", ["index.json", "data/metadata.json", DATA_FILE])
@pytest.mark.parametrize("way", ["drips", "drips_in_chunks", "drips_headers"])
def test_a_slow_endless_answer_ends(mirror, local_store, path, way):
    index = json.loads((mirror.folder / "index.json").read_text())
    for file in index["datasets"][TINY]["files"].values():
        file["bytes"] += 10_000_000  # so that it is the time that ends it
    (mirror.folder / "index.json").write_text(json.dumps(index))
    with bad_server(mirror.folder, path, way) as server:
        with pytest.raises(store.DatasetError, match="longer than 1 s; --timeout"):
            remote.download(TINY, server.url, limits=QUICK)
        assert server.asked == 1
    assert nothing_left_but_metadata(local_store)


def test_redirects_end(mirror):
    with (
        bad_server(mirror.folder, "index.json", "redirects") as server,
        pytest.raises(store.DatasetError, match="redirects"),
    ):
        remote.list_remote(server.url)


def nothing_left_but_metadata(local_store):
    """Files that arrived whole and fit the index may wait for the next try, nothing else."""
    left = [p for p in local_store.rglob("*") if p.is_file() and p.suffix != ".lock"]
    return not store.is_local(TINY) and {p.name for p in left} <= {"metadata.json"}


def test_the_total_size_has_a_limit_that_an_option_raises(mirror, local_store, capsys):
    get = ["dataset", "download", TINY, "--from", mirror.url]
    assert command.main([*get, "--max-gb", "1e-5"]) == 2
    assert "--max-gb allows more" in capsys.readouterr().err
    assert nothing_left(local_store)
    assert mirror.requests == ["/index.json"]
    assert command.main([*get, "--max-gb", "0.01", "--timeout", "60", "--max-index-mb", "1"]) == 0


@pytest.mark.parametrize("option", ["--max-gb", "--timeout", "--max-index-mb"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_limit_is_a_positive_number(mirror, local_store, capsys, option, value):
    arguments = ["dataset", "download", TINY, "--from", mirror.url, f"{option}={value}"]
    assert command.main(arguments) == 2
    assert "must be a positive number" in capsys.readouterr().err
    assert not mirror.requests


CODE = (
    "import sys; from networld_algos.cli.command import main;"
    "sys.exit(main(['dataset', 'download', sys.argv[1], '--from', sys.argv[2]]))"
)


def temporary(local_store):
    """Files of a download on their way."""
    return [p for p in local_store.rglob("*") if p.is_file() and p.name.startswith("tmp")]


@contextmanager
def downloading(mirror, local_store):
    """A process in the middle of a download, its temporary file on the disk."""
    with bad_server(mirror.folder, DATA_FILE, "drips") as server:
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, TINY, server.url], stderr=subprocess.PIPE
        )
        try:
            while process.poll() is None and not temporary(local_store):
                threading.Event().wait(0.02)
            assert process.poll() is None
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_download_leaves_no_temporary_file(mirror, local_store, number, status):
    with downloading(mirror, local_store) as process:
        process.send_signal(number)
        assert process.wait(30) == status
        assert b"Traceback" not in process.stderr.read()
        assert nothing_left_but_metadata(local_store)


def test_the_next_download_removes_what_a_killed_one_left(mirror, local_store):
    with downloading(mirror, local_store) as process:
        process.kill()
        process.wait(30)
        assert temporary(local_store)
    with pytest.raises(store.DatasetError):  # even if it fails at once
        remote.download(TINY, "http://127.0.0.1:9", limits=QUICK)
    assert not temporary(local_store)
    remote.download(TINY, mirror.url)
    assert not [p for p in local_store.rglob("*") if ".download" in p.name]
    assert sorted(p.name for p in (local_store / TINY / "data").iterdir()) == [
        "main_data.hdf5",
        "metadata.json",
    ]
