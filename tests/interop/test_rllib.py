"""RLlib's wrapper of PettingZoo: ``pip install 'networld[rllib]'``, half a gigabyte; not in CI."""

import warnings

import numpy as np
import pytest

import networld_envs

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("ray", reason="RLlib is absent: pip install 'networld[rllib]'")
pytest.importorskip("tree", reason="RLlib is absent: pip install 'networld[rllib]'")  # RLlib's own
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
    from ray.tune.registry import register_env


@pytest.mark.parametrize("task", tuple(networld_envs.TASKS))
def test_wrapper_steps_our_trajectories(task):
    env = ParallelPettingZooEnv(networld_envs.make(task, max_cycles=3))
    own = networld_envs.make(task, max_cycles=3)
    seen, _ = env.reset(seed=4)
    want, _ = own.reset(seed=4)
    for t in range(3):
        assert seen.keys() == want.keys()
        np.testing.assert_array_equal(np.stack(list(seen.values())), np.stack(list(want.values())))
        actions = {agent: own.action_space(agent).sample() for agent in own.agents}
        seen, rewards, terminated, truncated, _ = env.step(actions)
        want, mine, *_ = own.step(actions)
        assert rewards == pytest.approx(mine)
        assert truncated["__all__"] == (t == 2)
        assert not terminated["__all__"]


@pytest.mark.slow
def test_ppo_trains_on_it():
    register_env("rb", lambda _: ParallelPettingZooEnv(networld_envs.make("rb", preset="nodes12")))
    config = (
        PPOConfig()
        .environment("rb")
        .env_runners(num_env_runners=0)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda *_, **__: "shared")
        .training(train_batch_size=100, minibatch_size=100, num_epochs=1)
    )
    learner = config.build_algo()
    try:
        result = learner.train()
    finally:
        learner.stop()
    assert result["env_runners"]["num_env_steps_sampled"] >= 100
    loss = result["learners"]["shared"]["total_loss"]
    assert np.isfinite(float(getattr(loss, "peek", lambda: loss)()))
