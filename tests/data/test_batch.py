"""Windows cut from episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos.data.batch import WindowSampler


def test_windows_are_cut_and_padded(toy):
    data = toy("ordered").collect(4, length=10)
    last = len(data) - 1
    length = int(data.lengths[last])
    batch = WindowSampler(data, 5, 2).windows(np.array([0, last]), np.array([3, length - 2]))
    assert batch.obs.shape == (2, 6, 6, 4)
    np.testing.assert_array_equal(batch.obs[0], data.obs[0, 3:9])
    np.testing.assert_array_equal(batch.actions[0], data.actions[0, 3:8])
    assert batch.mask.tolist() == [[True] * 5, [True, True, False, False, False]]
    assert batch.timesteps[0].tolist() == [3, 4, 5, 6, 7]
    for t in range(2, 6):  # past the end: the final observation, no reward, no flag
        np.testing.assert_array_equal(batch.obs[1, t], data.obs[last, length])
    assert not batch.rewards[1, 2:].any()
    assert not batch.actions[1, 2:].any()
    assert batch.truncated[1].tolist() == [False, True, False, False, False]


def test_returns_to_go_against_a_loop(toy):
    data = toy("box").collect(3, length=8)
    data.rewards[-1, int(data.lengths[-1]) :] = 1e6  # padding must not leak in
    for k in range(3):
        length = int(data.lengths[k])
        batch = WindowSampler(data, 8, 1).windows(np.array([k]), np.array([0]))
        for t in range(length):
            want = sum(data.rewards[k, s] for s in range(t, length))
            np.testing.assert_allclose(batch.returns_to_go[0, t], want, rtol=1e-5)
        assert not batch.returns_to_go[0, length:].any()


def test_sampler_covers_every_start_and_follows_its_generator(toy):
    data = toy("box").collect(3, length=6)
    sampler = WindowSampler(data, 2, 400)
    first, again = (sampler.sample(np.random.default_rng(1)) for _ in range(2))
    other = sampler.sample(np.random.default_rng(2))
    assert torch.equal(first.obs, again.obs)
    assert not torch.equal(first.obs, other.obs)
    assert set(first.timesteps[:, 0].tolist()) == set(range(6))
    assert len(torch.unique(first.obs[:, 0, 0, 0])) == int(data.lengths.sum())


@pytest.mark.parametrize(("window", "size"), [(0, 1), (1, 0)])
def test_sampler_rejects_empty_batches(toy, window, size):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        WindowSampler(toy("box").collect(2), window, size)


def test_half_of_the_windows_are_reflected_whole(toy):
    data = toy("box").collect(8)
    spec = replace(data.spec, mirrored_obs=(1, 3), mirrored_action=(0,))
    plain = WindowSampler(data, 3, 64).sample(np.random.default_rng(0))
    sampler = WindowSampler(replace(data, spec=spec), 3, 64)
    batch = sampler.sample(np.random.default_rng(0))
    sign = batch.obs[..., 1] / plain.obs[..., 1]  # (B, T+1, N)
    assert torch.equal(sign.amin((1, 2)), sign.amax((1, 2)))  # one sign for all of a window
    assert 0.3 < (sign[:, 0, 0] < 0).float().mean() < 0.7
    each = sign[:, :1, :, None]
    torch.testing.assert_close(batch.obs[..., [1, 3]], each * plain.obs[..., [1, 3]])
    torch.testing.assert_close(batch.actions[..., :1], each * plain.actions[..., :1])
    assert torch.equal(batch.obs[..., [0, 2, 4]], plain.obs[..., [0, 2, 4]])
    assert torch.equal(batch.actions[..., 1], plain.actions[..., 1])
    assert not np.shares_memory(batch.obs.numpy(), data.obs)
