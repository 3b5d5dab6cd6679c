from __future__ import annotations

import numpy as np
import pytest
import torch

from networld_algos.data import neighbours
from networld_algos.data.batch import WindowSampler
from networld_algos.data.neighbours import gather_neighbours, mean_over_neighbours
from networld_algos.nn.features import ObsFeatures, RunningStandardiser, shuffle_last_action
from networld_algos.nn.messages import receive


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


def test_fractions_are_nested_and_splits_disjoint(toy):
    data = toy("box").collect(20)
    seen: set[float] = set()
    for fraction in (0.001, 0.1, 0.3, 1.0):
        part = data.fraction(fraction, seed=3)
        names = {float(x) for x in part.obs[:, 0, 0, 0]}
        assert seen <= names
        assert len(part) == max(1, round(fraction * 20))
        seen = names
    train, held = data.split(0.1, seed=0)
    assert len(train) == 18
    assert not set(train.obs[:, 0, 0, 0]) & set(held.obs[:, 0, 0, 0])
    single = data.take(np.arange(1))
    assert single.split(0.1, seed=0) == (single, None)
    with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\], got 0"):
        data.fraction(0.0, seed=0)


@pytest.mark.parametrize(("window", "size"), [(0, 1), (1, 0)])
def test_sampler_rejects_empty_batches(toy, window, size):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        WindowSampler(toy("box").collect(2), window, size)


def random_table(rng, agents=7, slots=4):
    table = rng.integers(-1, agents, size=(2, agents, slots))
    table[0, 0] = -1
    return torch.as_tensor(table)


@pytest.mark.parametrize("dense_agents", [0, 256])
def test_mean_over_neighbours_against_a_loop(dense_agents, monkeypatch):
    monkeypatch.setattr(neighbours, "DENSE_AGENTS", dense_agents)
    rng = np.random.default_rng(0)
    table, values = random_table(rng), torch.as_tensor(rng.normal(size=(2, 7, 3)))
    mean, present = mean_over_neighbours(values, table)
    for e in range(2):
        for i in range(7):
            near = [values[e, j] for j in table[e, i].tolist() if j >= 0]
            want = torch.stack(near).mean(0) if near else torch.zeros(3)
            torch.testing.assert_close(mean[e, i], want.to(mean.dtype))
            assert present[e, i].item() == float(bool(near))
    assert gather_neighbours(values, table).shape == (2, 7, 4, 3)


def test_lost_messages_are_replaced_until_too_old():
    table = torch.tensor([[[1, 2], [0, -1], [-1, -1]]])
    lost = torch.tensor([[[-1, 2], [-1, -1], [-1, -1]]])
    first, second = torch.arange(3.0).view(1, 3, 1), 10 + torch.arange(3.0).view(1, 3, 1)
    mean, present, carry = receive(first, table, {}, 2)
    want, has = mean_over_neighbours(first, table)
    torch.testing.assert_close(mean, want)
    torch.testing.assert_close(present, has)
    for _ in range(2):
        mean, present, carry = receive(second, lost, carry, 2)
        assert mean.flatten().tolist() == [(1 + 12) / 2, 0.0, 0.0]
        assert present.flatten().tolist() == [1.0, 1.0, 0.0]
    mean, present, carry = receive(second, lost, carry, 2)  # now age 3 > 2
    assert mean.flatten().tolist() == [12.0, 0.0, 0.0]
    assert present.flatten().tolist() == [1.0, 0.0, 0.0]
    mean, present, _ = receive(second, lost, receive(first, table, {}, 0)[2], 0)
    assert present.flatten().tolist() == [1.0, 0.0, 0.0]


def test_features_are_standardised_over_real_observations(toy):
    data = toy("box").collect(40, length=12)
    data.obs[-1, int(data.lengths[-1]) + 1 :] = 1e7  # padding must not count
    features = ObsFeatures(data.spec.obs_dim)
    features.fit(data, chunk=7)
    out = features(torch.as_tensor(data.obs[:-1])).flatten(0, 2)
    torch.testing.assert_close(out[:, :4].mean(0), torch.zeros(4), atol=0.05, rtol=0)
    torch.testing.assert_close(out[:, :4].std(0), torch.ones(4), atol=0.05, rtol=0)
    assert out[:, -1].abs().max() == 0  # the constant


def test_running_statistics_approach_those_of_the_data():
    torch.manual_seed(0)
    standardiser = RunningStandardiser(2, momentum=0.1)
    for _ in range(100):
        x = torch.randn(500, 2) * torch.tensor([3.0, 0.1]) + torch.tensor([5.0, -1.0])
        out = standardiser.batch(x)
        torch.testing.assert_close(out.var(0, correction=0), torch.ones(2), atol=1e-2, rtol=0)
    torch.testing.assert_close(standardiser.var.sqrt(), torch.tensor([3.0, 0.1]), rtol=0.05, atol=0)
    torch.testing.assert_close(standardiser(x).mean(0), torch.zeros(2), atol=0.2, rtol=0)
