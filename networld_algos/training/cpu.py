"""CPU settings of the commands and the benchmark: one thread, matrix products by oneDNN."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path

import torch

SWITCH = "NETWORLD_ONEDNN"
"""Environment variable; 0 keeps PyTorch's default matrix products."""


def configure_cpu(device: str = "cpu") -> str:
    """Use one thread and, for models on a CPU, oneDNN's products of single-precision matrices.

    The suites run one process per core, hence one thread. PyTorch multiplies single-precision
    matrices with MKL, which is slower than oneDNN on AMD CPUs. It switches to oneDNN if it may
    round factors to bfloat16 (``torch.set_float32_matmul_precision("medium")``). Only CPUs with
    bfloat16 matrix units (AMX) then actually round, and their scores differ from those of other
    machines by more than single-precision rounding. The setting applies to the whole process.

    Args:
        device: Device of the model. Any other than ``"cpu"`` keeps PyTorch's products.

    Returns:
        ``"oneDNN"`` or ``"default"``.
    """
    torch.set_num_threads(1)
    if device != "cpu" or os.environ.get(SWITCH) == "0" or not torch.backends.mkldnn.is_available():
        return "default"
    torch.set_float32_matmul_precision("medium")
    return "oneDNN"


def machine() -> str:
    """PyTorch version, matrix products and processor, as rows record them."""
    # Nothing but `configure_cpu` sets "medium".
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
