"""Path loss, multipath channels of linear arrays, SINR, rates and beamformers.

Every function accepts leading axes. Channels are normalised: with ``h`` scaled by
``sqrt(P) / sigma`` the noise power is 1, and a beamformer of full power has unit norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[Any]  # complex64 in the simulation, complex128 in the policies


def db_to_linear(value_db: Real | float) -> Real:
    """``10^(x/10)``."""
    return np.asarray(10.0 ** (np.asarray(value_db) / 10.0))


def path_loss_db(distance_km: Real, at_1_km_db: float, slope_db: float) -> Real:
    """Log-distance path loss ``at_1_km_db + slope_db log10(d)``, dB."""
    return at_1_km_db + slope_db * np.log10(distance_km)


def electrical_angle(azimuth_rad: Real) -> Real:
    """Phase step ``pi cos(phi)`` between elements of a half-wavelength linear array."""
    return np.pi * np.cos(azimuth_rad)


def steering_vector(angle_rad: Real, antennas: int) -> Complex:
    """``[1, e^{j psi}, ..., e^{j (n-1) psi}]`` for electrical angles ``psi``.

    Args:
        angle_rad: Electrical angles, any shape.
        antennas: Elements ``n`` of the array.

    Returns:
        The angles' shape with an axis of length ``n`` appended, complex128.
    """
    return np.exp(1j * np.asarray(angle_rad)[..., None] * np.arange(antennas))


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Circular complex Gaussian samples of unit variance, CN(0, 1)."""
    return complex_normal_rows([rng], shape)[0]


def complex_normal_rows(
    rngs: Sequence[np.random.Generator], shape: tuple[int, ...], variance: float = 1.0
) -> NDArray[np.complex64]:
    """CN(0, variance) samples ``(E, *shape)``, each row from its own generator."""
    size, cosine, sine = polar_normal(rngs, shape, variance)
    samples = np.empty((len(rngs), *shape), np.complex64)
    np.multiply(size, cosine, out=samples.real)
    np.multiply(size, sine, out=samples.imag)
    return samples


