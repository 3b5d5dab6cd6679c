"""Our datasets in Minari's own tools, flattened by agent, and on other processors."""

import os
import subprocess
import sys
from pathlib import Path

import minari
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import networld_envs
from networld_algos.cli import command
from networld_algos.data.batch import WindowSampler
from networld_algos.data.load import load_episodes
from networld_envs import store
from networld_envs.one_agent import OneAgentEnv
from networld_envs.policies.references import reference_scores
from networld_envs.policies.rollout import Behaviour
from networld_envs.simulator import BUILT_IN
from networld_envs.store import fingerprint as prints
from networld_envs.store.flatten import flatten_agents
from networld_envs.store.reading import identity

TASKS = tuple(networld_envs.TASKS)


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv(store.MIRROR, raising=False)
    return tmp_path / "minari"


def build(task="rb", name="tiny", episodes=4, **changes):
    values = {"max_cycles": 6, "seed": 77, "behaviours": (Behaviour("random"),)}
    recipe = store.Recipe(f"networld/{task}/{name}-v0", task, episodes, **{**values, **changes})
    return store.build(recipe)


def run_minari(*args):
    script = Path(sys.executable).with_name("minari")
    out = subprocess.run([script, *args], capture_output=True, text=True, env={**os.environ})
    assert out.returncode == 0, out.stderr
    return out.stdout


@pytest.mark.parametrize("task", TASKS)
def test_iterate_sample_filter_and_split(task):
    dataset = build(task, episodes=6)
    assert [e.id for e in dataset.iterate_episodes()] == list(range(6))
    dataset.set_seed(3)
    sampled = dataset.sample_episodes(3)
    assert len({e.id for e in sampled}) == 3
    means = np.array([e.rewards.mean() for e in dataset])
    good = dataset.filter_episodes(lambda e: e.rewards.mean() > np.median(means))
    assert good.episode_indices.tolist() == np.flatnonzero(means > np.median(means)).tolist()
    parts = minari.split_dataset(dataset, [4, 2], seed=0)
    assert [len(load_episodes(p)) for p in parts] == [4, 2]
    joined = sorted(np.concatenate([p.episode_indices for p in parts]).tolist())
    assert joined == list(range(6))


def test_combined_datasets_are_ours_too():
    first, second = build(name="one"), build(name="two", seed=9, episodes=3)
    text = run_minari("combine", first.id, second.id, "--dataset-id", "networld/rb/both-v0")
    assert "both" in text
    both = load_episodes("networld/rb/both-v0", "rb")
    assert len(both) == 7
    np.testing.assert_array_equal(both.obs[4:], load_episodes(second).obs)
    np.testing.assert_array_equal(both.rewards[:4], load_episodes(first).rewards)
    assert both.spec == load_episodes(first).spec


def test_foreign_data_are_refused(local_store):
    dataset = build()
    other = minari.MinariDataset(dataset.storage.data_path)
    path = Path(other.storage.data_path) / "metadata.json"
    text = path.read_text().replace('"networld": {', '"other": {')
    path.write_text(text.replace("networld_envs.joint", "someone_elses.env"))
    with pytest.raises(store.DatasetError, match="is not of a NetWorld task"):
        store.metadata(minari.load_dataset(dataset.id))


