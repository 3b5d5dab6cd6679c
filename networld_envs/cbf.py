"""Coordinated beamforming (CBF) in a MISO downlink.

Nineteen hexagonal cells share one channel. Each base station (the agent) has a linear array and
serves one single-antenna user; what it sends towards its user also lands on the users of other
cells. Every 20 ms slot it chooses a transmit beamformer from its own measurements and from what its
1-hop neighbours report. Source: J. Ge, Y.-C. Liang, J. Joung, S. Sun, "Deep reinforcement learning
for distributed dynamic MISO downlink-beamforming coordination", IEEE Trans. Commun. 68(10), 2020.
``[P]`` marks values of that paper, ``[C]`` our own choice.

Model
-----
Channel from base station j to user k, over ``L`` paths (Eqs. 2-4 of the paper)::

    h_jk = sqrt(beta_jk / L) A_jk g_jk        A_jk = [a(phi_1) .. a(phi_L)]
    a(phi) = [1, e^{j pi cos phi}, ..., e^{j (n-1) pi cos phi}]
    g_jk <- rho g_jk + sqrt(1 - rho^2) e      e ~ CN(0, I)

Gains are normalised by transmit power over noise power, so noise is 1 and ``|w_k| <= 1``. The rate
is ``C_k = log2(1 + |h_kk^H w_k|^2 / (sum_{j != k} |h_jk^H w_j|^2 + 1))`` in bit/s/Hz.

*Slot.* The fading of slot t is measured under the beamformers of slot t-1; measurements and reports
go into the observation; the agents choose w(t); they transmit, which gives the reward.

*Neighbours* of base station k are the base stations of the ``U`` users it disturbs most by
large-scale gain. The relation is not symmetric, and it is fixed within an episode.

*Own frame.* A linear array is shift invariant: multiplying channels and beamformers of base station
k by ``diag(e^{-j n psi})``, psi the electrical angle ``pi cos(phi)`` of its own user, changes no
inner product. Everything an agent sees or does is in that frame: its own user is at angle zero and
the matched beamformer (MRT) is the constant vector. A beamformer's phase is free as well; the
applied one is rotated until the sum of its entries is real and non-negative.

Observation, ``2n + 5 + 6U`` values (49 by default)
---------------------------------------------------
==================  =================================================  ==========
index               value                                              unit
==================  =================================================  ==========
0                   gain to the own user                               dB / 10
1                   sum of gains to users not listed below             dB / 10
2 .. 3U+1           per disturbed user: gain, cos and sin of its       dB / 10, 1
                    electrical angle
3U+2, 3U+3, 3U+4    own rate, own interference plus noise, own power   bit/s/Hz, dB / 10, 1
3U+5 .. 3U+2n+4     last beamformer as applied: real parts, then       1
                    imaginary parts
3U+2n+5 ..          per disturbed cell, as reported by it: rate,       bit/s/Hz, dB / 10,
                    interference plus noise, gain to its own user      dB / 10
==================  =================================================  ==========

Gains below -40 dB read -40 dB; the entries of an empty neighbour slot are zero.

Action
------
``Box(-1, 1, (2n,))``: real, then imaginary parts of the beamformer in the own frame. It is
projected to ``|w| <= 1`` and made phase-canonical; the result is in ``info["beamformer"]`` and in
the next observation.

Reward
------
Own rate minus the loss it causes (Ge et al., Eq. 13)::

    r_k = C_k - sum_{j in neighbours(k)} [log2(1 + S_j / (IN_j - I_kj)) - C_j]

With all other cells as neighbours this is the difference reward: the sum rate minus the sum rate if
cell k kept silent.

Parameters: see `Params`. Episodes end by truncation only.

Version history
---------------
* v0: first version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from networld_envs import validate
from networld_envs.physics import radio, topology
from networld_envs.spec import TaskSpec

NAME = "cbf"
AGENT = "bs"
GAIN_FLOOR_DB10 = -4.0


@dataclass(frozen=True)
class Params:
    """Parameters of the task.

    Attributes:
        rings: Rings of hexagonal cells around the centre; 0, 1, 2 give 1, 7, 19 cells. [P: 2]
        antennas: Elements ``n`` of each base station's array. [C: 4, the paper has 3]
        neighbours: Listed disturbed users ``U``. [C: 6, the paper has 5]
        inter_site_m: Distance between base stations, m. [P: 400]
        min_distance_m: Least distance of a user from its base station, m. [P: 10]
        max_distance_m: Largest distance of a user from its base station, m. [P: 200]
        power_dbm: Largest transmit power, dBm. [P: 38]
        noise_dbm: Noise power, dBm. [P: -114]
        path_loss_1km_db: Path loss at 1 km, dB. [P: 120.9]
        path_loss_slope_db: Path loss per decade of distance, dB. [P: 37.6]
        shadowing_db: Standard deviation of log-normal shadowing, dB. [P: 8]
        paths: Paths ``L`` of a channel. [P: 4]
        angular_spread_deg: Total width of the cone of path angles, degrees. [P: 3]
        correlation: Fading correlation ``rho`` between slots. [P: 0.64]
    """

    rings: int = 2
    antennas: int = 4
    neighbours: int = 6
    inter_site_m: float = 400.0
    min_distance_m: float = 10.0
    max_distance_m: float = 200.0
    power_dbm: float = 38.0
    noise_dbm: float = -114.0
    path_loss_1km_db: float = 120.9
    path_loss_slope_db: float = 37.6
    shadowing_db: float = 8.0
    paths: int = 4
    angular_spread_deg: float = 3.0
    correlation: float = 0.64

    def __post_init__(self) -> None:
        validate.integer(self, "rings", low=0, high=20)
        validate.integer(self, "antennas", low=1, high=256)
        validate.integer(self, "neighbours", low=0)
        validate.integer(self, "paths", low=1, high=64)
        validate.real(self, "inter_site_m", above=0.0)
        validate.real(self, "min_distance_m", above=0.0)
        validate.real(self, "max_distance_m", low=self.min_distance_m)
        validate.real(self, "power_dbm")
        validate.real(self, "noise_dbm")
        validate.real(self, "path_loss_1km_db")
        validate.real(self, "path_loss_slope_db", low=0.0)
        validate.real(self, "shadowing_db", low=0.0)
        validate.real(self, "angular_spread_deg", low=0.0, high=360.0)
        validate.real(self, "correlation", low=0.0, high=1.0)

    @property
    def num_agents(self) -> int:
        """Cells ``K``."""
        return 1 + 3 * self.rings * (self.rings + 1)


PRESETS: dict[str, Params] = {"default": Params()}


@dataclass(frozen=True)
class State:
    """Batch of networks; ``K`` cells, ``n`` antennas, ``L`` paths, ``U`` neighbour slots.

    Attributes:
        user_m: ``(E, K, 2)`` user positions, m.
        gain: ``(E, K, K)`` large-scale gain [user, base station], times power over noise.
        response: ``(E, K, K, L, n)`` complex64 scaled path responses in the base stations' frames.
        fading: ``(E, K, K, L)`` complex64 path fading ``g`` of this slot.
        channel: ``(E, K, K, n)`` complex64 channel of this slot [user, base station].
        neighbours: ``(E, K, U)`` int32 most disturbed users of a base station, padded with -1.
        geometry: ``(E, K, 2 + 3U)`` float32, the part of the observation fixed in an episode.
        beamformer: ``(E, K, n)`` complex64 as last applied.
        signal: ``(E, K)`` power of the own signal, this slot's channel, last beamformers.
        disturbance: ``(E, K)`` interference plus noise, likewise.
        rate: ``(E, K)`` achieved in the last transmission, bit/s/Hz; zero after a reset.
        caused_loss: ``(E, K)`` rate the last transmission cost the neighbours, bit/s/Hz.
    """

    user_m: NDArray[np.float64]
    gain: NDArray[np.float64]
    response: NDArray[np.complex64]
    fading: NDArray[np.complex64]
    channel: NDArray[np.complex64]
    neighbours: NDArray[np.int32]
    geometry: NDArray[np.float32]
    beamformer: NDArray[np.complex64]
    signal: NDArray[np.float64]
    disturbance: NDArray[np.float64]
    rate: NDArray[np.float64]
    caused_loss: NDArray[np.float64]


def spec(params: Params) -> TaskSpec:
    """Sizes and bounds for learners."""
    width = 2 * params.antennas
    return TaskSpec(
        task=NAME,
        num_agents=params.num_agents,
        obs_dim=width + 5 + 6 * params.neighbours,
        action_kind="box",
        action_dim=width,
        action_low=(-1.0,) * width,
        action_high=(1.0,) * width,
        neighbour_slots=params.neighbours,
    )


def observation_space(params: Params) -> spaces.Box:
    """Space of one agent's observation; `observe` clips to it (9 sigma of shadowing away)."""
    low, high = _observation_bounds(params)
    return spaces.Box(low, high, dtype=np.float32)


