"""Ids that leave the store, and what a hostile or damaged index can do: nothing."""
# ruff: noqa: F811 - fixtures are imported

import json

import pytest

from networld_algos.cli import command
from networld_envs import store
from networld_envs.store import remote
from networld_envs.store.arrival import FILES
from tests.store.test_remote import local_store, mirror, recipe  # noqa: F401


@pytest.mark.parametrize("way", ["download", "load"])
@pytest.mark.parametrize(
    "dataset_id", ["../../X", "../X-v0", "/tmp/X-v0", "", ".", "a/../../b-v0", "a//b-v0", "a\\b-v0"]
)
def test_an_id_that_leaves_the_store_writes_nothing(
    mirror, local_store, tmp_path, monkeypatch, way, dataset_id
):
    if dataset_id.startswith("/"):
        dataset_id = str(tmp_path / "X-v0")
    before = sorted(tmp_path.rglob("*"))
    if way == "download":
        assert command.main(["dataset", "download", "--from", mirror.url, "--", dataset_id]) == 2
    else:
        monkeypatch.setenv(store.MIRROR, mirror.url)
        with pytest.raises(store.DatasetError):
            store.load(dataset_id)
    assert sorted(tmp_path.rglob("*")) == before
    assert not mirror.requests


GOOD = {"sha256": "0" * 64, "episodes": 1, "steps": 1, "mean_reward": 0.0, "policy": "x"}
GOOD["files"] = {name: {"sha256": "0" * 64, "bytes": 1} for name in FILES}
INDICES = {
    "deep": b"[" * 200_000,
    "no unicode": b"\xff\xfe{}",
    "no table": json.dumps({"format": 1, "datasets": [1]}),
    "control characters": json.dumps({"format": "\x1b[31m", "datasets": {}}),
    **{
        f"{key} {value!r:.20}": json.dumps(
            {"format": 1, "datasets": {"a-v0": {**GOOD, key: value}}}
        )
        for key, value in [
            ("policy", 3),
            ("policy", "\x1b]0;title\x07"),
            ("mean_reward", "high"),
            ("mean_reward", float("nan")),
            ("episodes", True),
            ("steps", -1),
            ("steps", 10**400),
            ("sha256", "[red]" * 20),
            ("files", {}),
            ("files", {name: {"sha256": "0" * 64, "bytes": -1} for name in FILES}),
        ]
    },
    "id outside": json.dumps({"format": 1, "datasets": {"../../X-v0": GOOD}}),
    "id of markup": json.dumps({"format": 1, "datasets": {"[/red]": GOOD}}),
}


@pytest.mark.parametrize("text", INDICES.values(), ids=INDICES)
def test_a_hostile_index_is_one_clear_line(mirror, capsys, text):
    path = mirror.folder / "index.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(store.DatasetError, match="index"):
        remote.list_remote(mirror.url)
    assert command.main(["dataset", "list", "--remote", mirror.url]) == 1
    out, err = capsys.readouterr()
    assert f"{mirror.url}/index.json" in err
    assert "networld/rb/expert-v0" in out  # what is here is listed all the same
    assert "Traceback" not in out + err
    assert "\x1b" not in out + err


@pytest.mark.parametrize("text", INDICES.values(), ids=INDICES)
def test_nothing_is_uploaded_into_a_folder_whose_index_is_none(mirror, local_store, text):
    path = mirror.folder / "index.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    store.build(recipe("networld/rb/other-v0"))
    before = path.read_bytes()
    with pytest.raises(store.DatasetError, match=r"index\.json"):
        remote.upload("networld/rb/other-v0", str(mirror.folder))
    assert path.read_bytes() == before
    assert not (mirror.folder / "networld/rb/other-v0").exists()


def test_what_an_index_says_is_not_interpreted(mirror, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for policy in ("see [/home/me/pf]", "[red]sac[/red]", "sac[lr=3e-4]", ":smile:", "[link=x]y"):
        index = {"format": 1, "datasets": {"lab/radio-v0": {**GOOD, "policy": policy}}}
        (mirror.folder / "index.json").write_text(json.dumps(index))
        assert command.main(["dataset", "list", "--remote", mirror.url]) == 0
        assert policy in capsys.readouterr().out
