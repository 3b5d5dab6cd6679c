"""One thread and oneDNN's matrix products, set by the command line and the benchmark."""

from __future__ import annotations

import torch

from networld_algos.threads import single_thread


def test_products_stay_close_to_double_precision():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(64, 128, generator=g), torch.randn(128, 32, generator=g)
    exact = a.double() @ b.double()
    single_thread()
    assert torch.get_num_threads() == 1
    assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    worst = (a.abs().double() @ b.abs().double()) * 2.0**-7  # both factors rounded to bfloat16
    assert ((a @ b - exact).abs() <= worst).all()


def test_the_setting_of_another_test_is_gone():
    assert torch.backends.mkldnn.matmul.fp32_precision != "bf16"
