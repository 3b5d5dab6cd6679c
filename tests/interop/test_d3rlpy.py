"""d3rlpy: our flattened datasets in its replay buffer, and an algorithm of it that learns."""

import minari
import numpy as np
import pytest
from gymnasium.spaces import Discrete

import networld_envs
from networld_algos.cli import command
from networld_envs.policies.rollout import Behaviour
from networld_envs.store import Recipe, build

pytestmark = pytest.mark.interop
d3rlpy = pytest.importorskip("d3rlpy", reason="d3rlpy is absent: pip install 'networld[interop]'")


@pytest.fixture(params=tuple(networld_envs.TASKS))
def flat(request, tmp_path, monkeypatch):
    """A small dataset flattened by the command, with 6 steps an episode."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    source = f"networld/{request.param}/tiny-v0"
    build(Recipe(source, request.param, 2, 6, 77, (Behaviour("expert", 0.2),)))
    assert command.main(["dataset", "flatten", source, "--id", "networld/flat-v0"]) == 0
    return minari.load_dataset("networld/flat-v0")


def mdp_dataset(flat):
    """As docs/interop.md shows; d3rlpy takes the number of actions from the data if not told."""
    discrete = isinstance(flat.action_space, Discrete)
    return d3rlpy.dataset.MDPDataset(
        observations=np.concatenate([e.observations[:-1] for e in flat]),
        actions=np.concatenate([e.actions for e in flat]),
        rewards=np.concatenate([e.rewards for e in flat]),
        terminals=np.concatenate([e.terminations for e in flat]),
        timeouts=np.concatenate([e.truncations for e in flat]),
        action_size=int(flat.action_space.n) if discrete else None,
    )


def test_replay_buffer_holds_every_step(flat):
    data = mdp_dataset(flat)
    assert len(data.episodes) == flat.total_episodes
    for mine, theirs in zip(flat, data.episodes, strict=True):
        np.testing.assert_array_equal(theirs.observations, mine.observations[:-1])
        np.testing.assert_array_equal(theirs.actions.reshape(mine.actions.shape), mine.actions)
        np.testing.assert_allclose(theirs.rewards[:, 0], mine.rewards, rtol=1e-6)
        assert not theirs.terminated
    batch = data.sample_transition_batch(8)
    assert batch.observations.shape == (8, *flat.observation_space.shape)


def test_its_algorithms_learn_from_ours(flat):
    space = flat.action_space
    discrete = isinstance(space, Discrete)
    config = d3rlpy.algos.DiscreteBCConfig() if discrete else d3rlpy.algos.BCConfig()
    config.observation_scaler = d3rlpy.preprocessing.StandardObservationScaler()
    if not discrete:
        config.action_scaler = d3rlpy.preprocessing.MinMaxActionScaler()
    config.learning_rate = 3e-3
    d3rlpy.seed(0)
    learner = config.create(device="cpu")
    epochs = learner.fit(
        mdp_dataset(flat),
        n_steps=300,
        n_steps_per_epoch=60,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    losses = [metrics.get("imitation_loss", metrics["loss"]) for _, metrics in epochs]
    assert losses[-1] < 0.9 * losses[0]
    action = learner.predict(flat[0].observations[:1])[0]
    assert learner.action_size == (space.n if discrete else space.shape[0])
    assert space.contains(action.astype(space.dtype))


def test_its_reader_of_minari_shifts_by_an_episode(flat):
    """`get_minari` joins all T+1 observations to T actions; see docs/interop.md.

    When the last line fails, d3rlpy is mended and the page can show `get_minari`.
    """
    theirs, env = d3rlpy.datasets.get_minari("networld/flat-v0")
    assert env.reset(seed=0)[0].shape == flat.observation_space.shape
    assert len(theirs.episodes) == flat.total_episodes
    np.testing.assert_array_equal(theirs.episodes[0].observations, flat[0].observations[:-1])
    second = theirs.episodes[1].observations
    np.testing.assert_array_equal(second[0], flat[0].observations[-1])
    assert not np.array_equal(second, flat[1].observations[:-1])
