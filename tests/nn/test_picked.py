"""The inputs of the agents that an update draws are those of the whole batch, at less cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from networld_algos.data.batch import Batch, WindowSampler
from networld_algos.nn import picked as module
from networld_algos.nn.inputs import InputsConfig, LocalInputs
from networld_algos.nn.messages import drop_messages
from networld_algos.nn.picked import draw_inputs, own_features
from networld_algos.nn.sharding import Picked

B, T = 5, 3
CASES = (
    {},
    {"message": "features", "aggregate": "softmax", "message_dropout": 0.4},
    {"aggregate": "mean"},
    {"mean_field": False},
    {"entities": "flat"},
)


def batch_of(data) -> Batch:
    return WindowSampler(data, T, B).sample(np.random.default_rng(0))


@pytest.mark.parametrize("most", [4, 10_000])
@pytest.mark.parametrize("settings", CASES)
def test_drawn_inputs_and_their_gradients_are_those_of_the_whole_batch(toy, settings, most):
    data = toy("box").collect(6)
    batch = batch_of(data)
    torch.manual_seed(0)
    inputs = LocalInputs(data.spec, InputsConfig(**settings))
    inputs.fit(data)
    share = inputs.config.message_dropout
    near = drop_messages(batch.neighbours, share, torch.Generator().manual_seed(7))
    whole = inputs.of_obs(batch.obs, near)
    generator = torch.Generator().manual_seed(7)
    found, picked = draw_inputs(inputs, batch.obs, batch.neighbours, most, generator)
    n = batch.obs.shape[2]
    row, agent = picked.rows // n, picked.rows % n
    expected = whole[row, :, agent]
    assert len(found) == min(most, B * n)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    own = own_features(inputs, batch.obs[row, :, agent])
    torch.testing.assert_close(own, expected[..., : inputs.own_width])
    weights = list(inputs.parameters())
    if weights:
        pull = torch.linspace(-1, 1, expected.numel()).view_as(expected)
        ours = torch.autograd.grad((found * pull).sum(), weights)
        theirs = torch.autograd.grad((expected * pull).sum(), weights)
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_a_process_without_drawn_agents_gets_no_rows(toy, monkeypatch):
    """In a job of several processes, all drawn agents may be another's."""
    data = toy("box").collect(4)
    batch = batch_of(data)
    nobody = Picked(torch.zeros(0, dtype=torch.int64), 4, torch.zeros(0, dtype=torch.int64))
    monkeypatch.setattr(module, "pick", lambda *_: nobody)
    inputs = LocalInputs(data.spec, InputsConfig())
    found, _ = draw_inputs(inputs, batch.obs, batch.neighbours, 4, torch.Generator())
    assert found.shape == (0, T + 1, inputs.width)
