"""Logs of real networks: a good file becomes a dataset, a bad one an error that says where."""

import h5py
import minari
import numpy as np
import pytest

import networld_envs
from networld_algos.cli import command
from networld_algos.data.load import load_episodes
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.store.importing.logs import export_npz, import_logs
from tests.helpers.log_files import logs, save

TASKS = tuple(networld_envs.TASKS)
MINE = "networld/mine/campus-v0"


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("task", TASKS)
def test_good_logs_become_a_dataset(tmp_path, task, suffix):
    arrays = logs(task)
    dataset = import_logs(save(tmp_path / f"log{suffix}", arrays), MINE, task, author="A. Nonym")
    episodes = load_episodes(MINE, task)
    assert episodes.spec.num_agents == (5 if task == "rb" else 7)
    assert episodes.lengths.tolist() == [4, 7]
    for k, steps in enumerate((4, 7)):
        obs = arrays[f"episode_{k}/observations"]
        np.testing.assert_array_equal(episodes.obs[k, : steps + 1], obs)
        np.testing.assert_array_equal(episodes.actions[k, :steps], arrays[f"episode_{k}/actions"])
        np.testing.assert_allclose(
            episodes.rewards[k, :steps], arrays[f"episode_{k}/agent_rewards"], rtol=1e-6
        )
        assert episodes.truncated[k, :steps].tolist() == [False] * (steps - 1) + [True]
    assert store.verify(MINE)[0]
    assert dataset.env_spec is None  # the preset has another number of agents
    assert minari.load_dataset(MINE)[1].observations.shape == arrays["episode_1/observations"].shape


def test_stacked_logs_are_the_same_dataset(tmp_path):
    arrays = logs(lengths=(6, 6, 6))
    names = ("observations", "actions", "agent_rewards", "neighbours")
    stacked = {n: np.stack([arrays[f"episode_{k}/{n}"] for k in range(3)]) for n in names}
    hashes = set()
    for i, (name, content) in enumerate(
        [("a.npz", arrays), ("b.npz", stacked), ("c.hdf5", stacked), ("d.hdf5", arrays)]
    ):
        dataset = import_logs(save(tmp_path / name, content), f"networld/mine/s{i}-v0", "rb")
        hashes.add(store.metadata(dataset)["sha256"])
    assert len(hashes) == 1


@pytest.mark.parametrize("task", TASKS)
def test_export_and_import_give_the_same_content(tmp_path, task):
    recipe = store.Recipe(f"networld/{task}/tiny-v0", task, 3, 5, 7, (Behaviour("random"),))
    built = store.build(recipe)
    assert export_npz(built, tmp_path / "plain.npz") == 3
    again = import_logs(tmp_path / "plain.npz", MINE, task)
    for one, other in zip(store.episodes(built), store.episodes(again), strict=True):
        for name in one:
            assert one[name].dtype == other[name].dtype
            assert np.array_equal(one[name], other[name])
    assert again.recover_environment().spec.id == networld_envs.gymnasium_id(task)
    with np.load(tmp_path / "plain.npz") as file:
        np.testing.assert_array_equal(file["episode_2/actions"], built[2].actions)
    with pytest.raises(store.DatasetError, match="already exists"):
        export_npz(built, tmp_path / "plain.npz")


def put(name, where, value):
    return lambda a: a[name].__setitem__(where, value)


def change(name, function):
    return lambda a: a.update({name: function(a[name])})


@pytest.mark.parametrize(
    ("task", "damage", "text"),
    [
        (
            "rb",
            put("episode_1/observations", (3, 2, 1), np.nan),
            r"episode 1: step 3, agent 2: observations column 1 \(queue\) is nan",
        ),
        (
            "rb",
            put("episode_0/observations", (0, 4, 0), -2),
            r"episode 0: step 0, agent 4: observations column 0 \(arrivals\) is -2.0, "
            r"outside \[0, inf\)",
        ),
        (
            "rb",
            put("episode_1/agent_rewards", (6, 0), np.inf),
            "episode 1: step 6, agent 0: agent_rewards is inf",
        ),
        (
            "rb",
            put("episode_1/agent_rewards", (6, 0), 1e300),
            r"episode 1: step 6, agent 0: agent_rewards is 1e\+300",
        ),
        (
            "rb",
            put("episode_0/actions", (2, 1), 41),
            r"episode 0: step 2, agent 1: actions is 41, outside \[0, 40\]",
        ),
        (
            "cbf",
            put("episode_1/actions", (5, 3, 7), -1.5),
            r"episode 1: step 5, agent 3: actions column 7 \(beamformer.im3\) is -1.5, "
            r"outside \[-1, 1\]",
        ),
        (
            "rb",
            change("episode_1/actions", lambda x: x[:-1]),
            r"episode 1: observations must have shape \(7, 5, 8\), got \(8, 5, 8\)",
        ),
        (
            "rb",
            change("episode_1/observations", lambda x: x[:, :4]),
            r"episode 1: observations must have shape \(8, 5, 8\), got \(8, 4, 8\)",
        ),
        (
            "rb",
            change("episode_0/observations", lambda x: x[..., :6]),
            r"episode 0: observations must have shape \(5, 5, 8\), got \(5, 5, 6\)",
        ),
        (
            "rb",
            change("episode_0/observations", lambda x: x[0]),
            r"episode 0: observations must have axes \(T\+1, N, O\), got shape \(5, 8\)",
        ),
        (
            "rb",
            change("episode_1/actions", lambda x: x.astype(float)),
            "episode 1: actions must be integer, got dtype float64",
        ),
        (
            "ns",
            change("episode_1/actions", lambda x: x.astype(int)),
            "episode 1: actions must be real, got dtype int64",
        ),
        ("rb", lambda a: a.pop("episode_1/neighbours"), "episode 1: neighbours is missing"),
        (
            "rb",
            put("episode_1/neighbours", (3, 2), 5),
            r"episode 1: agent 3: neighbours holds 5, outside 0 .. 4",
        ),
        (
            "rb",
            put("episode_1/neighbours", (3, 2), 3),
            "episode 1: agent 3: neighbours holds the agent itself",
        ),
        (
            "rb",
            put("episode_1/neighbours", (3, 2), 4),
            r"episode 1: agent 3: neighbours holds an agent twice: \[2, 4, 4\]",
        ),
        (
            "rb",
            lambda a: a.update({"episode_1/truncations": np.zeros(7, bool)}),
            "episode 1: step 6: the last step is neither a termination nor a truncation",
        ),
        (
            "rb",
            lambda a: a.update({"episode_1/terminations": np.arange(7) == 2}),
            "episode 1: step 2: the episode ends before its last step",
        ),
        (
            "rb",
            lambda a: [a.pop(n) for n in list(a) if n.startswith("episode_0/")],
            "episode 0 is missing",
        ),
        (
            "rb",
            lambda a: a.update({"episode_0/obs": np.zeros(3)}),
            "unknown field 'episode_0/obs'; fields are observations",
        ),
        (
            "rb",
            lambda a: a.update({"episode_0/actions": np.array([None, "x"])}),
            "pickle",
        ),
    ],
)
def test_bad_logs_are_named_and_leave_nothing(tmp_path, local_store, task, damage, text):
    arrays = logs(task)
    damage(arrays)
    path = save(tmp_path / "log.npz", arrays)
    with pytest.raises(store.DatasetError, match=rf"^log\.npz: .*{text}"):
        import_logs(path, MINE, task)
    assert [p.name for p in local_store.rglob("*") if p.is_file()] == [".campus-v0.lock"]


