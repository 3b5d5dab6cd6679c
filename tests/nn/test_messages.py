"""Lost messages are replaced by the last ones, until those are too old."""

from __future__ import annotations

import torch

from networld_algos.data.neighbours import mean_over_neighbours
from networld_algos.nn.messages import receive


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
