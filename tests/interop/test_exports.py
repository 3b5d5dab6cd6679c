"""What we convert is what d3rlpy, TorchRL, pandas and Hugging Face `datasets` then hold."""

import importlib
import json
import warnings

import numpy as np
import pytest

import networld_envs
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.simulator import TASKS as MODULES
from networld_envs.store.exporting.lerobot import export_lerobot
from networld_envs.store.exporting.tables import export_hugging_face, export_parquet
from networld_envs.store.reading.record import dataset_spec

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
K, T = 2, 6
TASKS = tuple(networld_envs.TASKS)
each_task = pytest.mark.parametrize("task", TASKS)


def hugging_face():
    """The library `datasets`; the folder datasets/ of the repository is not it."""
    pytest.importorskip("datasets.load")
    return importlib.import_module("datasets")


@pytest.fixture(scope="module", autouse=True)
def built(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hugging_face")))
        patch.delenv(store.MIRROR, raising=False)
        yield {
            task: store.build(
                store.Recipe(f"networld/{task}/tiny-v0", task, K, T, 77, (Behaviour("random"),))
            )
            for task in TASKS
        }


@each_task
def test_d3rlpy_holds_and_learns_every_step(built, task):
    d3rlpy = pytest.importorskip("d3rlpy")
    data, arrays = store.to_d3rlpy(built[task].id), store.to_arrays(built[task])
    spec = dataset_spec(store.metadata(built[task]))
    discrete = spec.action_kind != "box"
    assert data.dataset_info.action_size == (spec.num_choices if discrete else spec.action_dim)
    assert len(data.episodes) == K * spec.num_agents
    for name in ("observations", "actions", "rewards"):
        found = np.concatenate([getattr(episode, name) for episode in data.episodes])
        np.testing.assert_array_equal(found.reshape(arrays[name].shape), arrays[name])
    assert not any(episode.terminated for episode in data.episodes)
    config = d3rlpy.algos.DiscreteCQLConfig() if discrete else d3rlpy.algos.CQLConfig()
    learner = config.create(device="cpu")
    quiet = {"logger_adapter": d3rlpy.logging.NoopAdapterFactory(), "show_progress": False}
    epochs = learner.fit(data, n_steps=2, n_steps_per_epoch=2, **quiet)
    assert all(np.isfinite(value) for value in epochs[0][1].values())


@pytest.fixture
def torchrl():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return pytest.importorskip("torchrl.data")


@each_task
def test_torchrl_holds_the_steps_of_every_agent(built, task, torchrl):
    buffer, arrays = store.to_torchrl(built[task].id, batch_size=8), store.to_arrays(built[task])
    data = buffer[:]
    assert len(buffer) == len(arrays["rewards"])
    for key, want in {
        "observation": arrays["observations"],
        "action": arrays["actions"],
        "agent": arrays["agent"],
        ("next", "observation"): arrays["next_observations"],
        ("next", "reward"): arrays["rewards"][:, None],
        ("next", "truncated"): arrays["timeouts"][:, None],
        ("next", "terminated"): arrays["terminals"][:, None],
        ("next", "done"): (arrays["timeouts"] | arrays["terminals"])[:, None],
    }.items():
        np.testing.assert_array_equal(data[key].numpy(), want)
    assert buffer.sample().batch_size == (8,)


@each_task
def test_torchrl_holds_teams_as_its_wrapper_rolls_them_out(built, task, torchrl):
    from torchrl.envs import PettingZooWrapper

    group = MODULES[task].AGENT
    data = store.to_torchrl(built[task], per="team")[:]
    episode = next(store.episodes(built[task]))
    np.testing.assert_array_equal(data[group, "action"][:T].numpy(), episode["actions"])
    np.testing.assert_array_equal(
        data["next", group, "reward"][:T, :, 0].numpy(), episode["agent_rewards"]
    )
    np.testing.assert_array_equal(data[group, "neighbours"][0].numpy(), episode["neighbours"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = PettingZooWrapper(networld_envs.make(task), categorical_actions=True)
        theirs = env.rollout(2)
    for key in ("observation", "action"):
        assert data[group, key].shape[1:] == theirs[group, key].shape[1:]
        assert data[group, key].dtype == theirs[group, key].dtype
    assert data["next", group, "reward"].shape[1:] == theirs["next", group, "reward"].shape[1:]


@each_task
def test_hugging_face_datasets_loads_the_folder(built, task, tmp_path):
    datasets = hugging_face()
    export_hugging_face(built[task], tmp_path / "out")
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train").with_format("numpy")
    assert len(rows) == K
    for row, episode in zip(rows, store.episodes(built[task]), strict=True):
        for name, values in episode.items():
            np.testing.assert_array_equal(row[name], values)


@each_task
def test_hugging_face_datasets_reads_the_data_of_lerobot(built, task, tmp_path):
    """LeRobot itself loads its parquet files so, with these features."""
    datasets = hugging_face()
    pandas = pytest.importorskip("pandas")
    export_lerobot(built[task], tmp_path / "out")
    info = json.loads((tmp_path / "out/meta/info.json").read_text())
    kinds = {
        name: datasets.Value(found["dtype"])
        if found["shape"] == [1]
        else datasets.List(datasets.Value(found["dtype"]), length=found["shape"][0])
        for name, found in info["features"].items()
    }
    files = [str(path) for path in sorted((tmp_path / "out/data").glob("*/*.parquet"))]
    rows = datasets.Dataset.from_parquet(files, features=datasets.Features(kinds))
    arrays = store.to_arrays(built[task])
    state = np.array(rows["observation.state"], np.float32)
    np.testing.assert_array_equal(state, arrays["observations"])
    tasks = pandas.read_parquet(tmp_path / "out/meta/tasks.parquet")
    assert tasks.index.name == "task"
    assert tasks.iloc[0].task_index == 0
    episodes = datasets.Dataset.from_parquet(
        str(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet")
    )
    assert episodes[0]["tasks"] == [tasks.iloc[0].name]


def test_pandas_reads_the_tables(built, tmp_path):
    pandas = pytest.importorskip("pandas")
    export_parquet(built["rb"], tmp_path / "out")
    table = pandas.read_parquet(tmp_path / "out/steps.parquet")
    mean = table.groupby("episode")["reward"].mean()
    want = [episode["agent_rewards"].mean() for episode in store.episodes(built["rb"])]
    np.testing.assert_allclose(mean, want, rtol=1e-5)
