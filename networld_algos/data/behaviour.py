"""How much better than usual a whole episode went: weights for data of several behaviours.

An episode of a dataset is made by one behaviour, and many decisions show only together how good it
is. So its return counts, less what its first observations predict, which no behaviour has
influenced yet (Hong et al., 2023, "Harnessing mixed offline reinforcement learning datasets via
trajectory weighting")::

    R_ki = mean over steps of the reward of agent i in episode k
    A_k  = mean over agents of R_ki - w . x_ki         x_ki: own first observation, and the mean of
                                                       the neighbours', as numbers and as symlog
    p_k  ~ length_k min(exp(beta A_k / std A), MAX_WEIGHT)

The forecast ``w . x`` is a ridge regression. An episode is judged by a fit to the others, in
`FOLDS` parts, so that it cannot explain its own luck. On CBF it explains three quarters of the
variance of the returns, which are mostly a matter of where the users are; on RB it explains
nothing, since the first backlogs are soon forgotten.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from networld_algos.data.episodes import Episodes
from networld_algos.data.neighbours import mean_over_neighbours

FOLDS = 10
RIDGE = 10.0
"""Penalty of the squared weights, beside the sum of squared errors over agents and episodes."""
MAX_WEIGHT = 20.0
FEWEST = 20
"""Fewest episodes that are weighted. Of four, one would give most windows: what is expected of an
episode is fitted to all of them, so of few it says little."""


def episode_advantages(episodes: Episodes) -> NDArray[np.float64]:
    """Return ``(K,)`` of each episode less its forecast, with mean 0 and deviation 1.

    All are zero if there is one episode, or all went alike.

    Args:
        episodes: Episodes of one task.
    """
    count = len(episodes)
    real = episodes.step_mask[:, :, None]
    sums = np.where(real, episodes.rewards, 0.0).sum(axis=1, dtype=np.float64)
    target = sums / episodes.lengths[:, None]  # (K, N)
    if count < 2:
        return np.zeros(count)
    inputs = _first_inputs(episodes)  # (K, N, F)
    fold = np.arange(count) % min(FOLDS, count)
    parts = [np.flatnonzero(fold == f) for f in range(fold.max() + 1)]
    grams = [_gram(inputs[part], target[part]) for part in parts]
    gram, moment = (np.sum(terms, axis=0) for terms in zip(*grams, strict=True))
    penalty = RIDGE * np.eye(inputs.shape[-1])
    penalty[-1, -1] = 0.0  # of the constant
    errors = np.empty(count)
    for part, (own_gram, own_moment) in zip(parts, grams, strict=True):
        weights = np.linalg.solve(gram - own_gram + penalty, moment - own_moment)
        errors[part] = (target[part] - inputs[part] @ weights).mean(axis=1)
    std = errors.std()
    if std <= 1e-9 * max(1.0, float(np.abs(target).max())):
        return np.zeros(count)
    return (errors - errors.mean()) / std


def episode_weights(episodes: Episodes, beta: float) -> NDArray[np.float64]:
    """How often ``(K,)`` windows of each episode are drawn, relative to its length.

    Args:
        episodes: Episodes of one task.
        beta: Inverse temperature; with 0 all weights are 1.
    """
    return np.minimum(np.exp(beta * episode_advantages(episodes)), MAX_WEIGHT)


def _first_inputs(episodes: Episodes) -> NDArray[np.float64]:
    """Standardised columns ``(K, N, F)`` of what agents and their neighbours see first, and a 1."""
    first = np.asarray(episodes.obs[:, 0], dtype=np.float64)  # (K, N, O)
    both = np.concatenate([first, np.sign(first) * np.log1p(np.abs(first))], axis=-1)
    table = torch.as_tensor(np.asarray(episodes.neighbours)).long()
    near, present = mean_over_neighbours(torch.from_numpy(both), table)
    columns = np.concatenate([both, near.numpy(), present.numpy()], axis=-1)
    columns -= columns.mean(axis=(0, 1))
    std = columns.std(axis=(0, 1))
    columns /= np.where(std > 1e-9, std, 1.0)
    return np.concatenate([columns, np.ones((*columns.shape[:2], 1))], axis=-1)


def _gram(
    inputs: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``X^T X`` ``(F, F)`` and ``X^T y`` ``(F,)`` over all agents of some episodes."""
    rows = inputs.reshape(-1, inputs.shape[-1])
    return rows.T @ rows, rows.T @ target.ravel()
