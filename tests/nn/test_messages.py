"""Lost messages are replaced by the last ones; means, maxima and differences of messages."""

from __future__ import annotations

import math

import pytest
import torch

from networld_algos.data.neighbours import mean_over_neighbours
from networld_algos.nn.messages import AGGREGATES, MeanField, collect, drop_messages
from tests.helpers.messages import received_mean


def test_lost_messages_are_replaced_until_too_old():
    table = torch.tensor([[[1, 2], [0, -1], [-1, -1]]])
    lost = torch.tensor([[[-1, 2], [-1, -1], [-1, -1]]])
    first, second = torch.arange(3.0).view(1, 3, 1), 10 + torch.arange(3.0).view(1, 3, 1)
    mean, present, carry = received_mean(first, table, {}, 2)
    want, has = mean_over_neighbours(first, table)
    torch.testing.assert_close(mean, want)
    torch.testing.assert_close(present, has)
    for _ in range(2):
        mean, present, carry = received_mean(second, lost, carry, 2)
        assert mean.flatten().tolist() == [(1 + 12) / 2, 0.0, 0.0]
        assert present.flatten().tolist() == [1.0, 1.0, 0.0]
    mean, present, carry = received_mean(second, lost, carry, 2)  # now age 3 > 2
    assert mean.flatten().tolist() == [12.0, 0.0, 0.0]
    assert present.flatten().tolist() == [1.0, 0.0, 0.0]
    mean, present, _ = received_mean(second, lost, received_mean(first, table, {}, 0)[2], 0)
    assert present.flatten().tolist() == [1.0, 0.0, 0.0]


def table_and_messages(width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Four agents: two with three neighbours, one with one, one with none."""
    table = torch.tensor([[1, 2, 3], [0, 2, 3], [0, -1, -1], [-1, -1, -1]])
    return table, torch.randn(4, width, generator=torch.Generator().manual_seed(3))


def with_beta(field: MeanField, beta: float) -> MeanField:
    assert field.log_beta is not None
    with torch.no_grad():
        field.log_beta.fill_(math.log(beta))
    return field


@pytest.mark.parametrize("extremes", [False, True])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_training_and_acting_combine_messages_alike(aggregate, extremes):
    table, sent = table_and_messages()
    field = MeanField(6, aggregate, extremes=extremes)
    combined, present = field.of_team(sent, table)
    assert combined.shape == (4, field.width)
    held, usable, _ = collect(sent[None], table[None], {}, 5)
    acting, seen = field(sent[None], held, usable)
    torch.testing.assert_close(acting[0], combined)
    assert torch.equal(seen[0], present)
    assert present.flatten().tolist() == [1.0, 1.0, 1.0, 0.0]
    assert combined[3].abs().max() == 0.0  # nobody is heard
    turned, _ = field.of_team(sent, table.roll(1, dims=1))
    torch.testing.assert_close(turned, combined)  # slots have no order


def test_the_soft_maximum_lies_between_mean_and_maximum():
    table, sent = table_and_messages()
    field = MeanField(6, "softmax")
    near = sent[1:, 3:]
    sharp = with_beta(field, 40.0).of_team(sent, table)[0][0, 3:]
    torch.testing.assert_close(sharp, near.amax(0), atol=math.log(3) / 40 + 1e-5, rtol=0.0)
    flat = with_beta(field, 1e-3).of_team(sent, table)[0][0, 3:]
    torch.testing.assert_close(flat, near.mean(0), atol=2e-3, rtol=0.0)
    torch.testing.assert_close(field.of_team(sent, table)[0][0, :3], sent[1:, :3].mean(0))


def test_a_difference_says_who_has_the_most():
    table, sent = table_and_messages()
    field = with_beta(MeanField(6, "difference", extremes=True), 45.0)
    above, below = field.of_team(sent, table)[0][:, 6:].chunk(2, dim=-1)
    first = sent[0] - sent[1:].amax(0)
    torch.testing.assert_close(above[0], first, atol=0.03, rtol=0.0)
    torch.testing.assert_close(below[0], sent[1:].amin(0) - sent[0], atol=0.03, rtol=0.0)


def test_gradients_are_finite_where_nobody_is_heard():
    table, sent = table_and_messages()
    sent.requires_grad_(True)
    field = MeanField(6, "difference")
    field.of_team(sent, table)[0].sum().backward()
    assert torch.isfinite(sent.grad).all()
    assert torch.isfinite(field.log_beta.grad).all()


def test_messages_are_lost_at_the_given_rate():
    table = torch.arange(1, 4).expand(200, 50, 3)
    lost = drop_messages(table, 0.3, torch.Generator().manual_seed(0)) < 0
    assert abs(lost.float().mean() - 0.3) < 0.01
    assert torch.equal(drop_messages(table, 0.0, torch.Generator()), table)
