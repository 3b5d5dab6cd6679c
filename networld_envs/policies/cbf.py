"""Reference policies of the coordinated-beamforming task, weak to strong.

The local ones read the observation (see `networld_envs.cbf`) back into gains, angles and reports,
and treat every channel as its line-of-sight path: ``h ~ sqrt(beta) a(psi)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf import Params, State
from networld_envs.physics import radio
from networld_envs.policies.base import Policy

Rngs = Sequence[np.random.Generator]

GENIE_ITERATIONS = 20


@dataclass(frozen=True)
class _View:
    """What one base station can infer from its observation; leading axes (E, K)."""

    leakage: NDArray[np.float64]  # (E, K) gain to users not listed, sum
    present: NDArray[np.bool_]  # (E, K, U)
    cross_gain: NDArray[np.float64]  # (E, K, U) to the listed users, zero where empty
    cross: NDArray[np.complex128]  # (E, K, U, n) line-of-sight channels to the listed users
    direct: NDArray[np.complex128]  # (E, K, n)
    disturbance: NDArray[np.float64]  # (E, K)
    heard_rate: NDArray[np.float64]  # (E, K, U)
    heard_disturbance: NDArray[np.float64]  # (E, K, U)
    heard_gain: NDArray[np.float64]  # (E, K, U)


def _read(params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32]) -> _View:
    n, slots = params.antennas, params.neighbours
    o = obs.astype(np.float64)
    present = neighbours >= 0
    listed = o[..., 2 : 2 + 3 * slots].reshape(*o.shape[:2], slots, 3)
    own = o[..., 2 + 3 * slots : 5 + 3 * slots]
    heard = o[..., 5 + 3 * slots + 2 * n :].reshape(*o.shape[:2], slots, 3)
    cross_gain = np.where(present, 10.0 ** listed[..., 0], 0.0)
    angle = np.arctan2(listed[..., 2], listed[..., 1])
    direct = np.sqrt(10.0 ** o[..., 0])
    return _View(
        leakage=10.0 ** o[..., 1],
        present=present,
        cross_gain=cross_gain,
        cross=np.sqrt(cross_gain)[..., None] * radio.steering_vector(angle, n),
        direct=direct[..., None] * np.ones(n, np.complex128),
        disturbance=10.0 ** own[..., 1],
        heard_rate=heard[..., 0],
        heard_disturbance=10.0 ** heard[..., 1],
        heard_gain=10.0 ** heard[..., 2],
    )


def _encode(beamformer: NDArray[Any]) -> NDArray[np.float32]:
    """Beamformer ``(..., n)`` to the action ``(..., 2n)``."""
    w = radio.canonical_phase(radio.project_power(beamformer))
    return np.clip(np.concatenate([np.real(w), np.imag(w)], -1), -1.0, 1.0).astype(np.float32)


def _slnr(view: _View) -> NDArray[np.complex128]:
    """Largest signal-to-leakage-plus-noise ratio; unlisted users are white leakage."""
    n = view.direct.shape[-1]
    leak = radio.outer(view.cross).sum(axis=-3)
    leak = leak + (view.leakage + 1.0)[..., None, None] * np.eye(n)
    return radio.slnr_beamformer(view.direct, leak)


def _best_response(
    view: _View,
    disturbance: NDArray[np.float64],
    heard_rate: NDArray[np.float64],
    heard_disturbance: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Best beam against the neighbours' interference prices.

    Cell j loses ``(1 - 2^{-C_j}) / IN_j`` nats of rate for each unit of interference, which is
    also the weight ``w_j |u_j|^2`` that WMMSE gives its user; users not listed cost the median.
    """
    n = view.direct.shape[-1]
    price = np.where(view.present, (1.0 - 2.0**-heard_rate) / heard_disturbance, np.nan)
    alone = ~view.present.any(axis=-1)
    padded = np.concatenate([price, np.where(alone, 0.0, np.nan)[..., None]], axis=-1)
    unlisted = view.leakage * np.nanmedian(padded, axis=-1)
    cost = (np.nan_to_num(price)[..., None, None] * radio.outer(view.cross)).sum(axis=-3)
    cost = cost + unlisted[..., None, None] * np.eye(n)
    return radio.priced_beamformer(cost, view.direct, disturbance)


