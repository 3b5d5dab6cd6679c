"""What tests of the packet model of network slicing share."""

from itertools import pairwise

import numpy as np

from networld_envs import ns
from networld_envs.ns.packet_types import FLAGS

DEFAULT = ns.PRESETS["hua2019"]
W = DEFAULT.bandwidth_hz
ALL_FLAGS = dict.fromkeys(FLAGS, True)
# A few users who get so little that packets queue, go out in parts, come late and are blocked.
TIGHT = ns.PacketParams(
    rings=1,
    users=(3, 4, 2),
    bandwidth_hz=2e6,
    layers=0.5,
    slots=150,
    volte_gap_s=4e-3,
    urllc_gap_s=8e-3,
    urllc_bits=(800.0, 2500.0, 9000.0),
    sla_rate_bps=(1e5, 1e6, 5e5),
)


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
        action = np.concatenate([random_action(params, rng) for rng in own])
        if split is not None:
            action = np.broadcast_to(np.float32(split) * np.float32(1e6), action.shape)
        states.append(ns.transition(params, states[-1], action, rngs))
        rewards.append(ns.reward(params, states[-2], action, states[-1]))
    return states, np.stack(rewards)


def check_laws(params, states):
    space = ns.observation_space(params)
    for before, after in pairwise(states):
        inflow = before.queued + after.packets
        outflow = after.in_time + after.expired + after.dropped + after.queued
        np.testing.assert_array_equal(inflow, outflow)
        for name in ("in_time", "expired", "dropped", "queued", "bits"):
            assert (getattr(after, name) >= 0).all()
        assert (after.backlog >= after.queued).all()
        assert (after.bits <= after.size).all()
        assert ((after.ssr >= 0) & (after.ssr <= 1)).all()
        assert ((after.utilisation >= 0) & (after.utilisation <= 1)).all()
        obs = ns.observe(params, after)
        assert np.isfinite(obs).all()
        assert all(space.contains(o) for o in obs.reshape(-1, obs.shape[-1]))
