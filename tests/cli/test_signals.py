"""SIGTERM and Ctrl-C end every command with its own status, and leave nothing half-written."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from networld_algos import files
from networld_algos.cli import command
from networld_algos.cli.signals import Terminated, sigterm_interrupts
from networld_algos.results.rows import write_rows
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store import publishing
from networld_envs.store.importing.logs import export_npz
from tests.report.rows import make_row

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
SOURCE, NEW = "networld/rb/source-v0", "networld/rb/new-v0"


@pytest.fixture
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.delenv(store.MIRROR, raising=False)
    return tmp_path / "minari"


@pytest.mark.parametrize(("number", "status"), SIGNALS)
@pytest.mark.parametrize("verb", ["flatten", "import"])
def test_a_stopped_command_leaves_no_dataset(
    tmp_path, local_store, monkeypatch, capsys, verb, number, status
):
    recipe = store.Recipe(SOURCE, "rb", 4, 6, 77, (Behaviour("random"),))
    source = store.build(recipe)
    export_npz(source, tmp_path / "log.npz")
    words = {
        "flatten": ["flatten", SOURCE, "--id", NEW],
        "import": ["import", str(tmp_path / "log.npz"), "--id", NEW, "--task", "rb"],
    }
    monkeypatch.setattr(publishing, "publish", lambda *_: signal.raise_signal(number))
    before = {p for p in local_store.rglob("*") if p.suffix != ".lock"}
    assert command.main(["dataset", *words[verb]]) == status
    assert "interrupted" in capsys.readouterr().err
    assert {p for p in local_store.rglob("*") if p.suffix != ".lock"} == before


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_stopped_report_has_no_half_written_file(tmp_path, monkeypatch, number, status):
    write_rows(tmp_path / "demo" / "a.jsonl", [make_row(suite="demo")])
    fsync = os.fsync
    calls = []

    def stopped(handle):
        calls.append(handle)
        if len(calls) == 2:
            signal.raise_signal(number)
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", stopped)
    assert command.main(["report", str(tmp_path / "demo")]) == status
    left = [p for p in (tmp_path / "demo" / "report").rglob("*") if p.is_file()]
    assert not [p for p in left if p.name.startswith(".") or not p.stat().st_size]


def test_a_handler_of_the_program_is_kept():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    seen = []
    signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        with sigterm_interrupts():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1]


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_stopped_build_ends_its_workers_and_goes_on(local_store, number, status):
    words = [sys.executable, "-m", "networld_algos", "dataset", "build", "networld/rb/expert-v0"]
    process = subprocess.Popen(
        [*words, "--jobs", "2"], stderr=subprocess.PIPE, start_new_session=True
    )
    guard = threading.Timer(60, os.killpg, (process.pid, signal.SIGKILL))
    guard.start()
    try:
        while not list(local_store.rglob("recipe.json")):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT) if number == signal.SIGINT else process.terminate()
        _, err = process.communicate(timeout=30)  # returns when the last worker has ended
    finally:
        guard.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == status
    assert b"Traceback" not in err
    assert b"leaked" not in err
    assert not store.is_local("networld/rb/expert-v0")
