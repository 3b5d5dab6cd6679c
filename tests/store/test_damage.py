"""Damaged log files and metadata: whatever a reader raises becomes a `DatasetError`."""

from contextlib import suppress

import numpy as np
import pytest

from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store.logs import export_npz, import_logs
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


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, "3", '{"a": 1}'], ids=range(4))
def test_damaged_metadata_names_the_dataset(made, text):
    (made.storage.data_path / "metadata.json").write_text(text)
    with pytest.raises(store.DatasetError, match=rf"{MADE}.* cannot be (read|used)"):
        open_local(MADE)
