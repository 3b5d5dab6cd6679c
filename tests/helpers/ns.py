"""What tests of the fluid model of network slicing share."""

from itertools import pairwise

import numpy as np

from networld_envs import ns
from networld_envs.ns.policies import POLICIES

DEFAULT = ns.Params()
W = DEFAULT.bandwidth_hz


def generators(seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def random_action(params, rng):
    shape = (1, params.num_agents, 3)
    return rng.uniform(0, params.bandwidth_hz, shape).astype(np.float32)


def rollout(params, seeds, steps, split=None):
    """States and rewards; actions are the same for a seed whatever the batch."""
    rngs, own = generators(seeds), generators([[seed, 1] for seed in seeds])
    states, rewards = [ns.reset(params, rngs)], []
    for _ in range(steps):
        if split is None:
            action = np.concatenate([random_action(params, rng) for rng in own])
        else:
            shape = (len(seeds), params.num_agents, 3)
            action = np.broadcast_to(np.float32(split) * np.float32(params.bandwidth_hz), shape)
        states.append(ns.transition(params, states[-1], action, rngs))
        rewards.append(ns.reward(params, states[-2], action, states[-1]))
    return states, np.stack(rewards)


def mean_reward(params, name, episodes, steps=50):
    policy = POLICIES[name]
    rngs, own = generators(range(episodes)), generators([[s, 2] for s in range(episodes)])
    state = ns.reset(params, rngs)
    table, space = ns.neighbours(params, state), ns.action_space(params)
    total = 0.0
    for t in range(steps):
        if policy.local is not None:
            action = policy.local(params, ns.observe(params, state), table, own, t)
        else:
            action = policy.privileged(params, state, own, t)
        assert space.contains(action[0, 0])
        after = ns.transition(params, state, action, rngs)
        total += ns.reward(params, state, action, after).mean(dtype=np.float64)
        state = after
    return total / steps


class OracleQueue:
    """Cohorts of packets, each with the sub-slot it arrived in."""

    def __init__(self, deadline):
        self.deadline, self.cohorts, self.now = deadline, [], 0

    def slot(self, arrivals, service):
        self.cohorts.append([self.now, arrivals])
        served = 0.0
        for cohort in self.cohorts:  # oldest first
            part = min(cohort[1], service - served)
            cohort[1] -= part
            served += part
        late = [c for c in self.cohorts if self.now - c[0] + 1 >= self.deadline]
        self.cohorts = [c for c in self.cohorts if self.now - c[0] + 1 < self.deadline]
        self.now += 1
        return served, sum(c[1] for c in late)

    @property
    def queued(self):
        return sum(c[1] for c in self.cohorts)


def check_laws(params, states):
    space = ns.observation_space(params)
    for before, after in pairwise(states):
        inflow = before.backlog[..., 0] + after.packets
        outflow = after.in_time + after.expired + after.backlog[..., 0]
        np.testing.assert_allclose(inflow, outflow, rtol=1e-9, atol=1e-9)
        assert (after.in_time >= 0).all()
        assert (after.expired >= 0).all()
        assert (after.backlog >= 0).all()
        assert (after.allocation_hz.sum(axis=-1) <= params.bandwidth_hz * (1 + 1e-12)).all()
        obs = ns.observe(params, after)
        assert all(space.contains(o) for o in obs.reshape(-1, obs.shape[-1]))
