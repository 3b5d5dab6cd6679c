"""Stable-Baselines3 through SuperSuit: one policy shared by all agents of several networks."""

import numpy as np
import pytest

import networld_envs
from networld_envs.policies.references import TEST_SEED, reference_rewards

pytestmark = pytest.mark.interop
WHY = "Stable-Baselines3 or SuperSuit is absent: pip install 'networld[interop]'"
supersuit = pytest.importorskip("supersuit", reason=WHY)
sb3 = pytest.importorskip("stable_baselines3", reason=WHY)

from stable_baselines3.common.utils import set_random_seed  # noqa: E402
from stable_baselines3.common.vec_env import VecNormalize  # noqa: E402


def vector(task, networks, seed, **params):
    """Every agent of every network as one environment of a vector."""
    agents = supersuit.pettingzoo_env_to_vec_env_v1(networld_envs.make(task, **params))
    envs = supersuit.concat_vec_envs_v1(agents, networks, base_class="stable_baselines3")
    envs.venv.reset(seed=seed)  # the copies share one random state until then
    return envs


@pytest.mark.parametrize("task", tuple(networld_envs.TASKS))
def test_a_vector_of_agents(task):
    own = networld_envs.make(task, max_cycles=3)
    envs = vector(task, 2, seed=5, max_cycles=3)
    n = len(own.possible_agents)
    assert envs.num_envs == 2 * n
    first = own.reset(seed=5)[0], envs.venv.reset(seed=5)[0]
    np.testing.assert_array_equal(np.stack(list(first[0].values())), first[1][:n])
    assert not np.array_equal(first[1][:n], first[1][n:])  # network 1 has seed 6
    for t in range(4):
        actions = np.stack([envs.action_space.sample() for _ in range(envs.num_envs)])
        after, rewards, done, infos = envs.step(actions)
        assert rewards.shape == done.shape == (2 * n,)
        assert done.all() == (t == 2)
        if t < 3:
            seen, mine, *_ = own.step(dict(zip(own.possible_agents, actions, strict=False)))
            np.testing.assert_allclose(rewards[:n], list(mine.values()), rtol=1e-6)
            last = np.stack([i["terminal_observation"] for i in infos[:n]]) if t == 2 else after[:n]
            np.testing.assert_array_equal(last, np.stack(list(seen.values())))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The `render_mode` attribute is not defined:UserWarning")
def test_ppo_learns_to_beam():
    """Seven cells, 100,000 decisions: PPO, without neighbours or critics of others, beats random.

    Measured with three seeds: 3.8 to 3.9, random 2.7, MRT 4.4 bit/s/Hz.
    """
    set_random_seed(0)
    envs = VecNormalize(vector("cbf", 4, seed=0, rings=1), norm_reward=True)
    model = sb3.PPO(
        "MlpPolicy",
        envs,
        n_steps=100,
        batch_size=700,
        n_epochs=5,
        learning_rate=1e-3,
        gamma=0.0,  # the reward of a beam is known at once
        gae_lambda=0.0,
        device="cpu",
    )
    model.learn(100_000)
    networks = networld_envs.make_vec("cbf", 32, rings=1)
    observations, _ = networks.reset(seed=TEST_SEED)
    rewards = []
    for _ in range(50):
        seen = envs.normalize_obs(observations.reshape(-1, observations.shape[-1]))
        actions, _ = model.predict(seen, deterministic=True)
        observations, reward, *_ = networks.step(actions.reshape(networks.action_space.shape))
        rewards.append(reward)
    seeds = range(TEST_SEED, TEST_SEED + 32)
    random = reference_rewards("cbf", "random", seeds, rings=1)
    gain = np.mean(rewards, axis=0) - random  # (32,), on the same networks
    assert gain.mean() > 0.5
    assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(len(gain))
