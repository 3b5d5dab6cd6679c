"""The dense form of a convolution equals the convolution, whatever happens to the weights."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from networld_algos.nn.convolution import Convolution
from networld_algos.nn.optim import MovingAverage, adam, descend


def make():
    return Convolution(nn.Conv1d(8, 16, 5, padding=2)).requires_grad_(False)


def step(layer, optimizer_type):
    """One step of an optimiser, with a frozen forward pass between gradient and step."""
    layer.requires_grad_(True)
    x = torch.randn(4, 8, 8)
    optimizer = optimizer_type(layer.parameters())
    layer(x).square().sum().backward()
    layer(x, frozen=True)
    optimizer.step()


def fused(layer):
    step(layer, lambda parameters: adam(parameters, 0.1))


def plain(layer):
    step(layer, lambda parameters: torch.optim.SGD(parameters, 0.1))


def load(layer):
    layer.load_state_dict(make().state_dict())


def load_and_assign(layer):
    layer.load_state_dict(make().state_dict(), assign=True)


@torch.no_grad()
def copy_from(layer):
    layer.conv.weight.copy_(make().conv.weight)


@torch.no_grad()
def in_place(layer):
    layer.conv.weight.mul_(2.0)


@torch.no_grad()
def in_place_bias(layer):
    layer.conv.bias.add_(1.0)


@torch.inference_mode()
def in_inference_mode(layer):
    layer.conv.weight.mul_(2.0)


def assign_data(layer):
    for _ in range(50):  # often enough to be given the address of the first weights again
        layer.conv.weight.data = layer.conv.weight.data * 1.1


def replace_parameter(layer):
    layer.conv.weight = nn.Parameter(2.0 * layer.conv.weight.detach(), requires_grad=False)


def through_half(layer):
    return layer.half().float()  # rounds the weights


def to_double(layer):
    return layer.double()


def to_device(layer):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.no_grad():
        layer.to(device).conv.weight.mul_(2.0)
    return layer.to("cpu")


def average(layer):
    trained = copy.deepcopy(layer).requires_grad_(True)
    ema = MovingAverage(trained, 0.5)
    x = torch.randn(4, 8, 8)
    for _ in range(2):
        ema.module(x, frozen=True)
        descend(adam(trained.parameters(), 0.1), trained(x).square().sum())
        ema.update_parameters(trained)
    return ema.module


def deep_copy(layer):
    twin = copy.deepcopy(layer)
    in_place(twin)
    return twin


@torch.inference_mode()
def copy_in_inference_mode(layer):
    twin = copy.deepcopy(layer)
    twin.conv.weight.mul_(2.0)
    return twin


ROUTES = (
    fused, plain, load, load_and_assign, copy_from, in_place, in_place_bias, in_inference_mode,
    assign_data, replace_parameter, through_half, to_double, to_device, average, deep_copy,
    copy_in_inference_mode,
)  # fmt: skip


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__)
def test_the_dense_form_follows_its_weights_by_every_route(route):
    torch.manual_seed(0)
    layer = make()
    x = torch.randn(10, 8, 8)
    before = layer(x, frozen=True)
    assert layer._dense  # otherwise nothing is tested
    changed = route(layer) or layer
    weight, bias = changed.conv.weight, changed.conv.bias
    wanted = F.conv1d(x.to(weight.dtype), weight, bias, padding=2)
    if route is not through_half and route is not to_double:
        assert (wanted - before).abs().max() > 0.01  # the weights did change
    for _ in range(2):  # built, then read
        torch.testing.assert_close(
            changed(x.to(weight.dtype), frozen=True), wanted, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv1d(8, 16, 5, padding=2),
        nn.Conv1d(8, 8, 3, stride=2, padding=1),
        nn.ConvTranspose1d(8, 8, 4, stride=2, padding=1),
    ],
)
def test_dense_convolution_equals_the_convolution_and_follows_its_weights(conv):
    layer = Convolution(conv).requires_grad_(False)
    x = torch.randn(10, 8, 8)
    for _ in range(2):
        torch.testing.assert_close(layer(x, frozen=True), conv(x), atol=1e-5, rtol=1e-4)
        with torch.no_grad():
            conv.weight.mul_(2.0)
            conv.bias.add_(1.0)
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.conv.weight.zero_()
    assert not torch.equal(twin(x, frozen=True), layer(x, frozen=True))
    assert layer._dense


def test_weights_that_are_trained_have_no_dense_form():
    layer = make().requires_grad_(True)
    x = torch.randn(10, 8, 8)
    torch.testing.assert_close(layer(x, frozen=True), layer(x), atol=0.0, rtol=0.0)
    assert not layer._dense
