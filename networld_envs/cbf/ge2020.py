"""Codebook action and observation of Ge et al. (2020), for `networld_envs.cbf`.

The 62 features, their order, their scale and the two ranked sets of cells are those of the paper,
as computed by its authors' public simulator. Powers there are in mW, so noise of -114 dBm is
``10^-11.4``. Features are divided by the units below.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf.network import own_angle, strongest
from networld_envs.cbf.types import Params, State
from networld_envs.physics import radio

PHASES = 16
RECEIVED_UNIT_MW = 1e-9
GAIN_UNIT = 1e-9
INTERFERENCE_UNIT_MW = 1e-7
RATE_UNIT = 5.0


def codebook(antennas: int, codewords: int) -> NDArray[np.complex128]:
    """Unit beams ``(Q, n)`` with phases in sixteenths of a turn.

    ``c_q[m] = exp(j 2 pi / S floor(m mod(q + Q/2, Q) / (Q/S))) / sqrt(n)``, ``S = 16``,
    ``m = 1..n``, ``q = 1..Q``.
    """
    q = np.arange(1, codewords + 1)[:, None]
    m = np.arange(1, antennas + 1)
    step = np.floor(m * np.mod(q + codewords / 2, codewords) / (codewords / PHASES))
    return np.exp(2j * np.pi / PHASES * step) / np.sqrt(antennas)


def unit_beams(
    params: Params, user_m: NDArray[np.float64], choice: NDArray[np.int64]
) -> NDArray[np.complex64]:
    """Codewords ``(E, K, n)`` of the actions ``(E, K)``, in the own frame.

    With observation ``ge2020`` the codebook is fixed in space, as in the paper. With the other
    observations it is in the own frame, like everything else that the agent sees.
    """
    beams = codebook(params.antennas, params.codewords)[choice // params.power_levels]
    if params.observation == "ge2020":
        beams = beams * np.conj(radio.steering_vector(own_angle(params, user_m), params.antennas))
    return radio.canonical_phase(beams).astype(np.complex64)


def power_level(params: Params, choice: NDArray[np.int64]) -> NDArray[np.float32]:
    """Share ``(E, K)`` of the largest power."""
    return ((choice % params.power_levels) / (params.power_levels - 1)).astype(np.float32)


def remember(
    params: Params,
    state: State,
    choice: NDArray[np.int64],
    power: NDArray[np.float64],
    interference_plus_noise: NDArray[np.float64],
    rate: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Features ``(E, K, 11U + 2)`` of a transmission that later observations show.

    Interferers of this slot (4U), interferers of the slot before (4U), users that received most
    from the station (3U), and the effective gain and interference plus noise measured before the
    action (2).

    Args:
        params: Parameters of the task.
        state: State before the transmission.
        choice: ``(E, K)`` actions.
        power: ``(E, user, station)`` received from the others.
        interference_plus_noise: ``(E, K)`` of the transmission.
        rate: ``(E, K)`` of the transmission, bit/s/Hz.
    """
    envs, k, _ = power.shape
    slots = params.neighbours
    env, here = np.arange(envs)[:, None, None], np.arange(k)[:, None]
    noise_mw = float(radio.db_to_linear(params.noise_dbm))
    code = choice // params.power_levels

    table = strongest(power, slots, axis=2)
    at, present = np.maximum(table, 0), table >= 0
    heard = np.stack(
        [
            at / max(k - 1, 1),
            power[env, here, at] * noise_mw / RECEIVED_UNIT_MW,
            code[env, at],
            rate[env, at] / RATE_UNIT,
        ],
        axis=-1,
    )
    heard = np.where(present[..., None], heard, 0.0).reshape(envs, k, 4 * slots)

    table = strongest(power, slots, axis=1)
    at, present = np.maximum(table, 0), table >= 0
    beams = np.repeat(unit_beams(params, state.user_m, choice), slots, axis=1)
    link = (at * k + here).reshape(envs, k * slots)
    caused = np.stack(
        [
            _gain_of_beam(params, state, link, beams).reshape(envs, k, slots),
            rate[env, at] / RATE_UNIT,
            power[env, at, here] / interference_plus_noise[env, at],
        ],
        axis=-1,
    )
    caused = np.where(present[..., None], caused, 0.0).reshape(envs, k, 3 * slots)
    before = np.stack(
        [
            effective_gain(params, state),
            state.interference_plus_noise * noise_mw / INTERFERENCE_UNIT_MW,
        ],
        axis=-1,
    )
    previous = state.history[..., : 4 * slots]
    return _single(np.concatenate([heard, previous, caused, before], axis=-1))


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """Observations ``(E, K, 7 + 11U)``; the table is in `networld_envs.cbf`."""
    noise_mw = float(radio.db_to_linear(params.noise_dbm))
    own = np.stack(
        [
            power_level(params, state.choice),
            state.choice // params.power_levels,
            state.rate / RATE_UNIT,
            effective_gain(params, state),
            state.history[..., -2],
            state.interference_plus_noise * noise_mw / INTERFERENCE_UNIT_MW,
            state.history[..., -1],
        ],
        axis=-1,
    )
    return _single(np.concatenate([own, state.history[..., :-2]], axis=-1))


