"""Data-parallel training: several processes, each with a share of every batch.

    torchrun --nproc-per-node 2 -m networld_algos train bc --task cbf --out model

The processes that ``torchrun`` starts together form a job. This module joins and leaves the job,
and `networld_algos.nn.sharding` does the arithmetic. Only process 0 writes. The backend is gloo on
CPUs and nccl on CUDA devices.
"""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn

from networld_algos.nn.sharding import Shard, peers


def shard() -> Shard | None:
    """This process's share of the job; None for a single process."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return None
    return Shard(dist.get_rank(), dist.get_world_size())


def is_chief() -> bool:
    """Whether this process writes and prints: process 0, or the only one."""
    mine = shard()
    return mine is None or mine.rank == 0


def processes() -> int:
    """Number of processes that ``torchrun`` started for this job; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(device: str = "cpu") -> Shard | None:
    """Join the job, if ``torchrun`` started this process.

    Args:
        device: ``"cpu"`` (gloo) or ``"cuda"`` (nccl, one device per process).
    """
    if processes() == 1:
        return None
    if not dist.is_initialized():
        if device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        with peers():
            dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return shard()


def stop() -> None:
    """Leave the job."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def check_batch_size(batch_size: int, world: int) -> None:
    """Reject a batch size that cannot be divided among the processes.

    Raises:
        ValueError: If ``batch_size`` is not a multiple of ``world``.
    """
    if batch_size % world:
        raise ValueError(
            f"batch_size={batch_size} is for all processes together and cannot be divided among "
            f"{world}; use a multiple of {world}"
        )


def wait() -> None:
    """Wait until every process of the job has called this."""
    if shard() is not None:
        with peers():
            dist.barrier()


def largest(value: int) -> int:
    """The largest of the values that the processes of the job give; each must call this."""
    if shard() is None:
        return value
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    found = torch.tensor(value, device=device)
    with peers():
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


@torch.no_grad()
def assert_equal(model: nn.Module) -> None:
    """Check that all processes hold the same weights.

    Raises:
        ValueError: If they do not, because an update did not average over the processes.
    """
    if shard() is None:
        return
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            continue
        low = value.detach().clone().contiguous()
        high = low.clone()
        with peers():
            dist.all_reduce(low, dist.ReduceOp.MIN)
            dist.all_reduce(high, dist.ReduceOp.MAX)
        if not torch.equal(low, high):
            raise ValueError(
                f"processes hold different values of {name!r} after an update: draw with normal() "
                "and uniform(), average with masked_mean() or row_mean(), and step with descend(), "
                "all of networld_algos.nn"
            )
