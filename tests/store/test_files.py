"""Both packages write files whole or not at all, and lock them without harm to other files."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from networld_algos import files as algos
from networld_envs import files as envs


def replace_bytes(path, data):
    with envs.replacing(Path(path)) as file:
        file.write(data)


WRITERS = {
    "envs.replacing": lambda path: replace_bytes(path, b"new"),
    "envs.replace_text": lambda path: envs.replace_text(path, "new"),
    "algos.write_bytes": lambda path: algos.write_bytes(path, b"new"),
    "algos.write_text": lambda path: algos.write_text(path, "new"),
}


@pytest.fixture(params=WRITERS.values(), ids=WRITERS)
def write(request):
    return request.param


def test_a_file_is_synced_before_it_takes_its_place(write, tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    order = []
    sync, replace = os.fsync, Path.replace

    def synced(handle):
        assert path.read_text() == "old"
        assert os.fstat(handle).st_size == 3  # flushed
        order.append("sync")
        sync(handle)

    def replaced(source, target):
        order.append("replace")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write(path)
    assert order == ["sync", "replace"]
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(write, tmp_path, monkeypatch, step):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", full) if step == "fsync" else (Path, "replace", full)))
    with pytest.raises(OSError, match="No space left"):
        write(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_an_interrupted_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with envs.replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_text_is_utf_8_with_line_ends_as_they_are(tmp_path):
    for i, function in enumerate((envs.replace_text, algos.write_text)):
        function(tmp_path / str(i), "ä\r\nb\n")
        assert (tmp_path / str(i)).read_bytes() == b"\xc3\xa4\r\nb\n"


@pytest.mark.parametrize("locked", [envs.locked, algos.locked], ids=["envs", "algos"])
def test_a_lock_does_not_follow_a_link_or_empty_a_file(locked, tmp_path):
    treasure, link = tmp_path / "treasure", tmp_path / "link"
    treasure.write_text("gold")
    link.symlink_to(treasure)
    with pytest.raises(OSError, match="symbolic links"), locked(link):
        pass
    with locked(treasure):
        assert treasure.read_text() == "gold"
    assert treasure.read_text() == "gold"


def test_a_lock_that_is_held_is_refused_without_waiting(tmp_path):
    path = tmp_path / "new" / ".lock"
    with (
        algos.locked(path),
        pytest.raises(BlockingIOError),
        algos.locked(path, wait=False),
    ):
        pass
    with algos.locked(path, wait=False):
        assert path.is_file()
    assert path.is_file()


HOLD = (
    "import os, sys; from networld_algos.files import locked\n"
    "with locked(sys.argv[1], remove=True): print('held', flush=True); sys.stdin.read()"
)


def test_who_waited_for_a_lock_file_that_was_deleted_locks_a_new_one(tmp_path):
    path = tmp_path / ".lock"
    there = []

    def wait():
        with algos.locked(path, remove=True):
            there.append(path.exists())

    waiter = threading.Thread(target=wait)
    with algos.locked(path, remove=True):
        waiter.start()
        waiter.join(0.2)  # it tries in vain
        assert not there
    waiter.join()
    assert there == [True]
    assert not path.exists()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path):
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError, match="another process holds"):
            algos.locked(path, wait=False).__enter__()
        holder.kill()
        holder.wait()
        with algos.locked(path, wait=False), pytest.raises(BlockingIOError):
            algos.locked(path, wait=False).__enter__()


def test_neither_package_locks_files_by_hand():
    root = Path(envs.__file__).parents[1]
    for package in ("networld_envs", "networld_algos"):
        for path in (root / package).rglob("*.py"):
            by_hand = re.search(r"^\s*(import|from) (fcntl|msvcrt)\b", path.read_text(), re.M)
            assert not by_hand, path
