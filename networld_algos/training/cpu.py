"""CPU settings of the commands and the benchmark: one thread, the faster matrix products."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

SWITCH = "NETWORLD_ONEDNN"
"""Environment variable: 1 takes oneDNN's matrix products, 0 PyTorch's default ones."""
ENVIRONMENT = ("MINARI_DATASETS_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", SWITCH)
"""Environment variables that workers, perhaps on other machines, must share with their starter."""
PRECISION = {"oneDNN": "medium", "default": "highest"}
SHAPE = (608, 256, 512)
"""Rows, inputs and outputs of the product that is timed: a layer of NetWorld in an update."""
REPEATS = 5

Products = Literal["oneDNN", "default"]


def configure_cpu(device: str = "cpu") -> Products:
    """Use one thread and, for models on a CPU, the faster products of single-precision matrices.

    The suites run one process per core, hence one thread. PyTorch multiplies single-precision
    matrices with MKL, which is slower than oneDNN on AMD CPUs and faster on some of Intel's. It
    switches to oneDNN if it may round factors to bfloat16
    (``torch.set_float32_matmul_precision("medium")``). Only CPUs with bfloat16 matrix units (AMX)
    then actually round, and their scores differ from those of other machines by more than
    single-precision rounding. Both are timed once in a process, for less than a tenth of a second,
    unless the environment variable `SWITCH` says which to take. The setting applies to the whole
    process.

    Args:
        device: Device of the model. Any other than ``"cpu"`` keeps PyTorch's products.

    Returns:
        What is used.

    Raises:
        ValueError: If `SWITCH` is neither 0 nor 1.
    """
    torch.set_num_threads(1)
    forced = os.environ.get(SWITCH, "")
    if forced not in ("", "0", "1"):
        raise ValueError(f"{SWITCH} must be 0 or 1, or not be set; got {forced!r}")
    if device != "cpu" or not torch.backends.mkldnn.is_available():
        return _use("default")
    if forced:
        return _use("oneDNN" if forced == "1" else "default")
    return _use(faster_products())


def training_clock(device: str) -> Callable[[], float]:
    """The clock, in seconds, by which trainings on a device are timed.

    On a CPU with one thread, as `configure_cpu` sets, the time is that of the processor: minutes of
    one core, to which other programs on the machine add next to nothing. With several threads or
    another device it is wall-clock time.

    Args:
        device: Type of the model's device, such as ``"cpu"``.
    """
    alone = device == "cpu" and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def shared_environment() -> dict[str, str]:
    """This process's values of the variables in `ENVIRONMENT`, as far as they are set."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


def keep_products(about: dict[str, Any], device: str = "cpu") -> None:
    """Go on with the matrix products that a training began with.

    The two round differently, so a training that is resumed with the others would end with slightly
    different weights. An environment variable `SWITCH` that is set wins.

    Args:
        about: What the checkpoint records about the training, `Progress.about`. The products are
            added if they are missing, as for a new training.
        device: Device of the model.
    """
    if device != "cpu":
        return
    if os.environ.get(SWITCH) or about.get("products") not in PRECISION:
        about["products"] = products()
    elif torch.backends.mkldnn.is_available():
        _use(about["products"])


def products() -> Products:
    """The matrix products in use."""
    # Nothing but this module sets "medium".
    return "oneDNN" if torch.get_float32_matmul_precision() == "medium" else "default"


@lru_cache(maxsize=1)
def faster_products() -> Products:
    """The faster products on this machine, by the best of a few times of each."""
    kept = torch.get_float32_matmul_precision()
    times: dict[Products, list[float]] = {"oneDNN": [], "default": []}
    try:
        for _ in range(REPEATS):  # taking turns, so that what else runs slows both down
            for name, found in times.items():
                torch.set_float32_matmul_precision(PRECISION[name])
                found.append(_product_seconds())
    finally:
        torch.set_float32_matmul_precision(kept)
    # The first time of each includes its preparation.
    return min(times, key=lambda name: min(times[name][1:]))


def _product_seconds() -> float:
    rows, inputs, outputs = SHAPE
    x, weight = torch.ones(rows, inputs), torch.ones(outputs, inputs)
    begin = time.perf_counter()
    torch.nn.functional.linear(x, weight)
    return time.perf_counter() - begin


def _use(name: Products) -> Products:
    torch.set_float32_matmul_precision(PRECISION[name])
    return name


def machine() -> str:
    """PyTorch version, matrix products and processor, as rows record them."""
    return f"torch {torch.__version__}, {products()} products, {_processor()}"


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