@lru_cache(maxsize=16)
def _observation_bounds(params: Params) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    n, slots = params.antennas, params.neighbours
    nearest_loss_db = radio.path_loss_db(
        np.array(params.min_distance_m / 1e3), params.path_loss_1km_db, params.path_loss_slope_db
    )
    peak_db = params.power_dbm - params.noise_dbm - nearest_loss_db + 9 * params.shadowing_db
    gain = max(0.0, float(peak_db) / 10.0) + np.log10(params.num_agents)
    received = gain + np.log10(n) + 2.0  # a fade of 20 dB above the mean
    max_rate = np.log2(1.0 + 10.0**received)
    low = [GAIN_FLOOR_DB10] * 2 + [GAIN_FLOOR_DB10, -1.0, -1.0] * slots + [0.0] * 3
    low += [-1.0] * 2 * n + [0.0, 0.0, GAIN_FLOOR_DB10] * slots
    high = [gain] * 2 + [gain, 1.0, 1.0] * slots + [max_rate, received, 1.0]
    high += [1.0] * 2 * n + [max_rate, received, gain] * slots
    return np.array(low, np.float32), np.array(high, np.float32)


def action_space(params: Params) -> spaces.Box:
    """Space of one agent's action."""
    return spaces.Box(-1.0, 1.0, (2 * params.antennas,), np.float32)


