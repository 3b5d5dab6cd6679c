"""The training loop: updates in a fixed order, each with its own random numbers.

Update ``u`` of a run with seed ``s`` draws its batch and its noise from generators seeded by
``(s, u)`` alone. A run that is stopped and resumed therefore gives exactly the same result as an
uninterrupted one, and no generator state has to be saved. Under ``torchrun`` all processes draw the
same batch and each works on its share of it, see `networld_algos.nn.sharding`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from networld_algos.base import Algorithm
from networld_algos.data.batch import WindowSampler
from networld_algos.data.episodes import Episodes
from networld_algos.nn import sharding
from networld_algos.training import distributed

OnUpdate = Callable[[int, dict[str, float]], None]
ShouldStop = Callable[[], bool]


def make_samplers(algorithm: Algorithm, data: Sequence[Episodes]) -> list[WindowSampler]:
    """One sampler per task, for windows of the length that the algorithm needs."""
    window, size = algorithm.window, algorithm.batch_size
    return [WindowSampler(d, window, size, weights=algorithm.episode_weights(d)) for d in data]


def train(
    algorithm: Algorithm,
    data: Sequence[Episodes],
    updates: int,
    seed: int,
    *,
    first: int = 0,
    on_update: OnUpdate | None = None,
    should_stop: ShouldStop | None = None,
) -> int:
    """Run updates ``first .. updates - 1``, alternating between the tasks.

    Args:
        algorithm: Prepared for every task in ``data``.
        data: One `Episodes` per task.
        updates: Total number of updates.
        seed: Seed of the run.
        first: Number of updates done before a resume.
        on_update: Called with (updates done, metrics) after each update.
        should_stop: Asked after each update whether to end before the next one.

    Returns:
        Number of updates done, ``updates`` unless it was stopped.

    Raises:
        FloatingPointError: If a metric stops being finite; names it and the update.
        ValueError: If several processes cannot share a batch, or their weights differ after an
            update.
        networld_algos.nn.sharding.PeerLostError: If another process of the job is gone.
    """
    share = distributed.shard()
    if share is not None:
        distributed.check_batch_size(algorithm.batch_size, share.world)
    samplers = make_samplers(algorithm, data)
    device = next(algorithm.parameters()).device
    generator = torch.Generator(device=device)
    algorithm.train()
    for update in range(first, updates):
        stream = np.random.SeedSequence([seed, update])
        generator.manual_seed(int(stream.generate_state(1, np.uint64)[0] >> 1))
        batch = samplers[update % len(samplers)].sample(np.random.default_rng(stream))
        if share is not None:
            batch = share.take(batch)
        with sharding.sharing(share):
            metrics = sharding.average_metrics(algorithm.update(batch.to(device), generator))
        if update == first:
            distributed.assert_equal(algorithm)
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        if bad:
            raise FloatingPointError(
                f"{algorithm.name}: {bad[0]} is {metrics[bad[0]]} at update {update}; "
                "try a smaller learning rate"
            )
        if on_update is not None:
            on_update(update + 1, metrics)
        if should_stop is not None and should_stop():
            return update + 1
    return max(first, updates)
