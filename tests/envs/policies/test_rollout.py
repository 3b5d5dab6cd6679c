"""Rollouts of the policies of every task."""

import gymnasium as gym
import numpy as np
import pytest

import networld_envs
from networld_envs.policies import policy_actions, task_policies
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.simulator import Simulator, make_params

TASKS = tuple(networld_envs.TASKS)
each_task = pytest.mark.parametrize("task", TASKS)


@each_task
def test_every_policy_gives_legal_actions_and_only_genies_see_the_state(task):
    sim = Simulator(task, make_params(task), 3)
    sim.seed(11)
    obs = sim.reset()
    rngs = [np.random.default_rng(i) for i in range(3)]
    roles = {p.role for p in task_policies(task).values()}
    assert {"random", "static", "expert", "genie"} <= roles
    for policy in task_policies(task).values():
        sim.check_actions(policy_actions(policy, sim, obs, rngs, 0))
        assert (policy.privileged is not None) == (policy.role == "genie")


@each_task
def test_rollouts_replay_from_seed_and_actions(task):
    played = rollout(task, make_params(task), Behaviour("expert", 0.3), [40, 41], 5)
    env = gym.make(networld_envs.gymnasium_id(task))
    for k, seed in enumerate((40, 41)):
        obs, info = env.reset(seed=seed)
        np.testing.assert_array_equal(obs, played.obs[k, 0])
        np.testing.assert_array_equal(info["neighbours"], played.neighbours[k])
        for t in range(5):
            obs, _, _, _, info = env.step(played.actions[k, t])
            np.testing.assert_array_equal(obs, played.obs[k, t + 1])
            np.testing.assert_array_equal(info["agent_rewards"], played.rewards[k, t])


def test_random_share_replaces_that_share_of_actions():
    params = make_params("rb")
    pure = rollout("rb", params, Behaviour("hard"), range(20), 20).actions
    mixed = rollout("rb", params, Behaviour("hard", 0.25), range(20), 20).actions
    assert (pure == 10).all()
    assert abs((mixed != 10).mean() - 0.25 * 20 / 21) < 0.01