def reset(params: Params, rngs: Sequence[np.random.Generator]) -> State:
    """Draw a new topology for each generator; every base station starts with MRT."""
    k, n, paths = params.num_agents, params.antennas, params.paths
    envs = len(rngs)
    place = np.empty((envs, 2, k))
    shadow_db = np.empty((envs, k, k))
    spread = np.empty((envs, k, k, paths))
    fading = np.empty((envs, k, k, paths), np.complex64)
    for e, rng in enumerate(rngs):
        place[e] = rng.random((2, k))
        shadow_db[e] = rng.standard_normal((k, k)) * params.shadowing_db
        spread[e] = rng.random((k, k, paths)) - 0.5
        fading[e] = radio.complex_normal(rng, (k, k, paths))

    station_m = topology.hex_grid(params.rings) * params.inter_site_m  # (K, 2)
    azimuth = 2 * np.pi * place[:, 0]
    distance_m = params.min_distance_m + place[:, 1] * (
        params.max_distance_m - params.min_distance_m
    )
    user_m = station_m + distance_m[..., None] * np.stack(
        [np.cos(azimuth), np.sin(azimuth)], axis=-1
    )
    offset_m = user_m[:, :, None] - station_m  # (E, user, station, 2)
    loss_db = radio.path_loss_db(
        np.sqrt((offset_m**2).sum(-1)) / 1e3, params.path_loss_1km_db, params.path_loss_slope_db
    )
    gain = radio.db_to_linear(params.power_dbm - params.noise_dbm - loss_db + shadow_db)

    bearing = np.arctan2(offset_m[..., 1], offset_m[..., 0])
    own_angle = radio.electrical_angle(np.diagonal(bearing, axis1=1, axis2=2))  # (E, station)
    path_angle = radio.electrical_angle(
        bearing[..., None] + np.deg2rad(params.angular_spread_deg) * spread
    )
    response = radio.steering_vector(path_angle - own_angle[:, None, :, None], n)
    response *= np.sqrt(gain / paths)[..., None, None]
    response = response.astype(np.complex64)

    listed = _most_disturbed(gain, params.neighbours)
    user_angle = radio.electrical_angle(bearing) - own_angle[:, None, :]
    matched = np.full((envs, k, n), np.sqrt(1.0 / n), np.complex64)
    channel = _channel(response, fading)
    signal, disturbance = _own_and_other(_powers(channel, matched))
    return State(
        user_m=user_m,
        gain=gain,
        response=response,
        fading=fading,
        channel=channel,
        neighbours=listed,
        geometry=_geometry(gain, user_angle, listed),
        beamformer=matched,
        signal=signal,
        disturbance=disturbance,
        rate=np.zeros((envs, k)),
        caused_loss=np.zeros((envs, k)),
    )


