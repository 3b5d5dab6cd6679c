"""What a base station sees: the observations of the coordinated-beamforming task and their bounds.

The tables are in `networld_envs.cbf`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs import cbf_ge2020
from networld_envs.cbf_links import GAIN_FLOOR_DB10
from networld_envs.cbf_model import Params, State
from networld_envs.physics import radio


def rate(
    params: Params, signal: NDArray[np.float64], disturbance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spectral efficiency in bit/s/Hz, limited by ``sinr_cap_db`` if there is one."""
    if params.sinr_cap_db is not None:
        signal = np.minimum(signal, radio.db_to_linear(params.sinr_cap_db) * disturbance)
    return radio.rate(signal, disturbance)


def size(params: Params) -> int:
    """Length ``O`` of an observation."""
    n, slots = params.antennas, params.neighbours
    sizes = {
        "angle": 2 * n + 5 + 6 * slots,
        "csi": 4 * n + 5 + (4 + 2 * n) * slots,
        "ge2020": 7 + 11 * slots,
    }
    return sizes[params.observation]


def last_action(params: Params) -> tuple[int, ...]:
    """Columns that show the last beamformer and its power, or power level and codeword."""
    if params.observation == "ge2020":
        return (0, 1)
    n, slots = params.antennas, params.neighbours
    power = size(params) - 2 * n - 3 * slots - 1
    return tuple(range(power, power + 1 + 2 * n))


@lru_cache(maxsize=16)
def bounds(params: Params) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest observation ``(O,)``, nine sigma of shadowing away."""
    n, slots = params.antennas, params.neighbours
    nearest_loss_db = radio.path_loss_db(
        np.array(params.min_distance_m / 1e3), params.path_loss_1km_db, params.path_loss_slope_db
    )
    peak_db = params.power_dbm - params.noise_dbm - nearest_loss_db + 9 * params.shadowing_db
    gain = max(0.0, float(peak_db) / 10.0) + np.log10(params.num_agents)
    received = gain + np.log10(n) + 2.0  # a fade of 20 dB above the mean
    max_rate = np.log2(1.0 + 10.0**received)
    if params.observation == "ge2020":
        high = cbf_ge2020.observation_high(params, received, max_rate)
        return np.zeros(len(high), np.float32), high.astype(np.float32)
    low_gain, one = GAIN_FLOOR_DB10, [1.0]
    if params.observation == "angle":
        low = [low_gain] * 2 + [low_gain, -1.0, -1.0] * slots
        high = [gain] * 2 + [gain, 1.0, 1.0] * slots
        reported = gain
    else:
        low = [low_gain] * 2 + [-1.0] * 2 * n + ([low_gain] + [-1.0] * 2 * n) * slots
        high = [received, gain] + one * 2 * n + ([received] + one * 2 * n) * slots
        reported = received
    low += [0.0] * 3 + [-1.0] * 2 * n + [0.0, 0.0, low_gain] * slots
    high += [max_rate, received, 1.0] + one * 2 * n + [max_rate, received, reported] * slots
    return np.array(low, np.float32), np.array(high, np.float32)


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """Observations ``(E, K, O)``, clipped to `bounds`."""
    if params.observation == "ge2020":
        obs = cbf_ge2020.observe(params, state)
        return np.clip(obs, *bounds(params), out=obs)
    envs, k = state.signal.shape
    n, slots = params.antennas, params.neighbours
    static = state.geometry if params.observation == "angle" else _directions(params, state)
    first = static.shape[-1]
    obs = np.empty((envs, k, size(params)), np.float32)
    obs[..., :first] = static
    obs[..., first] = rate(params, state.signal, state.disturbance)
    obs[..., first + 1] = np.log10(state.disturbance)
    w = state.beamformer
    obs[..., first + 2] = (w.real**2 + w.imag**2).sum(-1)
    obs[..., first + 3 : first + 3 + n] = w.real
    obs[..., first + 3 + n : first + 3 + 2 * n] = w.imag
    if slots:
        report = np.empty((envs * k + 1, 3), np.float32)
        report[:-1, :2] = obs[..., first : first + 2].reshape(-1, 2)
        report[:-1, 2] = static[..., 0].ravel()
        report[-1] = 0.0  # an empty slot hears nothing
        row = (np.arange(envs, dtype=np.int32) * k)[:, None, None]
        at = np.where(state.neighbours >= 0, state.neighbours + row, -1)
        obs[..., first + 3 + 2 * n :] = report[at].reshape(envs, k, 3 * slots)
    return np.clip(obs, *bounds(params), out=obs)


def _directions(params: Params, state: State) -> NDArray[np.float32]:
    """Gains and directions of this slot's channels, ``(E, K, 2 + 2n + (1 + 2n) U)``."""
    channel = state.channel
    envs, k = state.signal.shape
    env = np.arange(envs)[:, None, None]
    present = (state.neighbours >= 0)[..., None]
    listed = channel[env, np.maximum(state.neighbours, 0), state.links]  # (E, K, U, n)
    if params.truncated:
        direct = channel[:, :, 0]
    else:
        direct = np.moveaxis(np.diagonal(channel, axis1=1, axis2=2), -1, 1)
    own_gain, own_direction = _gain_and_direction(direct)
    gain, direction = _gain_and_direction(listed)
    per_user = np.where(present, np.concatenate([gain, direction], axis=-1), np.float32(0))
    leak = state.geometry[..., 1:2]
    parts: list[NDArray[Any]] = [own_gain, leak, own_direction, per_user.reshape(envs, k, -1)]
    return np.concatenate(parts, axis=-1)


def _gain_and_direction(
    channel: NDArray[np.complex64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``log10 |h|^2 (..., 1)`` and ``h / |h|`` of canonical phase, real then imaginary parts."""
    power = (channel.real**2 + channel.imag**2).sum(axis=-1, keepdims=True)
    unit = radio.canonical_phase(channel / np.sqrt(np.maximum(power, 1e-30)))
    gain = np.log10(np.maximum(power, np.float32(10.0**GAIN_FLOOR_DB10)))
    return gain, np.concatenate([np.real(unit), np.imag(unit)], axis=-1)
