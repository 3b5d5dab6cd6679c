"""Compiled loops of coordinated beamforming, used by `networld_envs.cbf.compiled`.

To round as NumPy does, sums follow its order (pairwise along a row), and complex products use fused
multiply-add as its vector loops do. Shapes are those of `networld_envs.cbf.types.State`, with users
and links flattened to one axis of ``M = K D`` links. Complex numbers are stored as alternating real
and imaginary parts, ``2M``.
"""

from __future__ import annotations

from typing import Any

import numba  # pyright: ignore[reportMissingImports]
import numpy as np
from numba import types  # pyright: ignore[reportMissingImports]
from numba.extending import intrinsic  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

from networld_envs.cbf.transmission import LEAST_INTERFERENCE_PLUS_NOISE

LONGEST_SUM = 128  # NumPy splits longer rows before it adds
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[Any]  # int32 or int64
ONE, NONE = np.float32(1.0), np.float32(0.0)

compile_loop = numba.njit(cache=True, error_model="numpy")


def _fused(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a b + c``, rounded once."""
    del typing_context, a, b, c

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del context, signature
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), generate


_fma: Any = intrinsic(_fused)


@compile_loop
def row_sum(row: NDArray[Any]) -> Any:
    """Sum of a row in the order of NumPy's pairwise summation, up to `LONGEST_SUM` entries."""
    total = row[0]
    n = len(row)
    if n < 8:
        for i in range(1, n):
            total += row[i]
        return total
    r0, r1, r2, r3, r4, r5, r6, r7 = row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]
    whole = n - n % 8
    for i in range(8, whole, 8):
        r0 += row[i]
        r1 += row[i + 1]
        r2 += row[i + 2]
        r3 += row[i + 3]
        r4 += row[i + 4]
        r5 += row[i + 5]
        r6 += row[i + 6]
        r7 += row[i + 7]
    total = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
    for i in range(whole, n):
        total += row[i]
    return total


@compile_loop
def entry_sums(actions: Floats) -> tuple[NDArray[np.complex128], Floats]:
    """Sum of each beam's entries ``(R,)`` complex128 and of its squares ``(R,)`` float32."""
    rows, width = actions.shape
    n = width // 2
    total = np.empty(rows, np.complex128)
    square = np.empty(rows, np.float32)
    squares = np.empty(width, np.float32)
    part = np.empty((2, 4))
    whole = n - n % 4
    for k in range(rows):
        for i in range(width):
            squares[i] = actions[k, i] * actions[k, i]
        square[k] = row_sum(squares)
        for c in range(2):
            if n < 4:
                value = np.float64(actions[k, c * n])
                for i in range(1, n):
                    value += np.float64(actions[k, c * n + i])
            else:
                for i in range(4):
                    part[c, i] = actions[k, c * n + i]
                for i in range(4, whole):
                    part[c, i % 4] += np.float64(actions[k, c * n + i])
                value = (part[c, 0] + part[c, 1]) + (part[c, 2] + part[c, 3])
                for i in range(whole, n):
                    value += np.float64(actions[k, c * n + i])
            part[c, 0] = value
        total[k] = complex(part[0, 0], part[1, 0])
    return total, square


@compile_loop
def apply(actions: Floats, total: NDArray[np.complex128], size: Doubles, square: Floats) -> Floats:
    """`transmission.applied_beamformer` from the sums; alternating real, imaginary."""
    rows, width = actions.shape
    n = width // 2
    beam = np.empty((rows, width), np.float32)
    for k in range(rows):
        real, imag, length = total[k].real, total[k].imag, size[k]
        if not length > 0.0:
            real, imag, length = 1.0, 0.0, 1.0
        inverse = 1.0 / (length * np.float64(np.sqrt(max(square[k], ONE))))
        turn_re, turn_im = np.float32(real * inverse), np.float32(-imag * inverse)
        for i in range(n):
            a, b = actions[k, i], actions[k, n + i]
            re = _fma(a, turn_re, -(b * turn_im))
            im = _fma(a, turn_im, b * turn_re)
            beam[k, 2 * i] = min(max(re, -ONE), ONE)
            beam[k, 2 * i + 1] = min(max(im, -ONE), ONE)
    return beam