def transition(
    params: Params,
    state: State,
    actions: NDArray[Any],
    rngs: Sequence[np.random.Generator],
) -> State:
    """Apply beamformers ``(E, K, 2n)``, transmit, then let the fading move one slot on."""
    beamformer = applied_beamformer(actions)
    rates, caused_loss = _transmit(state, beamformer)
    innovation = np.empty_like(state.fading)
    for e, rng in enumerate(rngs):
        innovation[e] = radio.complex_normal(rng, state.fading.shape[1:])
    fading = radio.gauss_markov(state.fading, innovation, params.correlation)
    channel = _channel(state.response, fading)
    signal, disturbance = _own_and_other(_powers(channel, beamformer))
    return State(
        user_m=state.user_m,
        gain=state.gain,
        response=state.response,
        fading=fading,
        channel=channel,
        neighbours=state.neighbours,
        geometry=state.geometry,
        beamformer=beamformer,
        signal=signal,
        disturbance=disturbance,
        rate=rates,
        caused_loss=caused_loss,
    )


def reward(
    params: Params, state: State, actions: NDArray[Any], next_state: State
) -> NDArray[np.float32]:
    """Own rate minus the loss caused to the neighbours, ``(E, K)`` bit/s/Hz (Eq. 13)."""
    del params, state, actions  # the transmission was evaluated once, in `transition`
    return (next_state.rate - next_state.caused_loss).astype(np.float32)


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """Observations ``(E, K, 2n + 5 + 6U)``; the table is in the module docstring."""
    present = state.neighbours >= 0
    at = np.maximum(state.neighbours, 0)
    own = np.empty((*state.signal.shape, 3), np.float32)
    own[..., 0] = radio.rate(state.signal, state.disturbance)
    own[..., 1] = np.log10(state.disturbance)
    w = state.beamformer
    own[..., 2] = (w.real**2 + w.imag**2).sum(-1)
    report = np.concatenate([own[..., :2], state.geometry[..., :1]], axis=-1)  # (E, K, 3)
    envs, k = state.signal.shape
    flat = at + (np.arange(envs, dtype=np.int32) * k)[:, None, None]
    heard = report.reshape(envs * k, 3)[flat] * present[..., None]
    obs = np.concatenate([state.geometry, own, w.real, w.imag, heard.reshape(envs, k, -1)], axis=-1)
    return np.clip(obs, *_observation_bounds(params), out=obs)


def neighbours(params: Params, state: State) -> NDArray[np.int32]:
    """Neighbour table ``(E, K, U)``, padded with -1."""
    del params
    return state.neighbours


def metrics(params: Params, state: State) -> dict[str, NDArray[Any]]:
    """Rate, loss caused and applied beamformer of the last transmission."""
    del params
    w = state.beamformer
    return {
        "rate": state.rate,
        "caused_loss": state.caused_loss,
        "beamformer": np.concatenate([w.real, w.imag], axis=-1),
    }


def global_state(params: Params, state: State) -> NDArray[np.float32]:
    """User positions (km), log10 gains, channel and beamformers, flat ``(E, S)``."""
    del params
    envs = len(state.gain)
    amplitude = np.sqrt(state.gain)[..., None]
    parts = (
        state.user_m / 1e3,
        np.log10(state.gain),
        (state.channel / amplitude).real,
        (state.channel / amplitude).imag,
        state.beamformer.real,
        state.beamformer.imag,
    )
    return np.concatenate([p.reshape(envs, -1) for p in parts], axis=1).astype(np.float32)


def layout(params: Params, state: State) -> NDArray[np.float64]:
    """Positions ``(E, K, 2)`` of the base stations, m."""
    station_m = topology.hex_grid(params.rings) * params.inter_site_m
    return np.broadcast_to(station_m, (len(state.gain), *station_m.shape))


