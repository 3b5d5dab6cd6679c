"""One thread and the faster matrix products, set by the command line and the benchmark."""

from __future__ import annotations

import time

import pytest
import torch

from networld_algos import make
from networld_algos.bench.job import Job
from networld_algos.bench.paths import Paths
from networld_algos.bench.presets import get_suite
from networld_algos.bench.unroll import unroll
from networld_algos.bench.worker import perform
from networld_algos.training import cpu
from networld_algos.training.cpu import (
    PRECISION,
    SWITCH,
    configure_cpu,
    faster_products,
    keep_products,
    machine,
    shared_environment,
    training_clock,
)
from networld_algos.training.run import Training, resume, run_training

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")


@pytest.fixture(autouse=True)
def measured_anew(monkeypatch):
    monkeypatch.delenv(SWITCH, raising=False)
    faster_products.cache_clear()
    yield
    faster_products.cache_clear()


def timed(monkeypatch, **seconds):
    """Let products take these times; returns the list of what was timed."""
    seen = []

    def product_seconds():
        seen.append(torch.get_float32_matmul_precision())
        # What else runs on the machine slows some of them down.
        return seconds[seen[-1]] * (1 if len(seen) in (5, 6) else 10)

    monkeypatch.setattr(cpu, "_product_seconds", product_seconds)
    return seen


@needs_onednn
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [({"medium": 2.0, "highest": 1.0}, "default"), ({"medium": 1.0, "highest": 1.5}, "oneDNN")],
)
def test_the_faster_products_are_taken_and_timed_once(monkeypatch, seconds, expected):
    seen = timed(monkeypatch, **seconds)
    for _ in range(3):
        assert configure_cpu() == expected
        assert torch.get_float32_matmul_precision() == PRECISION[expected]
        assert machine().startswith(f"torch {torch.__version__}, {expected} products, ")
        torch.set_float32_matmul_precision("highest")
    assert len(seen) == 2 * cpu.REPEATS
    assert torch.get_num_threads() == 1


@needs_onednn
def test_a_real_measurement_chooses_one_and_leaves_the_setting_alone():
    assert faster_products() in PRECISION
    assert torch.get_float32_matmul_precision() == "highest"


@needs_onednn
def test_a_user_can_say_which(monkeypatch):
    seen = timed(monkeypatch)
    for switch, expected in (("0", "default"), ("1", "oneDNN")):
        monkeypatch.setenv(SWITCH, switch)
        assert configure_cpu() == expected
        assert configure_cpu("cuda") == "default"
    assert not seen
    monkeypatch.setenv(SWITCH, "yes")
    with pytest.raises(ValueError, match=f"{SWITCH} must be 0 or 1, or not be set; got 'yes'"):
        configure_cpu()


def test_trainings_on_one_core_are_timed_without_what_else_the_machine_does():
    configure_cpu()
    processor, wall = training_clock("cpu"), training_clock("cuda")
    begin = processor(), wall()
    time.sleep(0.2)  # as if another program had the core
    assert processor() - begin[0] < 0.1 < 0.2 <= wall() - begin[1]
    torch.set_num_threads(2)
    try:
        assert training_clock("cpu") is wall
    finally:
        torch.set_num_threads(1)


@needs_onednn
def test_a_training_goes_on_with_the_products_it_began_with(monkeypatch):
    timed(monkeypatch, medium=2.0, highest=1.0)
    configure_cpu()
    about = {}
    keep_products(about)
    assert about == {"products": "default"}
    faster_products.cache_clear()
    timed(monkeypatch, medium=1.0, highest=2.0)  # another measurement ends otherwise
    assert configure_cpu() == "oneDNN"
    keep_products(about)
    assert machine().split(", ")[1] == "default products"
    monkeypatch.setenv(SWITCH, "1")
    configure_cpu()
    keep_products(about)
    assert about == {"products": "oneDNN"}
    assert machine().split(", ")[1] == "oneDNN products"
    keep_products(other := {}, "cuda")
    assert not other


@needs_onednn
def test_a_checkpoint_keeps_the_products(toy, tmp_path):
    data = toy("box").collect(2)

    def start():
        model = make("bc", data.spec, {"hidden": 8})
        model.prepare(data, 2)
        return model

    model, progress = resume(tmp_path, start)
    assert run_training(Training([data], 2, 0, save_every=1), model, progress, tmp_path)
    torch.set_float32_matmul_precision("medium")
    _, found = resume(tmp_path, start)
    assert found.about["products"] == "default"
    assert torch.get_float32_matmul_precision() == "highest"


@needs_onednn
def test_products_are_as_exact_as_promised():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(64, 128, generator=g), torch.randn(128, 32, generator=g)
    exact = a.double() @ b.double()
    worst = (a.abs().double() @ b.abs().double()) * 2.0**-7  # both factors rounded to bfloat16
    for precision in PRECISION.values():
        torch.set_float32_matmul_precision(precision)
        assert ((a @ b - exact).abs() <= worst).all()


@needs_onednn
@pytest.mark.parametrize(("switch", "precision"), [("0", "highest"), ("1", "medium")])
def test_a_worker_elsewhere_computes_as_its_runner_says(monkeypatch, tmp_path, switch, precision):
    monkeypatch.setenv(SWITCH, switch)
    shared = shared_environment()
    monkeypatch.setenv(SWITCH, "1" if switch == "0" else "0")  # there, before the job comes
    run = next(r for r in unroll(get_suite("smoke")) if r.stage == "reference")
    outcome = perform(Job(run, Paths(tmp_path), False, {}, {}, shared))
    assert not outcome.error
    assert torch.get_float32_matmul_precision() == precision
