"""Minari's own collector, which needs jax, records data that are ours too."""

import gymnasium
import minari
import pytest

import networld_envs  # noqa: F401 - registers the ids
from networld_algos.data.load import load_episodes
from networld_envs.store.flatten import flatten_agents

pytestmark = pytest.mark.interop
pytest.importorskip("jax", reason="jax is absent: pip install 'networld[interop]'")


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a missing author, link, ...
def test_data_collected_with_minaris_collector_are_ours_too(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = minari.DataCollector(gymnasium.make("networld/NS-v0", max_cycles=4), record_infos=True)
    env.action_space.seed(0)
    for seed in range(2):
        env.reset(seed=seed)
        for _ in range(4):
            env.step(env.action_space.sample())
    dataset = env.create_dataset("networld/ns/collected-v0")
    assert load_episodes(dataset, "ns").actions.shape[:2] == (2, 4)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_they_are_flattened_with_their_own_parameters(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    made = gymnasium.make("networld/NS-v0", max_cycles=4, preset="hotspots", rings=1)
    env = minari.DataCollector(made, record_infos=True)
    env.reset(seed=0)
    for _ in range(4):
        env.step(env.action_space.sample())
    dataset = env.create_dataset("networld/ns/few-v0")
    one = flatten_agents(dataset, "networld/ns/flat-v0").recover_environment().unwrapped
    assert one.num_agents == 7
    assert one._simulator.params == made.unwrapped.simulator.params
    assert one._simulator.max_cycles == 4
