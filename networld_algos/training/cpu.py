"""How commands and benchmark compute on a CPU: one thread, matrix products by oneDNN."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path

import torch

SWITCH = "NETWORLD_ONEDNN"
"""Environment variable; with 0 PyTorch multiplies matrices as it does by default."""


def configure_cpu(device: str = "cpu") -> str:
    """Use one thread, and on a CPU oneDNN for products of single-precision matrices.

    The suites run one process for each core. PyTorch multiplies such matrices with MKL, which on an
    AMD CPU reaches half the speed of oneDNN, and takes oneDNN once it may round factors to bfloat16
    (``torch.set_float32_matmul_precision("medium")``). A CPU with units for bfloat16 matrices
    (AMX) then does so: scores there differ from another machine's by more than rounding in single
    precision. Others keep single precision. Holds for the whole process.

    Args:
        device: What is computed on. Anything but ``"cpu"`` keeps PyTorch's products.

    Returns:
        ``"oneDNN"`` or ``"default"``.
    """
    torch.set_num_threads(1)
    if device != "cpu" or os.environ.get(SWITCH) == "0" or not torch.backends.mkldnn.is_available():
        return "default"
    torch.set_float32_matmul_precision("medium")
    return "oneDNN"


def machine() -> str:
    """What this process computes on: version of PyTorch, its matrix products, processor."""
    # "medium" is what `configure_cpu` sets, and nobody else's default.
    products = "oneDNN" if torch.get_float32_matmul_precision() == "medium" else "default"
    return f"torch {torch.__version__}, {products} products, {_processor()}"


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
