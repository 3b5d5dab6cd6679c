"""What an agent sees in recorded data: the input of all networks of off-policy evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from networld_algos.data.episodes import Episodes
from networld_algos.data.neighbours import mean_over_neighbours
from networld_algos.nn.features import ObsFeatures
from networld_algos.nn.optim import MAX_GRAD_NORM, cosine_decay, descend, set_learning_rate
from networld_algos.training.ope.config import OPEConfig

CHUNK = 64  # episodes whose features are computed together


class View(nn.Module):
    """``x = [f(o_i); mean of f(o_j) over the neighbours j; 1 if there are any]``.

    Args:
        episodes: Data that sets the statistics of the features ``f``.

    Attributes:
        width: Columns ``F`` of x.
    """

    def __init__(self, episodes: Episodes) -> None:
        super().__init__()
        self.features = ObsFeatures(episodes.spec.obs_dim, "both")
        self.features.fit(episodes)
        self.width = 2 * self.features.width + 1

    @torch.no_grad()
    def forward(self, episodes: Episodes) -> Tensor:
        """``(K, T+1, N, F)`` float32."""
        parts = []
        for begin in range(0, len(episodes), CHUNK):
            obs = torch.from_numpy(np.array(episodes.obs[begin : begin + CHUNK], np.float32))
            table = torch.from_numpy(episodes.neighbours[begin : begin + CHUNK].astype(np.int64))
            own = self.features(obs)
            near = table[:, None].expand(-1, own.shape[1], -1, -1)
            parts.append(torch.cat([own, *mean_over_neighbours(own, near)], dim=-1))
        return torch.cat(parts)


@dataclass(frozen=True)
class Steps:
    """The real steps of episodes, to draw from.

    Attributes:
        episode: ``(S,)`` int64.
        step: ``(S,)`` int64.
    """

    episode: Tensor
    step: Tensor

    @classmethod
    def of(cls, episodes: Episodes) -> Steps:
        """All real steps."""
        at = [torch.from_numpy(axis) for axis in np.nonzero(episodes.step_mask)]
        return cls(at[0], at[1])

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Episode and step, both ``(size,)``, drawn with replacement."""
        index = torch.randint(len(self.step), (size,), generator=generator)
        return self.episode[index], self.step[index]


def fit(
    net: nn.Module,
    loss: Callable[[Tensor, Tensor, int], Tensor],
    steps: Steps,
    config: OPEConfig,
    generator: torch.Generator,
    on_update: Callable[[], None] | None = None,
) -> None:
    """Minimise a loss over random steps with Adam.

    Args:
        net: Its weights are trained.
        loss: ``(episode, step, update) -> loss`` of the chosen steps, both ``(B,)``.
        steps: Steps to draw from.
        config: Settings.
        generator: Source of the draws.
        on_update: Called after each update.
    """
    optimizer = torch.optim.Adam(net.parameters(), config.learning_rate)
    for update in range(config.updates):
        set_learning_rate(optimizer, config.learning_rate * cosine_decay(update, config.updates))
        value = loss(*steps.draw(config.batch_steps, generator), update)
        descend(optimizer, value, MAX_GRAD_NORM)
        if on_update is not None:
            on_update()
