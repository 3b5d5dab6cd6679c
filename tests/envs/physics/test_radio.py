"""Closed forms of the radio physics."""

import numpy as np
import pytest

from networld_envs.physics import radio


def channels(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def test_path_loss_at_one_kilometre_and_ten():
    loss = radio.path_loss_db(np.array([1.0, 10.0]), 120.9, 37.6)
    np.testing.assert_allclose(loss, [120.9, 158.5])


def test_decibels():
    np.testing.assert_allclose(radio.db_to_linear(np.array([0.0, 10.0, -30.0])), [1, 10, 1e-3])


def test_steering_vector_is_a_geometric_series():
    psi = 0.7
    np.testing.assert_allclose(
        radio.steering_vector(np.array(psi), 3), np.exp(1j * psi) ** np.arange(3)
    )


def test_complex_normal_is_circular_with_unit_variance():
    g = radio.complex_normal(np.random.default_rng(0), (200_000,)).astype(np.complex128)
    assert abs((np.abs(g) ** 2).mean() - 1) < 0.01
    assert abs((g**2).mean()) < 0.01
    assert abs(g.mean()) < 0.01


def test_complex_normal_has_the_right_tails():
    """``|g|^2`` is exponential and independent of a uniform phase."""
    g = radio.complex_normal_rows([np.random.default_rng(7)], (1_000_000,), variance=2.0)[0]
    power = np.abs(g.astype(complex)) ** 2 / 2.0
    for level in (1e-3, 0.1, 1.0, 4.0, 8.0):
        share = np.exp(-level)
        spread = 5 * np.sqrt(share * (1 - share) / g.size)
        assert abs((power > level).mean() - share) < spread
    for part in (g.real, g.imag):
        assert abs((part.astype(float) ** 4).mean() - 3.0) < 0.03  # of unit variance each
    strong = power > 1.0
    for quadrant in range(4):
        turned = g * 1j**quadrant
        here = (turned.real > 0) & (turned.imag > 0)
        assert abs(here[strong].mean() - 0.25) < 5e-3


def test_gauss_markov_keeps_variance_and_has_geometric_autocorrelation():
    rng, rho = np.random.default_rng(1), 0.64
    g = first = radio.complex_normal_rows([rng], (200_000,))
    for lag in range(1, 4):
        g = radio.gauss_markov(g, [rng], rho)
        assert abs((np.conj(first) * g).mean().real - rho**lag) < 0.01
    assert abs((np.abs(g) ** 2).mean() - 1) < 0.01


def test_rows_of_noise_come_from_their_own_generators():
    rngs = [np.random.default_rng(s) for s in (3, 4)]
    both = radio.complex_normal_rows(rngs, (5, 2))
    alone = radio.complex_normal(np.random.default_rng(4), (5, 2))
    np.testing.assert_array_equal(both[1], alone)
    assert (both[0] != both[1]).any()


@pytest.mark.parametrize("antennas", [1, 2, 3, 4, 5, 9, 70])
@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_received_power_is_that_of_the_inner_product(antennas, kind):
    rng = np.random.default_rng(antennas)
    for shape in ((), (1, 1), (3, 19, 19), (64, 7, 7)):
        h = channels(rng, *shape, antennas).astype(kind)
        w = channels(rng, *shape[-1:], antennas).astype(kind)
        power = radio.received_power(h, w)
        assert power.dtype == np.float64
        flat = np.broadcast_to(w, h.shape).reshape(-1, antennas)
        loop = [abs(np.vdot(a, b)) ** 2 for a, b in zip(h.reshape(-1, antennas), flat, strict=True)]
        np.testing.assert_allclose(power.ravel(), loop, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("antennas", [1, 2, 4, 33])
def test_power_over_paths_is_that_of_the_multipath_channel(antennas):
    """Both without and with the channel formed, against loops over antennas and paths."""
    rng = np.random.default_rng(antennas)
    envs, paths, links = 3, 4, 5
    psi = rng.uniform(-7, 7, (envs, paths, links))
    phasor = np.exp(1j * psi).astype(np.complex64)
    fading = radio.complex_normal_rows([rng] * envs, (paths, links))
    w = channels(rng, envs, antennas, links).astype(np.complex64) / antennas
    on_paths = radio.beam_on_paths(phasor, np.conj(w))
    power = radio.power_over_paths(fading, on_paths)
    channel = radio.multipath_channel(phasor, fading, antennas)
    assert channel.shape == (envs, links, antennas)
    for e, m in np.ndindex(envs, links):
        h = sum(
            fading[e, p, m] * np.exp(1j * psi[e, p, m] * np.arange(antennas)) for p in range(paths)
        )
        np.testing.assert_allclose(channel[e, m], h, rtol=1e-4, atol=1e-4)
        inner = np.vdot(h, w[e, :, m])
        np.testing.assert_allclose(power[e, m], abs(inner) ** 2, rtol=1e-3, atol=1e-5)


def test_projection_leaves_legal_beams_and_scales_the_others():
    w = np.array([[0.3 + 0.1j, 0.2], [3.0, 4.0j]])
    projected = radio.project_power(w)
    np.testing.assert_allclose(projected[0], w[0])
    np.testing.assert_allclose(projected[1], w[1] / 5)


def test_canonical_phase_makes_the_sum_real_and_keeps_received_power():
    rng = np.random.default_rng(2)
    h, w = channels(rng, 50, 4), channels(rng, 50, 4)
    rotated = radio.canonical_phase(w)
    total = rotated.sum(-1)
    np.testing.assert_allclose(total.imag, 0, atol=1e-12)
    assert (total.real >= 0).all()
    np.testing.assert_allclose(radio.received_power(h, rotated), radio.received_power(h, w))
    np.testing.assert_array_equal(radio.canonical_phase(np.zeros(4, complex)), 0)


def test_slnr_beats_random_beams():
    rng = np.random.default_rng(3)
    h, others = channels(rng, 4), channels(rng, 6, 4)
    leakage = radio.outer(others).sum(0) + np.eye(4)

    def slnr(w):
        return radio.received_power(h, w) / (np.conj(w) @ leakage @ w).real

    best = slnr(radio.slnr_beamformer(h, leakage))
    for _ in range(500):
        w = channels(rng, 4)
        assert slnr(w / np.linalg.norm(w)) <= best * (1 + 1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_wmmse_step_is_the_constrained_least_squares_solution(scale):
    rng = np.random.default_rng(4)
    a = radio.outer(channels(rng, 20, 6, 4)).sum(1) * scale
    b = channels(rng, 20, 4)
    w = radio.wmmse_beamformer(a, b)
    power = (np.abs(w) ** 2).sum(-1)
    assert (power <= 1 + 1e-9).all()

    def cost(x):
        return (
            (np.conj(x) * (a @ x[..., None])[..., 0]).sum(-1) - 2 * (np.conj(b) * x).sum(-1)
        ).real

    for _ in range(200):
        other = radio.project_power(w + 0.1 * channels(rng, 20, 4))
        assert (cost(w) <= cost(other) + 1e-6 * np.abs(cost(other))).all()


def test_priced_beam_maximises_rate_minus_cost():
    rng = np.random.default_rng(5)
    m = radio.outer(channels(rng, 40, 3, 4)).sum(1) * 10 ** rng.uniform(-4, 2, (40, 1, 1))
    h = channels(rng, 40, 4) * 10 ** rng.uniform(-1, 2, (40, 1))
    interference_plus_noise = 10 ** rng.uniform(0, 2, 40)

    def value(w):
        return (
            np.log1p(radio.received_power(h, w) / interference_plus_noise)
            - (np.conj(w) * (m @ w[..., None])[..., 0]).sum(-1).real
        )

    w = radio.priced_beamformer(m, h, interference_plus_noise)
    assert ((np.abs(w) ** 2).sum(-1) <= 1 + 1e-9).all()
    best = value(w)
    assert (best >= -1e-9).all()  # silence is always possible
    for step in (0.003, 0.03, 0.3, 1.0):
        for _ in range(200):
            other = radio.project_power(w + step * channels(rng, 40, 4))
            assert (value(other) <= best + 1e-6 * (1 + np.abs(best))).all()


def test_priced_beam_without_costs_is_matched_at_full_power():
    h = channels(np.random.default_rng(6), 5, 4) * 100
    w = radio.priced_beamformer(np.zeros((5, 4, 4)), h, np.ones(5))
    np.testing.assert_allclose(radio.received_power(h, w), (np.abs(h) ** 2).sum(-1), rtol=1e-6)
