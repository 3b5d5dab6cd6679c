"""Datasets: what is stored, replay, the same content however built, and clear errors."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest

import networld_envs
from networld_algos.data.load import load_episodes
from networld_envs import store
from networld_envs.policies.references import reference_scores
from networld_envs.policies.rollout import Behaviour
from networld_envs.simulator import BUILT_IN
from networld_envs.store import builder as building
from tests.helpers.catalogue import shorten

TASKS = tuple(networld_envs.TASKS)


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


def recipe(task="rb", name="tiny", episodes=4, **changes):
    values = {
        "dataset_id": f"networld/{task}/{name}-v0",
        "task": task,
        "episodes": episodes,
        "max_cycles": 6,
        "seed": 77,
        "behaviours": (Behaviour("random"), Behaviour("expert", 0.2)),
    }
    return store.Recipe(**{**values, **changes})


def data_file(local_store, task="rb", name="tiny"):
    return local_store / "networld" / task / f"{name}-v0" / "data" / "main_data.hdf5"


@pytest.mark.parametrize("task", TASKS)
def test_layout_is_as_documented(task):
    dataset = store.build(recipe(task))
    spec = networld_envs.TASKS[task].spec(networld_envs.make_params(task))
    n, o, d = spec.num_agents, spec.obs_dim, spec.neighbour_slots
    assert dataset.total_episodes == 4
    assert dataset.total_steps == 24
    for episode in dataset:
        assert episode.observations.shape == (7, n, o)
        assert episode.observations.dtype == np.float32
        if spec.action_kind == "box":
            assert episode.actions.shape == (6, n, spec.action_dim)
            assert episode.actions.dtype == np.float32
        else:
            assert episode.actions.shape == (6, n)
            assert episode.actions.dtype == np.int64
        own = episode.infos["agent_rewards"]
        assert own.shape == (7, n)
        assert (own[0] == 0).all()
        np.testing.assert_allclose(episode.rewards, own[1:].mean(1), rtol=1e-5)
        assert episode.infos["neighbours"].shape == (7, n, d)
        assert not episode.terminations.any()
        assert episode.truncations.tolist() == [False] * 5 + [True]
        assert dataset.observation_space.contains(episode.observations[3])
        assert dataset.action_space.contains(episode.actions[3])


@pytest.mark.parametrize("task", TASKS)
def test_stored_actions_replay_in_a_fresh_process(task):
    """`recover_environment` without importing this package first, then exact replay."""
    store.build(recipe(task))
    code = (
        "import sys, minari, numpy as np;"
        "d = minari.load_dataset(sys.argv[1]);"
        "env = d.recover_environment();"
        "meta = list(d.storage.get_episode_metadata(range(4)));\n"
        "for episode, m in zip(d, meta):\n"
        "    obs, info = env.reset(seed=m['seed'])\n"
        "    assert (obs == episode.observations[0]).all()\n"
        "    for t, action in enumerate(episode.actions):\n"
        "        obs, reward, _, _, info = env.step(action)\n"
        "        assert (obs == episode.observations[t + 1]).all()\n"
        "        assert reward == episode.rewards[t]\n"
        "        assert (info['agent_rewards'] == episode.infos['agent_rewards'][t + 1]).all()\n"
        "        assert (info['neighbours'] == episode.infos['neighbours'][t + 1]).all()\n"
        "print('replayed')"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, f"networld/{task}/tiny-v0"], capture_output=True, text=True
    )
    assert out.stdout.strip() == "replayed", out.stderr


def test_content_does_not_depend_on_jobs_or_order(monkeypatch, local_store):
    eight = recipe(episodes=8, chunk_episodes=3)
    one = store.metadata(store.build(eight))["sha256"]
    # A build that was killed after one chunk, then continued with two processes.
    shutil.rmtree(local_store)
    partial = local_store / "networld" / "rb" / ".tiny-v0.partial"
    building.keep_only_same_recipe(partial, eight)
    building.simulate_chunk(eight, 3, partial)
    stamp = building.chunk_path(partial, 3).stat().st_mtime_ns
    kept = []
    monkeypatch.setattr(
        building,
        "_assemble",
        lambda r, p, chunks, real=building._assemble: (
            kept.append(chunks[1].stat().st_mtime_ns),
            real(r, p, chunks),
        ),
    )
    two = store.metadata(store.build(eight, jobs=2))["sha256"]
    assert one == two
    assert kept == [stamp]
    assert not partial.exists()
    other = store.metadata(store.build(replace(eight, seed=78), force=True))["sha256"]
    assert other != one


def test_killed_build_leaves_nothing_under_the_id_and_goes_on(local_store):
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1]);"
        "from networld_envs import store; from networld_envs.policies.rollout import Behaviour;"
        "r = store.Recipe('networld/rb/tiny-v0', 'rb', 8, 6, 77, (Behaviour('random'),),"
        " chunk_episodes=2);"
        "store.build(r, progress=lambda n, _: n >= 4 and os.kill(os.getpid(), signal.SIGKILL))"
    )
    root = str(Path(store.__file__).parents[2])
    killed = subprocess.run([sys.executable, "-c", code, root], capture_output=True)
    assert killed.returncode == -9
    assert not store.is_local("networld/rb/tiny-v0")
    assert len(list((local_store / "networld/rb/.tiny-v0.partial").glob("chunk-*.npz"))) == 2
    with pytest.raises(
        store.DatasetError, match="not in the local store; it is not in the catalogue"
    ):
        store.verify("networld/rb/tiny-v0")
    store.build(recipe(episodes=8, behaviours=(Behaviour("random"),), chunk_episodes=2))
    assert store.verify("networld/rb/tiny-v0")[0]


def test_minari_finds_it_and_scores_it():
    store.build(recipe("ns", behaviours=(Behaviour("expert"),), max_cycles=50))
    out = subprocess.run(
        [str(Path(sys.executable).with_name("minari")), "list", "local"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert "networld/ns/tiny-v0" in out.stdout
    dataset = minari.load_dataset("networld/ns/tiny-v0")
    scores = reference_scores("ns")
    low, high = scores["random"]["mean"], scores["expert"]["mean"]
    value = minari.get_normalized_score(dataset, 50 * (low + high) / 2)
    assert value == pytest.approx(0.5)


def test_episodes_in_memory_equal_the_files():
    dataset = store.build(recipe("cbf"))
    episodes = load_episodes(dataset, "cbf")
    for k, episode in enumerate(dataset):
        np.testing.assert_array_equal(episodes.obs[k], episode.observations)
        np.testing.assert_array_equal(episodes.actions[k], episode.actions)
        np.testing.assert_array_equal(episodes.rewards[k], episode.infos["agent_rewards"][1:])
        np.testing.assert_array_equal(episodes.neighbours[k], episode.infos["neighbours"][0])
    filtered = dataset.filter_episodes(lambda e: e.id in (1, 3))
    np.testing.assert_array_equal(load_episodes(filtered).obs, episodes.obs[[1, 3]])


def test_unknown_wrong_or_existing_dataset():
    with pytest.raises(store.DatasetError, match="known datasets:\n  networld/cbf/expert-v0"):
        store.load("networld/cbf/best-v0")
    dataset = store.build(recipe())
    with pytest.raises(store.DatasetError, match="of task 'rb', not of 'ns'"):
        load_episodes(dataset, "ns")
    with pytest.raises(store.DatasetError, match="--force"):
        store.build(recipe())
    with pytest.raises(
        ValueError, match=r"Recipe\.episodes must be an integer of at least 1, got 0"
    ):
        recipe(episodes=0)
    with pytest.raises(
        ValueError, match=r"Behaviour\.random_share must be a number in \[0, 1\], got 1.5"
    ):
        Behaviour("random", 1.5)


def test_truncated_file_names_the_remedy(local_store, tmp_path, monkeypatch):
    shorten(monkeypatch, tmp_path, 4)
    catalogued = store.find_recipe("networld/rb/random-v0")
    for made, name, way in (
        (recipe(), "tiny", "import or download it again"),
        (catalogued, "random", "networld dataset build networld/rb/random-v0 --force"),
    ):
        store.build(made)
        path = data_file(local_store, name=name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(store.DatasetError, match=rf"networld/rb/{name}-v0.*{way}"):
            load_episodes(made.dataset_id)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda e: e["infos"].__delitem__("neighbours"), "neighbours"),
        (lambda e: e["observations"].resize(5, axis=0), "episode 2: observations has 5 rows"),
        (
            lambda e: e["observations"].__setitem__((3, 7, 1), np.nan),
            r"episode 2: step 3, agent 7: observations column 1 \(queue\) is nan",
        ),
    ],
)
def test_damaged_episode_is_named(local_store, damage, text):
    store.build(recipe())
    with h5py.File(data_file(local_store), "r+") as file:
        damage(file["episode_2"])
    with pytest.raises(store.DatasetError, match=text):
        load_episodes("networld/rb/tiny-v0")


def test_changed_content_is_found(local_store):
    store.build(recipe())
    assert store.verify("networld/rb/tiny-v0")[0]
    with h5py.File(data_file(local_store), "r+") as file:
        file["episode_1"]["actions"][0, 0] += 1
    good, why = store.verify("networld/rb/tiny-v0")
    assert not good
    assert "differs" in why


def test_catalogue_is_complete_and_its_seeds_never_meet():
    catalog = {i: r for i, r in store.catalog().items() if r.task in BUILT_IN}
    qualities = ("expert", "medium", "mixed", "random", "legacy")
    names = [f"networld/{t}/{q}-v0" for t in TASKS for q in qualities]
    assert list(catalog) == names
    ranges = sorted((r.seed, r.seed + r.episodes) for r in catalog.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(ranges))
    assert ranges[0][0] >= 10_000_000


@pytest.mark.parametrize("task", ["rb", "cbf"])
def test_a_catalogued_dataset_is_what_its_recipe_makes(task):
    """The real thing as a whole: the recorded hash, or equal up to rounding elsewhere."""
    dataset_id = f"networld/{task}/random-v0"
    store.build(store.find_recipe(dataset_id))
    good, why = store.verify(dataset_id)
    assert good, why
