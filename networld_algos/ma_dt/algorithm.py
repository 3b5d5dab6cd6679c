"""MA-DT: the Decision Transformer (Chen et al., NeurIPS 2021) for each agent, shared parameters.

A window of ``context`` steps is a sequence of tokens. ``R_t`` is the return-to-go and ``x_t`` has
the agent's own features and the combined message of its neighbours::

    R_0 x_0 a_0  R_1 x_1 a_1  ..  R_t x_t   ->   a_t

By default the tokens ``a`` are left out: an expert's last action often tells its next one, and a
model that repeats actions cannot act. Each token is a linear embedding of its content plus a
learned embedding of the time step t. The loss is averaged over real steps::

    choices                 L = E[ -log pi(a_t | R, x, a before) ]
    box, "mse" (the paper)  L = E[ || tanh(W h_t) - a_t ||^2 ],     a scaled to [-1, 1]
    box, "two-hot"          L = E[ cross-entropy of the two-hot of each column ]

Windows begin at any step. In training and in acting, padding comes after the last real step, so
causal attention never sees it.

An agent does not observe its reward while it acts, so it cannot subtract rewards from the target
return as in the paper. Instead, ``R_t`` is the ``target_quantile`` of the returns-to-go at step t:
of those that follow from ``x_t``, by quantile regression as in MA-DD, or of those of all data. The
latter depend on the network more than on the actions, and a high one is out of reach in most
networks. The regression, on the returns of step t standardised as r::

    outlook                 L_q = E[ mean_k max(tau_k u, (tau_k - 1) u) ],    u = r - q_k(x_t, t)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from networld_algos.base import Algorithm, Carry, Range
from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.data.returns import (
    QUANTILES,
    assign_episode_rewards,
    assign_rewards,
    at_quantile,
    quantile_grid,
)
from networld_algos.ma_dt.config import PAPER, MADTConfig
from networld_algos.ma_dt.transformer import DecisionTransformer, Past
from networld_algos.nn.action_head import ActionHead, UnitBox
from networld_algos.nn.features import shuffle_last_action
from networld_algos.nn.inputs import LocalInputs
from networld_algos.nn.layers import mlp
from networld_algos.nn.losses import as_floats, masked_mean, quantile_loss, quantile_shares
from networld_algos.nn.optim import adamw, cosine_decay, descend, set_learning_rate
from networld_algos.nn.picked import draw_inputs
from networld_algos.nn.random import seeded
from networld_algos.nn.sharding import own_stream
from networld_algos.results.display import MethodLook
from networld_envs.spec import TaskSpec

MAX_GRAD_NORM = 0.25


class MADT(Algorithm):
    """Decision Transformer with local inputs, see `MADTConfig`."""

    name = "ma-dt"
    look = MethodLook("MA-DT", "#5B2A0B", "D")
    presets: ClassVar = {"paper": PAPER}
    budget = 2_400
    update_s = 0.05
    evaluation_s = 1.4
    decision_fields = ("decode", "temperature", "message_max_age", "target_quantile", "kept")
    search: ClassVar = {
        "learning_rate": Range(1e-4, 5e-3, log=True),
        "context": (1, 5, 10, 20),
        "batch_size": (16, 32, 64),
        "sequences": (64, 128, 256),
        "dropout": (0.0, 0.1),
        "return_of": ("agent", "neighbourhood"),
        "target_quantile": (0.5, 0.7, 0.9),
        "episode_beta": (0.0, 1.0, 2.0),
        "decode": ("argmax", "expectation"),
    }
    config: MADTConfig
    return_stats: Tensor
    step_stats: Tensor
    return_quantiles: Tensor
    last_step: Tensor
    shares: Tensor

    def __init__(self, specs: Sequence[TaskSpec], config: MADTConfig, seed: int) -> None:
        super().__init__(specs, config, seed)
        spec = self.spec = self.single_spec()
        with seeded(seed):
            self.inputs = LocalInputs(spec, config)
            self.model = DecisionTransformer(
                self.inputs.width,
                spec,
                hidden=config.hidden,
                layers=config.layers,
                heads=config.heads,
                dropout=config.dropout,
                max_steps=config.max_steps,
                action_tokens=config.action_tokens,
                bins=None if config.box_loss == "mse" else config.bins,
            )
            self.outlook = mlp([self.inputs.width + 1, config.hidden, config.hidden, QUANTILES])
        self.box = UnitBox(spec)
        self.register_buffer("return_stats", torch.tensor([0.0, 1.0]))  # mean, deviation
        self.register_buffer("step_stats", torch.ones(2, config.max_steps))  # the same by step
        self.register_buffer("return_quantiles", torch.zeros(QUANTILES, config.max_steps))
        self.register_buffer("last_step", torch.tensor(0))
        self.register_buffer("shares", quantile_shares(QUANTILES), persistent=False)
        parts = (self.model, self.inputs, self.outlook)
        weights = [weight for part in parts for weight in part.parameters()]
        self.optimizer = adamw(weights, config.learning_rate, config.weight_decay)

    @property
    def window(self) -> int:
        """The context, see `MADTConfig`."""
        return self.config.context

    def rows_per_update(self, spec: TaskSpec) -> tuple[int, int]:
        """The drawn sequences."""
        return min(self.config.sequences, self.batch_size * spec.num_agents), self.window

    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Fit feature statistics, action bins and the quantiles of returns-to-go at each step.

        Raises:
            ValueError: If an episode is longer than ``max_steps``.
        """
        self.start(episodes, total_updates)
        longest = int(episodes.lengths.max())
        if longest > self.config.max_steps:
            raise ValueError(
                f"max_steps={self.config.max_steps}, an episode has {longest} steps; "
                f"use max_steps of at least {longest}"
            )
        self.inputs.fit(episodes)
        if isinstance(self.model.head, ActionHead):
            self.model.head.set_range(*episodes.action_range)
        episodes = assign_episode_rewards(episodes, self.config.return_of)
        mask = episodes.step_mask
        rewards = episodes.rewards * mask[:, :, None]
        to_go = np.cumsum(rewards[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
        std = float(to_go[mask].std())
        self.return_stats[0] = float(to_go[mask].mean())
        self.return_stats[1] = std if std > 1e-8 else 1.0
        for t in range(longest):
            there = to_go[mask[:, t], t]
            self.return_quantiles[:, t] = quantile_grid(there)
            self.step_stats[0, t] = float(there.mean())
            self.step_stats[1, t] = max(float(there.std()), 1e-8 * float(self.return_stats[1]))
        self.last_step.fill_(longest - 1)

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Take one step on the sequence loss."""
        self.known(batch.task, prepared=True)
        batch = assign_rewards(batch, self.config.return_of)
        config, inputs, n = self.config, self.inputs, batch.obs.shape[2]
        shown = shuffle_last_action(batch.obs, inputs.last_action, config.action_dropout, generator)
        near, most = batch.neighbours, config.sequences
        states, picked = draw_inputs(inputs, shown[:, :-1], near, most, generator)
        row, agent = picked.rows // n, picked.rows % n
        actions = batch.actions[row, :, agent]
        mean, std = self.return_stats
        returns, times = batch.returns_to_go[row, :, agent], batch.timesteps[row]
        mask = batch.mask[row].to(states.dtype)
        sequence = {
            "returns": self._shown((returns - mean) / std),
            "states": states,
            "actions": self._scaled(actions),
            "times": times,
        }
        dropout = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with seeded(dropout, *own_stream()):
            output = self.model(**sequence, drop=True)
        losses = {"sequence_loss": self.sequence_loss(output, actions, mask)}
        if config.target == "state":
            seen = states.detach()
            losses["outlook_loss"] = self.outlook_loss(seen, times, returns, mask)
        done, total = self.counters["updates"] + 1, self.counters["total_updates"]
        rise = min(1.0, done / max(1.0, config.warmup * total))
        fall = cosine_decay(done - 1, total) if config.decay else 1.0
        set_learning_rate(self.optimizer, config.learning_rate * min(rise, fall))
        descend(self.optimizer, torch.stack(list(losses.values())).sum(), MAX_GRAD_NORM)
        self.counters["updates"] += 1
        return as_floats(losses)

    def sequence_loss(self, output: Tensor, actions: Tensor, mask: Tensor) -> Tensor:
        """Mean loss of the head's output over real steps, given by ``mask`` ``(S, T)``."""
        if isinstance(self.model.head, ActionHead):
            return masked_mean(self.model.head.loss(output, actions), mask)
        errors = (torch.tanh(output) - self._scaled(actions)) ** 2
        return masked_mean(errors.sum(-1), mask)

    def outlook_loss(self, states: Tensor, times: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
        """``L_q`` of returns-to-go ``(S, T)`` that follow from ``states`` ``(S, T, F)``."""
        mean, std = self.step_stats[:, times]
        u = ((returns - mean) / std).unsqueeze(-1) - self._outlook(states, times)
        return masked_mean(quantile_loss(u, self.shares).mean(-1), mask)

    def _outlook(self, states: Tensor, times: Tensor) -> Tensor:
        """Quantiles ``(..., QUANTILES)`` of the returns-to-go, standardised by step."""
        share = times.to(states.dtype) / self.last_step.clamp(min=1)
        return self.outlook(torch.cat([states, share.unsqueeze(-1)], dim=-1))

    def _shown(self, returns: Tensor) -> Tensor:
        return torch.zeros_like(returns) if self.config.target == "none" else returns

    def _scaled(self, actions: Tensor) -> Tensor:
        if self.spec.action_kind != "box":
            return actions
        return self.box.to_unit(actions)

    def target_returns(self, states: Tensor, times: Tensor) -> Tensor:
        """Standardised target return-to-go ``(...)`` in ``states`` ``(..., F)`` at ``times``."""
        (mean, std), share = self.return_stats, self.config.target_quantile
        if self.config.target == "state":
            by_step, scale = self.step_stats[:, times]
            found = at_quantile(self._outlook(states, times).movedim(-1, 0), share)
            target = by_step + scale * found
        else:
            target = at_quantile(self.return_quantiles, share)[times]
        return self._shown((target - mean) / std)

    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """The features or a learned message, or None without a mean field."""
        del carry
        return self.inputs.message(obs)

    @torch.no_grad()
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """The action at the last state token, see `MADTConfig.kept` and `MADTConfig.decode`."""
        self.known(carry["task"])
        config = self.config
        x, memory = self.inputs.receive(obs, neighbours, carry, config.message_max_age)
        e, n, _ = x.shape
        states = x.reshape(e * n, 1, -1)
        now: int = carry.get("step", 0)
        window, actions, past = states, carry.get("actions"), carry.get("past")
        if actions is not None:
            window = torch.cat([carry["states"], states], dim=1)
            if window.shape[1] > config.context:
                window, past = window[:, -config.steps_kept :], None
                actions = actions[:, actions.shape[1] + 1 - config.steps_kept :]  # one fewer
        hidden, past = self._last_state(window, actions, now, past)
        output = self.model.head(hidden)
        if isinstance(self.model.head, ActionHead):
            chosen = self.model.head.decode(output, config.decode, config.temperature, generator)
        else:
            chosen = self.box.from_unit(torch.tanh(output))
        taken = self._scaled(chosen).unsqueeze(1)
        memory |= {
            "step": now + 1,
            "states": window,
            "actions": taken if actions is None else torch.cat([actions, taken], dim=1),
            "past": past,
        }
        return chosen.view(e, n, *chosen.shape[1:]), {**carry, **memory}

    def _last_state(
        self, states: Tensor, actions: Tensor | None, now: int, past: list[Past] | None
    ) -> tuple[Tensor, list[Past]]:
        """Hidden rows ``(rows, hidden)`` of the last state token, and the new cache.

        ``actions`` has one step fewer than ``states``. With ``past``, the cache already has all
        tokens before the last step, except the action of the step before it.
        """
        rows, count, _ = states.shape
        steps = torch.arange(now - count + 1, now + 1, device=states.device)
        times = steps.clamp(max=int(self.last_step)).expand(rows, -1)
        blank = states.new_zeros(rows, 1, self.spec.action_dim)
        if not self.model.box:
            blank = blank[..., 0].long()
        # The action to be chosen has a placeholder token, which is cut off below.
        filled = blank if actions is None else torch.cat([actions, blank], dim=1)
        fresh = count if past is None else min(count, 2)
        span = slice(count - fresh, count)
        returns = self.target_returns(states[:, span], times[:, span])
        tokens = self.model.embed(returns, states[:, span], filled[:, span], times[:, span])
        if self.model.tokens == 3:
            tokens = tokens[:, :-1]
        if past is not None:
            tokens = tokens[:, 2:]  # the step before: its return and state are in the cache
        out, cache = self.model.body(tokens, past, first=tokens.shape[1] - 1)
        return out[:, 0], cache

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One AdamW."""
        return {"model": self.optimizer}
