"""Recover channels from observations of coordinated beamforming; turn beams into actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf import ge2020
from networld_envs.cbf.types import Params
from networld_envs.physics import radio


@dataclass(frozen=True)
class View:
    """What one base station can infer from its observation; leading axes (E, K)."""

    leakage: NDArray[np.float64]  # (E, K) sum of gains to users not listed
    present: NDArray[np.bool_]  # (E, K, U)
    cross: NDArray[np.complex128]  # (E, K, U, n) channels to the listed users
    direct: NDArray[np.complex128]  # (E, K, n)
    interference_plus_noise: NDArray[np.float64]  # (E, K)
    heard_rate: NDArray[np.float64]  # (E, K, U)
    heard_interference_plus_noise: NDArray[np.float64]  # (E, K, U)


def read(params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32]) -> View:
    """Recover channels and reports from observations ``(E, K, O)`` of ``angle`` or ``csi``.

    Raises:
        ValueError: For observation ``ge2020``, which shows no channel.
    """
    if params.observation == "ge2020":
        raise ValueError(
            "observation 'ge2020' shows no channel; this policy needs observation='angle' or 'csi'"
        )
    n, slots = params.antennas, params.neighbours
    o = obs.astype(np.float64)
    present = neighbours >= 0
    csi = params.observation == "csi"
    first, width = (2 + 2 * n, 1 + 2 * n) if csi else (2, 3)
    at = first + width * slots
    listed = o[..., first:at].reshape(*o.shape[:2], slots, width)
    own = o[..., at : at + 3]
    heard = o[..., at + 3 + 2 * n :].reshape(*o.shape[:2], slots, 3)
    cross_gain = np.where(present, 10.0 ** listed[..., 0], 0.0)
    direct = np.sqrt(10.0 ** o[..., 0])
    if csi:
        cross = listed[..., 1 : 1 + n] + 1j * listed[..., 1 + n :]
        line = o[..., 2 : 2 + n] + 1j * o[..., 2 + n : 2 + 2 * n]
    else:
        cross = radio.steering_vector(np.arctan2(listed[..., 2], listed[..., 1]), n)
        line = np.ones(n, np.complex128)
    return View(
        leakage=10.0 ** o[..., 1],
        present=present,
        cross=np.sqrt(cross_gain)[..., None] * cross,
        direct=direct[..., None] * line,
        interference_plus_noise=10.0 ** own[..., 1],
        heard_rate=heard[..., 0],
        heard_interference_plus_noise=10.0 ** heard[..., 1],
    )


def encode(params: Params, beamformer: NDArray[Any]) -> NDArray[Any]:
    """The action ``(..., 2n)`` of a beamformer ``(..., n)``, or the nearest one of the codebook."""
    if params.action == "codebook":
        return _nearest_choice(params, beamformer)
    w = radio.canonical_phase(radio.project_power(beamformer))
    return np.clip(np.concatenate([np.real(w), np.imag(w)], -1), -1.0, 1.0).astype(np.float32)


def _nearest_choice(params: Params, beamformer: NDArray[Any]) -> NDArray[np.int64]:
    """Codeword of largest inner product with the beam, and the nearest power level."""
    beams = ge2020.codebook(params.antennas, params.codewords)  # (Q, n)
    match = radio.received_power(beams, np.asarray(beamformer)[..., None, :])
    power = np.minimum((np.abs(beamformer) ** 2).sum(axis=-1), 1.0)
    level = np.rint(power * (params.power_levels - 1)).astype(np.int64)
    return match.argmax(axis=-1) * params.power_levels + level
