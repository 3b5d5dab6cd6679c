"""One slot of the coordinated-beamforming task: from beams to received powers, rates and losses.

Channels are not computed. Since ``h = sqrt(beta / L) sum_l g_l a(psi_l)``, ``w^H h`` only needs the
value ``w^H a(psi_l)`` of the beam on each path, which is a polynomial. A beam's values are used
twice: for the transmission, and for the measurement after the fading has changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf import ge2020, network
from networld_envs.cbf.types import Params, State
from networld_envs.physics import radio

LEAST_INTERFERENCE_PLUS_NOISE = 0.5


def applied_beamformer(actions: NDArray[Any]) -> NDArray[np.complex64]:
    """The transmitted beamformer ``(..., n)`` of an action ``(..., 2n)``.

    It is projected to ``|w| <= 1`` and rotated until the sum of its entries is real and
    non-negative.
    """
    n = actions.shape[-1] // 2
    w = np.empty((*actions.shape[:-1], n), np.complex64)
    w.real, w.imag = actions[..., :n], actions[..., n:]
    total = np.add.reduce(w, axis=-1, dtype=np.complex128)  # double, as a sum can be tiny
    size = np.abs(total)
    if not size.all():  # a zero sum has no phase: do not turn the beam
        total = np.where(size > 0.0, total, 1.0)
        size = np.where(size > 0.0, size, 1.0)
    size *= np.sqrt(np.maximum(np.add.reduce(actions * actions, axis=-1), 1.0))
    turn = np.conj(total)
    turn /= size
    w = w * turn.astype(np.complex64)[..., None]  # not in place, see `radio.beam_on_paths`
    parts = w.view(np.float32)
    np.maximum(parts, np.float32(-1.0), out=parts)  # rounding can leave 1 + 1e-7
    np.minimum(parts, np.float32(1.0), out=parts)
    return w


def chosen_beamformer(
    params: Params, state: State, choice: NDArray[np.int64]
) -> NDArray[np.complex64]:
    """Beamformers ``(E, K, n)``, in their own frames, of codebook actions ``(E, K)``."""
    beams = ge2020.unit_beams(params, state.user_m, choice)
    beams *= np.sqrt(ge2020.power_level(params, choice))[..., None]
    parts = beams.view(np.float32)
    np.clip(parts, -1.0, 1.0, out=parts)
    return beams


def beam_on_paths(
    params: Params,
    phasor: NDArray[np.complex64],
    stations: NDArray[np.int32],
    beamformer: NDArray[np.complex64],
) -> NDArray[np.complex64]:
    """``w^H a(psi) / sqrt(L)`` of every path of every link, ``(E, L, K, D)``.

    Args:
        params: Parameters of the task.
        phasor: ``(E, L, K, D)``, see `State`.
        stations: ``(E, K, D)``, see `State`.
        beamformer: ``(E, K, n)``.
    """
    envs, paths, k, links = phasor.shape
    n = beamformer.shape[-1]
    conjugate = np.conj(beamformer)
    conjugate *= np.float32(paths**-0.5)
    by_antenna = conjugate.transpose(0, 2, 1)  # (E, n, station)
    if params.truncated:
        sender = np.maximum(stations, 0).reshape(envs, 1, k * links)
        sent = np.take_along_axis(by_antenna, sender, axis=2)
    else:
        sent = np.empty((envs, n, k, k), np.complex64)
        sent[:] = by_antenna[:, :, None]
        sent = sent.reshape(envs, n, k * k)
    on_paths = radio.beam_on_paths(phasor.reshape(envs, paths, k * links), sent)
    return on_paths.reshape(phasor.shape)


def receive(
    params: Params,
    gain: NDArray[np.float64],
    rest: NDArray[np.float64],
    fading: NDArray[np.complex64],
    on_paths: NDArray[np.complex64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What every user receives.

    Args:
        params: Parameters of the task.
        gain: ``(E, K, D)``, see `State`.
        rest: ``(E, K)``, see `State`.
        fading: ``(E, L, K, D)``, see `State`.
        on_paths: ``(E, L, K, D)`` from `beam_on_paths`.

    Returns:
        Own signal ``(E, K)``, interference plus noise ``(E, K)`` as a sum over the others, and the
        power ``(E, user, link)`` of each other base station, zero for the user's own one.
    """
    envs, paths, k, links = fading.shape
    flat = (envs, paths, k * links)
    power = radio.power_over_paths(fading.reshape(flat), on_paths.reshape(flat)) * gain.reshape(
        envs, k * links
    )
    own = slice(0, None, links if params.truncated else links + 1)
    signal = power[:, own].copy()
    power[:, own] = 0.0
    power = power.reshape(envs, k, links)
    interference_plus_noise = np.add.reduce(power, axis=-1)
    interference_plus_noise += 1.0
    if params.truncated:
        interference_plus_noise += rest
    return signal, interference_plus_noise, power


def rate(
    params: Params, signal: NDArray[np.float64], interference_plus_noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spectral efficiency in bit/s/Hz, limited by ``sinr_cap_db`` if there is one."""
    if params.sinr_cap_db is not None:
        signal = np.minimum(
            signal, radio.db_to_linear(params.sinr_cap_db) * interference_plus_noise
        )
    return radio.rate(signal, interference_plus_noise)


def caused_loss(
    params: Params,
    state: State,
    signal: NDArray[np.float64],
    interference_plus_noise: NDArray[np.float64],
    power: NDArray[np.float64],
    rates: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Rate ``(E, K)`` that each station's signal costs the users of its reward set (Eq. 13).

    Args:
        params: Parameters of the task.
        state: State at the start of the slot.
        signal: ``(E, K)`` from `receive`, as are the next two.
        interference_plus_noise: ``(E, K)``.
        power: ``(E, user, link)``.
        rates: ``(E, K)`` achieved.
    """
    envs, k, links = power.shape
    place = state.links
    if params.reward_set == "power":
        place = network.places(network.strongest(power, params.neighbours, axis=1))
    if envs > 1:
        place = place + (np.arange(envs) * (k * links))[:, None, None]
    user = place // links  # (E, station, U)
    others = interference_plus_noise.take(user)
    others -= power.take(place)  # zero for the station's own link, so an empty slot loses nothing
    # The exact value is at least 1, the noise. Less than half of it can only be the rounding error
    # of powers beyond 150 dB.
    np.maximum(others, LEAST_INTERFERENCE_PLUS_NOISE, out=others)
    loss = rate(params, signal.take(user), others)
    loss -= rates.take(user)
    return np.add.reduce(loss, axis=-1)