def applied_beamformer(actions: NDArray[Any]) -> NDArray[np.complex64]:
    """Action ``(..., 2n)`` to the beamformer ``(..., n)`` that is transmitted."""
    n = actions.shape[-1] // 2
    w = np.asarray(actions[..., :n] + 1j * actions[..., n:], np.complex64)
    w = radio.canonical_phase(radio.project_power(w)).astype(np.complex64)
    parts = w.view(np.float32)
    np.clip(parts, -1.0, 1.0, out=parts)  # rounding can leave 1 + 1e-7
    return w


def _channel(
    response: NDArray[np.complex64], fading: NDArray[np.complex64]
) -> NDArray[np.complex64]:
    """``h = sqrt(beta / L) A g``: ``(E, K, K, L, n), (E, K, K, L) -> (E, K, K, n)``."""
    return np.matmul(fading[..., None, :], response)[..., 0, :]


def _powers(channel: NDArray[Any], beamformer: NDArray[Any]) -> NDArray[np.float64]:
    """Received power ``(E, user, station)``."""
    return radio.received_power(channel, beamformer[:, None])


def _own_and_other(power: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Own signal, and interference plus noise as a masked sum, both ``(E, K)``."""
    k = power.shape[-1]
    signal = np.diagonal(power, axis1=1, axis2=2).copy()
    others = np.where(np.eye(k, dtype=bool), 0.0, power)
    return signal, others.sum(axis=-1) + 1.0


def _transmit(
    state: State, beamformer: NDArray[np.complex64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates, and the rate each station's signal costs its neighbours, both ``(E, K)``."""
    power = _powers(state.channel, beamformer)
    signal, disturbance = _own_and_other(power)
    rates = radio.rate(signal, disturbance)
    envs, k = signal.shape
    if not state.neighbours.shape[-1]:
        return rates, np.zeros_like(rates)
    user = np.maximum(state.neighbours, 0)  # (E, station, U)
    base = (np.arange(envs) * k)[:, None, None]
    flat = base + user
    mine = power.reshape(-1)[flat * k + np.arange(k)[:, None]]
    mine = np.where(state.neighbours >= 0, mine, 0.0)  # an empty slot loses nothing
    without = radio.rate(signal.reshape(-1)[flat], disturbance.reshape(-1)[flat] - mine)
    return rates, (without - rates.reshape(-1)[flat]).sum(axis=-1)


def _most_disturbed(gain: NDArray[np.float64], count: int) -> NDArray[np.int32]:
    """For each station the users of other cells with the largest gain, ``(E, K, U)``."""
    envs, k, _ = gain.shape
    others = np.where(np.eye(k, dtype=bool), -np.inf, gain)
    order = np.argsort(-others, axis=1, kind="stable").transpose(0, 2, 1)  # (E, station, user)
    table = np.full((envs, k, count), -1, np.int32)
    width = min(count, k - 1)
    table[..., :width] = order[..., :width]
    return table


def _geometry(
    gain: NDArray[np.float64], angle: NDArray[np.float64], listed: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Fixed part of the observation, ``(E, K, 2 + 3U)``: own gain, unlisted sum, listed users."""
    envs, k, _ = gain.shape
    station = np.arange(k)[:, None]
    row = np.arange(envs)[:, None, None]
    user = np.maximum(listed, 0)
    present = listed >= 0
    cross = np.where(present, gain[row, user, station], 0.0)
    relative = np.where(present, angle[row, user, station], 0.0)
    unlisted = np.where(np.eye(k, dtype=bool), 0.0, gain)
    env, slot_station, slot = np.nonzero(present)
    unlisted[env, listed[env, slot_station, slot], slot_station] = 0.0

    def db10(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log10(np.maximum(value, 10.0**GAIN_FLOOR_DB10))

    per_user = np.stack(
        [
            np.where(present, db10(cross), 0.0),
            np.where(present, np.cos(relative), 0.0),
            np.where(present, np.sin(relative), 0.0),
        ],
        axis=-1,
    )
    own = np.stack([db10(np.diagonal(gain, axis1=1, axis2=2)), db10(unlisted.sum(axis=1))], axis=-1)
    return np.concatenate([own, per_user.reshape(envs, k, -1)], axis=-1).astype(np.float32)