def test_minaris_page_of_a_dataset():
    dataset = build("ns")
    text = run_minari("show", dataset.id)
    for word in ("networld/ns/tiny-v0", "The NetWorld maintainers", "random", "networld/NS-v0"):
        assert word in text


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized space:UserWarning")
@pytest.mark.parametrize("task", TASKS)
def test_flattened_agents_are_single_agent_episodes(task):
    dataset = build(task, episodes=2)
    flat = flatten_agents(dataset, f"networld/{task}/flat-v0")
    agents = networld_envs.TASKS[task].spec(networld_envs.make_params(task)).num_agents
    assert flat.total_episodes == 2 * agents
    for k in (0, agents + 1):
        whole, i = dataset[k // agents], k % agents
        np.testing.assert_array_equal(flat[k].observations, whole.observations[:, i])
        np.testing.assert_array_equal(flat[k].actions, whole.actions[:, i])
        np.testing.assert_allclose(flat[k].rewards, whole.infos["agent_rewards"][1:, i], rtol=1e-6)
        assert flat.action_space.contains(flat[k].actions[0])
    env = flat.recover_environment()
    assert env.observation_space == flat.observation_space
    check_env(env.unwrapped, skip_render_check=True)
    with pytest.raises(store.DatasetError, match="--force"):
        flatten_agents(dataset, f"networld/{task}/flat-v0")


def test_one_agent_env_is_the_task_with_one_free_agent():
    """When the agent too follows the others' policy, its rewards are those of the whole team."""
    env = OneAgentEnv("rb", agent=3, others="backlog", max_cycles=5)
    joint = networld_envs.make_vec("rb", 1, max_cycles=5)
    obs, _ = env.reset(seed=4)
    team, _ = joint.reset(seed=4)
    for _ in range(5):
        np.testing.assert_array_equal(obs, team[0, 3])
        queues = team[0, :, 1].astype(np.int64)  # the backlog policy asks for its queue
        request = np.minimum(queues, 40)
        obs, reward, terminated, truncated, _ = env.step(request[3])
        team, _, _, ended, info = joint.step(request[None])
        assert reward == info["agent_rewards"][0, 3]
        assert truncated == ended[0]
        assert not terminated
    with pytest.raises(ValueError, match=r"agent must be an integer in \[0, 23\], got 24"):
        OneAgentEnv("rb", agent=24)


def test_one_agent_env_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="others='genie' needs the global state"):
        OneAgentEnv("rb", others="genie")
    with pytest.raises(ValueError, match="'expert' cannot act"):
        OneAgentEnv("cbf", others="expert", preset="ge2020")
    env = OneAgentEnv("rb", agent=3)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(1)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"'node_3' must be in Discrete\(41\), got 3.7"):
        env.step(3.7)
    env = OneAgentEnv("ns", agent=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"'bs_2' must be in Box.*shape \(2,\)"):
        env.step(np.zeros(2, np.float32))


def test_one_agent_env_has_company_at_every_preset():
    """Others that need no expert; unseeded episodes go on with their random state."""
    env = OneAgentEnv("cbf", preset="ge2020")  # random, for the observation shows no channel
    rewards = []
    for seed in (1, None, 1, None):
        env.reset(seed=seed)
        rewards.append(env.step(4)[1])
    assert rewards[:2] == rewards[2:]
    assert rewards[0] != rewards[1]
    env = OneAgentEnv("ns", preset="hua2019", rings=0, slots=20)
    env.reset(seed=0)
    assert np.isfinite(env.step(np.full(3, 3e6, np.float32))[1])


def test_data_of_another_preset_have_its_environment_and_scores():
    dataset = build("ns", episodes=1, preset="hotspots")
    scores = reference_scores("ns", "hotspots")
    found = dataset.storage.metadata["ref_min_score"], dataset.storage.metadata["ref_max_score"]
    assert found == (6 * scores["random"]["mean"], 6 * scores["expert"]["mean"])
    one = flatten_agents(dataset, "networld/ns/flat-v0").recover_environment().unwrapped
    assert one._simulator.params == networld_envs.make_params("ns", "hotspots")
    assert one._simulator.max_cycles == 6
    unscored = build("rb", episodes=1, preset="nodes12")
    assert "ref_min_score" not in unscored.storage.metadata


def perturbed(dataset, factor):
    """The same dataset with observations and rewards multiplied by ``1 +- factor``."""
    rng = np.random.default_rng(0)
    real = store.episodes

    def changed(d, index=None):
        for episode in real(d, index):
            for name in ("observations", "agent_rewards"):
                noise = 1 + factor * rng.uniform(-1, 1, episode[name].shape)
                episode[name] = (episode[name] * noise).astype(np.float32)
            yield episode

    return changed


@pytest.mark.parametrize("task", TASKS)
def test_a_rebuild_that_rounds_differently_is_recognised(task, monkeypatch):
    dataset = build(task, episodes=20)
    expected = prints.fingerprint(dataset)
    assert prints.compare(expected, expected).equal_to_rounding
    monkeypatch.setattr(prints, "episodes", perturbed(dataset, 1e-5))
    found = prints.compare(prints.fingerprint(dataset), expected)
    assert found.equal_to_rounding
    assert found.first_episode > 0
    monkeypatch.setattr(prints, "episodes", perturbed(dataset, 0.3))
    assert not prints.compare(prints.fingerprint(dataset), expected).equal_to_rounding
    monkeypatch.undo()


