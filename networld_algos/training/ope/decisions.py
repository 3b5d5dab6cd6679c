"""What a policy would have done at every recorded step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from networld_algos.base import Algorithm
from networld_algos.data.episodes import Episodes


def decide(
    algorithm: Algorithm,
    episodes: Episodes,
    seed: int = 0,
    on_step: Callable[[], None] | None = None,
) -> NDArray[Any]:
    """Let an algorithm decide at every recorded observation, the final ones included.

    Its memory (`carry`) comes from the recorded observations, as if it had watched the episode.
    What it decides has no effect on what it sees next.

    Args:
        algorithm: Trained for the task of the episodes.
        episodes: ``K`` episodes of ``N`` agents.
        seed: Seed of the algorithm's own randomness.
        on_step: Called after each step.

    Returns:
        ``(K, T+1, N, A)`` float32 or ``(K, T+1, N)`` int64. Where an episode is shorter than the
        longest, the rest means nothing.

    Raises:
        ValueError: If the algorithm does not know the task, or observations or actions of the
            episodes have another size than the model's (names the field).
    """
    known, given = algorithm.known(episodes.spec.task), episodes.spec
    if field := known.mismatch(given):
        raise ValueError(
            f"the model was trained for task {known.task!r} with {field}="
            f"{getattr(known, field)!r}, but the dataset has {getattr(given, field)!r}"
        )
    device = next(algorithm.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    table = torch.from_numpy(episodes.neighbours.astype(np.int64)).to(device)
    carry = algorithm.initial_carry(len(episodes), known.task)
    training, chosen = algorithm.training, []
    algorithm.eval()
    with torch.no_grad():
        for t in range(episodes.obs.shape[1]):
            # A copy, because a memory-mapped array is read-only.
            obs = torch.from_numpy(np.array(episodes.obs[:, t], np.float32)).to(device)
            actions, carry = algorithm.act(obs, table, carry, generator)
            chosen.append(actions.cpu().numpy())
            if on_step is not None:
                on_step()
    algorithm.train(training)
    return np.stack(chosen, axis=1)
