"""What tests of coordinated beamforming share: a loop oracle and random play."""

import numpy as np

from networld_envs import cbf
from networld_envs.cbf.policies import POLICIES

P = cbf.Params()
GE2020 = cbf.PRESETS["ge2020"]


def rngs(count, first=0):
    return [np.random.default_rng(first + i) for i in range(count)]


def random_actions(rng, params, envs):
    return rng.uniform(-1, 1, (envs, params.num_agents, 2 * params.antennas)).astype(np.float32)


def oracle_transmit(state, w, e):
    """Rates and rewards of environment ``e`` by the definition, one link at a time."""
    k = w.shape[1]
    power = np.zeros((k, k))
    for user in range(k):
        for station in range(k):
            h = state.channel[e, user, station].astype(complex)
            power[user, station] = abs(np.vdot(h, w[e, station].astype(complex))) ** 2
    rate = np.zeros(k)
    interference = np.zeros(k)
    for user in range(k):
        interference[user] = 1.0 + sum(power[user, s] for s in range(k) if s != user)
        rate[user] = np.log2(1 + power[user, user] / interference[user])
    reward = rate.copy()
    for station in range(k):
        for user in state.neighbours[e, station]:
            if user >= 0:
                others = 1.0 + sum(power[user, s] for s in range(k) if s not in (user, station))
                reward[station] -= np.log2(1 + power[user, user] / others) - rate[user]
    return rate, reward, interference


def play(params, steps=3, envs=2, seed=0):
    """State before and after a last random step."""
    generators, own = rngs(envs, seed), rngs(envs, 90 + seed)
    state = cbf.reset(params, generators)
    for step in range(steps):
        before = state
        obs, table = cbf.observe(params, state), cbf.neighbours(params, state)
        actions = POLICIES["random"].local(params, obs, table, own, step)
        state = cbf.transition(params, state, actions, generators)
    return before, actions, state
