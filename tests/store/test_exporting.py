"""Datasets as arrays and as files of other formats, read back with the formats' own readers."""

import json
import sys

import minari
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

import networld_envs
from networld_algos.cli import command
from networld_algos.data.load import load_episodes
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store.exporting.folder import new_folder
from networld_envs.store.exporting.lerobot import export_lerobot
from networld_envs.store.exporting.tables import export_hugging_face, export_parquet
from networld_envs.store.flatten import flatten_agents
from networld_envs.store.importing.logs import import_logs
from tests.helpers.log_files import logs

parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'networld[tables]'")
TASKS = tuple(networld_envs.TASKS)
K, T = 3, 5
each_task = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(scope="module", autouse=True)
def built(tmp_path_factory):
    """A small dataset of each task, built once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        patch.delenv(store.MIRROR, raising=False)
        yield {
            task: store.build(
                store.Recipe(f"networld/{task}/tiny-v0", task, K, T, 77, (Behaviour("random"),))
            )
            for task in TASKS
        }


def agent_rows(dataset):
    """The rows of `to_arrays`, by a plain loop."""
    rows = []
    for k, episode in enumerate(store.episodes(dataset)):
        steps, agents = episode["agent_rewards"].shape
        for i in range(agents):
            for t in range(steps):
                rows.append(
                    {
                        "observations": episode["observations"][t, i],
                        "actions": episode["actions"][t, i],
                        "rewards": episode["agent_rewards"][t, i],
                        "next_observations": episode["observations"][t + 1, i],
                        "terminals": episode["terminations"][t],
                        "timeouts": episode["truncations"][t],
                        "episode": k,
                        "step": t,
                        "agent": i,
                    }
                )
    return rows


@each_task
def test_arrays_have_a_row_per_agent_and_step(built, task):
    arrays, rows = store.to_arrays(built[task].id), agent_rows(built[task])
    assert arrays.keys() == rows[0].keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, np.stack([row[name] for row in rows]))


@each_task
def test_arrays_of_a_team_are_those_that_algorithms_train_on(built, task):
    arrays, episodes = store.to_arrays(built[task], per="team"), load_episodes(built[task])
    for name, whole in {
        "observations": episodes.obs[:, :-1],
        "actions": episodes.actions,
        "rewards": episodes.rewards,
        "next_observations": episodes.obs[:, 1:],
        "timeouts": episodes.truncated,
    }.items():
        np.testing.assert_array_equal(arrays[name], whole.reshape(K * T, *whole.shape[2:]))
    np.testing.assert_array_equal(arrays["neighbours"], episodes.neighbours)
    assert arrays["episode"].tolist() == np.repeat(np.arange(K), T).tolist()


def test_arrays_of_a_filtered_dataset_and_their_progress(built):
    part, seen = built["rb"].filter_episodes(lambda e: e.id != 1), []
    arrays = store.to_arrays(part, "team", progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    whole = store.to_arrays(built["rb"], "team")
    np.testing.assert_array_equal(arrays["rewards"], whole["rewards"][whole["episode"] != 1])
    with pytest.raises(ValueError, match="per must be one of"):
        store.to_arrays(part, per="node")  # pyright: ignore[reportArgumentType]
    empty = minari.MinariDataset(built["rb"].storage, np.array([], int))
    with pytest.raises(store.DatasetError, match="has no episodes"):
        store.to_arrays(empty)


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized space:UserWarning")
@each_task
def test_a_flattened_dataset_equals_what_minari_writes(built, task, tmp_path):
    """The fast writer is an optimisation: the content hash is that of Minari's own writer."""
    flat = flatten_agents(built[task], f"networld/{task}/flat-v0", force=True)
    theirs = MinariStorage.new(
        tmp_path / "data", flat.observation_space, flat.action_space, data_format="hdf5"
    )
    theirs.update_metadata(
        {"dataset_id": "networld/theirs-v0", "minari_version": minari.__version__}
    )
    theirs.update_episodes(
        EpisodeBuffer(
            id=number,
            observations=episode["observations"][:, i],
            actions=episode["actions"][:, i],
            rewards=episode["agent_rewards"][:, i].astype(np.float64).tolist(),
            terminations=episode["terminations"].tolist(),
            truncations=episode["truncations"].tolist(),
        )
        for number, (episode, i) in enumerate(
            (episode, i)
            for episode in store.episodes(built[task])
            for i in range(episode["agent_rewards"].shape[1])
        )
    )
    assert store.content_hash(flat) == store.content_hash(minari.MinariDataset(theirs))
    kept = ("total_episodes", "total_steps")
    assert [flat.storage.metadata[k] for k in kept] == [theirs.metadata[k] for k in kept]


