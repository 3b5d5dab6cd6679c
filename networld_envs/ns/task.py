"""Network slicing: the functions of the task. `networld_envs.ns` documents them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from networld_envs.ns import fluid, packets
from networld_envs.ns.cells import applied_allocation, hex_table, neighbour_utilisation
from networld_envs.ns.fluid_types import SLICES, Params
from networld_envs.ns.packet_types import FLAGS, PacketParams
from networld_envs.physics.topology import hex_grid
from networld_envs.spec import About, Column, LogFacts, TaskSpec, columns

NAME = "ns"
AGENT = "bs"

OBSERVATION: dict[str, slice] = {
    "packets": slice(0, 3),
    "bits": slice(3, 6),
    "packets_before": slice(6, 9),
    "bits_before": slice(9, 12),
    "allocation_hz": slice(12, 15),
    "ssr": slice(15, 18),
    "spectral_efficiency": slice(18, 19),
    "backlog": slice(19, 22),
    "neighbour_utilisation": slice(22, 23),
}
"""Columns of the observation, by name."""
OBS_DIM = 23
UNITS = {
    "packets": "packets",
    "bits": "bit",
    "packets_before": "packets",
    "bits_before": "bit",
    "allocation_hz": "Hz",
    "ssr": "",
    "spectral_efficiency": "bit/s/Hz",
    "backlog": "packets",
    "neighbour_utilisation": "",
}
"""Unit of each group of columns."""


def _shown_action(
    params: Params | PacketParams, actions: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """The columns ``allocation_hz`` after ``actions``, ``(T, N, 3)`` Hz."""
    applied = applied_allocation(params.bandwidth_hz, actions)
    return {f"allocation_hz.{name}": applied[..., i] for i, name in enumerate(SLICES)}


def _logged_reward(
    params: Params | PacketParams, columns: Mapping[str, NDArray[Any]], actions: NDArray[Any]
) -> NDArray[Any]:
    """The reward of logs, ``(T, N)``.

    Raises:
        ValueError: If the reward depends on what is not observed.
    """
    del actions
    if isinstance(params, Params) and params.se_weight:
        raise ValueError("with se_weight it needs the agent's utilisation, which is not observed")
    shown = SimpleNamespace(
        ssr=np.stack([columns[f"ssr.{name}"][1:] for name in SLICES], axis=-1),
        spectral_efficiency=columns["spectral_efficiency"][1:],
    )
    return _model(params).reward(params, shown)


ABOUT = About(
    title="network slicing",
    fallback="static",
    reward_label="Average reward (mean SSR)",
    reward_range=(0.0, 1.0),
    recorded={
        "default": {},
        "hotspots": {},
        # Cells do not interfere, so one cell represents all; ten windows of a second keep it short.
        "hua2019": {"rings": 0, "max_cycles": 10},
        "hua2019_code": {"max_cycles": 10},
    },
    # Hua et al., 2020: utility of hard slicing and of [1, 8, 1] MHz.
    published={"hua2019_code": {"hard": ("reward", 5.25), "published": ("reward", 7.40)}},
    agent_counts={7: {"rings": 1}, 19: {}, 37: {"rings": 3}, 91: {"rings": 5}},
    deployments={
        "hotspots": "bursts that drift across cells",
        "urgent": "URLLC weighs four times as much as the other slices",
    },
    drifts={"load": (0.4, 0.8, 1.2)},
    pace={"": 0.25},
    compiled="networld_envs.ns.compiled",
    logs=LogFacts(
        shown_action=_shown_action,
        reward=_logged_reward,
        # The reward is the mean SSR, or at least rises with it.
        reward_rises_with={f"ssr.{name}": 1 for name in SLICES},
        reward_shown=True,
        symmetric_neighbours=True,  # adjacent cells
        limited_neighbours=True,  # a hexagon has six
        neighbour_columns=("neighbour_utilisation",),
    ),
)

_MODELS: dict[type, ModuleType] = {Params: fluid, PacketParams: packets}

PRESETS: dict[str, Params | PacketParams] = {
    "default": Params(),
    "hotspots": Params(load=0.6, interference=0.5, hotspots=1),
    "urgent": Params(slice_weights=(1.0, 1.0, 4.0)),
    "hua2019": PacketParams(),
    "hua2019_code": PacketParams(
        rings=0,
        urllc_bits=(51_200.0, 102_400.0, 153_600.0, 204_800.0, 256_000.0),
        **dict.fromkeys(FLAGS, True),
    ),
}


def _model(params: Params | PacketParams) -> ModuleType:
    """Module with the functions of the model that these parameters belong to."""
    return _MODELS[type(params)]


def spec(params: Params | PacketParams) -> TaskSpec:
    """Sizes and bounds for learners."""
    space, high = observation_space(params), (float(params.bandwidth_hz),) * len(SLICES)
    names = [
        (f"{name}.{SLICES[i]}" if at.stop - at.start > 1 else name, UNITS[name])
        for name, at in OBSERVATION.items()
        for i in range(at.stop - at.start)
    ]
    return TaskSpec(
        task=NAME,
        num_agents=params.num_agents,
        obs_dim=OBS_DIM,
        action_kind="box",
        action_dim=len(SLICES),
        action_low=(0.0,) * len(SLICES),
        action_high=high,
        neighbour_slots=6,
        last_action=tuple(range(OBS_DIM)[OBSERVATION["allocation_hz"]]),
        obs_columns=columns(names, space.low, space.high),
        action_columns=columns(
            [(f"allocation_hz.{name}", "Hz") for name in SLICES], (0.0,) * len(SLICES), high
        ),
        reward_column=Column("reward", "", *_model(params).reward_range(params)),
    )


def observation_space(params: Params | PacketParams) -> Box:
    """Observation of one agent, ``(23,)`` float32; counts are bounded by the largest float32."""
    # Gymnasium's checker rejects infinite bounds.
    high = np.full(OBS_DIM, np.finfo(np.float32).max, dtype=np.float32)
    high[OBSERVATION["allocation_hz"]] = params.bandwidth_hz
    high[OBSERVATION["ssr"]] = 1.0
    high[OBSERVATION["spectral_efficiency"]] = _model(params).largest_efficiency(params)
    high[OBSERVATION["neighbour_utilisation"]] = 1.0
    return Box(np.zeros(OBS_DIM, np.float32), high, dtype=np.float32)


def action_space(params: Params | PacketParams) -> Box:
    """Action of one agent: Hz for each slice, ``(3,)`` float32."""
    return Box(0.0, np.float32(params.bandwidth_hz), (len(SLICES),), np.float32)


def reset(params: Params | PacketParams, rngs: Sequence[np.random.Generator]) -> Any:
    """A new network for each generator: `State`, or `PacketState` for ``hua2019``."""
    return _model(params).reset(params, rngs)


def transition(
    params: Params | PacketParams,
    state: Any,
    actions: NDArray[Any],
    rngs: Sequence[np.random.Generator],
) -> Any:
    """One interval.

    Args:
        params: Parameters of the task.
        state: State at the start of the interval.
        actions: ``(E, N, 3)`` Hz, each in [0, W].
        rngs: One generator per environment.
    """
    return _model(params).transition(params, state, actions, rngs)


def observe(params: Params | PacketParams, state: Any) -> NDArray[np.float32]:
    """What every agent sees, ``(E, N, 23)`` float32."""
    obs = np.empty((*state.utilisation.shape, OBS_DIM), dtype=np.float32)
    obs[..., 0:3] = state.packets
    obs[..., 6:9] = state.packets_before
    obs[..., 3:6], obs[..., 9:12], obs[..., 19:22] = _model(params).traffic(params, state)
    obs[..., 12:15] = state.allocation_hz
    obs[..., 15:18] = state.ssr
    obs[..., 18] = state.spectral_efficiency
    obs[..., 22] = neighbour_utilisation(params.rings, state.utilisation)
    return obs


def reward(
    params: Params | PacketParams, state: Any, actions: NDArray[Any], next_state: Any
) -> NDArray[np.float32]:
    """Reward of every agent, ``(E, N)`` float32."""
    del state, actions
    return _model(params).reward(params, next_state).astype(np.float32)


def neighbours(params: Params | PacketParams, state: Any) -> NDArray[np.int32]:
    """Adjacent cells, ``(E, N, 6)`` int32, padded with -1."""
    return np.repeat(hex_table(params.rings)[None], len(state.utilisation), axis=0)


def metrics(params: Params | PacketParams, state: Any) -> dict[str, NDArray[Any]]:
    """Results of the last interval, ``(E, N, 3)`` or ``(E, N)``; zeros right after reset."""
    del params
    elapsed = state.started
    per_slice = elapsed[..., None]
    dropped = {"dropped": state.dropped} if hasattr(state, "dropped") else {}
    return {
        "arrived": state.packets * per_slice,
        "in_time": state.in_time,
        "expired": state.expired,
        **dropped,
        "queued": state.queued,
        "ssr": state.ssr * per_slice,
        "allocation_hz": state.allocation_hz,
        "spectral_efficiency": state.spectral_efficiency,
        "utilisation": state.utilisation * elapsed,
    }


def global_state(params: Params | PacketParams, state: Any) -> NDArray[np.float32]:
    """Global state, flat ``(E, ...)`` float32, for centralised training.

    It holds all observations, the utilisation of every BS and, for the coming interval, the
    log-demand and the positions of the hotspots. For ``hua2019`` it holds the positions of the
    users (m) in place of the last two.
    """
    hidden = _model(params).hidden(state)
    envs = len(state.utilisation)
    parts = [x.reshape(envs, -1) for x in (observe(params, state), state.utilisation, *hidden)]
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")


def layout(params: Params | PacketParams, state: Any) -> NDArray[np.float64]:
    """Positions for drawing, ``(E, N, 2)`` in units of the inter-site distance."""
    return np.repeat(hex_grid(params.rings)[None], len(state.utilisation), axis=0)
