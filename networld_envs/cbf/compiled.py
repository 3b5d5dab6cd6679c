"""Steps of coordinated beamforming with compiled loops, bit for bit equal to the NumPy steps.

NumPy still computes random draws, logarithms, sines and magnitudes; `networld_envs.cbf.kernels`
computes the rest. `networld_envs.compiled` compares both kinds of steps before it uses this module.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from networld_envs.cbf import kernels, network, observation, transmission
from networld_envs.cbf.types import Params, State
from networld_envs.physics import radio


def covers(params: Params) -> bool:
    """Whether these loops support the parameters."""
    return (
        params.action == "box"
        and params.reward_set == "gain"
        and params.num_links <= kernels.LONGEST_SUM
        and params.neighbours <= kernels.LONGEST_SUM
        and 2 * params.antennas <= kernels.LONGEST_SUM
    )


def applied_beamformer(actions: NDArray[np.float32]) -> NDArray[np.complex64]:
    """`networld_envs.cbf.transmission.applied_beamformer` of actions ``(E, K, 2n)``."""
    rows = actions.reshape(-1, actions.shape[-1])
    total, square = kernels.entry_sums(rows)
    beam = kernels.apply(rows, total, np.abs(total), square)
    return beam.reshape(actions.shape).view(np.complex64)


def transition(
    params: Params,
    state: State,
    actions: NDArray[np.float32],
    rngs: Sequence[np.random.Generator],
) -> State:
    """`networld_envs.cbf.transition`."""
    envs, paths, cells, heard = state.fading.shape
    beamformer = applied_beamformer(np.ascontiguousarray(actions))
    innovation = 1.0 - params.correlation**2
    size, cosine, sine = radio.polar_normal(rngs, (paths, cells * heard), innovation)
    moved, sent = {}, state.phasor[:0]
    if params.user_speed_mps > 0:
        moved, sent = network.move(params, state)
    flat = (envs, paths, 2 * cells * heard)
    phasor = _parts(state.phasor).reshape(flat)
    inner, fading = kernels.over_the_air(
        _parts(beamformer),
        state.stations,
        np.float32(paths**-0.5),
        phasor,
        _parts(sent).reshape(len(sent), *flat[1:]),
        _parts(state.fading).reshape(flat),
        size,
        cosine,
        sine,
        np.float32(params.correlation),
    )
    cap_db = params.sinr_cap_db
    signal, interference_plus_noise, ratio = kernels.measure(
        np.abs(inner.view(np.complex64)),
        state.gain,
        np.ascontiguousarray(moved.get("gain", state.gain)),
        state.rest,
        state.links,
        not params.truncated,
        np.inf if cap_db is None else float(radio.db_to_linear(cap_db)),
    )
    rates, caused_loss = kernels.losses(np.log2(ratio, out=ratio), state.links, heard)
    return state.after(
        **moved,
        fading=fading.view(np.complex64).reshape(state.fading.shape),
        beamformer=beamformer,
        signal=signal,
        interference_plus_noise=interference_plus_noise,
        rate=rates,
        caused_loss=caused_loss,
    )


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """`networld_envs.cbf.observe`."""
    if params.observation != "angle":
        return observation.observe(params, state)
    return kernels.observe(
        state.geometry,
        transmission.rate(params, state.signal, state.interference_plus_noise),
        np.log10(state.interference_plus_noise),
        _parts(state.beamformer),
        state.neighbours,
        observation.bounds(params)[1],
    )


def _parts(values: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Alternating real and imaginary parts along the last axis."""
    return np.ascontiguousarray(values).view(np.float32)