@each_task
def test_parquet_has_named_columns_and_nulls_after_the_last_step(built, task, tmp_path):
    assert export_parquet(built[task].id, tmp_path / "out") == K
    table = parquet.read_table(tmp_path / "out" / "steps.parquet")
    spec = json.loads((tmp_path / "out" / "dataset.json").read_text())["spec"]
    names = [f"obs.{column['name']}" for column in spec["obs_columns"]]
    acts = [f"action.{column['name']}" for column in spec["action_columns"]]
    ends = ["reward", "terminated", "truncated"]
    assert table.column_names == ["episode", "step", "agent", *names, *acts, *ends]
    values = {name: table[name].to_numpy() for name in ("episode", "step", "agent")}
    final = values["step"] == T
    rows, last = table.filter(~final), table.filter(final)
    arrays = store.to_arrays(built[task])
    for name, field in {"reward": "rewards", "truncated": "timeouts"}.items():
        np.testing.assert_array_equal(rows[name].to_numpy(), arrays[field])
        assert last[name].null_count == len(last)
    obs = np.stack([rows[name].to_numpy() for name in names], axis=1)
    np.testing.assert_array_equal(obs, arrays["observations"])
    actions = np.stack([rows[name].to_numpy() for name in acts], axis=1)
    np.testing.assert_array_equal(actions.reshape(arrays["actions"].shape), arrays["actions"])
    ended = arrays["next_observations"][arrays["step"] == T - 1]
    np.testing.assert_array_equal(np.stack([last[n].to_numpy() for n in names], axis=1), ended)

    links = parquet.read_table(tmp_path / "out" / "neighbours.parquet").to_pylist()
    want = [
        {"episode": k, "agent": i, "slot": slot, "neighbour": int(j)}
        for k, episode in enumerate(store.episodes(built[task]))
        for i, row in enumerate(episode["neighbours"])
        for slot, j in enumerate(row)
        if j >= 0
    ]
    assert links == want


@each_task
def test_hugging_face_rows_are_whole_episodes(built, task, tmp_path):
    export_hugging_face(built[task], tmp_path / "out")
    (file,) = (tmp_path / "out" / "data").iterdir()
    rows = parquet.read_table(file).to_pylist()
    for row, episode in zip(rows, store.episodes(built[task]), strict=True):
        for name, values in episode.items():
            np.testing.assert_array_equal(np.array(row[name], values.dtype), values)
    assert "data/*.parquet" in (tmp_path / "out" / "README.md").read_text()


