"""The list of local datasets: one that is damaged or foreign hides no other."""

import contextlib
import json
import shutil

import minari
import pytest

from networld_algos.cli import command
from networld_envs import store
from networld_envs.policies.rollout import Behaviour

NEW = "networld/rb/new-v0"
SOURCE = "networld/rb/source-v0"


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv(store.MIRROR, raising=False)
    return tmp_path / "minari"


def recipe(dataset_id=NEW):
    return store.Recipe(dataset_id, "rb", 4, 6, 77, (Behaviour("random"),))


def damage(path):
    path.write_text(path.read_text()[:40])


def put(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def without(path, key):
    about = json.loads(path.read_text())
    del about["networld"][key]
    path.write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (damage, "metadata.json"),
        (lambda path: path.unlink(), "metadata.json"),
        (lambda path: path.write_text("[]"), "metadata.json"),
        (lambda path: put(path, dataset_id="networld/rb/other-v0"), "networld/rb/other-v0"),
        (lambda path: put(path, total_steps="many"), "many"),
        (lambda path: without(path, "sha256"), "sha256"),
    ],
)
def test_a_damaged_dataset_does_not_hide_the_others(local_store, capsys, harm, why):
    store.build(recipe())
    store.build(recipe(SOURCE))
    harm(local_store / NEW / "data" / "metadata.json")
    found = store.local_datasets()
    assert not found[SOURCE].fault
    assert why in found[NEW].fault
    assert command.main(["dataset", "list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any(SOURCE in row and "here" in row for row in rows)
    assert any(NEW in row and "damaged" in row for row in rows)


def test_folders_that_are_no_datasets_do_not_hide_the_datasets(local_store, capsys):
    """A dataset without a version makes Minari's own listing fail; ours lists it as damaged."""
    store.build(recipe())
    shutil.copytree(local_store / NEW, local_store / "networld" / "unversioned")
    (local_store / "stray").mkdir()
    (local_store / "stray" / "file").write_text("")
    with contextlib.suppress(Exception):
        minari.list_local_datasets()
    found = store.local_datasets()
    assert set(found) == {NEW, "networld/unversioned"}
    assert "is not a dataset id" in found["networld/unversioned"].fault
    assert command.main(["dataset", "list"]) == 0
    assert NEW in capsys.readouterr().out


def test_datasets_behind_links_are_listed(local_store, tmp_path):
    store.build(recipe())
    (local_store / "networld").rename(tmp_path / "elsewhere")
    (local_store / "networld").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(local_store)
    found = store.local_datasets()
    assert set(found) == {NEW}
    assert not found[NEW].fault


def test_data_of_others_are_listed_as_foreign(local_store, capsys):
    store.build(recipe())
    shutil.copytree(local_store / NEW, local_store / "d4rl" / "door-v0")
    path = local_store / "d4rl" / "door-v0" / "data" / "metadata.json"
    about = json.loads(path.read_text())
    del about["networld"]
    env = {**json.loads(about["env_spec"]), "entry_point": "doors:Door"}
    foreign = {**about, "dataset_id": "d4rl/door-v0", "env_spec": json.dumps(env)}
    path.write_text(json.dumps(foreign))
    found = store.local_datasets()
    assert set(found) == {NEW, "d4rl/door-v0"}
    assert found["d4rl/door-v0"].is_foreign
    assert command.main(["dataset", "list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any("d4rl/door-v0" in row and "foreign" in row for row in rows)
    assert any(NEW in row and "here" in row for row in rows)


def test_data_that_minari_recorded_in_our_environment_is_listed_as_here(local_store):
    store.build(recipe())
    path = local_store / NEW / "data" / "metadata.json"
    about = json.loads(path.read_text())
    del about["networld"]
    path.write_text(json.dumps(about))
    found = store.local_datasets()[NEW]
    assert not found.fault
    assert (found.episodes, found.steps, found.sha256) == (4, 24, "")


def test_a_truncated_data_file_is_listed_as_damaged(local_store):
    store.build(recipe())
    store.build(recipe(SOURCE))
    path = local_store / NEW / "data" / "main_data.hdf5"
    path.write_bytes(path.read_bytes()[:5000])
    found = store.local_datasets()
    assert "truncated" in found[NEW].fault
    assert not found[SOURCE].fault
