"""Fitted Q evaluation (Le, Voloshin and Yue, "Batch policy learning under constraints", ICML 2019).

With the decisions ``pi`` of the policy, ``Q`` is fitted again and again to the targets of the ``Q``
before::

    Q_next = argmin_Q  E_D [ ( r + gamma (1 - terminated) Q_before(x', pi(x')) - Q(x, a) )^2 ]

The decision maker is the whole team: ``r`` is the mean reward of its agents, and ``x`` and ``a``
are those of all of them. ``Q`` is the mean of local values ``q(x_i, a_i)`` with shared weights, a
value decomposition (Sunehag et al., "Value-decomposition networks for cooperative multi-agent
learning", AAMAS 2018). What an agent takes from others therefore counts against it, which it would
not if each agent's value was fitted to its own reward. Interactions beyond a sum are lost.

Truncation does not end an episode. The value of a policy in an episode is ``(1 - gamma) Q(x_0,
pi(x_0))``: a discounted average of the reward.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networld_algos.data.episodes import Episodes
from networld_algos.nn.actor_critic import RewardScale
from networld_algos.nn.layers import Hidden
from networld_algos.nn.random import seeded
from networld_algos.training.ope.choices import Choices
from networld_algos.training.ope.config import OPEConfig
from networld_algos.training.ope.views import Steps, View, fit


class FittedQ(nn.Module):
    """Local values ``q(x_i, a_i)`` of a policy, and the scale of the team's reward.

    Args:
        width: Columns of x.
        choices: How actions are encoded.
        config: Settings.
    """

    def __init__(self, width: int, choices: Choices, config: OPEConfig) -> None:
        super().__init__()
        self.discount = config.discount
        self.net = Hidden("mlp", config.hidden, 2).net(width + choices.width, 1)
        self.scale = RewardScale()

    def forward(self, x: Tensor, action: Tensor) -> Tensor:
        """Scaled local values ``(...)`` of x ``(..., F)`` and encoded actions ``(..., W)``."""
        return self.net(torch.cat([x, action], dim=-1)).squeeze(-1)

    @torch.no_grad()
    def average_reward(self, x: Tensor, action: Tensor) -> Tensor:
        """``(1 - gamma) Q`` in the unit of the reward ``(...)``, of teams ``(..., N, F)``."""
        scaled = (1 - self.discount) * self(x, action).mean(-1)
        return scaled * self.scale.std + self.scale.mean


def fit_q(
    view: View,
    choices: Choices,
    episodes: Episodes,
    decided: NDArray[Any],
    config: OPEConfig,
    seed: int = 0,
    on_update: Callable[[], None] | None = None,
) -> FittedQ:
    """Fit the values of a policy to recorded episodes.

    Args:
        view: What an agent sees.
        choices: How actions are encoded.
        episodes: The data.
        decided: What the policy would do at every observation, ``(K, T+1, N, ...)``, see
            `networld_algos.training.ope.decisions.decide`.
        config: Settings.
        seed: Seeds the initial weights and the draws.
        on_update: Called after each update.
    """
    x = view(episodes)
    taken, own = choices.encode(episodes.actions), choices.encode(decided)
    terminated = torch.from_numpy(np.array(episodes.terminated))
    with seeded(seed):
        net = FittedQ(view.width, choices, config)
    team = replace(episodes, rewards=episodes.rewards.mean(axis=2, keepdims=True))
    net.scale.fit(team, "agent", centre=True)
    rewards = net.scale(torch.from_numpy(team.rewards)).squeeze(-1)  # (K, T)
    before = copy.deepcopy(net).requires_grad_(False)

    def squared_error(k: Tensor, t: Tensor, update: int) -> Tensor:
        if update % config.sync == 0:
            before.load_state_dict(net.state_dict())
        with torch.no_grad():
            alive = (~terminated[k, t]).float()
            later = before(x[k, t + 1], own[k, t + 1]).mean(-1)
            target = rewards[k, t] + config.discount * alive * later
        return ((net(x[k, t], taken[k, t]).mean(-1) - target) ** 2).mean()

    generator = torch.Generator().manual_seed(seed)
    fit(net, squared_error, Steps.of(episodes), config, generator, on_update)
    return net


def values(
    net: FittedQ, view: View, choices: Choices, episodes: Episodes, decided: NDArray[Any]
) -> NDArray[np.float64]:
    """Value of the policy in each episode, from its first observation, ``(K,)``."""
    x = view(episodes)[:, 0]
    found = net.average_reward(x, choices.encode(decided)[:, 0])
    return found.double().numpy()