@compile_loop
def horner(
    path: Floats, sent_re: Floats, sent_im: Floats, total_re: Floats, total_im: Floats
) -> None:
    """Beam on one path of every link, by Horner's rule; ``path`` alternates real, imaginary."""
    n, links = sent_re.shape
    if n == 1:
        for m in range(links):
            total_re[m], total_im[m] = sent_re[0, m], sent_im[0, m]
        return
    for m in range(links):
        zr, zi = path[2 * m], path[2 * m + 1]
        br, bi = sent_re[n - 1, m], sent_im[n - 1, m]
        total_re[m] = _fma(zr, br, -(zi * bi))
        total_im[m] = _fma(zr, bi, zi * br)
    for i in range(n - 2, 0, -1):
        for m in range(links):
            zr, zi = path[2 * m], path[2 * m + 1]
            ar, ai = total_re[m] + sent_re[i, m], total_im[m] + sent_im[i, m]
            total_re[m] = _fma(ar, zr, -(ai * zi))
            total_im[m] = _fma(ar, zi, ai * zr)
    for m in range(links):
        total_re[m] += sent_re[0, m]
        total_im[m] += sent_im[0, m]


@compile_loop
def add_received(fading: Floats, total_re: Floats, total_im: Floats, inner: Floats) -> None:
    """Add one path's part of ``w^H h`` to ``inner`` ``(2M,)``."""
    for m in range(len(total_re)):
        gr, gi, br, bi = fading[2 * m], fading[2 * m + 1], total_re[m], total_im[m]
        inner[2 * m] += _fma(gr, br, -(gi * bi))
        inner[2 * m + 1] += _fma(gr, bi, gi * br)


@compile_loop
def over_the_air(
    beam: Floats,
    stations: Indices,
    scale: np.float32,
    phasor: Floats,
    phasor_after: Floats,
    fading: Floats,
    size: Floats,
    cosine: Floats,
    sine: Floats,
    memory: np.float32,
) -> tuple[Floats, Floats]:
    """Inner products before and after the fading changes, and the new fading.

    Args:
        beam: ``(E, K, 2n)``, alternating real and imaginary parts.
        stations: ``(E, K, D)``, or ``(E, K, 0)`` if every station is heard.
        scale: ``1 / sqrt(L)``.
        phasor: ``(E, L, 2M)`` in this slot.
        phasor_after: ``(E, L, 2M)`` in the next slot, or empty if it does not change.
        fading: ``(E, L, 2M)`` in this slot.
        size: ``(E, L, M)`` magnitude of the innovation.
        cosine: ``(E, L, M)`` of its phase.
        sine: ``(E, L, M)`` of its phase.
        memory: ``rho``.

    Returns:
        ``w^H h`` ``(2, E, 2M)`` and the fading ``(E, L, 2M)``.
    """
    envs, paths, links = size.shape
    cells, n = beam.shape[1], beam.shape[2] // 2
    heard = links // cells
    every = stations.shape[2] == 0
    sent_re, sent_im = np.empty((n, links), np.float32), np.empty((n, links), np.float32)
    total_re, total_im = np.empty(links, np.float32), np.empty(links, np.float32)
    inner = np.zeros((2, envs, 2 * links), np.float32)
    after = np.empty_like(fading)
    for e in range(envs):
        for user in range(cells):
            for d in range(heard):
                station = d if every else max(stations[e, user, d], 0)
                for i in range(n):
                    sent_re[i, user * heard + d] = beam[e, station, 2 * i] * scale
                    sent_im[i, user * heard + d] = -beam[e, station, 2 * i + 1] * scale
        for path in range(paths):
            horner(phasor[e, path], sent_re, sent_im, total_re, total_im)
            add_received(fading[e, path], total_re, total_im, inner[0, e])
            for m in range(links):
                re = size[e, path, m] * cosine[e, path, m]
                im = size[e, path, m] * sine[e, path, m]
                after[e, path, 2 * m] = re + memory * fading[e, path, 2 * m]
                after[e, path, 2 * m + 1] = im + memory * fading[e, path, 2 * m + 1]
            if len(phasor_after):
                horner(phasor_after[e, path], sent_re, sent_im, total_re, total_im)
            add_received(after[e, path], total_re, total_im, inner[1, e])
    return inner, after


@compile_loop
def receive(
    magnitude: Floats,
    gain: Doubles,
    rest: Doubles,
    every: bool,
    signal: Doubles,
    interference_plus_noise: Doubles,
    power: Doubles,
) -> None:
    """`networld_envs.cbf.transmission.receive` of one environment, from ``|w^H h|`` ``(M,)``."""
    cells, heard = gain.shape
    for user in range(cells):
        for d in range(heard):
            size = magnitude[user * heard + d]
            power[user, d] = np.float64(size * size) * gain[user, d]
        own = user if every else 0
        signal[user] = power[user, own]
        power[user, own] = 0.0
        interference_plus_noise[user] = row_sum(power[user]) + 1.0
        if not every:
            interference_plus_noise[user] += rest[user]


