"""Networks of the coordinated-beamforming task: who hears whom, how strongly and at which angle.

A user has links to all ``K`` base stations, or only to its own and to the ``D - 1`` strongest
around it (see `networld_envs.cbf.types.State`). The second way needs no ``K x K`` array: candidates
come from the hexagonal geometry, and base stations beyond them count with the power received at the
centre of the cell, averaged over shadowing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf.types import (
    GAIN_FLOOR_DB10,
    Params,
    State,
    gain_ceiling_db10,
    station_positions_m,
)
from networld_envs.physics import radio, topology

CANDIDATES_PER_LINK = 4


@dataclass(frozen=True)
class Network:
    """One draw of users, shadowing, paths and fading; fields as in `State`."""

    user_m: NDArray[np.float64]
    offset_m: NDArray[np.float64]  # (E, K, D, 2) from the link's base station to the user
    gain: NDArray[np.float64]
    bearing: NDArray[np.float64]  # (E, K, D) azimuth from the link's base station to the user
    shadow_db: NDArray[np.float64]
    spread: NDArray[np.float64]
    fading: NDArray[np.complex64]
    stations: NDArray[np.int32]
    rest: NDArray[np.float64]
    leak_rest: NDArray[np.float64]  # (E, K) mean power sent to users without a link to it
    neighbours: NDArray[np.int32]
    links: NDArray[np.int64]


def draw(params: Params, rngs: Sequence[np.random.Generator]) -> Network:
    """A network for each generator."""
    return _draw_some(params, rngs) if params.truncated else _draw_all(params, rngs)


def _place(params: Params, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Users relative to their base stations, ``(E, K, 2)`` m, from uniforms ``(E, 2, K)``."""
    azimuth = 2 * np.pi * place[:, 0]
    distance_m = params.min_distance_m + place[:, 1] * (
        params.max_distance_m - params.min_distance_m
    )
    return distance_m[..., None] * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)


def _draw_all(params: Params, rngs: Sequence[np.random.Generator]) -> Network:
    k, paths, envs = params.num_agents, params.paths, len(rngs)
    place = np.empty((envs, 2, k))
    shadow_db = np.empty((envs, k, k))
    spread = np.empty((envs, paths, k, k))
    for e, rng in enumerate(rngs):
        place[e] = rng.random((2, k))
        shadow_db[e] = rng.standard_normal((k, k)) * params.shadowing_db
        rng.random(out=spread[e])
    spread -= 0.5
    fading = radio.complex_normal_rows(rngs, (paths, k, k))
    station_m = station_positions_m(params)
    user_m = station_m + _place(params, place)
    offset_m = user_m[:, :, None] - station_m  # (E, user, station, 2)
    if params.wrap_around:
        offset_m = _nearest_image(params, offset_m)
    gain, bearing = _gain_and_bearing(params, offset_m, shadow_db)
    neighbours = strongest(gain, params.neighbours, axis=1)
    links = places(neighbours)
    nothing = np.zeros((envs, k))
    return Network(
        user_m=user_m,
        offset_m=offset_m,
        gain=gain,
        bearing=bearing,
        shadow_db=shadow_db,
        spread=spread,
        fading=fading,
        stations=np.empty((envs, k, 0), np.int32),
        rest=nothing,
        leak_rest=nothing,
        neighbours=neighbours,
        links=links,
    )


