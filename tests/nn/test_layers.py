"""Building blocks of networks."""

from __future__ import annotations

import torch

from networld_algos.nn.layers import gated


def test_a_gated_trunk_keeps_its_shape_and_can_multiply():
    torch.manual_seed(0)
    net = torch.nn.Sequential(*gated(2, 32, 2), torch.nn.Linear(32, 1))
    x = 2 * torch.rand(512, 2) - 1
    product = x.prod(-1, keepdim=True)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((net(x) - product) ** 2).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * product.var().item()
