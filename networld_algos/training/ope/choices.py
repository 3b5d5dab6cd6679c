"""Actions of every kind as columns of choices, and a policy's probabilities of them.

Importance sampling needs the probability of the recorded actions under the policy that is judged,
but the policies here decide and do not draw, and most have no density. As is usual for continuous
actions (Kallus and Zhou, "Policy evaluation and optimization with continuous treatments", AISTATS
2018), what is judged is the policy smoothed by a kernel. With the decision d of the policy, for
each column of the action and each choice j::

    pi(j) = (1 - epsilon) K(j - d) + epsilon / M
    K(j - d)  proportional to  exp(-(j - d)^2 / (2 bandwidth^2));  1(j = d) for discrete actions

``M`` is the number of choices. A box column is cut into bins that hold equal shares of the recorded
actions, with one more bin on either side for values beyond all recorded ones. The columns of an
action are independent given the decision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networld_algos.data.episodes import Episodes
from networld_algos.training.ope.config import OPEConfig


class Choices:
    """Columns of choices for the actions of a task.

    Args:
        episodes: Data whose actions set the bins of a box action.
        config: Number of bins, and the kernel.

    Attributes:
        columns: Columns ``C`` of an action; 1 for discrete and ordered actions.
        choices: Choices ``M`` of each column; columns with fewer use the first ones.
    """

    def __init__(self, episodes: Episodes, config: OPEConfig) -> None:
        self.spec, self.config = episodes.spec, config
        spec = self.spec
        self.edges: list[NDArray[np.float64]] = []
        if spec.action_kind == "box":
            rows = episodes.actions[episodes.step_mask].reshape(-1, spec.action_dim)
            shares = np.linspace(0.0, 1.0, config.bins + 1)
            for column in rows.T.astype(np.float64):
                edges = np.unique(np.quantile(column, shares))
                edges[-1] = np.nextafter(edges[-1], np.inf)  # the largest value is inside
                self.edges.append(edges)
            sizes = [len(edges) + 1 for edges in self.edges]
            self.columns, self.choices = spec.action_dim, max(sizes)
            legal = torch.arange(self.choices) < torch.tensor(sizes)[:, None]
        else:
            self.columns, self.choices = 1, spec.num_choices
            legal = (torch.arange(self.choices) >= int(spec.action_low[0]))[None]
        self.legal = legal  # (C, M) bool

    def index(self, actions: NDArray[Any]) -> Tensor:
        """Choice of each column, ``(..., C)`` int64, of actions ``(..., A)`` or ``(...)``."""
        if not self.edges:
            return torch.from_numpy(actions.astype(np.int64))[..., None]
        found = [
            np.searchsorted(edges, actions[..., i].astype(np.float64), side="right")
            for i, edges in enumerate(self.edges)
        ]
        return torch.from_numpy(np.stack(found, axis=-1).astype(np.int64))

    def log_policy(self, decided: Tensor, taken: Tensor) -> Tensor:
        """``log pi(taken)`` ``(...)`` of the smoothed policy, summed over columns.

        Args:
            decided: Choices ``(..., C)`` that the policy decided on.
            taken: Choices ``(..., C)`` whose probability is wanted.
        """
        config, at = self.config, torch.arange(self.choices)
        total = torch.zeros(decided.shape[:-1], dtype=torch.float64)
        for c in range(self.columns):
            allowed = self.legal[c].double()  # (M,)
            if self.spec.action_kind == "discrete":
                kernel = torch.eye(self.choices, dtype=torch.float64)
            else:
                distance = (at[:, None] - at).double() / config.bandwidth
                kernel = torch.exp(-0.5 * distance**2) * allowed
            kernel = kernel / kernel.sum(-1, keepdim=True)  # (M, M): decided, taken
            uniform = allowed / allowed.sum()
            mixed = (1 - config.epsilon) * kernel + config.epsilon * uniform
            total = total + mixed.log()[decided[..., c], taken[..., c]]
        return total

    def encode(self, actions: NDArray[Any]) -> Tensor:
        """Actions as inputs of a network, ``(..., W)`` float32 with W = `width`."""
        spec = self.spec
        if spec.action_kind == "discrete":
            index = torch.from_numpy(actions.astype(np.int64))
            return torch.nn.functional.one_hot(index, spec.num_choices).float()
        values = actions if spec.action_kind == "box" else actions[..., None]
        low, high = np.array(spec.action_low), np.array(spec.action_high)
        if self.edges:  # the scale of the data, which may fill a small part of the bounds
            low = np.array([edges[0] for edges in self.edges])
            high = np.array([edges[-1] for edges in self.edges])
        scale = np.maximum(high - low, 1e-6)
        return torch.from_numpy((2 * (values - low) / scale - 1).astype(np.float32))

    @property
    def width(self) -> int:
        """Columns of `encode`."""
        spec = self.spec
        return spec.num_choices if spec.action_kind == "discrete" else spec.action_dim
