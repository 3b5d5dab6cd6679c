"""How this machine computes: one thread, matrix products by oneDNN."""

from __future__ import annotations

import torch


def single_thread() -> None:
    """Use one thread, and oneDNN for products of single-precision matrices.

    The suites run one process for each core. PyTorch multiplies single-precision matrices with MKL,
    which on an AMD CPU reaches half the speed of oneDNN (measured by `benchmarks/training.py`, with
    and without ``--mkl``). PyTorch takes oneDNN where products may be rounded as bfloat16 is. On
    a CPU with units for bfloat16 matrices (AMX) they then are; on others they stay as exact as
    MKL's. Holds for the whole process.
    """
    torch.set_num_threads(1)
    products = getattr(torch.backends.mkldnn, "matmul", None)  # PyTorch 2.9 and later
    if products is not None and torch.backends.mkldnn.is_available():
        products.fp32_precision = "bf16"