def test_other_bad_files(tmp_path):
    ragged = {
        "observations": np.zeros((2, 4, 5, 8), np.float32),
        "actions": np.zeros((3, 3, 5), int),
    }
    with pytest.raises(store.DatasetError, match=r"ragged: .*'observations': 2, 'actions': 3"):
        import_logs(save(tmp_path / "ragged.npz", ragged), MINE, "rb")
    with pytest.raises(store.DatasetError, match="holds no episode"):
        import_logs(save(tmp_path / "empty.h5", {}), MINE, "rb")
    (tmp_path / "text.npz").write_text("time,queue\n0,1\n")
    with pytest.raises(store.DatasetError, match=r"^text\.npz: "):
        import_logs(tmp_path / "text.npz", MINE, "rb")
    with pytest.raises(store.DatasetError, match=r"none\.h5: "):
        import_logs(tmp_path / "none.h5", MINE, "rb")
    with pytest.raises(store.DatasetError, match=r"logs are \.npz, \.h5, \.hdf5, \.csv, "):
        import_logs(tmp_path / "log.txt", MINE, "rb")
    for name in ("no-version", "white space-v0"):
        with pytest.raises(store.DatasetError, match="is not a dataset id"):
            import_logs(tmp_path / "log.npz", name, "rb")


def test_members_that_would_not_be_read_are_refused(tmp_path):
    arrays = logs("rb")
    padded = {name.replace("episode_", "episode_00"): array for name, array in arrays.items()}
    with pytest.raises(store.DatasetError, match=r"leading zeros; rename it to 'episode_0/"):
        import_logs(save(tmp_path / "log.npz", padded), MINE, "rb")
    path = save(tmp_path / "log.h5", arrays)
    with h5py.File(path, "r+") as file:
        file.move("episode_1", "elsewhere")
        file["episode_1"] = h5py.SoftLink("/elsewhere")
    with pytest.raises(store.DatasetError, match=r"log\.h5: 'episode_1' is a link"):
        import_logs(path, MINE, "rb")
    path = save(tmp_path / "log.h5", arrays)
    assert len(import_logs(path.rename(tmp_path / "LOG.H5"), MINE, "rb")) == 2


def test_the_commands_import_show_and_export(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = save(tmp_path / "log.npz", logs("ns"))
    given = ("dataset", "import", str(path), "--task", "ns", "--id", MINE, "--policy", "operator")
    assert command.main(given) == 0
    assert f"{MINE}: 2 episodes, 11 steps" in capsys.readouterr().out
    assert command.main(given) == 2
    assert "use --force to import it again" in capsys.readouterr().err
    assert command.main(["dataset", "show", MINE]) == 0
    out = capsys.readouterr().out
    assert "operator" in out
    assert "4-7 steps, 11 steps in all" in out
    assert "normalised score" not in out
    assert command.main(["dataset", "list"]) == 0
    assert MINE in capsys.readouterr().out
    assert (
        command.main(["dataset", "export", MINE, "--out", str(tmp_path / "new" / "out.npz")]) == 0
    )
    with np.load(path) as want, np.load(tmp_path / "new" / "out.npz") as found:
        for name in want.files:
            np.testing.assert_array_equal(found[name], want[name].astype(found[name].dtype))
    assert command.main(["dataset", "card", MINE, "--out", str(tmp_path / "cards")]) == 0
    assert "Imported: operator." in (tmp_path / "cards" / "mine-campus-v0.md").read_text()
