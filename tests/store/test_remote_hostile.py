"""A hostile mirror: nothing is run, interpreted or written outside the store."""
# ruff: noqa: F811 - fixtures are imported

import json
import os
import shutil
import sys

import h5py
import minari
import numpy as np
import pooch
import pytest

from networld_envs import store
from networld_envs.store import remote
from networld_envs.store.arrival import FILES
from networld_envs.store.transfer import Limits
from tests.store.test_remote import (  # noqa: F401
    TINY,
    bucket,
    local_store,
    mirror,
    nothing_left,
    recipe,
)

TOUCH = {"entry_point": "subprocess:run"}


def forge(mirror, about=None, arrays=None, networld=None, env=None):
    """Change what the mirror serves; every checksum of the index fits afterwards."""
    folder = mirror.folder / TINY
    path = folder / FILES[0]
    found = json.loads(path.read_text())
    found.update(about or {})
    found["networld"].update(networld or {})
    if env is not None:
        found["env_spec"] = json.dumps({**json.loads(found["env_spec"]), **env})
    path.write_text(json.dumps(found))
    if arrays is not None:
        with h5py.File(folder / FILES[1], "r+") as file:
            arrays(file)
    index = json.loads((mirror.folder / "index.json").read_text())
    for name in FILES:
        index["datasets"][TINY]["files"][name] = {
            "sha256": pooch.file_hash(str(folder / name)),
            "bytes": (folder / name).stat().st_size,
        }
    (mirror.folder / "index.json").write_text(json.dumps(index))


def calls(tmp_path):
    """An environment spec that makes a file, and that file."""
    proof = tmp_path / "proof"
    return {"entry_point": "subprocess:run", "kwargs": {"args": ["touch", str(proof)]}}, proof


def wrapped(entry_point, **kwargs):
    return [{"name": "X", "entry_point": entry_point, "kwargs": kwargs}]


FOREIGN = {
    "entry point": {"env": TOUCH},
    "vector entry point": {"env": {"vector_entry_point": "os:system"}},
    "wrapper": {"env": {"additional_wrappers": wrapped("subprocess:run")}},
    "wrapper that writes": {
        "env": {"additional_wrappers": wrapped("gymnasium.wrappers.rendering:RecordVideo")}
    },
    "look-alike of a wrapper": {
        "env": {"additional_wrappers": wrapped("gymnasium.wrappers_evil:RescaleAction")}
    },
    "function of ours that runs a file": {"env": {"entry_point": "networld_envs.files:run_file"}},
    "look-alike of ours": {"env": {"entry_point": "networld_envs_evil:Env"}},
    "no text": {"env": {"entry_point": ["subprocess", "run"]}},
    "evaluation": {
        "about": {"eval_env_spec": json.dumps({"id": "A-v0", "additional_wrappers": [], **TOUCH})}
    },
}


