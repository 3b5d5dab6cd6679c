"""Reference policies of the coordinated-beamforming task, from weak to strong.

Local policies recover channels and reports from the observation (see `networld_envs.cbf`). With
observation ``angle`` every channel is taken as its line-of-sight path ``h ~ sqrt(beta) a(psi)``.
``csi`` shows the channels themselves. ``ge2020`` shows neither, so only ``random`` and ``genie``
can act on it. With the codebook action, beams are rounded to the nearest codeword and power level,
and the genie searches the codebook.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf import ge2020
from networld_envs.cbf.types import Params, State
from networld_envs.cbf.view import View, encode, read
from networld_envs.physics import radio
from networld_envs.spec import Policy

Rngs = Sequence[np.random.Generator]

GENIE_ITERATIONS = 20
STATISTICAL_ITERATIONS = 6


def _slnr(view: View) -> NDArray[np.complex128]:
    """Beam of largest SLNR; leakage to unlisted users is treated as spatially white."""
    n = view.direct.shape[-1]
    leak = radio.outer(view.cross).sum(axis=-3)
    leak = leak + (view.leakage + 1.0)[..., None, None] * np.eye(n)
    return radio.slnr_beamformer(view.direct, leak)


def _best_response(
    view: View,
    interference_plus_noise: NDArray[np.float64],
    heard_rate: NDArray[np.float64],
    heard_interference_plus_noise: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Best beam against the neighbours' interference prices.

    Cell j loses ``(1 - 2^{-C_j}) / IN_j`` nats of rate per unit of interference. This price is also
    the weight ``w_j |u_j|^2`` that WMMSE gives its user. Users not listed have the median price.
    """
    n = view.direct.shape[-1]
    price = np.where(view.present, (1.0 - 2.0**-heard_rate) / heard_interference_plus_noise, np.nan)
    alone = ~view.present.any(axis=-1)
    padded = np.concatenate([price, np.where(alone, 0.0, np.nan)[..., None]], axis=-1)
    unlisted = view.leakage * np.nanmedian(padded, axis=-1)
    cost = (np.nan_to_num(price)[..., None, None] * radio.outer(view.cross)).sum(axis=-3)
    cost = cost + unlisted[..., None, None] * np.eye(n)
    return radio.priced_beamformer(cost, view.direct, interference_plus_noise)


