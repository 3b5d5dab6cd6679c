"""Networks for actor-critic methods, for box actions scaled to [-1, 1] and for choices."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networld_algos.data.episodes import Episodes
from networld_algos.data.returns import ReturnOf, assign_episode_rewards
from networld_algos.nn.action_head import ActionHead
from networld_algos.nn.layers import Hidden
from networld_envs.spec import TaskSpec

CHUNK = 8
"""Number of actions per input that pass a critic together, see `TwinQ.of_many`."""


class RewardScale(nn.Module):
    """Rewards scaled to unit deviation over a dataset and, optionally, to zero mean.

    A constant added to every reward shifts all values of an endless task by the same amount. If it
    is not removed, critics spend their updates on it: they start at zero and have to reach
    ``mean / (1 - discount)``. If episodes terminate, a shift changes which policy is best, so the
    mean stays.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def fit(self, episodes: Episodes, of: ReturnOf, centre: bool) -> None:
        """Set the statistics to those of the rewards that agents learn from.

        Args:
            episodes: The data.
            of: Whose rewards an agent learns from.
            centre: Subtract the mean, unless an episode terminates.
        """
        real = episodes.step_mask
        rewards = assign_episode_rewards(episodes, of).rewards[real]
        std = float(rewards.std())
        self.std.fill_(std if std > 1e-8 else 1.0)
        centre = centre and not episodes.terminated[real].any()
        self.mean.fill_(float(rewards.mean(dtype=np.float64)) if centre else 0.0)

    def forward(self, rewards: Tensor) -> Tensor:
        """Scaled rewards, any shape."""
        return (rewards - self.mean) / self.std


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, rate: float) -> None:
    """Move the weights of a target network by a share ``rate`` towards those it follows."""
    for target, weight in zip(slow.parameters(), fast.parameters(), strict=True):
        target.lerp_(weight, rate)


class TwinQ(nn.Module):
    """Two critics: ``Q(x)`` with one output per choice, or ``Q(x, a)`` for box actions."""

    def __init__(self, in_dim: int, spec: TaskSpec, hidden: Hidden) -> None:
        super().__init__()
        self.box = spec.action_kind == "box"
        width = in_dim + spec.action_dim if self.box else in_dim
        out = 1 if self.box else spec.num_choices
        self.nets = nn.ModuleList(hidden.net(width, out) for _ in range(2))

    def forward(self, x: Tensor, actions: Tensor) -> Tensor:
        """Both values ``(2, ...)`` of actions ``(..., A)`` scaled, or ``(...)`` int64."""
        if self.box:
            inputs = torch.cat([x, actions], dim=-1)
            return torch.stack([net(inputs).squeeze(-1) for net in self.nets])
        index = actions.unsqueeze(-1)
        return torch.stack([net(x).gather(-1, index).squeeze(-1) for net in self.nets])

    def of_many(self, x: Tensor, actions: Tensor) -> Tensor:
        """Both values ``(2, S, ...)`` of S box actions ``(S, ..., A)`` of each x ``(..., F)``.

        The first layer processes x once. Actions pass the rest a few at a time, so that what the
        gradient needs stays in the processor's cache.
        """
        values: list[Tensor] = []
        for net in self.nets.children():
            assert isinstance(net, nn.Sequential)
            first = net[0]
            assert isinstance(first, nn.Linear)
            of_x, of_action = first.weight.split([x.shape[-1], actions.shape[-1]], dim=1)
            shared, rest = F.linear(x, of_x, first.bias), net[1:]
            parts = [rest(shared + F.linear(part, of_action)) for part in actions.split(CHUNK)]
            values.append(torch.cat(parts).squeeze(-1))
        return torch.stack(values)


class GaussianActor(nn.Module):
    """Normal policy with a tanh mean and a deviation that does not depend on the state."""

    LOG_STD_RANGE = (-5.0, 2.0)

    def __init__(self, in_dim: int, action_dim: int, hidden: Hidden) -> None:
        super().__init__()
        self.net = hidden.net(in_dim, action_dim)
        self.log_std = nn.Parameter(torch.zeros(action_dim))

    def forward(self, x: Tensor) -> torch.distributions.Normal:
        """Distribution of each column, ``(..., A)``."""
        mean = torch.tanh(self.net(x))
        std = self.log_std.clamp(*self.LOG_STD_RANGE).exp().expand_as(mean)
        return torch.distributions.Normal(mean, std, validate_args=False)


class SquashedActor(nn.Module):
    """Policy ``a = tanh(mu(x) + sigma(x) eps)``, ``eps ~ N(0, I)`` (Haarnoja et al., SAC, 2018)."""

    LOG_STD_RANGE = (-20.0, 2.0)
    EDGE = 1e-3  # an action of exactly 1 would need an infinite value before the tanh

    def __init__(self, in_dim: int, action_dim: int, hidden: Hidden) -> None:
        super().__init__()
        self.net = hidden.net(in_dim, 2 * action_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``mu`` and ``log sigma`` before the tanh, both ``(..., A)``."""
        mu, log_std = self.net(x).chunk(2, dim=-1)
        return mu, log_std.clamp(*self.LOG_STD_RANGE)

    def draw(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions ``(..., A)`` and their log density ``(...)`` for given normal noise.

        The tanh subtracts ``log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u))`` per column.
        """
        mu, log_std = self(x)
        raw = mu + log_std.exp() * noise
        normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
        return torch.tanh(raw), (normal - _log_slope(raw)).sum(-1)

    def log_density(self, x: Tensor, actions: Tensor) -> Tensor:
        """Log density ``(...)`` of given actions ``(..., A)``; the edges are moved inwards."""
        mu, log_std = self(x)
        raw = torch.atanh(actions.clamp(self.EDGE - 1.0, 1.0 - self.EDGE))
        noise = (raw - mu) * (-log_std).exp()
        normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
        return (normal - _log_slope(raw)).sum(-1)


def _log_slope(raw: Tensor) -> Tensor:
    """``log(1 - tanh(raw)^2)``, without the loss of precision at large values."""
    return 2 * (math.log(2) - raw - F.softplus(-2 * raw))


class ChoiceNet(nn.Module):
    """One output per choice: logits of a policy, or values; -inf where a choice is not legal."""

    def __init__(self, in_dim: int, spec: TaskSpec, hidden: Hidden) -> None:
        super().__init__()
        self.trunk = hidden.trunk(in_dim)
        self.head = ActionHead(spec, hidden.width, bins=2)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., 1, K)``."""
        return self.head(self.trunk(x))
