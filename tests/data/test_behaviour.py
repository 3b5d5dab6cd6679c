"""Which episodes went better than their first observations predict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from networld_algos.data.batch import WindowSampler
from networld_algos.data.behaviour import MAX_WEIGHT, episode_advantages, episode_weights
from networld_algos.registry import BUILT_IN
from networld_algos.training.train import make_samplers
from tests.helpers.algorithms import prepared

EPISODES = 60


@pytest.fixture
def logs(toy):
    """Episodes of two behaviours, whose rewards are mostly a matter of the first observation."""
    data = toy("box").collect(EPISODES, length=6)
    rng = np.random.default_rng(0)
    data.obs[:, 0] = rng.normal(size=data.obs[:, 0].shape)
    place = rng.normal(size=EPISODES)  # of a whole network, as its gains are
    data.obs[:, 0, :, 0] += 3.0 * place[:, None]
    good = rng.random(EPISODES) < 0.5
    data.rewards[:] = data.obs[:, :1, :, 0] + 0.8 * good[:, None, None]
    data.rewards[:] += rng.normal(scale=0.1, size=data.rewards.shape)
    data.rewards[~data.step_mask] = 1e6  # padding does not count
    return data, good


def test_the_behaviour_is_told_apart_from_luck(logs):
    data, good = logs
    found = episode_advantages(data)
    assert found.mean() == pytest.approx(0.0, abs=1e-9)
    assert found.std() == pytest.approx(1.0)
    assert ((found > 0) == good).mean() > 0.95
    returns = data.returns / data.lengths
    assert ((returns > returns.mean()) == good).mean() < 0.75  # the return alone cannot do it


def test_an_episode_is_judged_by_a_fit_to_others(logs):
    """With more columns than rows a fit explains its own rows, and would find no difference."""
    data, good = logs
    few = data.take(np.arange(12))
    wide = np.repeat(few.obs, 20, axis=-1)
    wide = wide + np.random.default_rng(1).normal(size=wide.shape).astype(np.float32)
    found = episode_advantages(replace(few, obs=wide))
    assert found[good[:12]].mean() - found[~good[:12]].mean() > 0.5


def test_weights_grow_with_beta_up_to_a_limit(logs):
    data, good = logs
    assert (episode_weights(data, 0.0) == 1.0).all()
    assert episode_weights(data, 2.0)[good].mean() > 5 * episode_weights(data, 2.0)[~good].mean()
    assert episode_weights(data, 50.0).max() == MAX_WEIGHT


def test_episodes_that_went_alike_weigh_alike(toy):
    data = toy("box").collect(4)
    data.rewards[:] = 2.5
    assert (episode_weights(data, 2.0) == 1.0).all()
    assert (episode_weights(toy("box").collect(1), 2.0) == 1.0).all()


def test_windows_are_drawn_by_length_and_weight(toy):
    data = toy("box").collect(3, length=6)
    data.obs[..., 0] = np.arange(3)[:, None, None]  # tells the episode
    weights = np.array([1.0, 0.0, 3.0])
    batch = WindowSampler(data, 2, 4000, weights=weights).sample(np.random.default_rng(0))
    episode, count = np.unique(batch.obs[:, 0, 0, 0], return_counts=True)
    assert episode.tolist() == [0.0, 2.0]
    want = data.lengths * weights
    np.testing.assert_allclose(count / 4000, (want / want.sum())[[0, 2]], atol=0.03)
    assert batch.mask[:, 0].all()
    assert set(batch.timesteps[:, 0].tolist()) == set(range(6))


@pytest.mark.parametrize("name", BUILT_IN)
def test_an_algorithm_draws_by_episode_only_if_told_to(logs, name):
    data, good = logs
    data.obs[:, 1:, :, 0] = np.where(good, 1.0, -1.0)[:, None, None]

    def share(**options):
        sampler = make_samplers(prepared(name, data, **options), [data])[0]
        sampler.batch_size = 600
        return float((sampler.sample(np.random.default_rng(0)).obs[:, -1, 0, 0] > 0).float().mean())

    window = prepared(name, data).window
    plain = WindowSampler(data, window, 600).sample(np.random.default_rng(0))
    assert share() == float((plain.obs[:, -1, 0, 0] > 0).float().mean())  # the very same draws
    assert share(episode_beta=2.0) > 0.8 > share()
