"""NetWorld: a world model in latent space with messages, a forecast and, if asked, plans.

An agent encodes its observation as a latent z, sends a message to its 1-hop neighbours, and
combines the messages it receives to m. A forecast predicts its next latent from ``[z; m]``, and an
inverse dynamics model reads the action out of both latents.

With ``planner="diffusion"`` a noise model over segments of ``[z; m]`` also draws a plan around the
forecast, which a classifier can guide toward high return. Of a plan, only the next latent is used,
and only a share of its deviation from the forecast (`NetWorldConfig.deviation`); then the agent
plans again.

All tasks share the forecast, the noise model and the classifier, see
`networld_algos.networld.nets`.

Source: NetWorld (arXiv 2602.00558); Diffuser (Janner et al., 2022) for planning by denoising,
Decision Diffuser (Ajay et al., 2023) for state-only diffusion with inverse dynamics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from networld_algos.base import Algorithm, Carry, Diagnostic, Range
from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.data.returns import segment_returns
from networld_algos.networld import cost
from networld_algos.networld.advantage import step_weights
from networld_algos.networld.config import (
    DIFFUSION,
    FAITHFUL,
    INVERSE_NOISE,
    DecisionConfig,
    NetWorldConfig,
)
from networld_algos.networld.health import latent_health
from networld_algos.networld.nets import Nets, TaskNets
from networld_algos.networld.planning import plan
from networld_algos.networld.segments import Segments, Transitions, draw_segments
from networld_algos.nn.losses import as_floats, masked_mean, row_mean
from networld_algos.nn.messages import collect
from networld_algos.nn.optim import (
    MAX_GRAD_NORM,
    MovingAverage,
    adam,
    cosine_decay,
    descend,
    set_learning_rate,
)
from networld_algos.nn.random import normal, seeded
from networld_algos.results.display import MethodLook
from networld_envs.spec import TaskSpec

EMA = 0.995
"""Decay of the averaged weights, which are used to act."""
NEXT_WEIGHT = 5.0
"""Diffusion loss of position 1, the only one that a decision uses; later ones have weight 1."""
X0_SKEW = 2.0
"""Training of an x0 predictor favours high noise by this, see `CosineSchedule.draw`."""


class NetWorld(Algorithm):
    """World model with messages, for any number of tasks, see `NetWorldConfig`.

    Attributes:
        nets: Networks being trained.
        ema: Moving average of the networks, which is used to act.
    """

    name = "networld"
    look = MethodLook("NetWorld", "#D55E00", "o")
    presets: ClassVar = {"faithful": FAITHFUL, "diffusion": DIFFUSION}
    budget = 1_800
    decision_fields = (*(field.name for field in fields(DecisionConfig)), "message_max_age")
    adapt_fields = ("adapt_shared", "adapt_share", "adapt_rate")
    search: ClassVar = {
        "learning_rate": Range(5e-4, 5e-3, log=True),
        "batch_size": Range(16, 64, log=True),
        "transitions": Range(256, 2048, log=True),
        "layers": Range(2, 4),
        "weighting": ("none", "advantage"),
        "weighting_beta": Range(0.3, 5.0, log=True),
        "episode_beta": (0.0, 1.0, 2.0),
        "discount": (0.0, 0.95),
        "return_of": ("agent", "neighbourhood"),
        "act_by": ("inverse", "slot"),
    }
    config: NetWorldConfig

    @classmethod
    def update_seconds(cls, config: Any, spec: TaskSpec) -> float:
        """Seconds of one core, see `Algorithm.update_seconds`."""
        del spec
        return cost.update_seconds(config)

    @classmethod
    def evaluation_seconds(cls, config: Any) -> float:
        """Seconds of one core, see `Algorithm.evaluation_seconds`."""
        return cost.evaluation_seconds(config)

    def __init__(self, specs: Sequence[TaskSpec], config: NetWorldConfig, seed: int) -> None:
        super().__init__(specs, config, seed)
        self.counters.update(stage_start=0, adapted=0)
        with seeded(seed):
            self.nets = Nets(self.specs.values(), config)
        self.ema = MovingAverage(self.nets, EMA)
        self._optimizers = self._make_optimizers()

    @property
    def window(self) -> int:
        """See `NetWorldConfig.window`."""
        return self.config.window

    def rows_per_update(self, spec: TaskSpec) -> tuple[int, int]:
        """The first steps, on which the forecast is trained."""
        return min(self.config.transitions, self.batch_size * spec.num_agents), 1

    @property
    def acting(self) -> Nets:
        """The averaged networks."""
        nets = self.ema.module
        assert isinstance(nets, Nets)
        return nets

    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Fit a task's statistics of features, actions, latents and, if they are used, returns.

        Latent statistics come from the first eight episodes, and training the encoder updates them.

        Args:
            episodes: Training data of one task.
            total_updates: Updates of all tasks in this stage, training or adaptation.
        """
        self.start(episodes, total_updates)
        task = episodes.spec.task
        own = self.nets.task(task)
        own.features.fit(episodes)
        if own.entities is not None:
            own.entities.fit(episodes)
        own.set_action_range(*episodes.action_range)
        config = self.config
        if config.uses_returns:
            returns = segment_returns(episodes, self.window, config.discount, config.return_of)
            own.fit_returns(torch.from_numpy(returns).float())
        with torch.no_grad():
            obs = torch.as_tensor(episodes.obs[:8], device=own.features.mean.device)
            lengths = torch.as_tensor(episodes.lengths[:8], device=obs.device)
            real = torch.arange(obs.shape[1], device=obs.device) <= lengths[:, None]  # (K, T+1)
            own.fit_latents(own.features(obs)[real].flatten(0, -2))
            table = torch.as_tensor(episodes.neighbours[:8], device=obs.device).long()
            near = table[:, None].expand(-1, obs.shape[1], -1, -1)
            combined, present = own.received(own.look(obs), near)
            known = (present.squeeze(-1) > 0) | (own.field is None)
            rows = combined[known & real[..., None]]
            if len(rows) > 1:
                own.message_standardiser.fit(rows)
        self.acting.task(task).load_state_dict(own.state_dict())

    def adapt(self, spec: TaskSpec) -> None:
        """Add a task to a trained model; call `prepare` with its episodes next.

        The task gets its own new networks, and its embedding is the mean of the others. For the
        first ``adapt_share`` of the updates only its own networks are fitted. Then the shared
        networks are tuned at ``adapt_rate`` times the learning rate, or stay frozen, see
        ``adapt_shared``. Training continues from the averaged weights.

        Raises:
            ValueError: If the task is known already, or its features do not fit a fixed encoder;
                the model is then unchanged.
        """
        if spec.task in self.specs:
            raise ValueError(f"task {spec.task!r} is known already; use a new name to adapt")
        device = next(self.nets.parameters()).device
        with seeded(self.seed, len(self.specs)):
            own = TaskNets(spec, self.config).to(device)
        self.specs[spec.task] = spec
        self.nets.load_state_dict(self.acting.state_dict())
        self.nets.shared.add_task(spec.task)
        self.nets.tasks[spec.task] = own
        self.ema = MovingAverage(self.nets, EMA)
        self._optimizers = self._make_optimizers()
        self.counters.update(stage_start=self.counters["updates"], adapted=1)

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Take one step on the losses of `NetWorldConfig` for the task of ``batch``."""
        self.known(batch.task, prepared=True)
        own = self.nets.task(batch.task)
        done = self.counters["updates"] - self.counters["stage_start"]
        total = self.counters["total_updates"]
        frozen = bool(self.counters["adapted"]) and (
            self.config.adapt_shared == "frozen" or done < self.config.adapt_share * total
        )
        end_to_end = own.encoder_grad == "end_to_end"

        data = draw_segments(own, self.config, batch, generator)
        z = data.z
        if own.encoder_grad != "none":
            z = own.standardiser.batch(own.encoder(data.features))  # (S, H, d), with gradient
        losses = {"inverse_loss": self.inverse_loss(own, z, data, generator)}
        if own.encoder_grad == "inverse+reconstruction":
            losses["reconstruction_loss"] = self.reconstruction_loss(own, z, data)
        weights = None
        if self.config.weighting == "advantage":
            weights, losses["value_loss"] = step_weights(
                own,
                self.acting.task(batch.task),
                data.transitions,
                self.config.discount,
                self.config.weighting_beta,
            )
        losses["forecast_loss"] = self.forecast_loss(batch.task, data.transitions, weights)
        if self.config.planner == "diffusion" and (not frozen or end_to_end):
            target = z if end_to_end else data.z
            emphasis = data.steps if weights is None else data.weights(weights)
            losses |= self.segment_losses(self.nets, batch.task, target, data, emphasis, generator)

        rate = self.config.learning_rate * cosine_decay(done, total)
        optimizer, shared = self._optimizers[f"task-{batch.task}"], self._optimizers["shared"]
        scale = self.config.adapt_rate if self.counters["adapted"] else 1.0
        set_learning_rate(optimizer, rate)
        set_learning_rate(shared, rate * scale)
        loss = torch.stack(list(losses.values())).sum()
        descend([optimizer] if frozen else [optimizer, shared], loss, MAX_GRAD_NORM)
        self.ema.update_parameters(self.nets)
        self.counters["updates"] += 1
        return as_floats(losses)

    def inverse_loss(
        self, own: TaskNets, z: Tensor, data: Segments, generator: torch.Generator
    ) -> Tensor:
        """``E[-log I(a | z_t, z_{t+1} + noise)]``, since a planned z_{t+1} is never exact."""
        z_next = z[:, 1:]
        if own.encoder_grad != "end_to_end":
            noise = normal(z_next.shape, generator, z.device, picked=data.picked)
            z_next = z_next + INVERSE_NOISE * noise
        logits = own.action_logits(z[:, :-1], z_next)
        return masked_mean(own.head.loss(logits, data.actions), data.steps)

    def reconstruction_loss(self, own: TaskNets, z: Tensor, data: Segments) -> Tensor:
        """``E[||D(z) - features||^2]``, mean over features."""
        assert own.decoder is not None
        return row_mean((own.decoder(z) - data.features) ** 2)

    def forecast_loss(self, task: str, data: Transitions, weights: Tensor | None) -> Tensor:
        """Squared error of the next latent and cross-entropy of the action slot, weighted.

        This also updates the running statistics of the combined message, which follow the sender.
        """
        m, own = data.combined, self.nets.task(task)
        if self.config.uses_context:
            m = own.without_absent(own.message_standardiser.batch(m), data.present)
        errors = self._forecast_errors(self.nets, task, data, m, self.config.action_slot)
        return row_mean(errors) if weights is None else masked_mean(errors, weights)

    @staticmethod
    def _forecast_errors(
        nets: Nets, task: str, data: Transitions, m: Tensor, action_slot: float = 0.0
    ) -> Tensor:
        """Errors ``(R,)`` of transitions, given standardised messages ``(R, d)``."""
        ahead, hidden = nets.shared.forecast_and_hidden(data.z, m, data.present, task)
        errors = ((ahead - data.z_next) ** 2).mean(-1)
        slot = nets.task(task).slot
        if action_slot and slot is not None:
            errors = errors + action_slot * slot.loss(slot(hidden), data.actions)
        return errors

    def segment_losses(
        self,
        nets: Nets,
        task: str,
        z: Tensor,
        data: Segments,
        weights: Tensor,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Diffusion and classifier loss of ``nets`` on the same corrupted segments.

        Args:
            nets: Trained or averaged networks.
            task: Name of the task of the segments.
            z: Latents ``(S, H, d)``.
            data: The segments.
            weights: ``(S, H-1)`` weights of the errors after position 0.
            generator: Source of diffusion steps and noise.
        """
        config, shared = self.config, nets.shared
        assert data.m is not None
        with torch.no_grad():
            ahead = shared.forecast(data.z[:, 0], data.m[:, 0], data.present, task)
        x = torch.cat([z, data.m], dim=-1) if shared.context else z
        x = x.transpose(1, 2)  # (S, C, H)
        skew = X0_SKEW if config.prediction == "x0" else 1.0
        t = shared.schedule.draw(len(x), skew, generator, data.picked)
        noise = normal(x.shape, generator, x.device, picked=data.picked)
        noised = shared.schedule.corrupt(x, t, noise)
        noised = torch.cat([x[..., :1], noised[..., 1:]], dim=-1)  # the first latent is known
        output = shared.denoise(noised, t, data.present, ahead, task)
        target = x if config.prediction == "x0" else noise
        errors = ((output - target) ** 2).mean(1)[:, 1:]  # (S, H-1); position 0 has weight 0
        emphasis = torch.ones_like(errors)
        emphasis[:, 0] = NEXT_WEIGHT
        losses = {"diffusion_loss": masked_mean(errors, emphasis * weights)}
        logits = shared.classify(noised, t, data.present, task)
        bins = nets.task(task).returns
        assert bins is not None
        errors = bins.loss(logits[:, None], data.returns[:, None])[:, 0]
        losses["classifier_loss"] = masked_mean(errors, data.full)
        return losses

    @torch.no_grad()
    def validation_loss(self, batch: Batch, generator: torch.Generator) -> float:
        """Inverse, forecast and diffusion loss of averaged networks, with running statistics."""
        nets, own = self.acting, self.acting.task(batch.task)
        data = draw_segments(own, self.config, batch, generator)
        losses = [self.inverse_loss(own, data.z, data, generator)]
        first = data.transitions
        m = own.standard_message(first.combined, first.present)
        losses.append(row_mean(self._forecast_errors(nets, batch.task, first, m)))
        if self.config.planner == "diffusion":
            planned = self.segment_losses(nets, batch.task, data.z, data, data.steps, generator)
            losses.append(planned["diffusion_loss"])
        return torch.stack(losses).sum().item()

    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """What ``message`` says, ``(E, N, M)``, or None without a mean field."""
        if not self.config.mean_field:
            return None
        own = self.acting.task(carry["task"])
        with torch.no_grad():
            return own.look(obs).sent

    @torch.no_grad()
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """Encode, exchange messages, plan and recover actions, in one pass for all agents."""
        self.known(carry["task"])
        config, nets, task = self.config, self.acting, carry["task"]
        own = nets.task(task)
        e, n, _ = obs.shape
        seen = own.look(obs)
        z, memory, combined = seen.z, Carry(), None
        present = torch.zeros_like(z[..., :1])
        if own.field is not None:
            held, usable, memory = collect(seen.sent, neighbours, carry, config.message_max_age)
            combined, present = own.field(seen.sent, held, usable)
        m = own.standard_message(own.beside(seen, combined, present), present)
        rows = (z.view(e * n, -1), m.view(e * n, -1), present.view(e * n, 1))
        if config.act_by == "slot":
            assert own.slot is not None
            _, hidden = nets.shared.forecast_and_hidden(*rows, task)
            logits = own.slot(hidden).unflatten(0, (e, n))
        else:
            segment, ahead = plan(nets, config, task, *rows, generator)
            z_next = segment[:, : config.latent, 1]
            if config.forecast and config.deviation < 1.0:
                z_next = torch.lerp(ahead, z_next, config.deviation)
            logits = own.action_logits(z, z_next.view(e, n, -1))
        actions = own.head.decode(logits, config.decode, config.temperature, generator)
        return actions, {**carry, **memory}

    def health(self, episodes: Episodes) -> dict[str, Diagnostic]:
        """See `networld_algos.networld.health`."""
        self.known(episodes.spec.task)
        return latent_health(self.acting, self.config, episodes)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One Adam for the shared networks and one per task for its own networks."""
        return dict(self._optimizers)

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        rate = self.config.learning_rate
        made: dict[str, torch.optim.Optimizer] = {
            "shared": adam(self.nets.shared.parameters(), rate)
        }
        for task, own in self.nets.tasks.items():
            made[f"task-{task}"] = adam(own.parameters(), rate)
        return made
