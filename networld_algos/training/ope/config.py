"""Settings of off-policy evaluation, with the equations that they enter."""

from __future__ import annotations

from dataclasses import dataclass

from networld_envs import validate


@dataclass(frozen=True)
class OPEConfig:
    """Settings of off-policy evaluation.

    All values of a policy are averages of the discounted rewards of its agents, in the unit of the
    reward: ``(1 - gamma) E[sum_t gamma^t r_t]``.

    Attributes:
        discount: ``gamma``; a decision counts for about ``1 / (1 - gamma)`` steps.
        bins: Bins of each column of a box action, with equal shares of the data.
        bandwidth: Deviation of the kernel around a decision, in bins or, for ordered actions, in
            units of the action. Discrete actions have no kernel.
        epsilon: Share of a policy that is uniform over all choices, so that no recorded action is
            impossible.
        max_weight: Largest importance weight of a step.
        support: Share of the recorded actions that counts as unlikely, see
            `networld_algos.training.ope.behaviour.support_threshold`.
        hidden: Width of the two hidden layers of both networks.
        updates: Gradient steps of each network.
        batch_steps: Steps of the whole team in a gradient step.
        learning_rate: Learning rate of Adam; decays to zero along a cosine.
        sync: Gradient steps of fitted Q evaluation between two targets.
        resamples: Resamples of the bootstrap over episodes.
        confidence: Coverage of the intervals.
    """

    discount: float = 0.95
    bins: int = 10
    bandwidth: float = 1.0
    epsilon: float = 0.1
    max_weight: float = 100.0
    support: float = 0.01
    hidden: int = 128
    updates: int = 1_200
    batch_steps: int = 64
    learning_rate: float = 1e-3
    sync: int = 25
    resamples: int = 2_000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        validate.real(self, "discount", low=0.0, high=0.999)
        validate.integer(self, "bins", low=2)
        validate.integer(self, "hidden", "updates", "batch_steps", "sync", "resamples", low=1)
        validate.real(self, "bandwidth", "max_weight", "learning_rate", above=0.0)
        validate.real(self, "epsilon", "support", "confidence", above=0.0, high=1.0)