def _draw_some(params: Params, rngs: Sequence[np.random.Generator]) -> Network:
    k, kept, paths, envs = params.num_agents, params.num_links, params.paths, len(rngs)
    window = candidates(params)
    cells, count = window.cells, window.cells.shape[1]
    place = np.empty((envs, 2, k))
    candidate_shadow_db = np.empty((envs, k, count))
    spread = np.empty((envs, paths, k, kept))
    for e, rng in enumerate(rngs):
        place[e] = rng.random((2, k))
        candidate_shadow_db[e] = rng.standard_normal((k, count)) * params.shadowing_db
        rng.random(out=spread[e])
    spread -= 0.5
    fading = radio.complex_normal_rows(rngs, (paths, k, kept))
    own_offset_m = _place(params, place)  # (E, K, 2)
    candidate_offset_m = own_offset_m[:, :, None] - window.displacement * params.inter_site_m
    gain, bearing = _gain_and_bearing(params, candidate_offset_m, candidate_shadow_db)
    gain = np.where(cells >= 0, gain, 0.0)  # (E, user, candidate)

    first = gain.copy()
    first[..., 0] = np.inf  # the own base station leads
    order = np.argsort(-first, axis=-1, kind="stable")[..., :kept]
    link_of = np.full(gain.shape, -1, np.int32)
    np.put_along_axis(link_of, order, np.arange(kept, dtype=np.int32), axis=-1)
    row = np.arange(k)[:, None]
    far = _mean_beyond(params)

    # The same gains, seen from base station k: its candidate c is the user of cells[k, c], and k is
    # candidate opposite[c] of that user.
    user = np.maximum(cells, 0)
    # Contiguous, because the memory order of an indexed copy depends on E, and the sums below
    # round according to that order.
    sent = np.ascontiguousarray(gain[:, user, window.opposite])  # (E, station, candidate)
    sent = np.where(cells >= 0, sent, 0.0)
    sent_link = np.where(cells >= 0, link_of[:, user, window.opposite], -1)
    heard = np.where(sent_link > 0, sent, -np.inf)
    width = min(params.neighbours, count)
    worst = np.argsort(-heard, axis=-1, kind="stable")[..., :width]
    there = np.take_along_axis(sent_link, worst, axis=-1) > 0
    neighbours = np.full((envs, k, params.neighbours), -1, np.int32)
    neighbours[..., :width] = np.where(there, cells[row, worst], -1)
    links = np.empty((envs, k, params.neighbours), np.int64)
    links[:] = row * kept
    listed = cells[row, worst] * kept + np.take_along_axis(sent_link, worst, axis=-1)
    links[..., :width] = np.where(there, listed, row * kept)

    def take(values: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(values, order, axis=-1)

    return Network(
        user_m=station_positions_m(params) + own_offset_m,
        offset_m=np.take_along_axis(candidate_offset_m, order[..., None], axis=2),
        gain=take(gain),
        bearing=take(bearing),
        shadow_db=take(candidate_shadow_db),
        spread=spread,
        fading=fading,
        stations=cells[row, order],
        rest=np.where(link_of < 0, gain, 0.0).sum(axis=-1) + far,
        leak_rest=np.where(sent_link < 0, sent, 0.0).sum(axis=-1) + far,
        neighbours=neighbours,
        links=links,
    )


def candidates(params: Params) -> topology.HexWindow:
    """The cells from which a user's links are chosen, about four per link."""
    widest = params.rings if params.wrap_around else 2 * params.rings
    window = 0
    while (
        window < widest and topology.num_hex_cells(window) < CANDIDATES_PER_LINK * params.num_links
    ):
        window += 1
    return topology.hex_window(params.rings, window, params.wrap_around)


@lru_cache(maxsize=16)
def _mean_beyond(params: Params) -> NDArray[np.float64]:
    """``(K,)`` mean gain, over shadowing, from all base stations outside the candidates."""
    cells = candidates(params).cells
    station_m = station_positions_m(params)
    mean_shadow = np.exp(0.5 * (params.shadowing_db * np.log(10.0) / 10.0) ** 2)
    total = np.zeros(params.num_agents)
    for k in range(1 if params.wrap_around else params.num_agents):
        apart_m = station_m[k] - np.delete(station_m, cells[k][cells[k] >= 0], axis=0)
        if params.wrap_around:
            apart_m = _nearest_image(params, apart_m)
        if len(apart_m):
            total[k] = _gain_and_bearing(params, apart_m, np.zeros(()))[0].sum() * mean_shadow
    return np.full_like(total, total[0]) if params.wrap_around else total


def _nearest_image(params: Params, offset_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shortest of the displacements ``(..., 2)`` that are equivalent under wrap-around."""
    best = offset_m
    for shift in topology.hex_translations(params.rings)[1:] * params.inter_site_m:
        other = offset_m + shift
        nearer = (other**2).sum(-1) < (best**2).sum(-1)
        best = np.where(nearer[..., None], other, best)
    return best


def _gain_and_bearing(
    params: Params, offset_m: NDArray[np.float64], shadow_db: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    distance_m: NDArray[np.float64] = np.sqrt((offset_m**2).sum(-1))
    if params.min_distance_m + params.max_distance_m > params.inter_site_m:  # users reach others
        np.maximum(distance_m, params.min_distance_m, out=distance_m)
    loss_db = radio.path_loss_db(
        distance_m / 1e3, params.path_loss_1km_db, params.path_loss_slope_db
    )
    gain = radio.db_to_linear(params.power_dbm - params.noise_dbm - loss_db + shadow_db)
    return gain, np.arctan2(offset_m[..., 1], offset_m[..., 0])


def strongest(power: NDArray[np.float64], count: int, axis: int) -> NDArray[np.int32]:
    """The ``U`` other cells of largest received power or gain, padded with -1.

    Args:
        power: ``(E, user, station)``.
        count: ``U``.
        axis: 2 ranks the stations that a user receives, 1 the users that receive a station.

    Returns:
        ``(E, K, U)``; ties go to the lower index.
    """
    k = power.shape[-1]
    others = np.where(np.eye(k, dtype=bool), -np.inf, power)
    order = np.argsort(-others, axis=axis, kind="stable")
    order = order if axis == 2 else order.transpose(0, 2, 1)
    table = np.full((len(power), k, count), -1, np.int32)
    width = min(count, k - 1)
    table[..., :width] = order[..., :width]
    return table


def places(neighbours: NDArray[np.int32]) -> NDArray[np.int64]:
    """`State.links` of a neighbour table ``(E, K, U)`` when every user hears every station."""
    k = neighbours.shape[1]
    station = np.arange(k)[:, None]
    return np.where(neighbours >= 0, neighbours, station) * k + station


def own_angle(params: Params, user_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Electrical angle ``(E, K)`` of each base station's own user."""
    offset_m = user_m - station_positions_m(params)
    return radio.electrical_angle(np.arctan2(offset_m[..., 1], offset_m[..., 0]))


def describe(
    params: Params,
    gain: NDArray[np.float64],
    bearing: NDArray[np.float64],
    kept: Network | State,
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Phasors of the paths ``(E, L, K, D)`` and the fixed observation part ``(E, K, 2 + 3U)``.

    Args:
        params: Parameters of the task.
        gain: ``(E, K, D)`` large-scale gains [user, link], times power over noise.
        bearing: ``(E, K, D)`` azimuth from the base station of the link to the user, radians.
        kept: Has what motion does not change: path angles, stations, neighbours and links.
    """
    stations, neighbours, links = kept.stations, kept.neighbours, kept.links
    envs, k, _ = gain.shape
    if params.truncated:
        own = radio.electrical_angle(bearing[..., 0])
    else:
        own = radio.electrical_angle(np.diagonal(bearing, axis1=1, axis2=2))  # (E, station)
    frame = _of_sender(params, stations, own)  # the sender's own angle
    angle = bearing[:, None] + np.deg2rad(params.angular_spread_deg) * kept.spread
    phase = (radio.electrical_angle(angle) - frame[:, None]).astype(np.float32)
    phasor = np.empty(phase.shape, np.complex64)
    phasor.real, phasor.imag = np.cos(phase), np.sin(phase)

    present = neighbours >= 0
    env = np.arange(envs)[:, None, None]
    relative = (radio.electrical_angle(bearing) - frame).reshape(envs, -1)[env, links]
    listed_gain = gain.reshape(envs, -1)[env, links]
    unlisted = gain.copy()
    unlisted.reshape(envs, -1)[env, links] = 0.0  # an empty slot is the own link
    if params.truncated:
        unlisted[..., 0] = 0.0
        sender = np.where(stations >= 0, stations, 0) + np.arange(envs)[:, None, None] * k
        leak = np.bincount(sender.ravel(), unlisted.ravel(), envs * k).reshape(envs, k)
        leak = leak + kept.leak_rest
        direct = gain[..., 0]
    else:
        leak = np.where(np.eye(k, dtype=bool), 0.0, unlisted).sum(axis=1)
        direct = np.diagonal(gain, axis1=1, axis2=2)
    per_user = np.stack(
        [
            np.where(present, _db10(params, listed_gain), 0.0),
            np.where(present, np.cos(relative), 0.0),
            np.where(present, np.sin(relative), 0.0),
        ],
        axis=-1,
    )
    first = np.stack([_db10(params, direct), _db10(params, leak)], axis=-1)
    geometry = np.concatenate([first, per_user.reshape(envs, k, -1)], axis=-1)
    return phasor, geometry.astype(np.float32)


def _of_sender(params: Params, stations: NDArray[np.int32], values: NDArray[Any]) -> NDArray[Any]:
    """Values ``(E, K)`` of base stations as ``(E, user, link)``, those of the link's sender."""
    if params.truncated:
        return values[np.arange(len(values))[:, None, None], np.maximum(stations, 0)]
    return values[:, None, :]


def _db10(params: Params, gain: NDArray[np.float64]) -> NDArray[np.float64]:
    shown = np.log10(np.maximum(gain, 10.0**GAIN_FLOOR_DB10))
    return np.minimum(shown, gain_ceiling_db10(params))


def move(params: Params, state: State) -> tuple[dict[str, NDArray[Any]], NDArray[np.complex64]]:
    """Move the users by one slot.

    Users move straight ahead and are reflected at the edges of the ring around their base station.
    Shadowing, path angles relative to the line of sight and the choice of links do not change.

    Returns:
        The fields of `State` that change, and the phasors ``(E, L, K, D)`` of the new paths in the
        frames of before: a beam keeps its direction in space while the user of its cell moves.
    """
    site_m = station_positions_m(params)
    offset_m = state.user_m - site_m + state.velocity_mps * params.slot_s
    distance_m = np.sqrt((offset_m**2).sum(-1, keepdims=True))
    outward = offset_m / np.maximum(distance_m, 1e-9)
    radial = (state.velocity_mps * outward).sum(-1, keepdims=True)
    leaves = ((distance_m > params.max_distance_m) & (radial > 0)) | (
        (distance_m < params.min_distance_m) & (radial < 0)
    )
    velocity = np.where(leaves, state.velocity_mps - 2 * radial * outward, state.velocity_mps)
    offset_m = outward * np.clip(distance_m, params.min_distance_m, params.max_distance_m)
    gain, bearing = _gain_and_bearing(params, offset_m[:, :, None] - state.site_m, state.shadow_db)
    if params.truncated:
        gain = np.where(state.stations >= 0, gain, 0.0)
    phasor, geometry = describe(params, gain, bearing, state)
    user_m = site_m + offset_m
    turn = np.exp(1j * (own_angle(params, user_m) - own_angle(params, state.user_m)))  # (E, K)
    turn = _of_sender(params, state.stations, turn)
    fields = {
        "user_m": user_m,
        "velocity_mps": velocity,
        "gain": gain,
        "phasor": phasor,
        "geometry": geometry,
    }
    return fields, phasor * turn[:, None].astype(np.complex64)