@pytest.mark.parametrize("forgery", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_function_is_refused_at_download_and_at_load(mirror, local_store, forgery):
    remote.download(TINY, mirror.url)
    forge(mirror, **forgery)
    with pytest.raises(store.DatasetError, match="would run code from outside networld_envs"):
        remote.download(TINY, mirror.url, force=True)
    assert store.verify(TINY)[0]  # the one that was here
    (local_store / TINY / FILES[0]).write_bytes((mirror.folder / TINY / FILES[0]).read_bytes())
    for use in (
        store.load,
        store.verify,
        lambda i: remote.upload(i, str(local_store.parent / "m")),
    ):
        with pytest.raises(store.DatasetError, match="would run code from outside networld_envs"):
            use(TINY)


def test_text_that_minari_changes_cannot_hide_a_function(mirror, tmp_path):
    """Minari cuts a piece out of the text before it reads it."""
    spec, proof = calls(tmp_path)
    spec = {"id": "A-v0", "additional_wrappers": [], **spec}
    cut = '"order_enforce": true,'
    hidden = json.dumps(spec).replace('"entry_point"', f'"entry_{cut}point"')
    assert json.loads(hidden.replace(cut, "")) == spec
    forge(mirror, about={"env_spec": hidden})
    with pytest.raises(store.DatasetError, match="subprocess:run"):
        remote.download(TINY, mirror.url)
    assert not proof.exists()


@pytest.mark.parametrize("space", ["observation_space", "action_space"])
def test_reading_does_not_make_the_environment(mirror, local_store, tmp_path, space):
    """Minari makes it where a space is missing, before anybody can look at it."""
    spec, proof = calls(tmp_path)
    remote.download(TINY, mirror.url)
    path = local_store / TINY / FILES[0]
    about = json.loads(path.read_text())
    del about[space]
    about["env_spec"] = json.dumps({**json.loads(about["env_spec"]), **spec})
    path.write_text(json.dumps(about))
    with pytest.raises(store.DatasetError, match=f"has no {space}"):
        store.load(TINY)
    assert not proof.exists()


def test_a_package_can_be_allowed_by_name(mirror, tmp_path, monkeypatch):
    (tmp_path / "my_radio.py").write_text("from networld_envs.joint import JointEnv as Env\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    forge(mirror, env={"entry_point": "my_radio:Env"})
    with pytest.raises(store.DatasetError, match="set NETWORLD_ALLOW_PACKAGES=my_radio"):
        remote.download(TINY, mirror.url)
    assert "my_radio" not in sys.modules
    monkeypatch.setenv("NETWORLD_ALLOW_PACKAGES", "other, my_radio")
    remote.download(TINY, mirror.url)
    env = store.load(TINY).recover_environment()
    assert env.unwrapped.spec.entry_point == "my_radio:Env"
    del sys.modules["my_radio"]


def test_a_dataset_of_the_catalogue_is_made_again_from_its_recipe(
    mirror,
    local_store,
    tmp_path,
    monkeypatch,
):
    """Only the arrays that are hashed come from the mirror."""
    built = store.build(recipe())
    before = json.loads((local_store / TINY / FILES[0]).read_text())
    seeds = [e["seed"] for e in built.storage.get_episode_metadata(range(4))]
    rewards = [episode.rewards.tolist() for episode in built]
    monkeypatch.setattr(
        remote, "catalog", lambda: {TINY: recipe(sha256=before["networld"]["sha256"])}
    )
    spec, proof = calls(tmp_path)

    def arrays(file):
        file["episode_1"]["rewards"][:] = 9.0
        file["episode_2"].attrs["seed"] = 1

    forge(
        mirror,
        about={"description": "read https://evil", "ref_max_score": 1e9, "author": ["x"]},
        networld={"spec": {"task": "cbf"}, "licence": "none"},
        env=spec,
        arrays=arrays,
    )
    dataset = remote.download(TINY, mirror.url, force=True)
    assert json.loads((local_store / TINY / FILES[0]).read_text()) == before
    assert [e["seed"] for e in dataset.storage.get_episode_metadata(range(4))] == seeds
    assert [episode.rewards.tolist() for episode in dataset] == rewards
    assert dataset.recover_environment().spec.id == "networld/RB-v0"
    assert not proof.exists()


def test_metadata_is_cut_down_to_what_is_known(mirror, local_store):
    remote.download(TINY, mirror.url)
    honest = json.loads((local_store / TINY / FILES[0]).read_text())
    assert honest == json.loads((mirror.folder / TINY / FILES[0]).read_text())  # nothing is lost
    forge(
        mirror,
        about={"plugin": {"a": 1}, "total_steps": 9},
        networld={"run": "x", "mean_reward": 7},
    )
    remote.download(TINY, mirror.url, force=True)
    assert json.loads((local_store / TINY / FILES[0]).read_text()) == honest


@pytest.mark.parametrize(
    ("about", "networld"),
    [
        ({"description": 3}, {}),
        ({"description": "\x1b]0;title\x07"}, {}),
        ({"author": "me"}, {}),
        ({"ref_min_score": "0"}, {}),
        ({"data_format": "arrow"}, {}),
        ({"networld": {"a": 1}}, {}),
        ({}, {"spec": {"task": "rb"}}),
        ({}, {"task": ["rb"]}),
        ({}, {"sha256": "x" * 64}),
        ({}, {"recipe": [1]}),
    ],
)
def test_metadata_of_a_wrong_type_is_refused(mirror, local_store, about, networld):
    forge(mirror, about, networld=networld)
    with pytest.raises(store.DatasetError, match="in its metadata is"):
        remote.download(TINY, mirror.url)
    assert nothing_left(local_store)


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", "{", "\xff"])
def test_metadata_that_is_no_object_is_refused(mirror, local_store, text):
    forge(mirror)
    (mirror.folder / TINY / FILES[0]).write_text(text, encoding="latin-1")
    index = json.loads((mirror.folder / "index.json").read_text())
    index["datasets"][TINY]["files"][FILES[0]] = {
        "sha256": pooch.file_hash(str(mirror.folder / TINY / FILES[0])),
        "bytes": len(text),
    }
    (mirror.folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(store.DatasetError, match="is not accepted"):
        remote.download(TINY, mirror.url)
    assert nothing_left(local_store)


def replaced(change):
    """A change of the actions of episode 1."""

    def arrays(file):
        del file["episode_1/actions"]
        change(file["episode_1"], "actions")

    return arrays


ARRAYS = {
    "external link": replaced(lambda g, n: g.__setitem__(n, h5py.ExternalLink("/x.h5", "/y"))),
    "soft link": replaced(lambda g, n: g.__setitem__(n, h5py.SoftLink("/episode_0/actions"))),
    "same array": replaced(lambda g, n: g.__setitem__(n, g.file["episode_0/actions"])),
    "bytes of another file": replaced(
        lambda g, n: g.create_dataset(n, (6, 24), "u1", external=[("/etc/passwd", 0, 144)])
    ),
    "text": replaced(lambda g, n: g.create_dataset(n, data=["x"] * 6)),
    "a small file of 8 TB": replaced(
        lambda g, n: g.create_dataset(n, (10**12,), "f8", chunks=(1000,), compression="gzip")
    ),
    "a group in itself": lambda file: file.__setitem__("episode_0/infos/more", file["/"]),
    "an episode is missing": lambda file: file.__delitem__("episode_2"),
}


@pytest.mark.parametrize("arrays", ARRAYS.values(), ids=ARRAYS)
def test_a_data_file_holds_plain_arrays_only(mirror, local_store, arrays):
    forge(mirror, arrays=arrays)
    with pytest.raises(store.DatasetError, match=r"from http://127.0.0.1:.* is not accepted"):
        remote.download(TINY, mirror.url)
    assert nothing_left(local_store)


def test_nothing_is_unpickled(mirror, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "proof"),)

    import pickle

    payload = np.frombuffer(pickle.dumps(Evil()), np.uint8)
    kind = np.dtype("V1").newbyteorder()
    forge(
        mirror,
        arrays=replaced(lambda g, n: g.create_dataset(n, data=payload.view("V1").astype(kind))),
    )
    with pytest.raises(store.DatasetError, match="is of type"):
        remote.download(TINY, mirror.url)
    assert not (tmp_path / "proof").exists()
    assert minari.list_local_datasets() == {}


def test_only_the_files_of_the_dataset_are_taken_from_a_bucket(bucket, local_store, tmp_path):
    """Minari's client writes whatever begins with the id, wherever its name leads."""
    from google.cloud import storage

    store.build(recipe())
    minari.upload_dataset(TINY, token=None)
    shutil.rmtree(local_store)
    shelf = storage.Client.create_anonymous_client().bucket("shelf")
    for name in ("/data/plugin.py", "1/data/main_data.hdf5"):  # the emulator refuses ".."
        shelf.blob(f"{TINY}{name}").upload_from_string(b"x")
    remote.download(TINY, bucket)
    assert store.verify(TINY)[0]
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert {f for f in files if not f.endswith((".lock", "namespace_metadata.json"))} == {
        f"minari/{TINY}/{name}" for name in FILES
    }


def test_a_foreign_function_in_a_bucket_is_refused(bucket, local_store):
    store.build(recipe())
    path = local_store / TINY / FILES[0]
    about = json.loads(path.read_text())
    about["env_spec"] = json.dumps({**json.loads(about["env_spec"]), **TOUCH})
    path.write_text(json.dumps(about))
    minari.upload_dataset(TINY, token=None)
    shutil.rmtree(local_store)
    with pytest.raises(store.DatasetError, match="would run code from outside networld_envs"):
        remote.download(TINY, bucket)
    assert nothing_left(local_store)
    with pytest.raises(store.DatasetError, match="--max-gb allows more"):
        remote.download(TINY, bucket, limits=Limits(max_gb=1e-6))
