"""Minari's own collector, which needs jax, records data that are ours too."""

import gymnasium
import minari
import pytest

import networld_envs  # noqa: F401 - registers the ids
from networld_algos.data import load_episodes

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
