"""What tests of resource-block scheduling share."""

import numpy as np

from networld_envs import rb
from networld_envs.rb.policies import POLICIES

DEFAULT = rb.Params()


def generators(seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def random_actions(params, num_envs, rng):
    return rng.integers(0, params.resource_blocks + 1, size=(num_envs, params.num_agents))


def rollout(params, seeds, steps, actions=None):
    """States and rewards; actions are the same for a seed whatever the batch."""
    rngs, own = generators(seeds), generators([[seed, 1] for seed in seeds])
    states, rewards = [rb.reset(params, rngs)], []
    for t in range(steps):
        if actions is None:
            action = np.concatenate([random_actions(params, 1, rng) for rng in own])
        else:
            action = actions[t]
        states.append(rb.transition(params, states[-1], action, rngs))
        rewards.append(rb.reward(params, states[-2], action, states[-1]))
    return states, np.stack(rewards)


def mean_reward(params, name, episodes, steps=50):
    policy = POLICIES[name]
    rngs, own = generators(range(episodes)), generators([[s, 2] for s in range(episodes)])
    state = rb.reset(params, rngs)
    table = rb.neighbours(params, state)
    total = 0.0
    for t in range(steps):
        if policy.local is not None:
            action = policy.local(params, rb.observe(params, state), table, own, t)
        else:
            action = policy.privileged(params, state, own, t)
        assert action.min() >= 0
        assert action.max() <= params.resource_blocks
        after = rb.transition(params, state, action, rngs)
        total += rb.reward(params, state, action, after).mean(dtype=np.float64)
        state = after
    return total / steps
