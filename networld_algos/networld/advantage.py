"""How much better than usual an action was: the weights of NetWorld's planner losses.

A value network V uses local inputs only, like all networks here. It is fitted to the returns that
followed, and a step is weighted by the advantage of its action (AWR; Peng et al., 2019)::

    G = sum_{t<T} discount^t r_t + discount^T V(z_T, m_T)   T: steps in the window
    value      E[ (V(z_0, m_0) - G)^2 ],     V in G has the averaged weights
    A = G - V(z_0, m_0)
    weight = exp(beta (A - mean A) / std A),                at most `MAX_WEIGHT`

V is zero after a terminated episode. T is smaller if an episode ends within the window.

Weighting by the return alone favours lucky states rather than good actions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from networld_algos.networld.nets import TaskNets
from networld_algos.networld.segments import Transitions
from networld_algos.nn.losses import row_mean

MAX_WEIGHT = 10.0


def step_weights(
    own: TaskNets, averaged: TaskNets, data: Transitions, discount: float, beta: float
) -> tuple[Tensor, Tensor]:
    """Weights ``(R,)`` of transitions, without gradient, and the loss of the value network.

    Args:
        own: Networks of the task, being trained.
        averaged: Moving average of these networks.
        data: First steps of a batch's windows.
        discount: Discount of ``G`` per step.
        beta: Inverse temperature of the weights.
    """
    with torch.no_grad():
        now = _inputs(own, data.z, data.combined, data.present)
        assert own.return_std is not None
        rewards = data.rewards / own.return_std
        powers = discount ** torch.arange(rewards.shape[1] + 1, device=rewards.device)
        length = data.steps.sum(1).long()  # (R,): steps beyond it have no reward
        target = (rewards * powers[:-1]).sum(1)
        if discount > 0.0:
            end = _inputs(own, data.z_last, data.combined_last, data.present)
            target = target + powers[length] * (1.0 - data.terminated) * averaged.value_of(end)
        advantage = (target - averaged.value_of(now)).unsqueeze(-1)
        assert own.advantage_standardiser is not None
        scaled = own.advantage_standardiser.batch(advantage).squeeze(-1)
        weights = (beta * scaled).exp().clamp(max=MAX_WEIGHT)
    return weights, row_mean((own.value_of(now) - target) ** 2)


def _inputs(own: TaskNets, z: Tensor, combined: Tensor, present: Tensor) -> Tensor:
    return torch.cat([z, own.standard_message(combined, present), present], dim=-1)
