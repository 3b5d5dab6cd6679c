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

    The suites run one process per core. PyTorch multiplies such matrices with MKL, which is half as
    fast as oneDNN on an AMD CPU. It switches to oneDNN if it may round factors to bfloat16
    (``torch.set_float32_matmul_precision("medium")``). Only a CPU with units for bfloat16 matrices
    (AMX) then rounds; its scores differ from another machine's by more than rounding in single
    precision. The setting holds for the whole process.

    Args:
        device: Where the model is. Anything but ``"cpu"`` keeps PyTorch's products.

    Returns:
        ``"oneDNN"`` or ``"default"``.
    """
    torch.set_num_threads(1)
    if device != "cpu" or os.environ.get(SWITCH) == "0" or not torch.backends.mkldnn.is_available():
        return "default"
    torch.set_float32_matmul_precision("medium")
    return "oneDNN"


def machine() -> str:
    """Version of PyTorch, its matrix products and the processor, as rows record them."""
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
