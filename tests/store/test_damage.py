"""Damaged log files and metadata: whatever a reader raises becomes a `DatasetError`."""

import json
import re
from contextlib import suppress

import numpy as np
import pytest

from networld_algos.cli.dataset_card import describe
from networld_algos.data.load import load_episodes
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store.flatten import flatten_agents
from networld_envs.store.importing.logs import export_npz, import_logs
from networld_envs.store.minari_io import open_local

MADE, MINE = "networld/rb/tiny-v0", "networld/mine/campus-v0"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A small dataset in a store of its own."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return store.build(store.Recipe(MADE, "rb", 2, 3, 7, (Behaviour("random"),)))


def test_damaged_npz_files_raise_nothing_but_dataset_errors(made, tmp_path):
    whole, path = tmp_path / "whole.npz", tmp_path / "log.npz"
    export_npz(made, whole)
    data, rng = whole.read_bytes(), np.random.default_rng(0)
    for k in range(60):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 4):
            damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged[: int(rng.integers(0, len(data)))] if k % 3 == 0 else damaged)
        with suppress(store.DatasetError):
            import_logs(path, MINE, "rb", force=True)


def test_an_empty_npz_file_is_named(made, tmp_path):
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(store.DatasetError, match=r"^empty\.npz: EOFError: .*write it again"):
        import_logs(tmp_path / "empty.npz", MINE, "rb")


READERS = {
    "list": lambda path: store.local_datasets(),
    "verify": lambda path: store.verify(MADE),
    "load": lambda path: load_episodes(MADE),
    "show": lambda path: describe(MADE).lines(),
    "export": lambda path: export_npz(open_local(MADE), path),
    "flatten": lambda path: flatten_agents(open_local(MADE), MINE, force=True),
}


def read_all(path, with_flatten):
    """What every reader gives; None for a `DatasetError`. Nothing else is raised."""
    found, errors = {}, []
    for name, read in READERS.items():
        path.unlink(missing_ok=True)
        if name == "flatten" and not with_flatten:  # which writes much
            continue
        try:
            found[name] = read(path)
        except store.DatasetError as error:
            errors.append(str(error))
            found[name] = None
    assert all(MADE in text and re.search("again|trust|another id", text) for text in errors), (
        errors
    )
    return found


def test_a_damaged_data_file_raises_nothing_but_dataset_errors(made, tmp_path):
    file, rng = made.storage.data_path / "main_data.hdf5", np.random.default_rng(1)
    data, whole = file.read_bytes(), load_episodes(MADE)
    used = np.flatnonzero(np.frombuffer(data, np.uint8))  # the rest is padding
    refused = 0
    for k in range(120):
        damaged = bytearray(data)
        for at in rng.choice(used, 1 + k % 8):
            damaged[at] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged[: int(rng.integers(0, len(data)))] if k % 10 == 0 else damaged)
        found = read_all(tmp_path / "out.npz", with_flatten=k % 10 == 1)
        assert found["list"][MADE] is not None
        good, refused = found["verify"], refused + (found["load"] is None)
        if good is not None and good[0]:  # only bytes without meaning have changed
            for name in ("obs", "actions", "rewards", "neighbours"):
                np.testing.assert_array_equal(getattr(found["load"], name), getattr(whole, name))
    assert refused > 10


def values_below(value, path=()):
    """Path of every value in nested JSON."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from values_below(value[key], (*path, key))


def test_damaged_metadata_raises_nothing_but_dataset_errors(made, tmp_path):
    file, rng = made.storage.data_path / "metadata.json", np.random.default_rng(2)
    text = file.read_text()
    paths = [path for path in values_below(json.loads(text)) if path]
    wrong = (None, True, -1, 10**15, 0.5, float("nan"), "", "x" * 50, [], {}, [[]], {"a": 1})
    for k in range(160):
        about = json.loads(text)
        if k % 4 == 0:
            damaged = bytearray(text.encode())
            for at in rng.integers(0, len(damaged), 1 + k % 5):
                damaged[at] = int(rng.integers(0, 256))
            file.write_bytes(damaged)
        else:
            *above, key = paths[int(rng.integers(len(paths)))]
            holder = about
            for step in above:
                holder = holder[step]
            if k % 4 == 1:
                del holder[key]
            else:
                holder[key] = wrong[int(rng.integers(len(wrong)))]
            file.write_text(json.dumps(about))
        found = read_all(tmp_path / "out.npz", with_flatten=k % 20 == 2)
        assert found["list"][MADE] is not None


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, "3", '{"a": 1}'], ids=range(4))
def test_damaged_metadata_names_the_dataset(made, text):
    (made.storage.data_path / "metadata.json").write_text(text)
    with pytest.raises(store.DatasetError, match=rf"{MADE}.* cannot be (read|used)"):
        open_local(MADE)
