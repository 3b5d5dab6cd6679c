"""One thread and oneDNN's matrix products, set by the command line and the benchmark."""

from __future__ import annotations

import torch

from networld_algos.cpu import SWITCH, configure_cpu


def test_products_are_as_exact_as_promised_and_can_be_left_alone(monkeypatch):
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(64, 128, generator=g), torch.randn(128, 32, generator=g)
    exact = a.double() @ b.double()
    monkeypatch.setenv(SWITCH, "0")
    assert configure_cpu() == "default"
    assert configure_cpu("cuda") == "default"
    assert torch.get_float32_matmul_precision() == "highest"
    monkeypatch.delenv(SWITCH)
    expected = "oneDNN" if torch.backends.mkldnn.is_available() else "default"
    assert configure_cpu() == expected
    assert torch.get_num_threads() == 1
    assert (torch.get_float32_matmul_precision() == "medium") is (expected == "oneDNN")
    worst = (a.abs().double() @ b.abs().double()) * 2.0**-7  # both factors rounded to bfloat16
    assert ((a @ b - exact).abs() <= worst).all()
