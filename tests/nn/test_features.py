"""Features of observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos.nn.features import ObsFeatures, RunningStandardiser, shuffle_last_action


def test_shuffled_last_actions_are_those_of_others_and_nothing_else_moves():
    obs = torch.arange(60.0).reshape(5, 4, 3)
    generator = torch.Generator().manual_seed(0)
    out = shuffle_last_action(obs, (0, 2), 1.0, generator)
    torch.testing.assert_close(out[..., 1], obs[..., 1])
    for column in (0, 2):
        torch.testing.assert_close(
            out[..., column].flatten().sort().values, obs[..., column].flatten()
        )
    torch.testing.assert_close(out[..., 2], out[..., 0] + 2)  # columns travel together
    assert (out != obs).any()
    assert shuffle_last_action(obs, (0, 2), 0.0, generator) is obs
    assert shuffle_last_action(obs, (), 1.0, generator) is obs
    many = torch.arange(3000.0).reshape(-1, 3)
    kept = shuffle_last_action(many, (0,), 0.3, generator)[:, 0] == many[:, 0]
    assert abs(float(kept.float().mean()) - 0.7) < 0.05


def test_features_are_standardised_over_real_observations(toy):
    data = toy("box").collect(40, length=12)
    data.obs[-1, int(data.lengths[-1]) + 1 :] = 1e7  # padding must not count
    features = ObsFeatures(data.spec.obs_dim)
    features.fit(data)
    out = features(torch.as_tensor(data.obs[:-1])).flatten(0, 2)
    torch.testing.assert_close(out[:, :4].mean(0), torch.zeros(4), atol=0.05, rtol=0)
    torch.testing.assert_close(out[:, :4].std(0), torch.ones(4), atol=0.05, rtol=0)
    assert out[:, -1].abs().max() == 0  # the constant


def test_features_are_clipped_to_the_range_of_their_data(toy):
    data = toy("box").collect(8, length=12)
    features = ObsFeatures(data.spec.obs_dim)
    far = torch.as_tensor(data.obs[0, 0] * 0 + 1e6)
    assert (features(far).abs() == 10.0).any()  # before the range is known
    features.fit(data)
    seen = torch.as_tensor(data.obs[:, :2])
    free = (features._values(seen) - features.mean) / features.std
    assert (features(seen) == free).all()  # data is never clipped
    assert (features(far) == features.high).all()
    wider = toy("box").collect(8, length=12)
    wider.obs[0, 0] += 50.0
    before = features.low.clone(), features.high.clone(), features.mean.clone()
    features.widen(wider)
    assert (features.low <= before[0]).all()
    assert (features.high >= before[1]).all()
    assert (features.high > before[1]).any()
    torch.testing.assert_close(features.mean, before[2])
    old = {k: v for k, v in features.state_dict().items() if k not in ("low", "high")}
    other = ObsFeatures(data.spec.obs_dim)
    other.load_state_dict(old)  # of an earlier version
    assert (other.high == 10.0).all()


@pytest.mark.parametrize("kind", ["linear", "both"])
def test_reflected_windows_are_within_the_range(toy, kind):
    data = toy("box").collect(3, length=6)
    data.obs[..., 0] = np.abs(data.obs[..., 0])  # one sign in the data
    mirrored = replace(data, spec=replace(data.spec, mirrored_obs=(0,)))
    for columns in (None, np.array([0, 2]), np.array([[0], [1]])):
        features = ObsFeatures(data.spec.obs_dim, kind, columns)
        features.fit(mirrored)
        seen = torch.as_tensor(data.obs).clone()
        seen[..., 0] *= -1.0
        torch.testing.assert_close(features(seen), features.unclipped(seen))
        features.fit(data)
        if columns is None or columns.ndim == 1:  # else the other entity has a wider range
            assert not torch.allclose(features(seen), features.unclipped(seen))
        features.widen(mirrored)
        torch.testing.assert_close(features(seen), features.unclipped(seen))


def test_a_column_of_small_numbers_is_no_constant(toy):
    """Such as the noise power in watts."""
    data = toy("box").collect(6, length=12)
    data.obs[..., 0] *= 1e-12
    data.obs[..., 2] = 1e6  # a constant far from zero
    features = ObsFeatures(data.spec.obs_dim)
    features.fit(data)
    out = features(torch.as_tensor(data.obs)).flatten(0, 2)
    assert abs(float(out[:, 0].std()) - 1.0) < 0.1
    assert out[:, 2].abs().max() < 1e-3


def test_running_statistics_approach_those_of_the_data():
    torch.manual_seed(0)
    standardiser = RunningStandardiser(2, momentum=0.1)
    for _ in range(100):
        x = torch.randn(500, 2) * torch.tensor([3.0, 0.1]) + torch.tensor([5.0, -1.0])
        out = standardiser.batch(x)
        torch.testing.assert_close(out.var(0, correction=0), torch.ones(2), atol=1e-2, rtol=0)
    torch.testing.assert_close(standardiser.var.sqrt(), torch.tensor([3.0, 0.1]), rtol=0.05, atol=0)
    torch.testing.assert_close(standardiser(x).mean(0), torch.zeros(2), atol=0.2, rtol=0)
