from __future__ import annotations

import pytest
import torch

from networld_algos.nn.action_head import DECODES, ActionHead
from networld_algos.nn.twohot import TwoHot, symexp, symlog
from networld_envs.spec import TaskSpec

BOX = TaskSpec("box", 3, 4, "box", 2, (-1.0, 0.0), (1.0, 1e7), 1)
ORDERED = TaskSpec("ordered", 3, 4, "ordered", 1, (0.0,), (40.0,), 1)
DISCRETE = TaskSpec("discrete", 3, 4, "discrete", 1, (1.0,), (4.0,), 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_symlog_inverts():
    x = torch.tensor([-1e7, -3.0, -1e-4, 0.0, 1e-4, 3.0, 1e7], dtype=torch.float64)
    torch.testing.assert_close(symexp(symlog(x)), x)
    torch.testing.assert_close(symlog(torch.tensor(torch.e - 1)), torch.tensor(1.0))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1e7), (-2500.0, -3.0)])
def test_two_hot_round_trip(low, high):
    bins = TwoHot(1, 51)
    bins.set_range(torch.tensor([low]), torch.tensor([high]))
    x = torch.linspace(low, high, 333)[:, None]
    lower, weight = bins.target(x)
    p = torch.zeros(333, 1, 51).scatter(-1, lower[..., None], 1 - weight[..., None])
    p = p.scatter_add(-1, lower[..., None] + 1, weight[..., None])
    torch.testing.assert_close(bins.expectation(p), x, rtol=1e-4, atol=1e-5)
    grid = symlog(bins.centres[0]).diff()  # uniform in the symlog domain
    torch.testing.assert_close(grid, grid[:1].expand_as(grid))


def test_values_outside_the_range_are_clamped_and_columns_independent():
    bins = TwoHot(2, 11)
    bins.set_range(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 100.0]))
    lower, weight = bins.target(torch.tensor([[5.0, -5.0], [-5.0, 1e9]]))
    assert lower.tolist() == [[9, 0], [0, 9]]
    assert weight.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_uniform_distribution_over_a_symmetric_range_has_mean_zero_exactly():
    for count in (50, 51):
        bins = TwoHot(1, count)
        bins.set_range(torch.tensor([-1e7]), torch.tensor([1e7]))
        assert bins.expectation(torch.full((1, 1, count), 1 / count)).item() == 0.0


def test_cross_entropy_is_least_at_the_target():
    bins = TwoHot(1, 21)
    value = torch.tensor([[0.33]])
    lower, weight = bins.target(value)
    p = torch.full((1, 1, 21), 1e-9)
    p[0, 0, lower] = 1 - weight[0, 0]
    p[0, 0, lower + 1] = weight[0, 0]
    entropy = -(p * p.log()).sum()
    torch.testing.assert_close(bins.loss(p.log(), value)[0, 0], entropy, atol=1e-5, rtol=0)
    assert bins.loss(torch.zeros(1, 1, 21), value) > entropy


def test_range_must_be_finite_and_is_widened_when_empty():
    bins = TwoHot(1, 5)
    with pytest.raises(ValueError, match="must be finite"):
        bins.set_range(torch.tensor([0.0]), torch.tensor([float("inf")]))
    bins.set_range(torch.tensor([3.0]), torch.tensor([3.0]))
    torch.testing.assert_close(
        bins.expectation(torch.eye(5)[:1, None]), torch.tensor([[3.0]]), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("spec", [BOX, ORDERED, DISCRETE], ids=lambda s: s.task)
@pytest.mark.parametrize("how", DECODES)
def test_decoded_actions_are_legal(spec, how):
    torch.manual_seed(0)
    head = ActionHead(spec, 8, 51)
    actions = head.decode(head(5 * torch.randn(200, 8)), how, 1.0, generator())
    low, high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
    rows = actions.view(200, spec.action_dim)
    assert ((rows >= low) & (rows <= high)).all()
    assert actions.dtype == (torch.float32 if spec is BOX else torch.int64)
    assert len(torch.unique(actions)) > 3


def test_choices_below_the_least_action_are_never_taken():
    head = ActionHead(DISCRETE, 8, 51)
    with torch.no_grad():
        head.linear.bias[0] = 100.0  # choice 0 is below action_low
    for how in DECODES:
        assert 0 not in head.decode(head(torch.randn(300, 8)), how, 1.0, generator()).tolist()


def test_ways_to_decode_an_ordered_action_with_two_modes():
    head = ActionHead(ORDERED, 4, 51)
    p = torch.full((1, 1, 41), 1e-9)
    p[..., 10], p[..., 12], p[..., 35] = 0.5, 0.1, 0.4
    logits = p.log()
    assert head.decode(logits, "argmax", 1.0, generator()).item() == 10
    expected = round((10 * 0.5 + 12 * 0.1) / 0.6)  # the mode at 35 does not count
    assert head.decode(logits, "expectation", 1.0, generator()).item() == expected
    drawn = head.decode(logits.expand(4000, -1, -1), "sample", 1.0, generator())
    shares = torch.bincount(drawn, minlength=41)[[10, 12, 35]] / 4000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.1, 0.4]), atol=0.03, rtol=0)
    cold = head.decode(logits.expand(4000, -1, -1), "sample", 0.1, generator())
    assert (cold == 10).float().mean() > 0.85


def test_argmax_of_a_box_reads_a_two_hot_exactly_and_ignores_other_modes():
    head = ActionHead(BOX, 4, 51)
    head.set_range(torch.tensor([-0.5, 100.0]), torch.tensor([9.0, 5e6]))
    assert head.twohot.high.tolist() == [1.0, 5e6]  # within the bounds of the space
    value = torch.tensor([[0.123, 34567.0]])
    lower, weight = head.twohot.target(value)
    p = torch.full((1, 2, 51), 1e-12)
    p.scatter_(-1, lower[..., None], 0.7 * (1 - weight[..., None]))
    p.scatter_(-1, lower[..., None] + 1, 0.7 * weight[..., None])
    exact = head.decode(p.log(), "argmax", 1.0, generator())
    p[..., 50] += 0.3
    torch.testing.assert_close(exact, value, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(head.decode(p.log(), "argmax", 1.0, generator()), exact)
    assert (head.decode(p.log(), "expectation", 1.0, generator()) > exact).all()


def test_unknown_decode_is_named():
    head = ActionHead(BOX, 4, 51)
    with pytest.raises(ValueError, match="got 'mean'"):
        head.decode(head(torch.zeros(1, 4)), "mean", 1.0, generator())
