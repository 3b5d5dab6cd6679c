"""How much better than usual an action was: the weights of NetWorld's planner losses.

A value network V, local to the agent like everything else, is fitted to the returns that followed,
and a step is weighted by the advantage of what was done there (AWR; Peng et al., 2019)::

    G_t = r_t + discount G_{t+1},   G_T = V(z_T, m_T)       T: last step of the window
    value      E[ (V(z_t, m_t) - G_t)^2 ],   V in G from the averaged weights
    A_t = G_t - V(z_t, m_t)
    weight_t = exp(beta (A_t - mean A) / std A),            at most `MAX_WEIGHT`

Weighting by the return alone favours lucky states rather than good actions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from networld_algos.nets import masked_mean
from networld_algos.networld_data import Transitions
from networld_algos.networld_nets import TaskNets

MAX_WEIGHT = 10.0


def step_weights(
    task: TaskNets, averaged: TaskNets, data: Transitions, discount: float, beta: float
) -> tuple[Tensor, Tensor]:
    """Weights ``(B, T, N)`` of the steps, without gradient, and the loss of the value network.

    Args:
        task: Networks being trained.
        averaged: Their moving average.
        data: All steps of a batch.
        discount: Per step, of ``G``.
        beta: Inverse temperature of the weights.
    """
    m = task.mean_message(data.mean.detach(), data.present)
    x = torch.cat([data.z, m, data.present], dim=-1)
    real = data.steps[..., None]  # (B, T, 1)
    with torch.no_grad():
        ahead = averaged.value_of(x)  # (B, H, N)
        rewards = data.rewards / task.return_stats[1]
        after, returns = ahead[:, -1], []
        for t in reversed(range(rewards.shape[1])):
            after = (1.0 - data.terminated[:, t, None]) * after
            after = torch.where(real[:, t] > 0, rewards[:, t] + discount * after, ahead[:, t])
            returns.append(after)
        target = torch.stack(returns[::-1], dim=1)  # (B, T, N)
        advantage = (target - ahead[:, :-1]).unsqueeze(-1)
        assert task.advantage_standardiser is not None
        scaled = task.advantage_standardiser.batch(advantage).squeeze(-1)
        weights = (beta * scaled).exp().clamp(max=MAX_WEIGHT)
    errors = (task.value_of(x[:, :-1]) - target) ** 2
    return weights, masked_mean(errors, real.expand_as(errors))
