"""The content hash: it covers all that anybody reads, and nothing is used under a wrong one."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from networld_algos.cli import command
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store import fingerprint as prints
from networld_envs.store import minari_io
from networld_envs.store.flatten import flatten_agents
from networld_envs.store.importing.logs import export_npz, import_logs
from networld_envs.store.minari_io import METADATA_KEY, open_local
from networld_envs.store.reading import identity
from networld_envs.store.reading.content import hash_of_version_1
from tests.helpers.catalogue import shorten

MADE = "networld/rb/tiny-v0"
KNOWN = "networld/ns/random-v0"
RESERVED = "networld/rb/expert-v0"
ARRAYS = (
    "actions",
    "infos/agent_rewards",
    "infos/neighbours",
    "observations",
    "rewards",
    "terminations",
    "truncations",
)
ATTRIBUTES = ("id", "seed", "total_steps")


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.delenv(store.MIRROR, raising=False)
    return tmp_path / "minari"


@pytest.fixture
def data(local_store):
    """Folder of the files of a dataset of two episodes."""
    store.build(store.Recipe(MADE, "rb", 2, 3, 7, (Behaviour("random"),)))
    return local_store / MADE / "data"


def edit(data):
    return h5py.File(data / "main_data.hdf5", "r+")


def metadata_changed(data, change):
    path = data / "metadata.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


def is_noticed():
    """Whether `dataset verify` finds that the content is not what it was."""
    try:
        good, _ = store.verify(MADE)
    except store.DatasetError:
        return True
    return not good


def test_these_are_all_arrays_and_attributes(data):
    with edit(data) as file:
        for episode in file.values():
            found = []
            episode.visititems(
                lambda n, x, found=found: found.append(n) if isinstance(x, h5py.Dataset) else None
            )
            assert sorted(found) == list(ARRAYS)
            assert sorted(episode.attrs) == list(ATTRIBUTES)


@pytest.mark.parametrize("row", [0, -1])
@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("episode", [0, 1])
def test_a_change_of_any_array_is_noticed(data, episode, name, row):
    assert not is_noticed()
    with edit(data) as file:
        array = file[f"episode_{episode}/{name}"]
        values = array[row]
        array[row] = ~values if values.dtype == bool else values + 1
    assert is_noticed()


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_change_of_any_attribute_is_noticed(data, name):
    with edit(data) as file:
        file["episode_1"].attrs[name] += 1
    assert is_noticed()
    with edit(data) as file:
        file["episode_1"].attrs[name] -= 1
    assert not is_noticed()
    with edit(data) as file:
        del file["episode_1"].attrs[name]
    assert is_noticed()


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f["episode_0"].__delitem__("infos"),
        lambda f: f["episode_0"].create_dataset("more", data=[1.0]),
        lambda f: f["episode_0/infos"].create_dataset("more", data=["a", "b"]),
        lambda f: f["episode_0"].attrs.update({"options/level": "hard"}),
        lambda f: f["episode_0/rewards"].attrs.update({"unit": "Mbit/s"}),
        lambda f: f["episode_0/rewards"].resize(2, axis=0),
        lambda f: f["episode_0"].move("actions", "deeds"),
        lambda f: f.create_group("episode_2"),
        lambda f: f.create_group("more"),
        lambda f: f.__delitem__("episode_1"),
        lambda f: [f.move(f"episode_{i}", f"episode_{j}") for i, j in ((0, 2), (1, 0), (2, 1))],
        lambda f: f.attrs.update({"author": "another"}),
    ],
)  # fmt: skip
def test_a_change_of_what_the_file_holds_is_noticed(data, change):
    with edit(data) as file:
        change(file)
    assert is_noticed()


@pytest.mark.parametrize("key", ["total_episodes", "total_steps"])
@pytest.mark.parametrize("by", [-1, 1])
def test_metadata_that_count_otherwise_are_noticed(data, key, by):
    metadata_changed(data, lambda about: about.update({key: about[key] + by}))
    with pytest.raises(store.DatasetError, match=r"total_episodes is|its metadata says"):
        store.verify(MADE)


def test_the_hash_does_not_depend_on_the_layout_of_the_file(data):
    before = store.content_hash(open_local(MADE))
    with edit(data) as file:
        for name in ARRAYS:
            path = f"episode_0/{name}"
            values = file[path][()]
            del file[path]
            file.create_dataset(path, data=values, compression="gzip")
        file["episode_0"].attrs.create("seed", file["episode_0"].attrs["seed"], dtype=np.int32)
    assert store.content_hash(open_local(MADE)) == before


def test_a_hash_that_is_recorded_is_not_computed_again(data, monkeypatch):
    expected = store.metadata(open_local(MADE))["sha256"]
    monkeypatch.setattr(minari_io, "file_hash", None)
    assert store.recorded_hash(store.load(MADE)) == expected


def made_by_version_1(data, dataset_id=MADE):
    """Give a dataset the record that earlier versions wrote."""
    old = hash_of_version_1(store.episodes(open_local(dataset_id)))

    def change(about):
        del about[METADATA_KEY]["hash_version"]
        about[METADATA_KEY]["sha256"] = old

    metadata_changed(data, change)


def test_a_dataset_of_an_earlier_version_is_not_used_until_it_is_upgraded(data, capsys):
    before = store.metadata(open_local(MADE))
    made_by_version_1(data)
    for use in (store.load, lambda i: store.recorded_hash(open_local(i))):
        with pytest.raises(store.DatasetError, match=f"networld dataset upgrade {MADE}"):
            use(MADE)
    assert store.verify(MADE)[0] is False
    assert command.main(["dataset", "list"]) == 0
    out = capsys.readouterr().out
    assert next("outdated" in row for row in out.splitlines() if MADE in row)
    assert command.main(["dataset", "upgrade"]) == 0
    assert f"{MADE} is up to date now" in capsys.readouterr().out
    assert store.metadata(store.load(MADE)) == before
    assert command.main(["dataset", "upgrade"]) == 0
    assert command.main(["dataset", "upgrade", MADE]) == 0


@pytest.mark.parametrize(
    ("name", "row", "text"),
    [
        ("actions", 1, "its content was"),
        ("rewards", 2, "rewards of episode 1"),
        ("infos/agent_rewards", 0, "the first row of agent_rewards of episode 1"),
        ("infos/neighbours", 3, "neighbours of episode 1"),
        ("seed", None, "the seed of episode 1"),
    ],
)
def test_a_changed_dataset_of_an_earlier_version_is_not_upgraded(data, name, row, text):
    made_by_version_1(data)
    before = (data / "metadata.json").read_bytes()
    with edit(data) as file:
        if row is None:
            file["episode_1"].attrs[name] += 1
        else:
            file[f"episode_1/{name}"][row] += 1
    with pytest.raises(store.DatasetError, match=f"changed since it was made: {text}"):
        store.upgrade(MADE)
    assert (data / "metadata.json").read_bytes() == before
    with pytest.raises(store.DatasetError, match="made by another version"):
        store.load(MADE)


def test_a_dataset_of_a_later_version_is_not_used(data):
    metadata_changed(data, lambda about: about[METADATA_KEY].update(hash_version=3))
    with pytest.raises(store.DatasetError, match="made by another version"):
        store.load(MADE)
    with pytest.raises(store.DatasetError, match="version 3, which this version of networld does"):
        store.upgrade(MADE)


@pytest.fixture
def known(tmp_path, monkeypatch):
    """A dataset of a catalogue that records its hash; returns a function that changes the hash."""
    shorten(monkeypatch, tmp_path, 2)
    path = tmp_path / "catalog.toml"
    before = path.read_text()

    def record(sha256):
        start = before.index(f'["{KNOWN}"]')
        path.write_text(
            before[:start] + before[start:].replace('sha256 = ""', f'sha256 = "{sha256}"', 1)
        )

    made = store.build(store.find_recipe(KNOWN))
    record(store.metadata(made)["sha256"])
    return record


def test_a_dataset_that_is_not_the_catalogues_is_refused(known):
    found = store.metadata(store.load(KNOWN))["sha256"]
    known("ab" * 32)
    with pytest.raises(
        store.DatasetError,
        match=f"has content {found[:16]}, not {'ab' * 8}.*dataset build {KNOWN} --force",
    ):
        store.load(KNOWN)
    # So does every command that reads data, here the shortest.
    assert command.main(["dataset", "export", KNOWN, "--out", "never.npz"]) == 2


def test_a_build_that_differs_by_rounding_alone_is_used(known, monkeypatch):
    same = prints.fingerprint(store.load(KNOWN))
    known("ab" * 32)
    monkeypatch.setattr(identity, "fingerprints", lambda: {KNOWN: same})
    store.build(store.find_recipe(KNOWN), force=True)
    monkeypatch.setattr(identity, "compare", None)  # what was found is recorded
    store.load(KNOWN)
    known("cd" * 32)  # the catalogue's dataset is another one now
    with pytest.raises(store.DatasetError, match="not the catalogue's"):
        store.load(KNOWN)


def test_a_build_that_differs_by_more_than_rounding_is_not_used(known, local_store):
    known("ab" * 32)
    store.build(store.find_recipe(KNOWN), force=True)
    with pytest.raises(store.DatasetError, match="not the catalogue's"):
        store.load(KNOWN)
    (local_store / KNOWN / "data").rename(local_store / "elsewhere")
    with pytest.raises(store.DatasetError, match="not the catalogue's"):
        store.load(KNOWN)  # builds it first


@pytest.mark.parametrize("way", ["import", "flatten", "build"])
@pytest.mark.parametrize("force", [False, True])
def test_nothing_else_gets_an_id_of_the_catalogue(data, tmp_path, local_store, way, force):
    dataset = store.load(MADE)
    export_npz(dataset, tmp_path / "log.npz")
    recipe = replace(store.find_recipe(RESERVED), episodes=2)
    ways = {
        "import": lambda: import_logs(tmp_path / "log.npz", RESERVED, "rb", force=force),
        "flatten": lambda: flatten_agents(dataset, RESERVED, force),
        "build": lambda: store.build(recipe, force=force),
    }
    with pytest.raises(store.DatasetError, match=r"reserved.*'networld/rb/expert-mine-v0'"):
        ways[way]()
    assert not (local_store / RESERVED).exists()
