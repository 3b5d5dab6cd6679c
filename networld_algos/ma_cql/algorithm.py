"""MA-CQL: conservative Q-learning (Kumar et al., NeurIPS 2020) for each agent, shared parameters.

Local input ``x = (o_i, message m_i)``, reward ``r`` scaled by
`networld_algos.nn.actor_critic.RewardScale`, and ``done`` true on termination only (truncation
never zeroes a bootstrap).

Box actions, scaled to [-1, 1]: twin critics and the actor of SAC (Haarnoja et al., 2018). The
policy's loss trains messages and whatever else ``x`` is computed by; ``sg`` stops the gradient, so
that they serve the policy and are not moved to where the critic's estimate is high::

    y      = r + gamma (1 - done) min_k Q'_k(x_next, tanh mu(x_next))
    L_Q    = sum_k E[ (Q_k(x, a) - y)^2 ] + alpha sum_k E[ C_k ]
    C_k    = log sum_j exp(Q_k(x, a_j) - log rho(a_j)) - Q_k(x, a)
    L_pi   = E[ eta log pi(a' | x) - min_k Q_k(sg(x), a') ],     a' ~ pi(. | x)
    L_eta  = -E[ eta (log pi(a' | x) - A) ]

For the first `MACQLConfig.cloning_share` of the updates, as in the authors' code::

    L_pi   = E[ eta log pi(a' | x) - log pi(a | x) ],        a of the data

Then `MACQLConfig.cloning_weight` times the last term is added to the policy's loss.

``C_k`` has no lower bound, since the sum lacks the action of the data. As long as the policy is far
from the data, its actions are valued lower and lower, the bootstrap takes its values from them, and
all values run away. Hence `MACQLConfig.margin`: where ``Q_k(x, a)`` is that much above
``log mean_a exp Q_k``, the mean over the box, ``C_k`` is constant.

The ``a_j`` are n uniform actions, n from ``pi(. | x)`` and n from ``pi(. | x_next)``; ``rho`` is
the density that each was drawn from (importance sampling). Actions of the next state are scored at
the present ``x`` on purpose, as in the authors' code. The backup has no entropy term, which is the
default there.

Discrete and ordered actions: one critic, double Q-learning (van Hasselt et al., 2016)::

    y      = r + gamma (1 - done) Q'(x_next, argmax_a Q(x_next, a))
    L_Q    = E[ huber(Q(x, a) - y) ] + alpha E[ log sum_b exp Q(x, b) - Q(x, a) ]

over legal choices. `MACQLConfig.decode` says how Q becomes an action. This loss trains messages
too, so ``Q'(x_next, .)`` reads an ``x_next`` of target networks.
``Q'`` follows ``Q`` at rate ``polyak``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networld_algos.base import Algorithm, Carry, Range
from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.data.returns import assign_rewards
from networld_algos.ma_cql.config import PAPER, MACQLConfig
from networld_algos.nn.action_head import UnitBox
from networld_algos.nn.actor_critic import ChoiceNet, RewardScale, SquashedActor, TwinQ, follow
from networld_algos.nn.inputs import LocalInputs
from networld_algos.nn.layers import Hidden
from networld_algos.nn.losses import as_floats, masked_mean
from networld_algos.nn.optim import adam, anneal, descend
from networld_algos.nn.random import normal, seeded, uniform
from networld_algos.results.display import MethodLook
from networld_envs.spec import TaskSpec


class MACQL(Algorithm):
    """Conservative Q-learning with local inputs, see `MACQLConfig`."""

    name = "ma-cql"
    look = MethodLook("MA-CQL", "#CC79A7", "v")
    presets: ClassVar = {"paper": PAPER}
    budget = 2_400
    evaluation_s = 0.1
    pace: ClassVar = {"rb": 2.0, "ns": 2.0}
    decision_fields = ("decode", "temperature", "message_max_age")
    search: ClassVar = {
        "learning_rate": Range(1e-4, 5e-3, log=True),
        "actor_learning_rate": Range(1e-4, 5e-3, log=True),
        "batch_size": (4, 8, 16),
        "conservative_weight": (None, 0.3, 3.0, 30.0),
        "cloning_share": (0.0, 0.2, 0.5),
        "cloning_weight": (0.0, 0.3, 1.0, 3.0, 10.0),
        "discount": (0.0, 0.9, 0.99),
        "return_of": ("agent", "neighbourhood"),
        "episode_beta": (0.0, 1.0, 2.0),
        "decode": ("argmax", "expectation"),
    }
    config: MACQLConfig

    @classmethod
    def update_seconds(cls, config: Any, spec: TaskSpec) -> float:
        """Seconds of one core, see `Algorithm.update_seconds`."""
        del config
        return 0.038 if spec.action_kind == "box" else 0.011

    def __init__(self, specs: Sequence[TaskSpec], config: MACQLConfig, seed: int) -> None:
        super().__init__(specs, config, seed)
        spec = self.spec = self.single_spec()
        policy = Hidden(config.network, config.hidden, config.layers)
        hidden = Hidden("mlp", config.hidden, config.layers)
        self.actor: SquashedActor | None = None
        self.log_temperature: nn.Parameter | None = None
        rates = {"critic": config.learning_rate}
        with seeded(seed):
            self.inputs = LocalInputs(spec, config)
            if spec.action_kind == "box":
                self.critic = TwinQ(self.inputs.width, spec, hidden)
                self.actor = SquashedActor(self.inputs.width, spec.action_dim, policy)
                self.log_temperature = nn.Parameter(torch.zeros(()))
                rates["actor"] = config.actor_learning_rate
            else:
                self.critic = ChoiceNet(self.inputs.width, spec, policy)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.target_inputs = None  # needed where the critic's loss trains the inputs
        if self.actor is None:
            self.target_inputs = copy.deepcopy(self.inputs).requires_grad_(False)
        self.box = UnitBox(spec)
        self.reward_scale = RewardScale()
        weights = {name: list(getattr(self, name).parameters()) for name in rates}
        weights["actor" if self.actor else "critic"] += self.inputs.parameters()
        self._optimizers: dict[str, torch.optim.Optimizer] = {
            name: adam(weights[name], rate) for name, rate in rates.items()
        }
        if self.log_temperature is not None:
            self._optimizers["temperature"] = adam([self.log_temperature], config.learning_rate)

    @property
    def window(self) -> int:
        """One transition."""
        return 1

    @property
    def alpha(self) -> float:
        """Weight of the conservative loss, see `MACQLConfig`."""
        if self.config.conservative_weight is not None:
            return self.config.conservative_weight
        return 10.0 if self.spec.action_kind == "box" else 1.0

    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Fit feature statistics and the reward scale."""
        self.start(episodes, total_updates)
        self.inputs.fit(episodes)
        if self.target_inputs is not None:
            self.target_inputs.load_state_dict(self.inputs.state_dict())
        self.reward_scale.fit(episodes, self.config.return_of, self.config.centre_rewards)

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Take one step on the critics' loss, then on the actor's and the temperature's."""
        self.known(batch.task, prepared=True)
        if self.config.decay:
            name, rate = self._deciding
            anneal(self._optimizers[name], rate, self.counters)
        batch = assign_rewards(batch, self.config.return_of)
        obs, neighbours = self.inputs.drawn(batch, generator)
        inputs = self.inputs.of_obs(obs, neighbours)
        policy_x, x_next = inputs[:, 0], inputs[:, 1]  # (B, N, F)
        x = policy_x.detach() if self.actor else policy_x  # the policy's loss trains a message
        weights = batch.mask[:, :1].expand(x.shape[:2]).to(x.dtype)  # (B, N)
        rewards = self.reward_scale(batch.rewards[:, 0])
        alive = (~batch.terminated[:, :1]).to(x.dtype)  # (B, 1)
        slow_next = x_next
        if self.target_inputs is not None:
            slow_next = self.target_inputs.of_obs(obs[:, 1:], neighbours)[:, 0]
        target = rewards + self.config.discount * alive * self.next_value(x_next, slow_next)
        actions = batch.actions[:, 0]
        shape = (self.config.action_samples, *x.shape[:2], self.spec.action_dim)
        if isinstance(self.critic, ChoiceNet):
            values = self.critic(x).squeeze(-2)  # (B, N, K)
            bellman, conservative = self.choice_losses(values, actions, target, weights)
            data_values = values.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
            legal = values.isfinite()
            other_values = values.where(legal, 0.0).sum(-1) / legal.sum(-1)
        else:
            proposals, log_density = self.propose(
                x,
                x_next,
                normal(shape, generator, x.device, axis=1),
                normal(shape, generator, x.device, axis=1),
                uniform(shape, generator, x.device, axis=1),
            )
            actions = self.box.to_unit(actions)
            candidates = torch.cat([actions[None], proposals])
            values = self.critic.of_many(x, candidates)  # (2, 1 + 3n, B, N)
            bellman = self.bellman_loss(values[:, 0], target, weights)
            conservative = self.conservative_loss(values[:, 1:], log_density, values[:, 0], weights)
            data_values, other_values = values[:, 0].mean(0), values[:, 1:].mean((0, 1))
        descend(self._optimizers["critic"], bellman + self.alpha * conservative)
        metrics = {
            "bellman_loss": bellman,
            "conservative_loss": conservative,
            "data_value": masked_mean(data_values, weights),
            "other_value": masked_mean(other_values, weights),
        }
        if self.actor is not None:
            noise = normal(shape[1:], generator, x.device)
            metrics |= self._update_actor(policy_x, actions, noise, weights)
        follow(self.target_critic, self.critic, self.config.polyak)
        if self.target_inputs is not None:
            follow(self.target_inputs, self.inputs, self.config.polyak)
        self.counters["updates"] += 1
        return as_floats(metrics)

    @torch.no_grad()
    def next_value(self, x_next: Tensor, slow_next: Tensor) -> Tensor:
        """Value ``(B, N)`` of the next state for the bootstrap, see the module's docstring.

        Args:
            x_next: ``(B, N, F)`` inputs by which the next action is chosen.
            slow_next: The same of target networks, by which it is valued.
        """
        if self.actor is not None:
            actions = torch.tanh(self.actor(x_next)[0])
            return self.target_critic(slow_next, actions).amin(0)
        best = self.critic(x_next).argmax(-1)
        return self.target_critic(slow_next).squeeze(-2).gather(-1, best).squeeze(-1)

    @torch.no_grad()
    def propose(
        self, x: Tensor, x_next: Tensor, eps: Tensor, eps_next: Tensor, u: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Draw actions ``(3n, B, N, A)`` from both policies and uniformly, with their ``log rho``.

        Args:
            x: ``(B, N, F)``.
            x_next: ``(B, N, F)``.
            eps: ``(n, B, N, A)`` normal noise of the policy at ``x``.
            eps_next: The same for ``x_next``.
            u: The same, uniform in [0, 1).
        """
        assert self.actor is not None
        now = self.actor.draw(x, eps)
        then = self.actor.draw(x_next, eps_next)
        flat = torch.full_like(now[1], -self.spec.action_dim * math.log(2.0))
        actions = torch.cat([now[0], then[0], 2.0 * u - 1.0])
        return actions, torch.cat([now[1], then[1], flat])

    def bellman_loss(self, values: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        """Squared temporal-difference error of ``values`` ``(2, B, N)``, summed over the twins."""
        return masked_mean(((values - target) ** 2).sum(0), weights)

    def conservative_loss(
        self, values: Tensor, log_density: Tensor, data_values: Tensor, weights: Tensor
    ) -> Tensor:
        """``C_k`` summed over the twins.

        Args:
            values: ``(2, 3n, B, N)`` values of the proposed actions.
            log_density: ``(3n, B, N)`` log density that they were drawn with.
            data_values: ``(2, B, N)`` values of the actions in the data.
            weights: ``(B, N)`` 1.0 where the step is real.
        """
        gap = torch.logsumexp(values - log_density, dim=1) - data_values
        if self.config.margin is not None:
            equal = math.log(values.shape[1]) + self.spec.action_dim * math.log(2.0)
            gap = gap.clamp(min=equal - self.config.margin)  # equal values have a gap of this size
        return masked_mean(gap.sum(0), weights)

    def choice_losses(
        self, values: Tensor, actions: Tensor, target: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Huber temporal-difference error, and ``log sum exp Q - Q``, of values ``(B, N, K)``."""
        chosen = values.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        bellman = masked_mean(F.huber_loss(chosen, target, reduction="none"), weights)
        return bellman, masked_mean(torch.logsumexp(values, dim=-1) - chosen, weights)

    def actor_loss(self, x: Tensor, noise: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The policy loss of SAC, and ``log pi`` ``(B, N)`` of the actions drawn."""
        assert self.actor is not None
        assert self.log_temperature is not None
        actions, log_pi = self.actor.draw(x, noise)
        eta = self.log_temperature.detach().exp()
        values = self.critic(x.detach(), actions).amin(0)
        return masked_mean(eta * log_pi - values, weights), log_pi

    def cloning_loss(
        self, x: Tensor, actions: Tensor, noise: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The policy's loss while it clones, and ``log pi`` ``(B, N)`` of the actions drawn."""
        assert self.actor is not None
        assert self.log_temperature is not None
        _, log_pi = self.actor.draw(x, noise)
        eta = self.log_temperature.detach().exp()
        return masked_mean(eta * log_pi - self.actor.log_density(x, actions), weights), log_pi

    @property
    def _deciding(self) -> tuple[str, float]:
        """Name of the optimiser of what decides, and its learning rate."""
        if self.actor is None:
            return "critic", self.config.learning_rate
        return "actor", self.config.actor_learning_rate

    @property
    def is_cloning(self) -> bool:
        """Whether the next update is one of those in which the policy clones the data."""
        share = self.config.cloning_share
        return self.counters["updates"] < share * self.counters["total_updates"]

    def temperature_loss(self, log_pi: Tensor, weights: Tensor) -> Tensor:
        """Loss that moves the policy's entropy to ``-A``."""
        assert self.log_temperature is not None
        surplus = masked_mean(log_pi.detach() - self.spec.action_dim, weights)
        return -self.log_temperature.exp() * surplus

    def _update_actor(
        self, x: Tensor, actions: Tensor, noise: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        assert self.actor is not None
        self.critic.requires_grad_(False)
        if self.is_cloning:
            loss, log_pi = self.cloning_loss(x, actions, noise, weights)
        else:
            loss, log_pi = self.actor_loss(x, noise, weights)
            if weight := self.config.cloning_weight:
                log_density = self.actor.log_density(x, actions)
                loss = loss - weight * masked_mean(log_density, weights)
        descend(self._optimizers["actor"], loss)
        self.critic.requires_grad_(True)
        temperature = self.temperature_loss(log_pi, weights)
        descend(self._optimizers["temperature"], temperature)
        entropy = masked_mean(-log_pi, weights)
        return {"actor_loss": loss, "temperature_loss": temperature, "entropy": entropy}

    @torch.no_grad()
    def disagreement(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, actions: Tensor
    ) -> Tensor | None:
        """``|Q_1 - Q_2|`` of given actions ``(E, N)``; None with choices, which have one critic."""
        if isinstance(self.critic, ChoiceNet):
            return None
        x, _ = self.inputs.receive(obs, neighbours, carry, self.config.message_max_age)
        first, second = self.critic(x, self.box.to_unit(actions))
        return (first - second).abs()

    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """The features or a learned message, or None without a mean field."""
        del carry
        return self.inputs.message(obs)

    @torch.no_grad()
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """The policy's action, see `MACQLConfig.decode`."""
        self.known(carry["task"])
        config = self.config
        x, memory = self.inputs.receive(obs, neighbours, carry, config.message_max_age)
        if isinstance(self.critic, ChoiceNet):
            values = self.critic(x)
            actions = self.critic.head.decode(values, config.decode, config.temperature, generator)
            return actions, {**carry, **memory}
        assert self.actor is not None
        raw, log_std = self.actor(x)
        if config.decode == "sample":
            noise = normal(raw.shape, generator, raw.device)
            raw = raw + config.temperature * log_std.exp() * noise
        return self.box.from_unit(torch.tanh(raw)), {**carry, **memory}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One Adam for the critics; for box actions also one each for actor and temperature."""
        return dict(self._optimizers)
