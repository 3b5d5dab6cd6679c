"""Both packages write files whole or not at all, and lock them without harm to other files."""

import fcntl
import os
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


def test_who_waited_for_a_lock_file_that_was_deleted_locks_a_new_one(tmp_path, monkeypatch):
    path = tmp_path / ".lock"
    opened, there = threading.Event(), []
    flock = fcntl.flock

    def watched(handle, how):
        opened.set()
        flock(handle, how)

    def wait():
        with algos.locked(path, remove=True):
            there.append(path.exists())

    waiter = threading.Thread(target=wait)
    with algos.locked(path, remove=True):
        monkeypatch.setattr(fcntl, "flock", watched)
        waiter.start()
        assert opened.wait(60)
    waiter.join()
    assert there == [True]
    assert not path.exists()
