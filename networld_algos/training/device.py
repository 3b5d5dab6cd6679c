"""The device of a model: chosen by name, and named in result rows."""

from __future__ import annotations

from functools import lru_cache

import torch

DEVICES = ("cpu", "cuda", "auto")
"""Names that commands accept; ``"auto"`` is a GPU if PyTorch finds one, otherwise the CPU."""


def resolve_device(name: str) -> str:
    """``"cpu"`` or ``"cuda"`` for one of `DEVICES`.

    Raises:
        ValueError: If the name is unknown, or ``"cuda"`` is not there; the message says why, and
            what to do.
    """
    if name not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}; got {name!r}")
    if name == "cpu":
        return name
    if torch.cuda.is_available():
        return "cuda"
    if name == "auto":
        return "cpu"
    raise ValueError(f"device 'cuda' cannot be used: {_reason()}, or use --device cpu")


def shared_devices(name: str) -> tuple[str, ...]:
    """Every device of that kind that this process sees, for runs that take turns.

    Args:
        name: ``"cpu"`` or ``"cuda"``, from `resolve_device`.

    Returns:
        ``("cuda:0", "cuda:1")`` on a machine with two GPUs; ``("cpu",)`` for CPUs.
    """
    if name == "cpu":
        return (name,)
    return tuple(f"cuda:{i}" for i in range(max(1, torch.cuda.device_count())))


@lru_cache
def device_name(device: str) -> str:
    """A device as rows record it: ``"cpu"``, or ``"cuda, NVIDIA A100-SXM4-80GB"``.

    The processor of a CPU is part of `networld_algos.training.cpu.machine`.
    """
    kind = torch.device(device).type
    return f"{kind}, {torch.cuda.get_device_name(device)}" if kind == "cuda" else kind


def _reason() -> str:
    """Why there is no CUDA device, and what to do, as the middle of a sentence."""
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f"this PyTorch ({torch.__version__}) was built without it. Install a build for your "
            "GPU (https://pytorch.org/get-started/locally)"
        )
    return (
        "PyTorch finds no GPU. Check the driver with nvidia-smi, and that CUDA_VISIBLE_DEVICES "
        "does not hide the GPU"
    )
