"""Both packages write files whole or not at all, and onto the disk before they are seen."""

import os
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
