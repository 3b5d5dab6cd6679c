"""The door into the local store: ids, failures in the middle, and what is never removed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import minari
import numpy as np
import pytest

from networld_algos.cli import command
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store import builder, flatten, publishing, remote
from networld_envs.store.ids import check_id, dataset_folder
from networld_envs.store.importing import logs
from networld_envs.store.minari_io import episode_buffer, episodes, open_local

NEW = "networld/rb/new-v0"
SOURCE = "networld/rb/source-v0"


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv(store.MIRROR, raising=False)
    return tmp_path / "minari"


def recipe(dataset_id=NEW, **changes):
    values = {"episodes": 4, "max_cycles": 6, "seed": 77, "behaviours": (Behaviour("random"),)}
    return store.Recipe(dataset_id, "rb", chunk_episodes=2, **{**values, **changes})


class Makers:
    """The four ways to make a dataset, each from the same source."""

    names = ("build", "import", "flatten", "download")

    def __init__(self, folder):
        self.source = store.build(recipe(SOURCE, seed=5))
        self.log, self.mirror = folder / "log.npz", folder / "mirror"
        logs.export_npz(self.source, self.log)

    def serve(self, dataset_id, monkeypatch):
        """Make `download` fetch a dataset of that id, made from another seed, from a folder."""
        store.build(recipe(dataset_id, seed=9), force=True)
        remote.upload(dataset_id, str(self.mirror))
        shutil.rmtree(dataset_folder(dataset_id))
        entry = json.loads((self.mirror / "index.json").read_text())["datasets"][dataset_id]

        def fetch(dataset_id, _remote, folder, *_):
            shutil.copytree(self.mirror / dataset_id, folder)
            return entry["sha256"]

        monkeypatch.setattr(remote.mirror, "fetch", fetch)

    def make(self, name, dataset_id, force=False):
        if name == "build":
            return store.build(recipe(dataset_id), force=force)
        if name == "import":
            return logs.import_logs(self.log, dataset_id, "rb", force=force)
        if name == "flatten":
            return flatten.flatten_agents(self.source, dataset_id, force=force)
        return remote.download(dataset_id, "http://mirror", force=force)


@pytest.fixture
def makers(tmp_path):
    return Makers(tmp_path)


def files(folder):
    """Contents by path, without the locks, which stay."""
    found = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {str(p.relative_to(folder)): data for p, data in found.items() if p.suffix != ".lock"}


class Broken(BaseException):
    """Stands for whatever may happen, Ctrl-C included."""


def fail_in_the_middle(monkeypatch):
    """Let every maker fail after its first episode or when it is about to check a download."""

    def broken(dataset, *args):
        iterator = episodes(dataset, *args)
        yield next(iterator)
        raise Broken

    def damaged(number, *args):
        if number == 1:
            raise Broken
        return episode_buffer(number, *args)

    monkeypatch.setattr(flatten, "checked_episodes", broken)
    monkeypatch.setattr(builder, "episode_buffer", damaged)
    monkeypatch.setattr(logs, "episode_buffer", damaged)
    monkeypatch.setattr(remote, "content_hash", lambda dataset: list(broken(dataset)))


@pytest.mark.parametrize("name", Makers.names)
def test_a_failure_in_the_middle_leaves_no_dataset(makers, local_store, name, monkeypatch):
    if name == "download":
        makers.serve(NEW, monkeypatch)
    before = files(local_store)
    with monkeypatch.context() as patched:
        fail_in_the_middle(patched)
        with pytest.raises(Broken):
            makers.make(name, NEW)
    assert not dataset_folder(NEW).exists()
    left = {path: data for path, data in files(local_store).items() if path not in before}
    if name == "build":  # it goes on where it stopped
        kept = [Path(path).name for path in left]
        assert sorted(kept) == ["chunk-00000000.npz", "chunk-00000002.npz", "recipe.json"]
    else:
        assert not left
        assert not [p for p in local_store.rglob(".*") if p.is_dir()]
    makers.make(name, NEW)
    assert store.is_local(NEW)
    assert not [p for p in local_store.rglob(".*") if p.is_dir()]


@pytest.mark.parametrize("name", Makers.names)
def test_an_existing_dataset_is_untouched_without_force(makers, local_store, name, monkeypatch):
    if name == "download":
        makers.serve(NEW, monkeypatch)
    store.build(recipe())
    before = files(local_store)
    with pytest.raises(store.DatasetError, match="already exists; use --force"):
        makers.make(name, NEW)
    assert files(local_store) == before
    with monkeypatch.context() as patched:
        fail_in_the_middle(patched)
        with pytest.raises(Broken):
            makers.make(name, NEW, force=True)
    after = files(local_store)
    assert {path: after[path] for path in before} == before
    makers.make(name, NEW, force=True)
    assert store.is_local(NEW)


@pytest.mark.parametrize("name", Makers.names)
def test_a_dataset_that_cannot_be_moved_in_leaves_the_old_one(
    makers, local_store, name, monkeypatch
):
    """The error comes between moving the old one out and the new one in."""
    if name == "download":
        makers.serve(NEW, monkeypatch)
    store.build(recipe(seed=3))
    before = files(dataset_folder(NEW))
    real = os.rename

    def rename(source, target):
        if Path(source).name == publishing.DATASET:
            raise OSError(28, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(publishing.os, "rename", rename)
        with pytest.raises(OSError, match="No space left"):
            makers.make(name, NEW, force=True)
    assert files(dataset_folder(NEW)) == before
    assert not list(local_store.rglob(".*.replaced"))


def test_a_process_killed_while_replacing_loses_nothing(local_store):
    store.build(recipe())
    before = files(dataset_folder(NEW))
    dataset_folder(NEW).rename(local_store / "networld/rb/.new-v0.replaced")
    with pytest.raises(store.DatasetError, match="already exists"):
        store.build(recipe())
    assert files(dataset_folder(NEW)) == before


BAD = (
    "",
    "networld/rb",
    "no-version",
    "white space-v0",
    "../evil-v0",
    "networld/../../evil-v0",
    "/tmp/evil-v0",
    "networld//evil-v0",
    "networld/rb/.evil-v0",
    "networld/rb/evil-v0/",
    "networld/rb/evil-v0\n",
    "networld/rb/evil-v",
    "networld/rb/evil-v-1",
    "networld/data/evil-v0",
    "data/evil-v0",
    "x" * 300 + "-v0",
    "evil\x00-v0",
    "evil\ud800-v0",
    None,
)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_id_changes_nothing_anywhere(makers, tmp_path, bad, monkeypatch):
    makers.serve(NEW, monkeypatch)
    before = files(tmp_path)
    tries = {name: lambda name=name: makers.make(name, bad, force=True) for name in Makers.names}
    tries |= {
        "recipe": lambda: recipe(bad),
        "upload": lambda: remote.upload(bad, str(tmp_path / "other")),
        "open": lambda: open_local(bad),
        "verify": lambda: store.verify(bad),
    }
    for name, attempt in tries.items():
        with pytest.raises(store.DatasetError, match="is not a dataset id"):
            attempt()
        assert files(tmp_path) == before, name
    assert not store.is_local(bad)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.npz", "minari", "mirror"]


def test_what_minari_cannot_parse_is_no_id():
    for good in ("rl/campus-v0", "campus-v0", "a_b/c-d/e-v12", "networld/rb/campus-v0"):
        assert check_id(good) == good
        assert minari.dataset.minari_dataset.parse_dataset_id(good)


@pytest.mark.parametrize("name", Makers.names)
def test_a_folder_of_datasets_is_never_replaced(makers, local_store, name, monkeypatch):
    """Flattening to the name of a namespace once removed every dataset in it."""
    if name == "download":
        makers.serve("aa/bb-v0", monkeypatch)
    store.build(recipe("aa/bb-v0/cc-v0"))
    before = files(local_store)
    for force in (False, True):
        with pytest.raises(store.DatasetError, match=r"is not a dataset; it holds .*cc-v0"):
            makers.make(name, "aa/bb-v0", force)
    assert files(local_store) == before
    with pytest.raises(store.DatasetError, match="lies inside the dataset 'networld/rb/source-v0'"):
        makers.make(name, f"{SOURCE}/inner-v0")
    assert files(local_store) == before


@pytest.mark.parametrize("name", Makers.names)
@pytest.mark.parametrize("whole", [False, True])
def test_a_users_files_are_never_removed(makers, local_store, name, whole, monkeypatch):
    if name == "download":
        makers.serve(NEW, monkeypatch)
    if whole:
        store.build(recipe())
    note = local_store / NEW / "notes.txt"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("mine")
    before = files(local_store)
    for force in (False, True):
        with pytest.raises(store.DatasetError):
            makers.make(name, NEW, force)
        assert files(local_store) == before
    with pytest.raises(store.DatasetError, match=r"notes\.txt"):
        makers.make(name, NEW, force=True)


def test_a_link_is_neither_followed_nor_replaced(makers, local_store, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    dataset_folder(NEW).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(store.DatasetError, match="is a link or a file, not a folder"):
        store.build(recipe(), force=True)
    dataset_folder(NEW).unlink()
    (tmp_path / "precious").write_text("mine")
    (local_store / "networld/rb/.new-v0.lock").unlink()
    (local_store / "networld/rb/.new-v0.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"new-v0\.lock"):
        store.build(recipe())
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_damaged_dataset_is_replaced_with_force_only(local_store):
    data = local_store / NEW / "data"
    data.mkdir(parents=True)
    with pytest.raises(store.DatasetError, match="use --force"):
        store.build(recipe())
    assert data.is_dir()
    store.build(recipe(), force=True)
    assert store.verify(NEW)[0]


def test_a_renamed_dataset_is_not_uploaded(local_store, tmp_path):
    store.build(recipe())
    (local_store / NEW).rename(local_store / "networld/rb/other-v0")
    with pytest.raises(store.DatasetError, match="is 'networld/rb/new-v0'; it is not uploaded"):
        remote.upload("networld/rb/other-v0", str(tmp_path / "mirror"))
    assert not (tmp_path / "mirror").exists()


def test_namespaces_end_at_the_store(local_store):
    store.build(recipe("a1/b2/c3-v0"))
    notes = sorted(p.parent.name for p in local_store.rglob("namespace_metadata.json"))
    assert notes == ["a1", "b2"]
    assert {"a1", "a1/b2"} <= set(minari.namespace.list_local_namespaces())


def test_flattening_shows_how_far_it_is(makers):
    seen = []
    flatten.flatten_agents(makers.source, NEW, progress=lambda *now: seen.append(now))
    assert seen == [(k, 4) for k in range(5)]


def test_flattening_to_a_namespace_from_the_command_line(local_store, capsys):
    store.build(recipe(SOURCE))
    before = files(local_store)
    assert command.main(["dataset", "flatten", SOURCE, "--id", "networld/rb"]) == 2
    assert "'networld/rb' is not a dataset id" in capsys.readouterr().err
    assert files(local_store) == before


def test_a_damaged_note_of_an_unfinished_build_starts_it_afresh(local_store):
    """A full disk once left it empty, and every later build failed."""
    partial = local_store / "networld/rb/.new-v0.partial"
    partial.mkdir(parents=True)
    (partial / "recipe.json").write_text("")
    (partial / "chunk-00000000.npz").write_bytes(b"")
    store.build(recipe())
    assert store.verify(NEW)[0]


def test_the_lock_is_held_by_one_process_at_a_time(local_store):
    code = (
        "import sys; from networld_envs.store.publishing import exclusive\n"
        "with exclusive(sys.argv[1], 'x'): print('in', flush=True)"
    )
    with publishing.exclusive(NEW, "x"):
        other = subprocess.Popen([sys.executable, "-c", code, NEW], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(3)
    assert other.communicate(timeout=60)[0] == b"in\n"


def test_arrays_of_a_build_are_the_same_after_a_failure(local_store, monkeypatch):
    whole = store.content_hash(store.build(recipe(SOURCE)))
    with monkeypatch.context() as patched:
        fail_in_the_middle(patched)
        with pytest.raises(Broken):
            store.build(recipe())
    chunk = local_store / "networld/rb/.new-v0.partial/chunk-00000000.npz"
    stamp = chunk.stat().st_mtime_ns
    assemble, seen = builder._assemble, []
    monkeypatch.setattr(
        builder,
        "_assemble",
        lambda *args: (seen.append(chunk.stat().st_mtime_ns), assemble(*args)),
    )
    assert store.content_hash(store.build(recipe())) == whole
    assert seen == [stamp]
    assert np.isfinite(store.local_datasets()[NEW].mean_reward)