def random(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[Any]:
    """Uniform over the action box, given as the beam that is applied, or over the codebook."""
    del neighbours, step
    if params.action == "codebook":
        return np.stack([rng.integers(0, params.num_actions, obs.shape[1]) for rng in rngs])
    shape = (2, obs.shape[1], params.antennas)
    parts = np.stack([rng.uniform(-1.0, 1.0, shape) for rng in rngs])
    return encode(params, parts[:, 0] + 1j * parts[:, 1])


def mrt(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[Any]:
    """Maximum-ratio transmission along the own line of sight (``csi``: the own channel)."""
    del rngs, step
    if params.observation != "angle":
        return encode(params, _unit(read(params, obs, neighbours).direct))
    beam = np.full((*obs.shape[:2], params.antennas), params.antennas**-0.5, np.complex128)
    return encode(params, beam)


def _unit(vector: NDArray[np.complex128]) -> NDArray[np.complex128]:
    norm = np.sqrt((np.abs(vector) ** 2).sum(axis=-1, keepdims=True))
    return vector / np.maximum(norm, 1e-150)  # a channel too weak to be seen has no direction


def slnr(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[Any]:
    """Signal-to-leakage-plus-noise beamforming towards the listed users, full power."""
    del rngs, step
    return encode(params, _slnr(read(params, obs, neighbours)))


def swmmse(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[Any]:
    """WMMSE on what stays constant in an episode; the result is a constant beam.

    Each base station runs WMMSE (Shi et al., 2011) for the cells of its 1-hop neighbourhood and
    uses its own beam from the result. The input is the gains and line-of-sight directions that it
    and its neighbours observe, with mean powers in place of instantaneous ones. In each iteration
    every cell moves to the fixed point of its own update. The power that a user receives from cells
    outside the neighbourhood is assumed to equal what its own station sends to users that are not
    listed. Users outside the neighbourhood have the median price.
    """
    del rngs, step
    view = read(params, obs, neighbours)
    envs, k, n = view.direct.shape
    own = np.broadcast_to(np.arange(k)[:, None], (envs, k, 1))
    members = np.concatenate([own, neighbours], axis=-1)  # (E, K, M = 1 + U), -1 for none
    there = members >= 0
    env, cell = np.arange(envs)[:, None, None], np.maximum(members, 0)
    direct = view.direct[env, cell]  # (E, K, M, n)
    cross = view.cross[env, cell]  # (E, K, M, U, n)
    leakage = view.leakage[env, cell]
    listed = np.where(there[..., None] & view.present[env, cell], neighbours[env, cell], -2)
    # (E, K, M, U, M): whether slot u of a member's list is a given member
    inside = listed[..., None] == members[:, :, None, None, :]
    beyond = ~inside.any(axis=-1)
    gram = radio.outer(cross)
    beam = radio.slnr_beamformer(
        direct, gram.sum(axis=3) + (leakage + 1.0)[..., None, None] * np.eye(n)
    )
    for _ in range(STATISTICAL_ITERATIONS):
        signal = radio.received_power(direct, beam)
        sent = radio.received_power(cross, beam[:, :, :, None])  # (E, K, M, U)
        interference_plus_noise = (inside * sent[..., None]).sum(axis=(2, 3)) + leakage + 1.0
        price = np.where(
            there, signal / (interference_plus_noise * (signal + interference_plus_noise)), np.nan
        )
        median = np.nanmedian(price, axis=-1)[..., None]  # (E, K, 1)
        price = np.nan_to_num(price)
        cost = (inside * price[:, :, None, None, :]).sum(axis=-1) + beyond * median[..., None]
        covariance = (cost[..., None, None] * gram).sum(axis=3)
        covariance = covariance + (median * leakage)[..., None, None] * np.eye(n)
        beam = radio.priced_beamformer(covariance, direct, interference_plus_noise, iterations=25)
    return encode(params, beam[:, :, 0])


def expert(
    params: Params, obs: NDArray[np.float32], neighbours: NDArray[np.int32], rngs: Rngs, step: int
) -> NDArray[Any]:
    """Distributed WMMSE on the observation alone: the fixed point of the own update, each slot."""
    del rngs, step
    view = read(params, obs, neighbours)
    beam = _best_response(
        view, view.interference_plus_noise, view.heard_rate, view.heard_interference_plus_noise
    )
    return encode(params, beam)


def genie(params: Params, state: State, rngs: Rngs, step: int) -> NDArray[Any]:
    """WMMSE on all channels of this slot, started from SLNR beams (Shi et al., 2011).

    With the codebook action, the cells in turn choose the action with the largest sum rate.
    """
    del rngs, step
    if params.action == "codebook":
        return _search_codebook(params, state)
    channel = state.channel.astype(np.complex128)
    stations = state.stations if params.truncated else None
    return encode(params, wmmse(channel, GENIE_ITERATIONS, stations, state.rest)[0])


def _search_codebook(params: Params, state: State, sweeps: int = 4) -> NDArray[np.int64]:
    """Best responses of one cell after another, starting from silence.

    The sum rate never decreases.
    """
    if params.truncated:
        raise ValueError("the genie of the codebook action needs all links: max_links=None")
    envs, k = state.signal.shape
    every = np.broadcast_to(
        np.arange(params.num_actions)[:, None, None], (params.num_actions, envs, k)
    )
    beams = np.stack([ge2020.unit_beams(params, state.user_m, c) for c in every], axis=2)
    beams = beams * np.sqrt(ge2020.power_level(params, every[:, 0, 0]))[:, None]
    # (E, user, station, choice)
    power = radio.received_power(state.channel[:, :, :, None], beams[:, None])
    choice = np.zeros((envs, k), np.int64)
    total = np.zeros((envs, k))  # received at each user, own signal and interference
    own = np.eye(k, dtype=bool)
    env = np.arange(envs)
    signal = np.zeros((envs, k))
    for _ in range(sweeps):
        before = choice.copy()
        for c in range(k):
            others = total - power[env, :, c, choice[:, c]]
            heard = others[..., None] + power[:, :, c]  # (E, user, choice)
            useful = np.where(own[c][:, None], power[:, c, c][:, None], signal[..., None])
            rates = radio.rate(useful, np.maximum(heard - useful, 0.0) + 1.0).sum(axis=1)
            choice[:, c] = rates.argmax(axis=-1)
            total = others + power[env, :, c, choice[:, c]]
            signal[:, c] = power[env, c, c, choice[:, c]]
        if (choice == before).all():
            break
    return choice


def wmmse(
    channel: NDArray[np.complex128],
    iterations: int,
    stations: NDArray[np.int32] | None = None,
    rest: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Centralised weighted MMSE for the sum rate.

    Args:
        channel: ``(E, user, station, n)`` normalised channels, or ``(E, user, link, n)``.
        iterations: Full updates of receivers, weights and beamformers.
        stations: ``(E, user, link)`` base station of each link, the own one first, -1 for none;
            None if link j leads to base station j.
        rest: ``(E, user)`` power to add to the noise.

    Returns:
        Beamformers ``(E, K, n)``, and the sum rate ``(iterations + 1, E)`` before each update and
        after the last one. The sum rate never decreases.
    """
    envs, k, n = len(channel), channel.shape[1], channel.shape[-1]
    noise = 1.0 if rest is None else 1.0 + rest
    env = np.arange(envs)[:, None, None]
    sender = np.zeros(0, np.int32) if stations is None else np.maximum(stations, 0)
    if stations is None:
        own = np.eye(k, dtype=bool)
        direct = np.moveaxis(np.diagonal(channel, axis1=1, axis2=2), -1, 1)  # (E, K, n)
    else:
        own = np.arange(stations.shape[-1]) == 0
        direct = channel[:, :, 0]
    gram = radio.outer(channel)  # (E, user, station, n, n)

    def collect(weight: NDArray[np.float64] | float, include_own: bool) -> NDArray[np.complex128]:
        """Weighted sum of ``h h^H`` over the users of each station, ``(E, K, n, n)``."""
        terms = gram if include_own else np.where(own[..., None, None], 0.0, gram)
        terms = weight * terms
        if stations is None:
            return terms.sum(axis=1)
        total = np.zeros((envs, k, n, n), np.complex128)
        np.add.at(total, (env, sender), terms)
        return total

    beam: NDArray[np.complex128] = radio.slnr_beamformer(direct, collect(1.0, False) + np.eye(n))
    history = np.empty((iterations + 1, envs))

    def measure(beam: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sent = beam[:, None] if stations is None else beam[env, sender]
        power = radio.received_power(channel, sent)
        signal = np.diagonal(power, axis1=1, axis2=2) if stations is None else power[..., 0]
        interference_plus_noise = np.where(own, 0.0, power).sum(-1) + noise
        return signal, interference_plus_noise

    for i in range(iterations):
        signal, interference_plus_noise = measure(beam)
        history[i] = radio.rate(signal, interference_plus_noise).sum(-1)
        weight = signal / (
            interference_plus_noise * (signal + interference_plus_noise)
        )  # w_j |u_j|^2
        covariance = collect(weight[:, :, None, None, None], True)
        received = (np.conj(direct) * beam).sum(-1)
        beam = radio.wmmse_beamformer(
            covariance, (received / interference_plus_noise)[..., None] * direct
        )
    signal, interference_plus_noise = measure(beam)
    history[-1] = radio.rate(signal, interference_plus_noise).sum(-1)
    return beam, history


def _shows_channel(params: Params) -> bool:
    """Whether the observation shows channels or angles; ``ge2020`` does not."""
    return params.observation != "ge2020"


def _is_searchable(params: Params) -> bool:
    """Whether the genie can act: its search of the codebook needs links to all stations."""
    return params.action == "box" or not params.truncated


def _shows_angles(params: Params) -> bool:
    """Whether the observation shows gains and angles, which are constant in an episode."""
    return params.observation == "angle"


POLICIES: dict[str, Policy] = {
    p.name: p
    for p in (
        Policy("random", "random", "uniform over the action box", local=random),
        Policy(
            "mrt",
            "static",
            "matched beam at full power, ignores other users",
            local=mrt,
            needs=_shows_channel,
        ),
        Policy(
            "slnr",
            "heuristic",
            "signal over leakage to the listed users",
            local=slnr,
            needs=_shows_channel,
        ),
        Policy(
            "swmmse",
            "static",
            "WMMSE on gains and angles of the 1-hop neighbourhood, constant beam",
            local=swmmse,
            needs=_shows_angles,
        ),
        Policy(
            "expert",
            "expert",
            "best response to the reported interference prices",
            local=expert,
            needs=_shows_channel,
        ),
        Policy(
            "genie",
            "genie",
            "WMMSE on all channels, 20 iterations",
            privileged=genie,
            needs=_is_searchable,
        ),
    )
}
