"""Shuffled data: a control for pre-training, in which there is nothing left to learn.

Observations, actions and rewards are permuted, each on its own, over all episodes, steps and agents
of the data. Every column keeps its distribution, so statistics, bins and scales of a model are
those of the real data. What an agent observes no longer says anything about its action, its reward,
its next observation or its neighbours. A model that starts from such a pre-training has had as many
updates on numbers of the same kind. If it learns a task as fast as a model that was pre-trained on
real data, then the latter has carried over nothing of what it had learned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_algos.data.episodes import Episodes
from networld_algos.data.streams import Stream


def shuffled(episodes: Episodes, seed: int) -> Episodes:
    """The same episodes with shuffled content; lengths, ends and neighbours stay.

    Args:
        episodes: The data; it is not changed.
        seed: Chooses the permutations.
    """
    rng = np.random.default_rng([seed, Stream.SHUFFLE])
    steps = episodes.step_mask  # (K, T)
    states = np.arange(episodes.obs.shape[1]) <= episodes.lengths[:, None]  # (K, T+1)
    return replace(
        episodes,
        obs=_permuted(episodes.obs, states, rng),
        actions=_permuted(episodes.actions, steps, rng),
        rewards=_permuted(episodes.rewards, steps, rng),
    )


def _permuted(
    array: NDArray[Any], real: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[Any]:
    """A copy in which the entries of all agents in real steps have changed places."""
    rows = array[real]  # (real steps, N, ...)
    flat = rows.reshape(-1, *rows.shape[2:])
    out = np.array(array)
    out[real] = flat[rng.permutation(len(flat))].reshape(rows.shape)
    return out
