"""Averaged weights: the numbers of torch's own average, with the decay of a short run."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from networld_algos.nn.optim import MovingAverage


def test_the_moving_average_is_that_of_torch_to_the_bit():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    mine = MovingAverage(model, 0.6)

    def decayed(averages, current, count):
        n = int(count)
        get_ema_multi_avg_fn(min(0.6, (1 + n) / (10 + n)))(averages, current, count)

    theirs = AveragedModel(model, multi_avg_fn=decayed)
    for step in range(12):
        model(torch.randn(5, 3))  # changes the buffers of the normalisation
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        mine.update_parameters(model)
        theirs.update_parameters(model)
        if step == 5:  # as after a checkpoint
            fresh = MovingAverage(copy.deepcopy(model), 0.6)
            fresh.load_state_dict(theirs.state_dict())
            mine = fresh
        for name, value in theirs.state_dict().items():
            assert torch.equal(value, mine.state_dict()[name]), name
    assert not any(weight.requires_grad for weight in mine.parameters())
    assert all(weight.requires_grad for weight in model.parameters())
