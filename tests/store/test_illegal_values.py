"""Every value of a dataset is checked where it is read, as the import checks logs."""

import h5py
import numpy as np
import pytest

from networld_algos.data.load import load_episodes
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store.flatten import flatten_agents
from networld_envs.store.importing.logs import export_npz, import_logs


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


def put(name, where, value):
    return lambda episode: episode[name].__setitem__(where, value)


def recast(name, function):
    def change(episode):
        values = function(episode[name][()])
        del episode[name]
        episode[name] = values

    return change


NEIGHBOURS, REWARDS = "infos/neighbours", "infos/agent_rewards"


@pytest.mark.parametrize(
    ("task", "damage", "text"),
    [
        ("rb", put("actions", (2, 5), 10**6), "step 2, agent 5: actions is 1000000, outside"),
        ("rb", put("actions", (0, 0), -1), "step 0, agent 0: actions is -1, outside"),
        ("rb", recast("actions", lambda a: a + 0.5), "actions must be integer, got dtype float64"),
        ("ns", put("actions", (1, 2, 0), np.nan), "step 1, agent 2: actions column 0 .* is nan"),
        ("cbf", put("actions", (1, 2, 3), 1.5), r"actions column 3 .* is 1.5, outside \[-1, 1\]"),
        ("rb", put(NEIGHBOURS, (0, 4, 0), 999), "agent 4: neighbours holds 999, outside 0 .. 23"),
        ("rb", put(NEIGHBOURS, (0, 4, 0), -7), "agent 4: neighbours holds -7, outside 0 .. 23"),
        ("rb", put(NEIGHBOURS, (0, 4, 0), 4), "agent 4: neighbours holds the agent itself"),
        (
            "rb",
            put("observations", (3, 7, 1), np.inf),
            r"step 3, agent 7: observations column 1 \(",
        ),
        ("rb", put("observations", (6, 7, 1), -5), r"observations column 1 \(queue\) is -5.0"),
        ("ns", put(REWARDS, (3, 7), np.nan), "step 2, agent 7: agent_rewards is nan"),
        ("rb", put("terminations", 2, True), "step 2: the episode ends before its last step"),
        ("rb", put("truncations", 5, False), "step 5: the last step is neither"),
        ("rb", recast("observations", lambda x: x[:, :, :6]), r"must have shape \(7, 24, 8\)"),
    ],
    ids=range(14),
)
def test_an_illegal_value_is_named_by_load_export_and_flatten(
    local_store, tmp_path, task, damage, text
):
    dataset_id, new_id = f"networld/{task}/tiny-v0", f"networld/{task}/flat-v0"
    dataset = store.build(store.Recipe(dataset_id, task, 3, 6, 7, (Behaviour("random"),)))
    load_episodes(dataset)
    with h5py.File(local_store / dataset_id / "data" / "main_data.hdf5", "r+") as file:
        damage(file["episode_2"])
    for use in (
        load_episodes,
        lambda d: flatten_agents(d, new_id),
        lambda d: export_npz(d, tmp_path / "plain.npz"),
    ):
        with pytest.raises(store.DatasetError, match=rf"{dataset_id}', episode 2: .*{text}.*again"):
            use(dataset)
    assert not store.is_local(new_id)
    assert not (tmp_path / "plain.npz").exists()
    assert len(load_episodes(dataset.filter_episodes(lambda e: e.id < 2))) == 2


def test_logs_without_agents_are_refused_and_leave_no_dataset(tmp_path):
    arrays = {
        "observations": np.zeros((1, 4, 0, 8), np.float32),
        "actions": np.zeros((1, 3, 0), int),
        "agent_rewards": np.zeros((1, 3, 0)),
        "neighbours": np.zeros((1, 0, 2), int),
    }
    np.savez(tmp_path / "log.npz", **arrays)
    with pytest.raises(store.DatasetError, match=r"^log\.npz: episode 0: has no agents"):
        import_logs(tmp_path / "log.npz", "networld/mine/campus-v0", "rb")
    assert not store.local_datasets()