def test_texts_of_a_card_are_not_interpreted(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    np.savez(tmp_path / "log.npz", **logs("rb"))
    hostile = "# Title\n![t](https://example.org/p.png) <b>hi</b>\n---"
    dataset = import_logs(
        tmp_path / "log.npz",
        "networld/mine/card-v0",
        "rb",
        policy="x` **bold**",
        description=hostile,
        licence="*any*",
    )
    export_hugging_face(dataset, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    for text in ("\\# Title !\\[t\\](https", "\\<b\\>hi", "x\\` \\*\\*bold", "Licence: \\*any"):
        assert text in card
    assert card.count("\n---\n") == 1  # the end of the front matter


@each_task
def test_lerobot_has_an_episode_per_agent(built, task, tmp_path):
    export_lerobot(built[task], tmp_path / "out")
    info = json.loads((tmp_path / "out/meta/info.json").read_text())
    arrays = store.to_arrays(built[task])
    agents = int(arrays["agent"].max()) + 1
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"]) == (K * agents, K * agents * T)
    where = {"chunk_index": 0, "file_index": 0}
    rows = parquet.read_table(tmp_path / "out" / info["data_path"].format(**where))
    assert set(rows.column_names) == set(info["features"])
    state = np.array(rows["observation.state"].to_pylist(), np.float32)
    np.testing.assert_array_equal(state, arrays["observations"])
    action = np.array(rows["action"].to_pylist(), np.float32)
    np.testing.assert_array_equal(action, arrays["actions"].astype(np.float32))
    shape = info["features"]["action"]["shape"]
    assert shape == [1 if action.ndim == 1 else action.shape[1]]
    episodes = parquet.read_table(
        tmp_path / "out/meta/episodes/chunk-000/file-000.parquet"
    ).to_pylist()
    for k, episode in enumerate(episodes):
        span = slice(episode["dataset_from_index"], episode["dataset_to_index"])
        assert set(rows["episode_index"].to_numpy()[span]) == {k}
        assert rows["frame_index"].to_pylist()[span] == list(range(episode["length"]))
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    np.testing.assert_allclose(stats["observation.state"]["mean"], state.mean(0), rtol=1e-4)


def test_lerobot_splits_long_data_into_files(built, tmp_path, monkeypatch):
    monkeypatch.setattr("networld_envs.store.exporting.lerobot.FILE_MB", 0.002)
    monkeypatch.setattr("networld_envs.store.exporting.lerobot.FILES_PER_CHUNK", 2)
    export_lerobot(built["rb"], tmp_path / "out")
    files = sorted((tmp_path / "out/data").rglob("*.parquet"))
    assert len(files) > 4
    found = [parquet.read_table(file)["index"].to_pylist() for file in files]
    arrays = store.to_arrays(built["rb"])
    assert [i for part in found for i in part] == list(range(len(arrays["step"])))
    places = parquet.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet")
    for row in places.to_pylist():
        name = f"chunk-{row['data/chunk_index']:03d}/file-{row['data/file_index']:03d}.parquet"
        inside = found[files.index(tmp_path / "out/data" / name)]
        assert row["dataset_from_index"] in inside
        assert row["dataset_to_index"] - 1 in inside


@pytest.mark.parametrize("form", ["parquet", "hf", "lerobot"])
def test_the_command_writes_a_new_folder_or_nothing(built, tmp_path, capsys, monkeypatch, form):
    words = ["dataset", "export", built["ns"].id, "--format", form, "--out", str(tmp_path / "out")]
    assert command.main(words) == 0
    assert f"wrote {K} episodes to {tmp_path / 'out'}" in capsys.readouterr().out.replace("\n", "")
    assert command.main(words) == 2
    assert "already exists" in capsys.readouterr().err
    monkeypatch.setattr(parquet, "write_table", stop := lambda *_, **__: 1 / 0)
    monkeypatch.setattr(parquet.ParquetWriter, "write_table", stop)
    words[-1] = str(tmp_path / "other")
    with pytest.raises(ZeroDivisionError):
        command.main(words)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_something_in_it_is_kept(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with (
        pytest.raises(store.DatasetError, match="choose a new folder"),
        new_folder(tmp_path / "mine"),
    ):
        pass
    assert (tmp_path / "mine/notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as folder:
        (folder / "a").write_text("new")
    assert (tmp_path / "empty/a").read_text() == "new"


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("pyarrow", lambda d, out: export_parquet(d, out), "tables"),
        ("pyarrow.parquet", lambda d, out: export_lerobot(d, out), "tables"),
        ("d3rlpy", lambda d, _: store.to_d3rlpy(d), "interop"),
        ("torchrl.data", lambda d, _: store.to_torchrl(d), "interop"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    built, tmp_path, monkeypatch, module, call, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    package = module.partition(".")[0]
    with pytest.raises(ImportError, match=rf"needs {package}: pip install 'networld\[{extra}\]'"):
        call(built["rb"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