def _single(values: NDArray[Any]) -> NDArray[np.float32]:
    """Single precision; what is beyond its largest number becomes that number."""
    return np.minimum(values, np.finfo(np.float32).max).astype(np.float32)


def names(params: Params) -> list[tuple[str, str]]:
    """Name and unit of every column of the observation ``ge2020``."""
    own = [
        ("power", ""),
        ("codeword", "index"),
        ("rate", "5 bit/s/Hz"),
        ("gain", "1e-9"),
        ("gain_before", "1e-9"),
        ("interference_plus_noise", "1e-7 mW"),
        ("interference_plus_noise_before", "1e-7 mW"),
    ]
    users = range(params.neighbours)
    interferer = [("cell", ""), ("power", "1e-9 mW"), ("codeword", "index"), ("rate", "5 bit/s/Hz")]
    heard = [
        (f"interferer{u}.{name}{when}", unit)
        for when in ("", "_before")
        for u in users
        for name, unit in interferer
    ]
    disturbed = [("gain", "1e-9"), ("rate", "5 bit/s/Hz"), ("share", "")]
    return own + heard + [(f"user{u}.{name}", unit) for u in users for name, unit in disturbed]


def observation_high(params: Params, gain: float, max_rate: float) -> NDArray[np.float64]:
    """Upper bounds ``(7 + 11U,)``; all lower bounds are zero.

    Args:
        params: Parameters of the task.
        gain: log10 of the largest received power over noise.
        max_rate: Largest rate, bit/s/Hz.
    """
    peak_mw = 10.0**gain * float(radio.db_to_linear(params.noise_dbm))
    power, code = 10.0**gain * _gain_scale(params), params.codewords - 1.0
    interference, rate = peak_mw / INTERFERENCE_UNIT_MW, max_rate / RATE_UNIT
    own = [1.0, code, rate, power, power, interference, interference]
    heard = [1.0, peak_mw / RECEIVED_UNIT_MW, code, rate] * (2 * params.neighbours)
    caused = [power, rate, 1.0] * params.neighbours
    return np.array(own + heard + caused)


def effective_gain(params: Params, state: State) -> NDArray[np.float64]:
    """``|h_kk^H c_k|^2`` of this slot's channel and the last codeword, ``(E, K)``, scaled."""
    envs, k = state.choice.shape
    own = np.broadcast_to(np.arange(k) * (k + 1), (envs, k))
    return _gain_of_beam(params, state, own, unit_beams(params, state.user_m, state.choice))


def _gain_of_beam(
    params: Params, state: State, link: NDArray[np.integer], beams: NDArray[np.complex64]
) -> NDArray[np.float64]:
    """``|h^H c|^2`` ``(E, M)``, scaled, of links ``(E, M)`` (user K + station), beams (E, M, n)."""
    envs, paths = state.phasor.shape[:2]
    phasor, fading = (
        np.take_along_axis(x.reshape(envs, paths, -1), link[:, None], axis=2)
        for x in (state.phasor, state.fading)
    )
    on_paths = radio.beam_on_paths(phasor, np.conj(beams).transpose(0, 2, 1))
    gain = np.take_along_axis(state.gain.reshape(envs, -1), link, axis=1)
    return radio.power_over_paths(fading, on_paths) * (gain * (_gain_scale(params) / paths))


def _gain_scale(params: Params) -> float:
    """Factor from gain times power over noise to gain in units of `GAIN_UNIT`."""
    return float(radio.db_to_linear(params.noise_dbm - params.power_dbm)) / GAIN_UNIT
