"""Everything that recorded data says about a policy, each number with its interval.

The networks (`networld_algos.training.ope.behaviour`, `networld_algos.training.ope.fqe`) are fitted
on one part of the data, and everything is measured on another. Intervals are percentiles of a
bootstrap over the measured episodes. They do not contain the error of the fitted networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from networld_algos.data.episodes import Episodes
from networld_algos.training.ope.behaviour import Behaviour, fit_behaviour, support_threshold
from networld_algos.training.ope.choices import Choices
from networld_algos.training.ope.config import OPEConfig
from networld_algos.training.ope.fqe import fit_q, values
from networld_algos.training.ope.importance import weighted_sums
from networld_algos.training.ope.views import View

Floats = NDArray[np.float64]
Decide = Callable[[Episodes], NDArray[Any]]

CAVEATS = (
    "These numbers are estimates from recorded data, not scores. Only a test in the network, or in "
    "a simulator of it, measures what a policy does.",
    "All of them assume that nothing but what an agent observed decided what it did, and that the "
    "data shows what follows. They say nothing about states that only the new policy would reach.",
    "Fitted Q evaluation judges the whole team, as a sum over agents. It extrapolates where the "
    "data has nothing: do not trust it if many decisions are out of support. Its interval says how "
    "much the episodes differ, not how well Q fits.",
    "Importance sampling judges one agent that changes its policy while the others keep theirs, "
    "and its own reward alone. A policy that takes from others looks better than it is. It "
    "judges a smoothed version of the policy, and says little if the effective sample size is "
    "small.",
    "Agreement, error and likelihood say how much the policy repeats what was done, not whether "
    "that was good.",
)
"""What the numbers can and cannot promise."""


@dataclass(frozen=True)
class Quantity:
    """One number about a policy.

    Attributes:
        name: What it is.
        value: The estimate.
        low: Lower end of the interval.
        high: Upper end.
        reference: The same number for the recorded policy; None if there is none.
        meaning: What the number says, in words.
    """

    name: str
    value: float
    low: float
    high: float
    reference: float | None
    meaning: str


class Judge:
    """Fits what is known about the data once, and then judges any number of policies.

    Args:
        fitted: Episodes to fit networks on.
        measured: Other episodes, to measure on.
        config: Settings.
        seed: Seeds networks and bootstrap.
        on_update: Called after each update of a network, for a progress bar.
    """

    def __init__(
        self,
        fitted: Episodes,
        measured: Episodes,
        config: OPEConfig | None = None,
        seed: int = 0,
        on_update: Callable[[], None] | None = None,
    ) -> None:
        self.fitted, self.measured, self.seed = fitted, measured, seed
        self.config = config or OPEConfig()
        self.on_update = on_update
        self.view, self.choices = View(fitted), Choices(fitted, self.config)
        self.behaviour: Behaviour = fit_behaviour(
            self.view, self.choices, fitted, self.config, seed, on_update
        )
        self.taken = self.choices.index(measured.actions)  # (K, T, N, C)
        rng = np.random.default_rng(seed)
        size = (self.config.resamples, len(measured))
        drawn = rng.multinomial(len(measured), np.full(size[1], 1 / size[1]), size[0])
        whole = np.ones((1, len(measured)))  # the data as they are come first
        self.counts: Floats = np.concatenate([whole, drawn.astype(np.float64)])
        self.log_mu = self._log_mu(self.taken)
        rarest = self.log_mu.amin(-1)[torch.from_numpy(measured.step_mask)].flatten()
        self.least_likely = support_threshold(rarest, self.config.support)

    def recorded(self) -> float:
        """Discounted average reward of the recorded policy in the measured episodes."""
        ones = np.zeros(self.measured.rewards.shape)
        sums = weighted_sums(ones, self.measured.rewards, self.measured.step_mask, self.config)
        return float(sums.estimate(self.counts[:1])[0])

    def judge(self, decide: Decide) -> list[Quantity]:
        """Judge a policy.

        Args:
            decide: What the policy would do at every observation of episodes, ``(K, T+1, N, ...)``;
                called once for each part.
        """
        data, config = self.measured, self.config
        q = fit_q(
            self.view,
            self.choices,
            self.fitted,
            decide(self.fitted),
            config,
            self.seed,
            self.on_update,
        )
        decided = decide(data)
        value = values(q, self.view, self.choices, data, decided)  # (K,)
        own = self.choices.index(decided[:, :-1])
        log_pi = self.choices.log_policy(own, self.taken)
        ratio = log_pi - self.log_mu.sum(-1).double()
        sums = weighted_sums(ratio.numpy(), data.rewards, data.step_mask, config)
        recorded, trajectories = self.recorded(), len(data) * data.rewards.shape[2]
        unit = "discounted average reward per agent and step"
        found = [
            self._quantity(
                "fitted Q evaluation",
                self._mean(value[:, None], np.ones((len(data), 1), bool)),
                f"{unit} if all agents follow the policy",
                recorded,
            ),
            self._quantity(
                "weighted importance sampling",
                sums.estimate(self.counts),
                f"{unit} of an agent that alone follows the smoothed policy; "
                f"{100 * sums.clipped:.2g}% of the weights clipped",
                recorded,
            ),
            self._quantity(
                "effective sample size",
                sums.effective(self.counts),
                "trajectories of the policy itself that would say as much as the data does",
                trajectories,
            ),
            *self._imitation(decided[:, :-1], own, log_pi),
        ]
        # In the column that is least likely: one column that never occurs makes an action new.
        rarest = self._log_mu(own).amin(-1)
        found.append(
            self._quantity(
                "out of support",
                self._mean((rarest < self.least_likely).double().numpy(), data.step_mask),
                f"share of decisions that are less likely in the data than all but the rarest "
                f"{100 * config.support:g}% of recorded actions",
                config.support,
            )
        )
        return found

    def _imitation(
        self, decided: NDArray[Any], own: torch.Tensor, log_pi: torch.Tensor
    ) -> list[Quantity]:
        """How much the policy repeats what was done."""
        data, mask = self.measured, self.measured.step_mask
        same = (own == self.taken).all(-1).double().numpy()
        kind = data.spec.action_kind
        what = "in the same bin in every column" if kind == "box" else "equal"
        found = [
            self._quantity(
                "action agreement",
                self._mean(same, mask),
                f"share of decisions that are {what} to the recorded action"
                if kind != "box"
                else f"share of decisions that are {what} as the recorded action",
            ),
            self._quantity(
                "log likelihood",
                self._mean(log_pi.numpy(), mask),
                "of a recorded action under the smoothed policy; the reference is that of the "
                "cloned behaviour",
                float(self._mean(self.log_mu.sum(-1).double().numpy(), mask)[0]),
            ),
        ]
        if kind != "discrete":
            gap = (self.choices.encode(decided) - self.choices.encode(data.actions)).abs() / 2
            found.append(
                self._quantity(
                    "action error",
                    self._mean(gap.double().mean(-1).numpy(), mask),
                    "mean distance of a decision from the recorded action, as a share of the range",
                )
            )
        return found

    @torch.no_grad()
    def _log_mu(self, taken: torch.Tensor) -> torch.Tensor:
        """``log mu`` ``(K, T, N, C)`` of choices at the measured observations."""
        x = self.view(self.measured)[:, :-1]
        parts = [self.behaviour.log_prob(x[k], taken[k]) for k in range(len(x))]
        return torch.stack(parts)

    def _mean(self, rows: Floats, mask: NDArray[np.bool_]) -> Floats:
        """Mean of ``(K, T)`` or ``(K, T, N)`` over real steps, for every resample."""
        per_step = rows if rows.ndim == 2 else rows.mean(-1)
        sums = np.where(mask, per_step, 0.0).sum(-1)
        return (self.counts @ sums) / (self.counts @ mask.sum(-1).astype(np.float64))

    def _quantity(
        self, name: str, draws: Floats, meaning: str, reference: float | None = None
    ) -> Quantity:
        """A number from its values in the data and in every resample."""
        tail = (1 - self.config.confidence) / 2
        low, high = np.quantile(draws[1:], [tail, 1 - tail])
        return Quantity(name, float(draws[0]), float(low), float(high), reference, meaning)
