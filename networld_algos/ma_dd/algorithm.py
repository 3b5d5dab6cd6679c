"""MA-DD: the Decision Diffuser (Ajay et al., ICLR 2023) for each agent, shared parameters.

A plan is a segment of H states of one agent, without actions. A state is the features of an
observation. Let ``s_0`` be the present state, ``c = [s_0; m; 1 if there are neighbours]`` with
the combined message m, and ``y`` the standardised discounted return of the segment::

    diffusion  L_d = E[ || s - f(s^t, t, c, y) ||^2 ],     y hidden with `return_dropout`
    inverse    L_I = E[ -log I(a_k | s_k, s_{k+1} + noise) ]
    outlook    L_q = E[ mean_k max(tau_k u, (tau_k - 1) u) ],     u = y - q_k(c)

``s^t`` is corrupted except for its first state, which is known. f predicts ``s - s_0`` ("x0"), or
the noise as in the paper ("epsilon"; the loss is then on the noise). To act, a plan is drawn with
classifier-free guidance (Ho and Salimans, 2022)::

    f_w = f(s^t, t, c, hidden) + w ( f(s^t, t, c, y*) - f(s^t, t, c, hidden) )

The agent takes ``I(s_0, s_1)`` and plans again. With ``target="data"``, ``y*`` is a quantile of all
returns in the data (the paper asks for the largest). With ``target="state"``, it is a quantile of
the returns that follow from c, by quantile regression (Koenker and Bassett, 1978). The return of a
short segment depends more on its first state than on the actions. A high quantile of all returns
may be out of reach from the present state, and the data then has no such segment.

Guidance of predicted states equals guidance of predicted noise, since one is affine in the other.
The message is given and not planned; compare the decentralised MADiff (Zhu et al.,
NeurIPS 2024). The temporal U-Net, its size, schedule, loss weights and solvers are those of
NetWorld.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from networld_algos.base import Algorithm, Carry, Range
from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.data.returns import assign_rewards, at_quantile, quantile_grid, segment_returns
from networld_algos.ma_dd.config import MADDConfig
from networld_algos.ma_dd.nets import DecisionDiffuser, StateSegments
from networld_algos.nn.diffusion import sample
from networld_algos.nn.features import shuffle_last_action
from networld_algos.nn.losses import as_floats, masked_mean, quantile_loss
from networld_algos.nn.optim import MAX_GRAD_NORM, MovingAverage, adam, anneal, descend
from networld_algos.nn.picked import draw_inputs, own_features
from networld_algos.nn.random import normal, seeded, uniform
from networld_algos.results.display import MethodLook
from networld_envs.spec import TaskSpec


class MADD(Algorithm):
    """Decision Diffuser with local inputs, see `MADDConfig`.

    Attributes:
        nets: Networks being trained.
        ema: Moving average of the networks, which is used to act.
    """

    name = "ma-dd"
    look = MethodLook("MA-DD", "#4B2E83", "<")
    update_s = 0.022
    evaluation_s = 2.8
    pace: ClassVar = {"ns": 2.0}
    decision_fields = (
        "steps", "solver", "temperature", "guidance_weight", "target", "target_quantile",
        "decode", "decode_temperature", "message_max_age",
    )  # fmt: skip
    search: ClassVar = {
        "learning_rate": Range(3e-4, 5e-3, log=True),
        "batch_size": (8, 16, 32),
        "sequences": (64, 256, 512),
        "dim": (32, 64),
        "horizon": (2, 4),
        "temperature": (0.0, 0.5),
        "guidance_weight": (0.0, 1.2, 2.0),
        "target_quantile": (0.5, 0.7, 0.9),
        "return_of": ("agent", "neighbourhood"),
        "episode_beta": (0.0, 1.0, 2.0),
        "decode": ("argmax", "expectation"),
    }
    config: MADDConfig

    def __init__(self, specs: Sequence[TaskSpec], config: MADDConfig, seed: int) -> None:
        super().__init__(specs, config, seed)
        self.spec = self.single_spec()
        with seeded(seed):
            self.nets = DecisionDiffuser(
                self.spec,
                inputs=config,
                hidden=[config.hidden] * config.layers,
                bins=config.bins,
                dim=config.dim,
                mults=config.mults,
                blocks=config.blocks,
                train_steps=config.train_steps,
                prediction=config.prediction,
            )
        self.ema = MovingAverage(self.nets, config.ema)
        self.optimizer = adam(self.nets.parameters(), config.learning_rate)

    @property
    def window(self) -> int:
        """H - 1 steps, since a segment has H states."""
        return self.config.horizon - 1

    def rows_per_update(self, spec: TaskSpec) -> tuple[int, int]:
        """The drawn segments."""
        return min(self.config.sequences, self.batch_size * spec.num_agents), self.window

    @property
    def acting(self) -> DecisionDiffuser:
        """The averaged networks."""
        nets = self.ema.module
        assert isinstance(nets, DecisionDiffuser)
        return nets

    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Fit feature statistics, action bins and the returns of segments.

        Raises:
            ValueError: If every episode is shorter than a segment.
        """
        self.start(episodes, total_updates)
        config, nets = self.config, self.nets
        returns = segment_returns(episodes, self.window, config.discount, config.return_of)
        nets.inputs.fit(episodes)
        nets.head.set_range(*episodes.action_range)
        nets.return_stats[0] = float(returns.mean())
        nets.return_stats[1] = max(float(returns.std()), 1e-6)
        mean, std = nets.return_stats.cpu()  # where the quantiles are made
        nets.return_quantiles.copy_((quantile_grid(returns) - mean) / std)
        self.acting.load_state_dict(nets.state_dict())

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Take one step on the sum of the losses."""
        self.known(batch.task, prepared=True)
        losses = self.losses(self.nets, batch, generator)
        anneal(self.optimizer, self.config.learning_rate, self.counters)
        descend(self.optimizer, torch.stack(list(losses.values())).sum(), MAX_GRAD_NORM)
        self.ema.update_parameters(self.nets)
        self.counters["updates"] += 1
        return as_floats(losses)

    @torch.no_grad()
    def validation_loss(self, batch: Batch, generator: torch.Generator) -> float:
        """The sum of the losses of the averaged networks."""
        return torch.stack(list(self.losses(self.acting, batch, generator).values())).sum().item()

    def losses(
        self, nets: DecisionDiffuser, batch: Batch, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Losses of the trained or averaged ``nets``, see the module's docstring."""
        data = self.segments(assign_rewards(batch, self.config.return_of), generator, nets)
        return {
            "diffusion_loss": self.diffusion_loss(nets, data, generator),
            "inverse_loss": self.inverse_loss(nets, data, generator),
            "outlook_loss": self.outlook_loss(nets, data),
        }

    def segments(
        self, batch: Batch, generator: torch.Generator, nets: DecisionDiffuser | None = None
    ) -> StateSegments:
        """Draw agents' segments. The return of a segment that is cut short is hidden."""
        config, nets = self.config, nets or self.nets
        share, columns = config.action_dropout, self.spec.last_action
        now = shuffle_last_action(batch.obs[:, :1], columns, share, generator)
        near, most = batch.neighbours, config.sequences
        context, picked = draw_inputs(nets.inputs, now, near, most, generator)
        seen = torch.cat([now, batch.obs[:, 1:]], dim=1)
        _, h, n, _ = seen.shape
        row, agent = picked.rows // n, picked.rows % n
        states = own_features(nets.inputs, seen[row, :, agent])
        steps = batch.mask[row].to(states.dtype)
        powers = config.discount ** torch.arange(h - 1, device=states.device)
        mean, std = nets.return_stats
        returns = (batch.rewards[row, :, agent] * powers).sum(-1, keepdim=True)
        return StateSegments(
            states=states,
            context=context[:, 0],
            actions=batch.actions[row, :, agent],
            steps=steps,
            returns=(returns - mean) / std,
            known=steps.amin(-1, keepdim=True),
            picked=picked,
        )

    def diffusion_loss(
        self, nets: DecisionDiffuser, data: StateSegments, generator: torch.Generator
    ) -> Tensor:
        """``L_d`` over real states after the first."""
        config = self.config
        x = data.states.transpose(1, 2)  # (S, W, H)
        t = nets.schedule.draw(len(x), config.timestep_skew, generator, data.picked)
        noise = normal(x.shape, generator, x.device, picked=data.picked)
        noised = nets.schedule.corrupt(x, t, noise)
        noised = torch.cat([x[..., :1], noised[..., 1:]], dim=-1)  # the present state is known
        seen = uniform((len(x), 1), generator, x.device, picked=data.picked)
        shown = seen >= config.return_dropout
        condition = nets.returns(data.returns) * data.known * shown
        output = nets.denoise(noised, t, data.context, condition)
        target = x if config.prediction == "x0" else noise
        errors = ((output - target) ** 2).mean(1)[:, 1:]  # (S, H-1)
        weights = data.steps.clone()
        weights[:, 0] *= config.next_weight
        return masked_mean(errors, weights)

    def inverse_loss(
        self, nets: DecisionDiffuser, data: StateSegments, generator: torch.Generator
    ) -> Tensor:
        """``L_I``, with noise because a planned state is never exact."""
        states_next = data.states[:, 1:]
        noise = normal(states_next.shape, generator, states_next.device, picked=data.picked)
        noised = states_next + self.config.inverse_noise * noise
        logits = nets.action_logits(data.states[:, :-1], noised)
        return masked_mean(nets.head.loss(logits, data.actions), data.steps)

    def outlook_loss(self, nets: DecisionDiffuser, data: StateSegments) -> Tensor:
        """``L_q``, for the quantiles of the returns that follow from the present state."""
        errors = data.returns - nets.outlook(data.context)  # (S, Q)
        losses = quantile_loss(errors, nets.shares).mean(-1, keepdim=True)
        return masked_mean(losses, data.known)

    @torch.no_grad()
    def plan(self, context: Tensor, generator: torch.Generator) -> Tensor:
        """Draw segments ``(rows, W, H)`` that begin at the states in ``context`` ``(rows, F)``."""
        config, nets = self.config, self.acting
        rows = len(context)
        grid = nets.outlook(context) if config.target == "state" else nets.return_quantiles
        target = at_quantile(grid.movedim(-1, 0), config.target_quantile)  # (rows,) or ()
        asked = nets.returns(target.expand(rows).unsqueeze(-1))
        condition = torch.cat([asked, torch.zeros_like(asked)])
        both = context.repeat(2, 1)

        def denoiser(x: Tensor, t: int) -> Tensor:
            at = torch.full((2 * rows,), t, device=x.device)
            output = nets.denoise(x.repeat(2, 1, 1), at, both, condition, frozen=True)
            shown, hidden = output.chunk(2)
            guided = hidden + config.guidance_weight * (shown - hidden)
            return nets.schedule.to_x0(guided, x, t, config.prediction)

        return sample(
            denoiser,
            nets.schedule,
            (rows, nets.width, config.horizon),
            steps=config.steps,
            solver=config.solver,
            generator=generator,
            temperature=config.temperature,
            clamp=context[:, : nets.width],
        )

    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """The features or a learned message, or None without a mean field."""
        del carry
        return self.acting.inputs.message(obs)

    @torch.no_grad()
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """Plan from the present states and recover the first action."""
        self.known(carry["task"])
        config, nets = self.config, self.acting
        context, memory = nets.inputs.receive(obs, neighbours, carry, config.message_max_age)
        rows = context.flatten(0, 1)
        segment = self.plan(rows, generator)
        logits = nets.action_logits(segment[..., 0], segment[..., 1])
        actions = nets.head.decode(logits, config.decode, config.decode_temperature, generator)
        return actions.view(*obs.shape[:2], *actions.shape[1:]), {**carry, **memory}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One Adam."""
        return {"nets": self.optimizer}