def polar_normal(
    rngs: Sequence[np.random.Generator], shape: tuple[int, ...], variance: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """CN(0, variance) samples in polar form, each row from its own generator.

    Box and Muller (1958): ``|g|^2`` is exponential and the phase is uniform. With uniforms of 24
    bits, ``|g|^2`` is at most 16.6 variances, which 6e-8 of all samples should exceed. Whole-array
    operations make this faster than `numpy.random.Generator.standard_normal`.

    Args:
        rngs: One generator for each of the ``E`` rows.
        shape: Shape of a row.
        variance: ``E |g|^2``.

    Returns:
        ``|g|``, and cosine and sine of the phase, each ``(E, *shape)``.
    """
    size = np.empty((len(rngs), *shape), np.float32)
    phase = np.empty((len(rngs), *shape), np.float32)
    for e, rng in enumerate(rngs):
        rng.random(dtype=np.float32, out=size[e])
        rng.random(dtype=np.float32, out=phase[e])
    np.subtract(np.float32(1.0), size, out=size)  # in (0, 1]: its logarithm is finite
    np.log(size, out=size)
    size *= np.float32(-variance)
    np.sqrt(size, out=size)
    phase *= np.float32(2.0 * np.pi)
    return size, np.cos(phase), np.sin(phase)


def gauss_markov(
    fading: NDArray[np.complex64], rngs: Sequence[np.random.Generator], correlation: float
) -> NDArray[np.complex64]:
    """First-order Gauss-Markov fading ``rho g + sqrt(1 - rho^2) e`` (Ge et al., 2020, Eq. 4).

    Args:
        fading: ``g``, ``(E, ...)``.
        rngs: One generator for each of the ``E`` rows; each draws its own ``e ~ CN(0, I)``.
        correlation: ``rho``.
    """
    faded = complex_normal_rows(rngs, fading.shape[1:], 1.0 - correlation**2)
    parts = faded.view(np.float32)
    parts += np.float32(correlation) * np.ascontiguousarray(fading).view(np.float32)
    return faded


def beam_on_paths(
    phasor: NDArray[np.complex64], conjugate: NDArray[np.complex64]
) -> NDArray[np.complex64]:
    """``w^H a(psi)`` of every path: the polynomial ``sum_m conj(w_m) z^m`` by Horner's rule.

    Args:
        phasor: ``z = e^{j psi}``, ``(E, L, M)`` for ``L`` paths of ``M`` links.
        conjugate: ``conj(w)``, ``(E, n, M)``, of the beam sent over each link.

    Returns:
        ``(E, L, M)``. With ``h = sum_l g_l a(psi_l)`` it gives ``w^H h = sum_l g_l w^H a(psi_l)``
        without the channel itself.
    """
    last = conjugate.shape[1] - 1
    if last == 0:
        return np.broadcast_to(conjugate, phasor.shape)
    total = phasor * conjugate[:, last, None]
    spare = np.empty_like(total) if last > 1 else total
    for m in range(last - 1, 0, -1):
        total += conjugate[:, m, None]
        # Not in place: NumPy rounds an in-place complex product of one element differently.
        np.multiply(total, phasor, out=spare)
        total, spare = spare, total
    total += conjugate[:, 0, None]
    return total


def multipath_channel(
    phasor: NDArray[np.complex64], fading: NDArray[np.complex64], antennas: int
) -> NDArray[np.complex128]:
    """``sum_l g_l a(psi_l)``, the channel of unit path gain.

    Args:
        phasor: ``z = e^{j psi}``, ``(E, L, ...)``.
        fading: ``g``, the same shape.
        antennas: Elements ``n`` of the array.

    Returns:
        ``(E, ..., n)``.
    """
    step = phasor.astype(np.complex128)
    term = fading.astype(np.complex128)
    columns = [term.sum(axis=1)]
    for _ in range(antennas - 1):
        term *= step
        columns.append(term.sum(axis=1))
    return np.stack(columns, axis=-1)


def power_over_paths(
    fading: NDArray[np.complex64], on_paths: NDArray[np.complex64]
) -> NDArray[np.float32]:
    """``|sum_l g_l w^H a(psi_l)|^2`` ``(E, M)`` from fading and `beam_on_paths`, ``(E, L, M)``."""
    inner = np.add.reduce(fading * on_paths, axis=1)
    power = np.abs(inner)
    power *= power
    return power


def received_power(channel: Complex, beamformer: Complex) -> NDArray[np.float64]:
    """``|h^H w|^2`` over the last axis, in float64, which keeps later differences precise."""
    inner: Any = (np.conj(channel) * beamformer).sum(axis=-1)
    power = np.square(inner.real, dtype=np.float64)
    power += np.square(inner.imag, dtype=np.float64)
    return power


def rate(signal: Real, interference_plus_noise: Real) -> Real:
    """Spectral efficiency ``log2(1 + S / IN)`` in bit/s/Hz."""
    return np.log2(1.0 + signal / interference_plus_noise)


def project_power(beamformer: Complex) -> Complex:
    """Scale beamformers of more than unit power back to unit power; leave the others."""
    norm = np.sqrt((np.abs(beamformer) ** 2).sum(axis=-1, keepdims=True))
    return beamformer / np.maximum(norm, 1.0)


def canonical_phase(beamformer: Complex) -> Complex:
    """Rotate each beamformer so that the sum of its entries is real and non-negative.

    The phase of a beamformer changes no rate; this picks one of the equivalent ones.
    """
    total = beamformer.sum(axis=-1, keepdims=True)
    return beamformer * np.exp(-1j * np.angle(total)).astype(beamformer.dtype)


def slnr_beamformer(direct: Complex, leakage: Complex) -> Complex:
    """Unit-power beamformer of largest signal-to-leakage-plus-noise ratio (Sadek et al., 2007).

    Args:
        direct: ``(..., N)`` channel to the served user.
        leakage: ``(..., N, N)`` Hermitian sum of ``h h^H`` over the others, plus noise times I.

    Returns:
        ``(..., N)`` proportional to ``leakage^{-1} direct``.
    """
    w = np.linalg.solve(leakage, direct[..., None])[..., 0]
    return w / np.sqrt((np.abs(w) ** 2).sum(axis=-1, keepdims=True))


def wmmse_beamformer(
    covariance: Complex, target: Complex, iterations: int = 40
) -> NDArray[np.complex128]:
    """Beamformer step of WMMSE: ``(A + mu I)^{-1} b``, smallest ``mu >= 0`` with power <= 1.

    Shi et al., 2011, Table I, step 5. The multiplier is found by bisection on the eigenvalues of
    ``A``, where the power ``sum |v_n^H b|^2 / (lambda_n + mu)^2`` falls in ``mu``.

    Args:
        covariance: ``A``, ``(..., N, N)`` Hermitian, positive semi-definite.
        target: ``b``, ``(..., N)``.
        iterations: Bisection steps.

    Returns:
        ``(..., N)`` of at most unit power.
    """
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    coefficients = (np.conj(vectors) * target[..., :, None]).sum(axis=-2)  # V^H b
    size = np.abs(coefficients) ** 2

    def power(mu: Real) -> Real:
        return (size / np.maximum(values + mu[..., None], 1e-150) ** 2).sum(axis=-1)

    low: Real = np.zeros(target.shape[:-1])
    high: Real = np.sqrt(size.sum(axis=-1))  # power(|b|) <= |b|^2 / |b|^2 = 1
    free = power(low) <= 1.0
    for _ in range(iterations):
        middle: Real = 0.5 * (low + high)
        over = power(middle) > 1.0
        low = np.where(over, middle, low)
        high = np.where(over, high, middle)
    mu = np.where(free, 0.0, high)
    scaled = coefficients / np.maximum(values + mu[..., None], 1e-150)
    w = (vectors * scaled[..., None, :]).sum(axis=-1)
    return np.where(np.isfinite(w), w, 0.0)


def priced_beamformer(
    cost: Complex, direct: Complex, interference_plus_noise: Real, iterations: int = 50
) -> NDArray[np.complex128]:
    """Beamformer that maximises own rate minus priced interference, at most unit power.

    Solves ``max_w ln(1 + |h^H w|^2 / IN) - w^H M w`` over ``|w|^2 <= 1``: the fixed point of the
    WMMSE update of one transmitter with the others held fixed. Stationarity gives
    ``w = alpha (M + mu I)^{-1} h`` with ``alpha^2 q^2 = q - IN`` and ``q = h^H (M + mu I)^{-1} h``;
    the beam is zero when ``q <= IN``. Power falls in ``mu`` and is at most ``1 / mu``, so the
    multiplier lies in [0, 1] and is found by bisection of its logarithm.

    Args:
        cost: ``M``, ``(..., N, N)`` Hermitian, positive semi-definite: sum of price times
            ``h h^H`` over the other users.
        direct: ``h``, ``(..., N)`` channel to the station's own user.
        interference_plus_noise: ``IN``, ``(...)`` interference plus noise at that user.
        iterations: Bisection steps.

    Returns:
        ``(..., N)``.
    """
    values, vectors = np.linalg.eigh(cost)
    values = np.maximum(values, 0.0)
    coefficients = (np.conj(vectors) * direct[..., :, None]).sum(axis=-2)  # V^H h
    size = np.abs(coefficients) ** 2
    least = 1e-12

    def scale_and_power(mu: Real) -> tuple[Real, Real]:
        inverse = 1.0 / (values + mu[..., None])
        q = (size * inverse).sum(axis=-1)
        alpha2 = np.maximum(q - interference_plus_noise, 0.0) / np.maximum(q, 1e-150) ** 2
        return np.sqrt(alpha2), alpha2 * (size * inverse**2).sum(axis=-1)

    low: Real = np.full(direct.shape[:-1], least)
    high: Real = np.ones(direct.shape[:-1])
    free = scale_and_power(low)[1] <= 1.0
    for _ in range(iterations):
        middle: Real = np.sqrt(low * high)
        over = scale_and_power(middle)[1] > 1.0
        low = np.where(over, middle, low)
        high = np.where(over, high, middle)
    mu = np.where(free, least, high)
    alpha, _ = scale_and_power(mu)
    scaled = alpha[..., None] * coefficients / (values + mu[..., None])
    return (vectors * scaled[..., None, :]).sum(axis=-1)


def outer(vector: Complex) -> Complex:
    """``v v^H`` over the last axis."""
    return vector[..., :, None] * np.conj(vector)[..., None, :]
