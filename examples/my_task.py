"""A user-defined task: power control of links on a ring, each disturbed by the two beside it.

    networld render --task examples/my_task.py --out ring.webp

Per slot, with gains ``g`` and powers ``p = a / (levels - 1)``, link i has the rate
``log2(1 + g_i p_i / (noise + cross (p_{i-1} + p_{i+1})))`` bit/s/Hz and pays ``price * p_i``.
"""

import sys
from dataclasses import dataclass

import numpy as np
from gymnasium.spaces import Box, Discrete

from networld_envs import add_task
from networld_envs.spec import About, Column, Policy, TaskSpec, columns

NAME, AGENT = "ring", "link"
ABOUT = About(
    title="power control", reward_label="Average reward (bit/s/Hz)", reward_range=(0.0, 3.0)
)


@dataclass(frozen=True)
class Params:
    links: int = 8
    levels: int = 5  # of power
    noise: float = 0.1  # relative to the mean received power at full power
    cross: float = 0.3  # gain from each neighbouring link
    price: float = 0.5  # cost of full power, bit/s/Hz

    def __post_init__(self):
        if self.links < 3 or self.levels < 2:
            raise ValueError(f"a ring needs at least 3 links and 2 levels, got {self}")


PRESETS = {"default": Params(), "large": Params(links=64)}


@dataclass(frozen=True)
class State:
    gain: np.ndarray  # (E, N) of the coming slot, mean 1
    power: np.ndarray  # (E, N) of the last slot, 0 .. 1
    rate: np.ndarray  # (E, N) of the last slot, bit/s/Hz


def spec(params):
    """Sizes and bounds for learners."""
    names = ["gain", "power", "power_beside", ("rate", "bit/s/Hz")]
    space, high = observation_space(params), (float(params.levels - 1),)
    return TaskSpec(
        task=NAME,
        num_agents=params.links,
        obs_dim=4,
        action_kind="ordered",
        action_dim=1,
        action_low=(0.0,),
        action_high=high,
        neighbour_slots=2,
        last_action=(1,),
        obs_columns=columns(names, space.low, space.high),
        action_columns=columns(["power_level"], (0.0,), high),
        reward_column=Column("reward", "bit/s/Hz"),
    )


def observation_space(params):
    """Own gain, own last power, mean last power of both neighbours, own last rate."""
    del params
    return Box(0.0, np.float32(1e6), (4,), np.float32)


def action_space(params):
    """Level of power, 0 .. levels - 1."""
    return Discrete(params.levels)


def _gains(params, rngs):
    return np.stack([rng.exponential(size=params.links) for rng in rngs])


def reset(params, rngs):
    """New networks, one for each generator."""
    nothing = np.zeros((len(rngs), params.links))
    return State(_gains(params, rngs), nothing, nothing)


def _beside(values):
    return np.roll(values, 1, axis=1) + np.roll(values, -1, axis=1)


def observe(params, state):
    """``(E, N, 4)`` float32."""
    del params
    columns = (state.gain, state.power, _beside(state.power) / 2, state.rate)
    return np.stack(columns, axis=-1).astype(np.float32)


def transition(params, state, actions, rngs):
    """One slot; ``actions`` are ``(E, N)`` integers."""
    power = actions / (params.levels - 1)
    sinr = state.gain * power / (params.noise + params.cross * _beside(power))
    return State(_gains(params, rngs), power, np.log2(1 + sinr))


def reward(params, state, actions, next_state):
    """``(E, N)`` float32."""
    del state, actions
    return (next_state.rate - params.price * next_state.power).astype(np.float32)


def neighbours(params, state):
    """``(E, N, 2)`` int32."""
    i = np.arange(params.links)
    table = np.stack([(i - 1) % params.links, (i + 1) % params.links], axis=1)
    return np.repeat(table[None], len(state.gain), axis=0).astype(np.int32)


def metrics(params, state):
    """Shown in `infos`, each ``(E, N)``."""
    del params
    return {"rate": state.rate, "power": state.power}


def global_state(params, state):
    """``(E, ...)`` float32, for centralised training."""
    return observe(params, state).reshape(len(state.gain), -1)


def layout(params, state):
    """Positions for drawing, ``(E, N, 2)``."""
    angle = 2 * np.pi * np.arange(params.links) / params.links
    return np.repeat(np.stack([np.cos(angle), np.sin(angle)], 1)[None], len(state.gain), axis=0)


def _random(params, obs, table, rngs, step):
    del obs, table, step
    return np.stack([rng.integers(params.levels, size=params.links) for rng in rngs])


def _own_gain(params, obs, table, rngs, step):
    """Power in proportion to the own gain, without using the neighbours' observations."""
    del table, rngs, step
    return np.rint((params.levels - 1) * np.minimum(obs[..., 0], 1.0)).astype(np.int64)


POLICIES = {
    "random": Policy("random", "random", "uniform powers", _random),
    "expert": Policy("expert", "expert", "power follows the own gain", _own_gain),
}
add_task(sys.modules[__name__])