def random(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[np.float32]:
    """Uniform over the action box, given as the beam that is applied."""
    del neighbours, step
    shape = (2, obs.shape[1], params.antennas)
    parts = np.stack([rng.uniform(-1.0, 1.0, shape) for rng in rngs])
    return _encode(parts[:, 0] + 1j * parts[:, 1])


def mrt(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[np.float32]:
    """Maximum-ratio transmission along the own line of sight: the constant vector."""
    del neighbours, rngs, step
    beam = np.full((*obs.shape[:2], params.antennas), params.antennas**-0.5, np.complex128)
    return _encode(beam)


def slnr(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[np.float32]:
    """Signal-to-leakage-plus-noise beamforming towards the listed users, full power."""
    del rngs, step
    return _encode(_slnr(_read(params, obs, neighbours)))


def expert(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[np.float32]:
    """Distributed WMMSE from the observation alone: own update to its fixed point each slot."""
    del rngs, step
    view = _read(params, obs, neighbours)
    beam = _best_response(view, view.disturbance, view.heard_rate, view.heard_disturbance)
    return _encode(beam)


def genie(params: Params, state: State, rngs: Rngs, step: int) -> NDArray[np.float32]:
    """WMMSE on every channel of this slot from an SLNR start (Shi et al., 2011)."""
    del rngs, step
    return _encode(wmmse(state.channel.astype(np.complex128), GENIE_ITERATIONS)[0])


def wmmse(
    channel: NDArray[np.complex128], iterations: int
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Centralised weighted MMSE for the sum rate.

    Args:
        channel: ``(E, user, station, n)`` normalised channels.
        iterations: Full updates of receivers, weights and beamformers.

    Returns:
        Beamformers ``(E, K, n)`` and the sum rate ``(iterations + 1, E)`` before each update and
        after the last, which never falls.
    """
    k, n = channel.shape[1], channel.shape[-1]
    own = np.eye(k, dtype=bool)
    direct = np.moveaxis(np.diagonal(channel, axis1=1, axis2=2), -1, 1)  # (E, K, n)
    gram = radio.outer(channel)  # (E, user, station, n, n)
    leakage = np.where(own[..., None, None], 0.0, gram).sum(axis=1) + np.eye(n)
    beam: NDArray[np.complex128] = radio.slnr_beamformer(direct, leakage)
    history = np.empty((iterations + 1, len(channel)))

    def measure(beam: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        power = radio.received_power(channel, beam[:, None])
        signal = np.diagonal(power, axis1=1, axis2=2)
        disturbance = np.where(own, 0.0, power).sum(-1) + 1.0
        return signal, disturbance

    for i in range(iterations):
        signal, disturbance = measure(beam)
        history[i] = radio.rate(signal, disturbance).sum(-1)
        weight = signal / (disturbance * (signal + disturbance))  # w_j |u_j|^2
        covariance = (weight[:, :, None, None, None] * gram).sum(axis=1)
        received = (np.conj(direct) * beam).sum(-1)
        beam = radio.wmmse_beamformer(covariance, (received / disturbance)[..., None] * direct)
    signal, disturbance = measure(beam)
    history[-1] = radio.rate(signal, disturbance).sum(-1)
    return beam, history


POLICIES: dict[str, Policy] = {
    p.name: p
    for p in (
        Policy("random", "random", "uniform over the action box", local=random),
        Policy("mrt", "static", "matched beam at full power, blind to others", local=mrt),
        Policy("slnr", "heuristic", "signal over leakage to the listed users", local=slnr),
        Policy("expert", "expert", "best response to the interference prices heard", local=expert),
        Policy("genie", "genie", "WMMSE on all channels, 20 iterations", privileged=genie),
    )
}
