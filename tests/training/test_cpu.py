"""One thread and oneDNN's matrix products, set by the command line and the benchmark."""

from __future__ import annotations

import pytest
import torch

from networld_algos.bench.job import ENVIRONMENT, Job
from networld_algos.bench.paths import Paths
from networld_algos.bench.presets import get_suite
from networld_algos.bench.unroll import unroll
from networld_algos.bench.worker import perform
from networld_algos.training.cpu import SWITCH, configure_cpu, machine


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
    assert machine().startswith(f"torch {torch.__version__}, {expected} products, ")
    worst = (a.abs().double() @ b.abs().double()) * 2.0**-7  # both factors rounded to bfloat16
    assert ((a @ b - exact).abs() <= worst).all()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
@pytest.mark.parametrize(("switch", "precision"), [("0", "highest"), ("1", "medium")])
def test_a_worker_elsewhere_computes_as_its_runner_says(monkeypatch, tmp_path, switch, precision):
    assert SWITCH in ENVIRONMENT
    monkeypatch.setenv(SWITCH, "1" if switch == "0" else "0")  # there, before the job comes
    run = next(r for r in unroll(get_suite("smoke")) if r.stage == "reference")
    outcome = perform(Job(run, Paths(tmp_path), False, {}, {}, {SWITCH: switch}))
    assert not outcome.error
    assert torch.get_float32_matmul_precision() == precision