@compile_loop
def one_plus_sinr(signal: float, interference_plus_noise: float, cap: float) -> float:
    """``1 + S / IN``, the argument of a rate's logarithm, with ``S / IN`` at most ``cap``."""
    return 1.0 + min(signal, cap * interference_plus_noise) / interference_plus_noise


@compile_loop
def measure(
    magnitude: Floats,
    gain: Doubles,
    gain_after: Doubles,
    rest: Doubles,
    links: Indices,
    every: bool,
    cap: float,
) -> tuple[Doubles, Doubles, Doubles]:
    """Received powers of both slots, and the arguments of the logarithms in rates and losses.

    Args:
        magnitude: ``(2, E, M)`` float32 ``|w^H h|`` before and after the fading changes.
        gain: ``(E, K, D)`` in this slot.
        gain_after: ``(E, K, D)`` in the next slot.
        rest: ``(E, K)``.
        links: ``(E, K, U)``.
        every: Whether users hear every base station.
        cap: Largest useful ratio of signal to interference plus noise, or infinity.

    Returns:
        Signal ``(E, K)`` and interference plus noise ``(E, K)`` after the step, and ``1 + S / IN``
        ``(E, K, 1 + U)`` during it: of the station's own user, then of each listed user
        without the power that it receives from this station.
    """
    envs, cells, heard = gain.shape
    slots = links.shape[2]
    signal, interference_plus_noise = np.empty((envs, cells)), np.empty((envs, cells))
    ratio = np.empty((envs, cells, 1 + slots))
    power = np.empty((cells, heard))
    for e in range(envs):
        own, total = signal[e], interference_plus_noise[e]
        receive(magnitude[0, e], gain[e], rest[e], every, own, total, power)
        for k in range(cells):
            ratio[e, k, 0] = one_plus_sinr(own[k], total[k], cap)
            for u in range(slots):
                user, link = links[e, k, u] // heard, links[e, k, u] % heard
                others = max(total[user] - power[user, link], LEAST_INTERFERENCE_PLUS_NOISE)
                ratio[e, k, 1 + u] = one_plus_sinr(own[user], others, cap)
        receive(magnitude[1, e], gain_after[e], rest[e], every, own, total, power)
    return signal, interference_plus_noise, ratio


@compile_loop
def losses(log_ratio: Doubles, links: Indices, heard: int) -> tuple[Doubles, Doubles]:
    """Rates ``(E, K)`` and caused losses ``(E, K)`` from the logarithms."""
    envs, cells, width = log_ratio.shape
    rates, loss = np.empty((envs, cells)), np.zeros((envs, cells))
    lost = np.empty(width - 1)
    for e in range(envs):
        for k in range(cells):
            rates[e, k] = log_ratio[e, k, 0]
            for u in range(width - 1):
                lost[u] = log_ratio[e, k, 1 + u] - log_ratio[e, links[e, k, u] // heard, 0]
            if width > 1:
                loss[e, k] = row_sum(lost)
    return rates, loss


@compile_loop
def observe(
    geometry: Floats,
    rates: Doubles,
    log_interference_plus_noise: Doubles,
    beam: Floats,
    neighbours: Indices,
    high: Floats,
) -> Floats:
    """Observation ``angle``; the columns are in `networld_envs.cbf`."""
    envs, cells, first = geometry.shape
    width, slots = beam.shape[2], neighbours.shape[2]
    n = width // 2
    obs = np.empty((envs, cells, len(high)), np.float32)
    told = np.empty((cells, 3), np.float32)
    squares = np.empty(width, np.float32)
    for e in range(envs):
        for k in range(cells):
            told[k, 0] = min(np.float32(rates[e, k]), high[first])
            told[k, 1] = min(np.float32(log_interference_plus_noise[e, k]), high[first + 1])
            told[k, 2] = geometry[e, k, 0]
        for k in range(cells):
            row = obs[e, k]
            row[:first] = geometry[e, k]
            row[first], row[first + 1] = told[k, 0], told[k, 1]
            for i in range(n):
                row[first + 3 + i] = beam[e, k, 2 * i]
                row[first + 3 + n + i] = beam[e, k, 2 * i + 1]
            for i in range(width):
                squares[i] = row[first + 3 + i] * row[first + 3 + i]
            row[first + 2] = min(row_sum(squares), ONE)
            for u in range(slots):
                at = first + 3 + width + 3 * u
                other = neighbours[e, k, u]
                for c in range(3):
                    row[at + c] = told[other, c] if other >= 0 else NONE
    return obs
