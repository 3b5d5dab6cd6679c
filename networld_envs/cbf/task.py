"""Coordinated beamforming: the functions of the task. `networld_envs.cbf` documents them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from networld_envs.cbf import ge2020, network, observation, transmission
from networld_envs.cbf.transmission import applied_beamformer
from networld_envs.cbf.types import Params, State, station_positions_m
from networld_envs.physics import radio
from networld_envs.spec import About, Column, LogFacts, TaskSpec, columns

NAME = "cbf"
AGENT = "bs"


def _shown_action(params: Params, actions: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The columns that show ``actions`` ``(T, K, 2n)``, or ``(T, K)`` of the codebook.

    Of a codebook's action only the power, or power level and codeword, follows from the action
    alone: the beam also depends on where the user is.
    """
    if params.action == "codebook":
        power = {"power": ge2020.power_level(params, actions)}
        shown = params.observation == "ge2020"
        return {**power, "codeword": actions // params.power_levels} if shown else power
    w = applied_beamformer(actions)
    parts = {"re": w.real, "im": w.imag}
    beam = {f"beamformer.{p}{i}": x[..., i] for p, x in parts.items() for i in range(w.shape[-1])}
    return {"power": np.square(np.abs(w)).sum(axis=-1), **beam}


ABOUT = About(
    title="coordinated beamforming",
    fallback="mrt",
    reward_label="Average reward (bit/s/Hz)",
    reward_range=(-5.0, 15.0),
    recorded={"default": {}, "ge2020": {}, "ge2020_box": {}},
    # Ge et al., 2020: bit/s/Hz per cell averaged over topologies; genie: 20 iterations of WMMSE.
    published={
        "ge2020": {"random": ("rate", 3.6)},
        "ge2020_box": {"mrt": ("rate", 6.0), "slnr": ("rate", 6.6), "genie": ("rate", 7.5)},
    },
    agent_counts={7: {"rings": 1}, 19: {}, 37: {"rings": 3}, 91: {"rings": 5}},
    deployments={
        "dense": "cells 250 m apart, angular spread 10 degrees",
        "antennas2": "2 antennas",
        "antennas8": "8 antennas",
    },
    drifts={"angular_spread_deg": (3.0, 10.0, 30.0), "correlation": (0.3, 0.64, 0.9)},
    pace={"": 2.4},  # a policy must generalise over geometry, which takes longest to learn
    compiled="networld_envs.cbf.compiled",
    logs=LogFacts(
        shown_action=_shown_action,
        # The reward has no sign. The rate shown with it is measured one slot later, after fading.
        reward_rises_with={"rate": 1},
        limited_neighbours=True,  # the observation lists that many users
        neighbour_columns=(r"(?:user|cell|interferer)(\d+)\.", "interference_plus_noise"),
        unlisted_columns=("gain_unlisted",),
    ),
    entities=(r"(?:user|cell)(\d+)\.", r"interferer(\d+)\."),
)

PRESETS: dict[str, Params] = {
    "default": Params(),
    "ge2020": Params(
        antennas=3, neighbours=5, observation="ge2020", action="codebook", reward_set="power"
    ),
    "ge2020_box": Params(antennas=3, neighbours=5, reward_set="power"),
    "large": Params(rings=18, max_links=32),
    "dense": Params(inter_site_m=250.0, max_distance_m=125.0, angular_spread_deg=10.0),
    "antennas2": Params(antennas=2),
    "antennas8": Params(antennas=8),
}


def spec(params: Params) -> TaskSpec:
    """Sizes and bounds for learners."""
    box = params.action == "box"
    width = 2 * params.antennas if box else 1
    low = (-1.0,) * width if box else (0.0,)
    high = (1.0,) * width if box else (float(params.num_actions - 1),)
    beam = [f"beamformer.{part}{i}" for part in ("re", "im") for i in range(params.antennas)]
    return TaskSpec(
        task=NAME,
        num_agents=params.num_agents,
        obs_dim=observation.size(params),
        action_kind="box" if box else "discrete",
        action_dim=width,
        action_low=low,
        action_high=high,
        neighbour_slots=params.neighbours,
        last_action=observation.last_action(params),
        mirrored_obs=observation.mirrored(params) if box else (),
        mirrored_action=tuple(range(params.antennas, width)) if box else (),
        obs_columns=columns(observation.names(params), *observation.bounds(params)),
        action_columns=columns(beam if box else [("codebook", "index")], low, high),
        reward_column=Column("reward", "bit/s/Hz"),
    )


def observation_space(params: Params) -> spaces.Box:
    """Space of one agent's observation; `observe` clips to it."""
    low, high = observation.bounds(params)
    return spaces.Box(low, high, dtype=np.float32)


def action_space(params: Params) -> spaces.Box | spaces.Discrete:
    """Space of one agent's action."""
    if params.action == "codebook":
        return spaces.Discrete(params.num_actions)
    return spaces.Box(-1.0, 1.0, (2 * params.antennas,), np.float32)


def reset(params: Params, rngs: Sequence[np.random.Generator]) -> State:
    """Draw a new topology for each generator.

    Every base station starts with MRT. With observation ``ge2020``, two slots with random actions
    are simulated first to fill the history.
    """
    k, n, envs = params.num_agents, params.antennas, len(rngs)
    drawn = network.draw(params, rngs)
    phasor, geometry = network.describe(params, drawn.gain, drawn.bearing, drawn)
    moving = params.user_speed_mps > 0
    own_offset_m = drawn.user_m - station_positions_m(params)
    velocity_mps = np.zeros((envs, k, 2))
    if moving:
        heading = 2 * np.pi * np.stack([rng.random(k) for rng in rngs])
        velocity_mps = params.user_speed_mps * np.stack([np.cos(heading), np.sin(heading)], -1)
    codebook = params.action == "codebook"
    nothing = np.empty((envs, k, 0))
    beamformer = np.full((envs, k, n), np.sqrt(1.0 / n), np.complex64)
    on_paths = transmission.beam_on_paths(params, phasor, drawn.stations, beamformer)
    signal, interference_plus_noise, _ = transmission.receive(
        params, drawn.gain, drawn.rest, drawn.fading, on_paths
    )
    memory = 11 * params.neighbours + 2 if params.observation == "ge2020" else 0
    state = State(
        user_m=drawn.user_m,
        gain=drawn.gain,
        phasor=phasor,
        fading=drawn.fading,
        neighbours=drawn.neighbours,
        links=drawn.links,
        geometry=geometry,
        stations=drawn.stations,
        rest=drawn.rest,
        leak_rest=drawn.leak_rest,
        shadow_db=drawn.shadow_db if moving else nothing,
        spread=drawn.spread if moving else nothing,
        site_m=own_offset_m[:, :, None] - drawn.offset_m if moving else nothing,
        velocity_mps=velocity_mps if moving else nothing,
        beamformer=beamformer,
        choice=np.full((envs, k if codebook else 0), params.power_levels - 1, np.int64),
        signal=signal,
        interference_plus_noise=interference_plus_noise,
        rate=np.zeros((envs, k)),
        caused_loss=np.zeros((envs, k)),
        history=np.zeros((envs, k, memory), np.float32),
    )
    if params.observation == "ge2020":
        for _ in range(2):
            choice = np.stack([rng.integers(0, params.num_actions, k) for rng in rngs])
            state = transition(params, state, choice, rngs)
    return state


def transition(
    params: Params,
    state: State,
    actions: NDArray[Any],
    rngs: Sequence[np.random.Generator],
) -> State:
    """Apply the actions, transmit, then advance the fading and any moving users by one slot.

    Args:
        params: Parameters of the task.
        state: State at the start of the slot.
        actions: ``(E, K, 2n)`` beamformers, or ``(E, K)`` integers of the codebook.
        rngs: One generator per environment.
    """
    choice = state.choice
    if params.action == "codebook":
        choice = actions.astype(np.int64)
        beamformer = transmission.chosen_beamformer(params, state, choice)
    else:
        beamformer = applied_beamformer(actions)
    on_paths = transmission.beam_on_paths(params, state.phasor, state.stations, beamformer)
    signal, interference_plus_noise, power = transmission.receive(
        params, state.gain, state.rest, state.fading, on_paths
    )
    rates = transmission.rate(params, signal, interference_plus_noise)
    caused_loss = transmission.caused_loss(
        params, state, signal, interference_plus_noise, power, rates
    )
    history = state.history
    if params.observation == "ge2020":
        history = ge2020.remember(params, state, choice, power, interference_plus_noise, rates)

    fading = radio.gauss_markov(state.fading, rngs, params.correlation)
    if params.user_speed_mps > 0:
        moved, phasor = network.move(params, state)
        state = state.after(**moved)
        on_paths = transmission.beam_on_paths(params, phasor, state.stations, beamformer)
    signal, interference_plus_noise, _ = transmission.receive(
        params, state.gain, state.rest, fading, on_paths
    )
    return state.after(
        fading=fading,
        beamformer=beamformer,
        choice=choice,
        signal=signal,
        interference_plus_noise=interference_plus_noise,
        rate=rates,
        caused_loss=caused_loss,
        history=history,
    )


def reward(
    params: Params, state: State, actions: NDArray[Any], next_state: State
) -> NDArray[np.float32]:
    """Own rate minus the loss caused to the neighbours, ``(E, K)`` bit/s/Hz (Eq. 13)."""
    del params, state, actions  # the transmission was evaluated once, in `transition`
    return (next_state.rate - next_state.caused_loss).astype(np.float32)


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """Observations ``(E, K, O)``; `networld_envs.cbf` has the tables."""
    return observation.observe(params, state)


def neighbours(params: Params, state: State) -> NDArray[np.int32]:
    """Neighbour table ``(E, K, U)``, padded with -1."""
    del params
    return state.neighbours


def metrics(params: Params, state: State) -> dict[str, NDArray[Any]]:
    """Rate, loss caused and applied beamformer (own frame) of the last transmission."""
    del params
    w = state.beamformer
    return {
        "rate": state.rate,
        "caused_loss": state.caused_loss,
        "beamformer": np.concatenate([w.real, w.imag], axis=-1),
    }


def global_state(params: Params, state: State) -> NDArray[np.float32]:
    """User positions (km), log10 gains, channels and beamformers, flat ``(E, S)``.

    With truncation also the base station of each link. Missing links have zeros for gain and
    channel.
    """
    envs = len(state.gain)
    gain = np.where(state.gain > 0, state.gain, 1.0)
    channel = state.channel / np.sqrt(gain)[..., None]
    parts = (
        state.user_m / 1e3,
        np.log10(gain),
        channel.real,
        channel.imag,
        state.beamformer.real,
        state.beamformer.imag,
        *([state.stations] if params.truncated else []),
    )
    return np.concatenate([p.reshape(envs, -1) for p in parts], axis=1).astype(np.float32)


def layout(params: Params, state: State) -> NDArray[np.float64]:
    """Positions ``(E, K, 2)`` of the base stations, m."""
    station_m = station_positions_m(params)
    return np.broadcast_to(station_m, (len(state.gain), *station_m.shape))
