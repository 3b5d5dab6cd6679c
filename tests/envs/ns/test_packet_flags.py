"""Each flag of the packet model, traffic and published utilities."""

from dataclasses import replace

import numpy as np
import pytest

from networld_envs import ns
from tests.helpers.packets import DEFAULT, TIGHT, generators, rollout


@pytest.mark.parametrize(("split", "published"), [((10 / 3,) * 3, 5.25), ((1, 8, 1), 7.40)])
def test_the_published_utilities(split, published):
    """With the public code's defects on, one cell, 64 layers and small URLLC packets."""
    _, rewards = rollout(ns.PRESETS["hua2019_code"], range(24), 1, split)
    assert rewards.mean() == pytest.approx(published, abs=0.05)


def test_traffic_has_the_stated_means():
    states, _ = rollout(replace(DEFAULT, rings=1), range(2), 2, (10 / 3,) * 3)
    count = np.mean([s.packets.mean(axis=(0, 1)) for s in states[1:]], axis=0)
    bits = np.sum([s.arrived_bits.sum(axis=(0, 1)) for s in states[1:]], axis=0)
    mean_bits = bits / np.sum([s.packets.sum(axis=(0, 1)) for s in states[1:]], axis=0)
    # A gap is rounded up to slots (half a slot on average, but 12.5 ms are whole slots), and one
    # slot passes at least.
    np.testing.assert_allclose(count[0], 46 / (0.08 + 1.5 * 0.5e-3), rtol=0.03)
    np.testing.assert_allclose(count[2], 8 / (0.18 + 1.5 * 0.5e-3), rtol=0.15)
    mean_s = 30e-3 * (1 - (1 + 12.5 / 6) ** -0.2)  # of min(6 ms (v^(-1/1.2) - 1), 12.5 ms)
    longest = (1 + 12.5 / 6) ** -1.2
    np.testing.assert_allclose(count[1], 46 / (mean_s + (1.5 - 0.5 * longest) * 0.5e-3), rtol=0.01)
    assert mean_bits[0] == 320
    assert mean_bits[1] == pytest.approx(4000 * (1 - 3.5**-0.2), rel=0.02)
    assert mean_bits[2] == pytest.approx(np.mean(DEFAULT.urllc_bits), rel=0.05)


def test_the_decimal_logarithm_divides_rates_by_the_binary_logarithm_of_ten():
    params = replace(TIGHT, slots=1, offered_efficiency=True, volte_gap_s=0.0)
    binary, decimal = (
        rollout(replace(params, decimal_logarithm=on), [1], 2, (1, 1, 1))[0][1].spectral_efficiency
        for on in (False, True)
    )
    assert (binary > 0).all()
    np.testing.assert_allclose(decimal / binary, np.log10(2))


def test_delivered_efficiency_counts_bits_that_left():
    params = replace(TIGHT, slots=60, stall_sources=True)  # no bits are dropped
    delivered, _ = rollout(params, [5], 4)
    offered, _ = rollout(replace(params, offered_efficiency=True), [5], 4)
    band_seconds = params.bandwidth_hz * params.slots * params.slot_s
    for before, after, other in zip(delivered[:-1], delivered[1:], offered[1:], strict=True):
        inflow = before.bits.sum(axis=(2, 3)) + after.arrived_bits.sum(axis=-1)
        left = after.bits.sum(axis=(2, 3))
        np.testing.assert_allclose(inflow - left, after.spectral_efficiency * band_seconds)
        assert (other.spectral_efficiency >= after.spectral_efficiency - 1e-9).all()
        np.testing.assert_array_equal(other.in_time, after.in_time)  # only the figure differs
    assert offered[-1].spectral_efficiency.sum() > delivered[-1].spectral_efficiency.sum() * 1.01


def test_queues_are_wiped_only_on_request():
    params = replace(TIGHT, stall_sources=True)  # nothing is dropped at full buffers
    kept, _ = rollout(params, [2], 3, (0.2, 0.2, 0.2))
    wiped, _ = rollout(replace(params, wipe_queues=True), [2], 3, (0.2, 0.2, 0.2))
    assert kept[-1].backlog.sum() > 0
    assert (kept[-1].dropped == 0).all()
    assert (wiped[-1].backlog == 0).all()
    assert (wiped[-1].bits == 0).all()
    assert wiped[-1].dropped.sum() > 0


def test_full_buffers_drop_packets_or_stall_their_sources():
    silent = (0, 0, 0)
    dropped, _ = rollout(TIGHT, [3], 2, silent)
    stalled, _ = rollout(replace(TIGHT, stall_sources=True), [3], 2, silent)
    full = np.broadcast_to(TIGHT.buffer * np.array(TIGHT.users), (1, 7, 3))
    for states in (dropped, stalled):
        np.testing.assert_array_equal(states[-1].backlog, full)
    assert (dropped[-1].dropped > 0).all()
    assert (stalled[-1].dropped == 0).all()
    total = stalled[-2].packets + stalled[-1].packets
    np.testing.assert_array_equal(total, full)


def test_the_round_robin_gives_every_block_and_the_public_one_does_not():
    params = replace(TIGHT, users=(9, 9, 9), layers=0.01, slots=80)  # everybody has packets
    split = (2 / 3, 2 / 3, 2 / 3)  # 3 blocks each
    right, _ = rollout(params, [7], 2, split)
    public, _ = rollout(replace(params, pointer_by_number=True), [7], 2, split)
    np.testing.assert_allclose(right[-1].utilisation, 9 / 11)
    assert public[-1].utilisation.max() < 0.95 * 9 / 11


def test_users_are_dropped_in_a_disc_or_in_a_square():
    disc = ns.reset(DEFAULT, generators([0])).user_m
    square = ns.reset(replace(DEFAULT, square_drop=True), generators([0])).user_m
    radius = np.linalg.norm(disc, axis=-1)
    assert radius.max() <= 40.0
    assert radius.mean() == pytest.approx(80 / 3, rel=0.03)
    assert np.abs(square).max() <= 40.0
    assert np.abs(square).mean() == pytest.approx(20.0, rel=0.03)
    assert np.linalg.norm(square, axis=-1).max() > 45.0