@pytest.mark.parametrize("task", TASKS)
def test_another_seed_policy_or_length_is_not_rounding(task):
    expected = prints.fingerprint(build(task, episodes=20))
    for i, changes in enumerate(
        ({"seed": 78}, {"behaviours": (Behaviour("expert"),)}, {"max_cycles": 7}, {"episodes": 21})
    ):
        other = build(task, **{"episodes": 20, **changes}, name=f"other{i}")
        assert not prints.compare(prints.fingerprint(other), expected).equal_to_rounding, changes


def test_moments_and_quantiles_against_numpy():
    dataset = build("cbf", episodes=5)
    found = prints.fingerprint(dataset)
    episodes = load_episodes(dataset)
    obs = episodes.obs.reshape(-1, episodes.spec.obs_dim).astype(float)
    want = found["fields"]["observations"]
    np.testing.assert_allclose(want["mean"], obs.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(want["std"], obs.std(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(want["quantiles"], np.quantile(obs, prints.QUANTILES, 0), rtol=1e-5)
    assert found["mean_reward"] == pytest.approx(episodes.rewards.mean(dtype=float), rel=1e-6)
    assert found["steps"] == 30


def test_verify_tells_rounding_from_difference(monkeypatch):
    dataset = build("rb", episodes=20)
    wrong = store.Recipe(dataset.id, "rb", 20, 6, 77, (Behaviour("random"),), sha256="f" * 64)
    monkeypatch.setattr(identity, "catalog", lambda: {dataset.id: wrong})
    good, why = store.verify(dataset.id)
    assert (good, "no fingerprint" in why) == (False, True)
    right = prints.fingerprint(dataset)
    monkeypatch.setattr(identity, "fingerprints", lambda: {dataset.id: right})
    good, why = store.verify(dataset.id)
    assert (good, "equal up to rounding" in why) == (True, True)
    other = prints.fingerprint(build("rb", episodes=20, name="other", seed=5))
    monkeypatch.setattr(identity, "fingerprints", lambda: {dataset.id: other})
    good, why = store.verify(dataset.id)
    assert (good, "by more than rounding" in why) == (False, True)


def test_recorded_fingerprints_and_hashes(tmp_path, monkeypatch):
    """What ``--record`` writes is what the tables say afterwards, one dataset a line."""

    from networld_envs.store import recipes

    real = recipes.CATALOG.read_text()
    (tmp_path / "catalog.toml").write_text(real)
    monkeypatch.setattr(recipes, "CATALOG", tmp_path / "catalog.toml")
    monkeypatch.setattr(prints, "FINGERPRINTS", tmp_path / "fingerprints.json")
    recipes.record_hash("networld/rb/mixed-v0", "ab" * 32)
    before = recipes.catalog()
    assert before["networld/rb/mixed-v0"].sha256 == "ab" * 32
    changed = set(real.splitlines()) ^ set((tmp_path / "catalog.toml").read_text().splitlines())
    assert len(changed - {'sha256 = ""'}) <= 2
    for i in (2, 1):
        prints.record_fingerprint(f"d{i}-v0", {"episodes": i})
    assert prints.fingerprints() == {"d1-v0": {"episodes": 1}, "d2-v0": {"episodes": 2}}
    assert len(prints.FINGERPRINTS.read_text().splitlines()) == 4


def test_only_the_wanted_episodes_are_read(monkeypatch):
    dataset = build("rb", episodes=20)
    whole = load_episodes(dataset)
    seen = []
    real = type(dataset.storage).get_episodes
    monkeypatch.setattr(
        type(dataset.storage),
        "get_episodes",
        lambda self, index: (seen.extend(index := list(index)), real(self, index))[1],
    )
    for fraction, seed in ((0.05, 0), (0.3, 0), (0.3, 1)):
        seen.clear()
        part = load_episodes(dataset, fraction=fraction, seed=seed)
        want = whole.fraction(fraction, seed)
        assert len(seen) == len(part) == len(want)
        np.testing.assert_array_equal(part.obs, want.obs)
        np.testing.assert_array_equal(part.rewards, want.rewards)
    seen.clear()
    few = load_episodes(dataset, episodes=10, fraction=0.5, seed=3)
    want = whole.fraction(0.5, 0).fraction(0.5, 3)
    np.testing.assert_array_equal(few.actions, want.actions)
    assert len(seen) == 5
    filtered = dataset.filter_episodes(lambda e: e.id % 2 == 1)
    odd = load_episodes(filtered, fraction=0.2, seed=0)
    np.testing.assert_array_equal(odd.obs, whole.take(np.arange(1, 20, 2)).fraction(0.2, 0).obs)
    for wrong in ({"fraction": 0.0}, {"fraction": 1.1}, {"episodes": 0}):
        with pytest.raises(ValueError, match="must be"):
            load_episodes(dataset, **wrong)


@pytest.mark.parametrize("task", TASKS)
def test_mapped_data_are_the_same_and_stay_on_disk(task, local_store):
    dataset = build(task, episodes=8)
    memory, disk = load_episodes(dataset), load_episodes(dataset, memory_gb=1e-9)
    for data in (disk, disk.fraction(0.5, 0), *disk.split(0.25, 1)):
        assert isinstance(data.obs, np.memmap)
    for a, b in zip(memory.split(0.25, 1), disk.split(0.25, 1), strict=True):
        for name in ("obs", "actions", "rewards", "truncated", "neighbours"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for rng_seed in range(3):
        a, b = (
            WindowSampler(d, 4, 16).sample(np.random.default_rng(rng_seed)) for d in (memory, disk)
        )
        for name in ("obs", "actions", "rewards", "returns_to_go", "mask", "truncated"):
            assert (getattr(a, name) == getattr(b, name)).all()
    assert not list(local_store.rglob(".networld-*"))  # unnamed: freed with the array
    assert not isinstance(load_episodes(dataset, memory_gb=1.0).obs, np.memmap)


def test_a_card_says_what_is_in_the_data(tmp_path):
    dataset = build("rb", episodes=12, behaviours=(Behaviour("random"), Behaviour("expert", 0.05)))
    out = tmp_path / "cards"
    assert command.main(["dataset", "card", dataset.id, "--out", str(out)]) == 0
    page = (out / "rb-tiny-v0.md").read_text()
    episodes = load_episodes(dataset)
    for word in (
        store.metadata(dataset)["sha256"],
        f"{(episodes.returns / episodes.lengths).mean():.4f} per agent and step",
        "12 episodes of 6 steps",
        "`expert`, 5% of the actions random",
        "seeds 77 to 88",
        f"{episodes.obs.min():.4g} to {episodes.obs.max():.4g}",
        "MIT",
        f'store.load("{dataset.id}")',
    ):
        assert word in page
    picture = (out / "rb-tiny-v0.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert command.main(["dataset", "card", dataset.id, "--out", str(out)]) == 0
    assert (out / "rb-tiny-v0.md").read_text() == page
    assert (out / "rb-tiny-v0.png").read_bytes() == picture


def test_a_card_interprets_no_text_of_the_data_and_replaces_no_other_card(tmp_path, capsys):
    dataset = build("rb", episodes=4)
    dataset.storage.update_metadata({"description": "<img src=x> [here](http://a.b)"})
    out = tmp_path / "cards"
    assert command.main(["dataset", "card", dataset.id, "--out", str(out)]) == 0
    page = out / "rb-tiny-v0.md"
    assert "<img" not in page.read_text()
    assert "[here](" not in page.read_text()
    page.write_text("# networld/rb-tiny-v0\n")
    assert command.main(["dataset", "card", dataset.id, "--out", str(out)]) == 2
    assert "is not the card of networld/rb/tiny-v0; choose another folder" in " ".join(
        capsys.readouterr().err.split()
    )
    assert page.read_text() == "# networld/rb-tiny-v0\n"


def test_every_catalogued_dataset_has_hash_fingerprint_and_card():
    cards = Path(__file__).parents[2] / "datasets" / "cards"
    recorded = prints.fingerprints()
    for dataset_id, recipe in store.catalog().items():
        if recipe.task not in BUILT_IN:
            continue
        assert len(recipe.sha256) == 64, dataset_id
        assert recorded[dataset_id]["episodes"] == recipe.episodes
        page = cards / ("-".join(dataset_id.split("/")[-2:]) + ".md")
        assert recipe.sha256 in page.read_text()
        assert page.with_suffix(".png").is_file()


def test_dataset_commands_do_not_load_torch():
    build("rb")
    code = (
        "import sys; from networld_algos.cli import command;"
        "m = command.main;"
        "assert m(['dataset', 'list']) == m(['dataset', 'show', sys.argv[1]]) == 0;"
        "print(sorted({'torch', 'matplotlib', 'pygame'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, "networld/rb/tiny-v0"], capture_output=True, text=True
    )
    assert out.stdout.splitlines()[-1] == "[]", out.stderr
