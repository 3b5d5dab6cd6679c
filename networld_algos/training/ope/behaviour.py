"""The policy that acted in the data, learned from the data, and what it never does.

``mu(a | x)`` is a product over the columns of an action of categorical distributions whose logits
are a network of ``x``, fitted by cross-entropy: behaviour cloning. Logs seldom say with which
probability an action was chosen, so importance sampling divides by this estimate (Hanna et al.,
"Importance sampling policy evaluation with an estimated behavior policy", ICML 2019).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networld_algos.data.episodes import Episodes
from networld_algos.nn.layers import Hidden
from networld_algos.nn.random import seeded
from networld_algos.training.ope.choices import Choices
from networld_algos.training.ope.config import OPEConfig
from networld_algos.training.ope.views import Steps, View, fit


class Behaviour(nn.Module):
    """``mu(a | x)`` over choices.

    Args:
        width: Columns of x.
        choices: Columns of choices.
        config: Settings.
    """

    def __init__(self, width: int, choices: Choices, config: OPEConfig) -> None:
        super().__init__()
        self.columns, self.choices = choices.columns, choices.choices
        self.legal = choices.legal
        self.net = Hidden("mlp", config.hidden, 2).net(width, self.columns * self.choices)

    def log_prob(self, x: Tensor, taken: Tensor) -> Tensor:
        """``log mu(taken | x)`` ``(..., C)`` of each column, for choices ``(..., C)``."""
        logits = self.net(x).unflatten(-1, (self.columns, self.choices))
        logits = logits.masked_fill(~self.legal, -torch.inf)
        return F.log_softmax(logits, dim=-1).gather(-1, taken[..., None]).squeeze(-1)


def fit_behaviour(
    view: View,
    choices: Choices,
    episodes: Episodes,
    config: OPEConfig,
    seed: int = 0,
    on_update: Callable[[], None] | None = None,
) -> Behaviour:
    """Clone the policy that acted in ``episodes``.

    Args:
        view: What an agent sees.
        choices: Columns of choices.
        episodes: Data to learn from.
        config: Settings.
        seed: Seeds the initial weights and the draws.
        on_update: Called after each update.
    """
    x, taken = view(episodes), choices.index(episodes.actions)
    with seeded(seed):
        net = Behaviour(view.width, choices, config)

    def cloning_loss(k: Tensor, t: Tensor, update: int) -> Tensor:
        del update
        return -net.log_prob(x[k, t], taken[k, t]).sum(-1).mean()

    generator = torch.Generator().manual_seed(seed)
    fit(net, cloning_loss, Steps.of(episodes), config, generator, on_update)
    return net


def support_threshold(rarest: Tensor, share: float) -> float:
    """Log probability below which an action is not supported by the data.

    Args:
        rarest: ``(S,)`` log probability of recorded actions that ``mu`` was not fitted on, each in
            its least likely column.
        share: Share of the recorded actions that is below the threshold.
    """
    return float(np.quantile(rarest.numpy(), share))
