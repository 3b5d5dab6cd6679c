"""Stations for tests: an engine of two lines, teams in one process, and a station in its own."""

from __future__ import annotations

import numpy as np
import torch

from networld_algos.data.streams import Stream
from networld_algos.deploy.interface import Interface
from networld_algos.deploy.station import Station
from networld_algos.deploy.udp import UdpExchange
from networld_algos.training.evaluate import evaluate
from networld_envs import make_vec

TOY = Interface(
    task="toy",
    obs_dim=2,
    action_kind="box",
    action_low=(-1.0,),
    action_high=(1.0,),
    message_width=2,
    message_max_age=0,
    model=7,
)


class SumEngine:
    """Sends the observation; decides for a tenth of the sum of all that it heard, and its own."""

    def __init__(self, interface=TOY):
        self.interface = interface
        self.heard = []

    def reset(self):
        self.heard = []

    def message(self, observation):
        return observation

    def decide(self, observation, held, usable):
        self.heard.append((held.copy(), usable.copy()))
        return np.array([(observation.sum() + (held.sum(1) * usable).sum()) / 10], np.float32)


def make(number=0, neighbours=(1, 2, -1), engine=None, message_delay=1, **options):
    """A station of a `SumEngine`."""
    engine = engine or SumEngine()
    return Station(engine, number, neighbours, message_delay=message_delay, **options)


def load_team(folder, table, **options):
    """One station per row of a neighbour table, each with its own copy of the model."""
    return [Station.load(folder, i, row, **options) for i, row in enumerate(table)]


def act_together(team, observations, lost=None):
    """Actions of all stations, whose messages cross at once; ``lost`` ``(N, D)`` do not arrive."""
    sent = [s.observe(o) for s, o in zip(team, observations, strict=True)]
    actions = []
    for i, station in enumerate(team):
        table = station._mail.neighbours
        heard = [
            sent[j] for d, j in enumerate(table) if j >= 0 and not (lost is not None and lost[i, d])
        ]
        actions.append(station.decide(heard))
    return np.stack(actions)


def lost_messages(seed, steps, shape, share):
    """What ``evaluate(..., message_loss=share)`` loses, ``(T, N, D)``."""
    rng = np.random.default_rng([seed, Stream.MESSAGE_LOSS])
    return np.stack([rng.random(shape) for _ in range(steps)]) < share


def team_reward(team, task, seed, steps, loss=0.0, **params):
    """Mean reward of an episode in which stations decide, as `evaluate` scores it."""
    network = make_vec(task, 1, max_cycles=steps, **params)
    obs, info = network.reset(seed=[seed])
    delay = team[0].message_delay
    lost = lost_messages(seed, steps + delay, info["neighbours"][0].shape, loss)
    rewards = []
    for step in range(steps):
        actions = act_together(team, obs[0], lost[step + delay])  # drawn when they should arrive
        obs, _, _, _, info = network.step(actions[None])
        rewards.append(info["agent_rewards"].mean(axis=1, dtype=np.float64))
    network.close()
    return np.mean(rewards, axis=0)


def batch_reward(model, task, seed, steps, loss=0.0, delay=0, **params):
    """What `evaluate` says about the same episode."""
    options = {"max_cycles": steps, "sampling_seed": 0, **params}
    found = evaluate(model, task, [seed], message_loss=loss, message_delay=delay, **options)
    return found.episode_rewards


def station_process(folder, number, neighbours, options, pipe):
    """A station in a process of its own. It talks to its neighbours by datagrams only.

    Through the pipe come the observation and the stations that its message reaches. With a
    barrier, all stations have sent before any decides, so nobody waits for what is lost.
    """
    torch.set_num_threads(1)  # as in the tests; the number of threads changes rounding
    station = Station.load(folder, number, neighbours, **options)
    with UdpExchange() as exchange:
        pipe.send(exchange.address)
        every = pipe.recv()
        while (item := pipe.recv()) is not None:
            observation, reached, barrier = item
            exchange.peers = [every[n] for n in reached]
            exchange.send(station.observe(observation))
            if barrier:
                pipe.send("sent")
                pipe.recv()
            exchange.receive(station, 0.0 if barrier else 60_000.0)
            pipe.send((station.decide(), station.fell_back))
