"""What a base station sees: the observations of the coordinated-beamforming task and their bounds.

The tables are in `networld_envs.cbf`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf import ge2020, transmission
from networld_envs.cbf.types import GAIN_FLOOR_DB10, Params, State, gain_ceiling_db10
from networld_envs.physics import radio


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


def mirrored(params: Params) -> tuple[int, ...]:
    """Columns that change sign when the network is reflected perpendicular to the arrays.

    The reflection changes the sign of electrical angles, so channels and beamformers become their
    complex conjugates, and received powers stay the same. The columns are therefore the sines and
    imaginary parts. Empty for ``ge2020``, whose codewords have no sign.
    """
    n, slots = params.antennas, params.neighbours
    if params.observation == "ge2020":
        return ()
    last = tuple(range(size(params) - n - 3 * slots, size(params) - 3 * slots))
    if params.observation == "angle":
        return (*range(4, 4 + 3 * slots, 3), *last)
    width = 1 + 2 * n
    channels = [2 + n + j for j in range(n)]  # of the own user
    for slot in range(slots):
        first = 2 + 2 * n + slot * width + 1 + n
        channels += range(first, first + n)
    return (*channels, *last)


def names(params: Params) -> list[tuple[str, str]]:
    """Name and unit of every column."""
    n, users = params.antennas, range(params.neighbours)
    if params.observation == "ge2020":
        return ge2020.names(params)

    def parts(of: str) -> list[tuple[str, str]]:
        return [(f"{of}.{part}{i}", "") for part in ("re", "im") for i in range(n)]

    own, reports = [("gain", "dB/10"), ("gain_unlisted", "dB/10")], []
    listed: list[tuple[str, str]] = []
    for u in users:
        listed.append((f"user{u}.gain", "dB/10"))
        if params.observation == "angle":
            listed += [(f"user{u}.cos_angle", ""), (f"user{u}.sin_angle", "")]
        else:
            listed += parts(f"user{u}.direction")
        reports += [
            (f"cell{u}.rate", "bit/s/Hz"),
            (f"cell{u}.interference_plus_noise", "dB/10"),
            (f"cell{u}.gain", "dB/10"),
        ]
    if params.observation == "csi":
        own += parts("direction")
    state = [("rate", "bit/s/Hz"), ("interference_plus_noise", "dB/10"), ("power", "")]
    return [*own, *listed, *state, *parts("beamformer"), *reports]


@lru_cache(maxsize=16)
def bounds(params: Params) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lower and upper bounds ``(O,)``, with room for nine standard deviations of shadowing."""
    n, slots = params.antennas, params.neighbours
    gain = gain_ceiling_db10(params)
    received = gain + np.log10(n) + 2.0  # a fade of 20 dB above the mean
    max_rate = np.log2(1.0 + 10.0**received)
    if params.observation == "ge2020":
        high = ge2020.observation_high(params, received, max_rate)
        high = np.minimum(high, np.finfo(np.float32).max)
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
    low, high = bounds(params)
    if params.observation == "ge2020":
        return np.clip(ge2020.observe(params, state), low, high)
    envs, k = state.signal.shape
    n, slots = params.antennas, params.neighbours
    static = state.geometry
    if params.observation == "csi":
        static = np.minimum(_directions(params, state), high[: 2 + 2 * n + (1 + 2 * n) * slots])
    first = static.shape[-1]
    report = np.zeros((envs, k + 1, 3), np.float32)  # rate, interference plus noise, own gain
    told = report[:, :k]
    told[..., 0] = transmission.rate(params, state.signal, state.interference_plus_noise)
    told[..., 1] = np.log10(state.interference_plus_noise)
    told[..., 2] = static[..., 0]
    np.minimum(told[..., :2], high[first : first + 2], out=told[..., :2])
    obs = np.empty((envs, k, len(high)), np.float32)
    obs[..., :first] = static
    obs[..., first : first + 2] = told[..., :2]
    beam = obs[..., first + 3 : first + 3 + 2 * n]
    beam[..., :n], beam[..., n:] = state.beamformer.real, state.beamformer.imag
    power = np.add.reduce(beam * beam, axis=-1)
    np.minimum(power, np.float32(1.0), out=obs[..., first + 2])
    if slots:
        # An empty slot, -1, reads the row of zeros at the end of the previous environment.
        at = state.neighbours
        if envs > 1:
            at = at + (np.arange(envs) * (k + 1))[:, None, None]
        heard = report.reshape(-1, 3).take(at, axis=0, mode="wrap")  # (E, K, U, 3)
        obs[..., first + 3 + 2 * n :] = heard.reshape(envs, k, 3 * slots)
    return obs


def _directions(params: Params, state: State) -> NDArray[np.float32]:
    """Gains and directions of this slot's channels, ``(E, K, 2 + 2n + (1 + 2n) U)``."""
    channel = state.channel
    envs, k = state.signal.shape
    env = np.arange(envs)[:, None, None]
    present = (state.neighbours >= 0)[..., None]
    listed = channel.reshape(envs, -1, params.antennas)[env, state.links]  # (E, K, U, n)
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
