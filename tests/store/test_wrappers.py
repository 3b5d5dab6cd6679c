"""Datasets that were recorded through wrappers: these are undone exactly, or refused by name."""

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from gymnasium.wrappers import (
    ClipAction,
    ClipReward,
    NormalizeObservation,
    RecordEpisodeStatistics,
    RescaleAction,
    TimeLimit,
    TransformReward,
)
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from networld_algos.data.load import load_episodes
from networld_envs import store
from networld_envs.store.flatten import flatten_agents
from networld_envs.store.importing.logs import export_npz
from networld_envs.store.minari_io import open_local

# Gymnasium warns about bounds that are Python numbers.
pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")

STEPS = 4
COLLECTED = "networld/ns/collected-v0"


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


class Spy(gymnasium.Wrapper):
    """Keeps the actions that the task itself gets; is not named in the specification."""

    def __init__(self, env):
        super().__init__(env)
        self.got = []

    @property
    def spec(self):
        return self.env.spec

    def step(self, action):
        self.got.append(np.asarray(action))
        return super().step(action)


def environment():
    return Spy(gymnasium.make("networld_envs:networld/NS-v0", max_cycles=STEPS))


def collect(env, local_store, record_infos=True, scale=1.0):
    """What Minari's collector stores, which itself needs jax; one episode, no NetWorld metadata."""
    env.action_space.seed(0)
    obs, info = env.reset(seed=0)
    steps = {"observations": [obs], "actions": [], "rewards": [], "truncations": []}
    infos = {name: [info[name]] for name in ("agent_rewards", "neighbours")}
    for _ in range(STEPS):
        action = env.action_space.sample() * np.float32(scale)
        obs, reward, _, truncated, info = env.step(action)
        new = (obs, action, float(reward), truncated)
        for name, value in zip(steps, new, strict=True):
            steps[name].append(value)
        for name, values in infos.items():
            values.append(info[name])
    folder = local_store / COLLECTED / "data"
    folder.mkdir(parents=True)
    storage = MinariStorage.new(
        folder,
        observation_space=env.observation_space,
        action_space=env.action_space,
        env_spec=env.spec,
    )
    storage.update_metadata({"dataset_id": COLLECTED, "minari_version": minari.__version__})
    buffer = EpisodeBuffer(
        id=0, terminations=[False] * STEPS, infos=infos if record_infos else {}, **steps
    )
    storage.update_episodes([buffer])
    return open_local(COLLECTED)


@pytest.mark.parametrize(
    ("wrap", "scale"),
    [
        (lambda env: RescaleAction(env, -1.0, 1.0), 1.0),
        (ClipAction, 1e7),
        (lambda env: ClipAction(RescaleAction(env, 0.0, 3.0)), 2.0),
        (lambda env: RescaleAction(RescaleAction(env, -1.0, 1.0), 0.0, 0.5), 1.0),
        (lambda env: RecordEpisodeStatistics(TimeLimit(RescaleAction(env, -1.0, 1.0), 9)), 1.0),
    ],
    ids=["rescale", "clip", "clip-of-rescale", "rescale-twice", "among-harmless"],
)
def test_actions_are_those_that_the_task_got(local_store, tmp_path, wrap, scale):
    spy = environment()
    dataset = collect(wrap(spy), local_store, scale=scale)
    assert not np.array_equal(dataset[0].actions, np.stack(spy.got))
    np.testing.assert_array_equal(load_episodes(dataset, "ns").actions[0], np.stack(spy.got))
    flat = flatten_agents(dataset, "networld/ns/flat-v0")
    assert all(flat.action_space.contains(action) for action in flat[3].actions)
    np.testing.assert_array_equal(flat[3].actions, np.stack(spy.got)[:, 3])
    export_npz(dataset, tmp_path / "plain.npz")
    with np.load(tmp_path / "plain.npz") as file:
        np.testing.assert_array_equal(file["episode_0/actions"], np.stack(spy.got))


def test_without_wrappers_the_actions_are_as_recorded(local_store):
    dataset = collect(TimeLimit(environment(), STEPS), local_store)
    np.testing.assert_array_equal(load_episodes(dataset).actions[0], dataset[0].actions)


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (NormalizeObservation, "NormalizeObservation"),
        (lambda env: ClipReward(env, -0.1, 0.1), "ClipReward"),
        (lambda env: RescaleAction(ClipReward(env, 0.0, 0.1), -1.0, 1.0), "ClipReward"),
    ],
)
def test_what_cannot_be_undone_is_refused_by_name(local_store, tmp_path, wrap, name):
    dataset = collect(wrap(environment()), local_store)
    text = rf"{COLLECTED}.*recorded through the wrapper .*:{name}'.*{name}\(DataCollector\(env\)\)"
    for use in (
        load_episodes,
        lambda d: flatten_agents(d, "networld/ns/flat-v0"),
        lambda d: export_npz(d, tmp_path / "plain.npz"),
    ):
        with pytest.raises(store.DatasetError, match=text):
            use(dataset)
    assert not store.is_local("networld/ns/flat-v0")
    assert not (tmp_path / "plain.npz").exists()


@pytest.mark.filterwarnings("ignore:env_spec is not serializable")
def test_a_wrapper_with_a_function_gets_a_hint(local_store):
    """Minari leaves the whole environment out of such a dataset."""
    dataset = collect(TransformReward(environment(), lambda reward: -reward), local_store)
    with pytest.raises(
        store.DatasetError, match=r"TransformReward.*Wrapper\(DataCollector\(env\)\)"
    ):
        load_episodes(dataset)


def test_a_dataset_without_infos_says_how_to_record_them(local_store):
    dataset = collect(environment(), local_store, record_infos=False)
    with pytest.raises(store.DatasetError, match=r"DataCollector\(env, record_infos=True\)"):
        load_episodes(dataset)


def test_a_flattened_dataset_names_the_right_one(local_store):
    flat = flatten_agents(collect(environment(), local_store), "networld/ns/flat-v0")
    with pytest.raises(store.DatasetError, match="Use the dataset that it was made from"):
        load_episodes(flat)


def test_wrappers_whose_actions_have_another_shape_are_an_error(local_store):
    dataset = collect(RescaleAction(environment(), -1.0, 1.0), local_store)
    with h5py.File(local_store / COLLECTED / "data" / "main_data.hdf5", "r+") as file:
        actions = file["episode_0/actions"][:, :, :2]
        del file["episode_0/actions"]
        file["episode_0/actions"] = actions
    with pytest.raises(store.DatasetError, match=COLLECTED):
        load_episodes(dataset)
