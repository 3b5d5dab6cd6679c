"""MA-IQL: implicit Q-learning (Kostrikov et al., ICLR 2022) for each agent, shared parameters.

With ``L_tau(u) = |tau - 1(u < 0)| u^2``, local input ``x = (o_i, message m_i)`` and reward
``r``, scaled by `networld_algos.nn.actor_critic.RewardScale`::

    value    L_V  = E[ L_tau( min_k Q'_k(x, a) - V(x) ) ]
    critic   L_Q  = E[ sum_k ( r + gamma (1 - terminated) V(x_next) - Q_k(x, a) )^2 ]
    actor    L_pi = E[ -min(exp(beta (min_k Q'_k(x, a) - V(x))), 100) log pi(a | x) ]

``Q'`` follows ``Q`` at rate ``polyak``. Truncation never zeroes the bootstrap. For discrete
and ordered actions, Q has one output per choice and the actor is categorical. Box actions are
scaled to [-1, 1]; the critic is Q(x, a), and the actor is a Gaussian with a tanh mean and one log
standard deviation per column.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from networld_algos.base import Algorithm, Carry, Range
from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.data.returns import ReturnOf, assign_rewards
from networld_algos.nn.action_head import DECODES, Decode, UnitBox
from networld_algos.nn.actor_critic import ChoiceNet, GaussianActor, RewardScale, TwinQ, follow
from networld_algos.nn.inputs import InputsConfig, LocalInputs
from networld_algos.nn.layers import Hidden, NetworkKind
from networld_algos.nn.losses import as_floats, masked_mean
from networld_algos.nn.optim import adam, anneal, descend
from networld_algos.nn.random import normal, seeded
from networld_algos.results.display import MethodLook
from networld_envs import validate
from networld_envs.spec import TaskSpec


@dataclass(frozen=True)
class MAIQLConfig(InputsConfig):
    """Implicit Q-learning; the losses are in the module's docstring.

    Attributes:
        network: ``"gated"`` or ``"mlp"`` policy, see `networld_algos.nn.layers.Hidden`. Critics are
            always MLPs.
        hidden: Width of the hidden layers of all networks.
        layers: Number of hidden layers or blocks.
        expectile: ``tau`` of the value loss.
        beta: Inverse temperature of the advantage weights.
        max_weight: Largest advantage weight.
        discount: ``gamma``.
        polyak: Rate at which target critics follow the critics.
        learning_rate: Learning rate of all three Adams; the actor's decays to zero along a cosine.
        batch_size: Windows per update; each is one step of a whole team.
        return_of: Whose reward counts, see `networld_algos.data.returns`.
        centre_rewards: Subtract the mean from rewards, unless episodes terminate.
        decode: ``"argmax"``, ``"expectation"`` (rounded; for ordered actions) or ``"sample"``. Box
            actions take the mean of the Gaussian for either of the first two.
        temperature: Used by ``"sample"``: divides the logits, or multiplies the standard deviation
            of the Gaussian.
    """

    network: NetworkKind = "gated"
    hidden: int = 256
    layers: int = 2
    expectile: float = 0.7
    beta: float = 1.0
    max_weight: float = 100.0
    discount: float = 0.99
    polyak: float = 0.005
    learning_rate: float = 1e-3
    batch_size: int = 16
    return_of: ReturnOf = "agent"
    centre_rewards: bool = True
    decode: Decode = "argmax"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.one_of(self, "network", get_args(NetworkKind))
        validate.integer(self, "hidden", "layers", "batch_size", low=1)
        validate.real(
            self, "beta", "max_weight", "polyak", "learning_rate", "temperature", above=0.0
        )
        validate.real(self, "expectile", "discount", "polyak", low=0.0, high=1.0)
        validate.one_of(self, "return_of", get_args(ReturnOf))
        validate.flag(self, "centre_rewards")
        validate.one_of(self, "decode", DECODES)


class MAIQL(Algorithm):
    """Implicit Q-learning with local inputs, see `MAIQLConfig`."""

    name = "ma-iql"
    look = MethodLook("MA-IQL", "#009E73", "^")
    budget = 2_400
    update_s = 0.018
    evaluation_s = 0.1
    decision_fields = ("decode", "temperature", "message_max_age")
    search: ClassVar = {
        "learning_rate": Range(3e-4, 5e-3, log=True),
        "batch_size": (8, 16, 32),
        "expectile": Range(0.5, 0.9),
        "beta": Range(0.3, 10.0, log=True),
        "discount": (0.0, 0.9, 0.99),
        "return_of": ("agent", "neighbourhood"),
        "episode_beta": (0.0, 1.0, 2.0),
        "decode": ("argmax", "expectation"),
    }
    config: MAIQLConfig

    def __init__(self, specs: Sequence[TaskSpec], config: MAIQLConfig, seed: int) -> None:
        super().__init__(specs, config, seed)
        spec = self.spec = self.single_spec()
        policy = Hidden(config.network, config.hidden, config.layers)
        hidden = Hidden("mlp", config.hidden, config.layers)
        with seeded(seed):
            self.inputs = LocalInputs(spec, config)
            width = self.inputs.width
            self.critic = TwinQ(width, spec, hidden)
            self.value = hidden.net(width, 1)
            self.actor = (
                GaussianActor(width, spec.action_dim, policy)
                if spec.action_kind == "box"
                else ChoiceNet(width, spec, policy)
            )
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.box = UnitBox(spec)
        self.reward_scale = RewardScale()
        self._optimizers: dict[str, torch.optim.Optimizer] = {
            name: adam(getattr(self, name).parameters(), config.learning_rate)
            for name in ("value", "critic")
        }
        policy_weights = [*self.actor.parameters(), *self.inputs.parameters()]
        self._optimizers["actor"] = adam(policy_weights, config.learning_rate)

    @property
    def window(self) -> int:
        """One transition."""
        return 1

    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Fit feature statistics and the reward scale."""
        self.start(episodes, total_updates)
        self.inputs.fit(episodes)
        self.reward_scale.fit(episodes, self.config.return_of, self.config.centre_rewards)

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Take one step on each of the three losses."""
        self.known(batch.task, prepared=True)
        batch = assign_rewards(batch, self.config.return_of)
        inputs = self.inputs(batch, generator)
        policy_x, x_next = inputs[:, 0], inputs[:, 1].detach()  # (B, N, F)
        x = policy_x.detach()  # only the actor's loss trains a learned message
        actions = batch.actions[:, 0]
        if self.spec.action_kind == "box":
            actions = self.box.to_unit(actions)
        weights = batch.mask[:, :1].expand(x.shape[:2]).to(x.dtype)  # (B, N)
        rewards = self.reward_scale(batch.rewards[:, 0])
        alive = (~batch.terminated[:, :1]).to(x.dtype)  # (B, 1)
        with torch.no_grad():
            q = self.target_critic(x, actions).amin(0)
            target = rewards + self.config.discount * alive * self.value(x_next).squeeze(-1)
        value_loss, advantage = self.value_loss(x, q, weights)
        descend(self._optimizers["value"], value_loss)
        critic_loss = self.critic_loss(x, actions, target, weights)
        descend(self._optimizers["critic"], critic_loss)
        actor_loss = self.actor_loss(policy_x, actions, advantage, weights)
        anneal(self._optimizers["actor"], self.config.learning_rate, self.counters)
        descend(self._optimizers["actor"], actor_loss)
        follow(self.target_critic, self.critic, self.config.polyak)
        self.counters["updates"] += 1
        return as_floats(
            {
                "value_loss": value_loss,
                "critic_loss": critic_loss,
                "actor_loss": actor_loss,
                "advantage": masked_mean(advantage, weights),
            }
        )

    def value_loss(self, x: Tensor, q: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of the expectile regression of V on Q, and the advantage ``(B, N)``."""
        advantage = q - self.value(x).squeeze(-1)
        expectile = torch.where(advantage < 0, 1 - self.config.expectile, self.config.expectile)
        return masked_mean(expectile * advantage**2, weights), advantage.detach()

    def critic_loss(self, x: Tensor, actions: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        """Squared temporal-difference error, summed over the twins."""
        return masked_mean(((self.critic(x, actions) - target) ** 2).sum(0), weights)

    def actor_loss(self, x: Tensor, actions: Tensor, advantage: Tensor, weights: Tensor) -> Tensor:
        """Advantage-weighted negative log-likelihood."""
        scale = (self.config.beta * advantage).exp().clamp(max=self.config.max_weight)
        if isinstance(self.actor, GaussianActor):
            nll = -self.actor(x).log_prob(actions).sum(-1)
        else:
            nll = self.actor.head.loss(self.actor(x), actions)
        return masked_mean(scale * nll, weights)

    @torch.no_grad()
    def disagreement(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, actions: Tensor
    ) -> Tensor:
        """``|Q_1 - Q_2|`` of given actions ``(E, N)``, for `networld drift`."""
        x, _ = self.inputs.receive(obs, neighbours, carry, self.config.message_max_age)
        if self.spec.action_kind == "box":
            actions = self.box.to_unit(actions)
        first, second = self.critic(x, actions)
        return (first - second).abs()

    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """The features or a learned message, or None without a mean field."""
        del carry
        return self.inputs.message(obs)

    @torch.no_grad()
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """The actor's action, see `MAIQLConfig.decode`."""
        self.known(carry["task"])
        config = self.config
        x, memory = self.inputs.receive(obs, neighbours, carry, config.message_max_age)
        if isinstance(self.actor, GaussianActor):
            policy = self.actor(x)
            actions = policy.mean
            if config.decode == "sample":
                noise = normal(actions.shape, generator, actions.device)
                actions = actions + config.temperature * policy.stddev * noise
            actions = self.box.from_unit(actions.clamp(-1.0, 1.0))
        else:
            logits = self.actor(x)
            actions = self.actor.head.decode(logits, config.decode, config.temperature, generator)
        return actions, {**carry, **memory}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One Adam for each of value, critic and actor."""
        return dict(self._optimizers)
