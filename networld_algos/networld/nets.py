"""The networks of NetWorld: one set per task, and one that all tasks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from networld_algos.data.symmetry import own_columns, shared_groups
from networld_algos.networld.config import NetWorldConfig
from networld_algos.nn.action_head import ActionHead
from networld_algos.nn.diffusion import CosineSchedule
from networld_algos.nn.entities import Entities
from networld_algos.nn.features import ObsFeatures, RunningStandardiser
from networld_algos.nn.layers import Hidden, Residual, Rotation, mlp
from networld_algos.nn.messages import MeanField
from networld_algos.nn.twohot import Coding, TwoHot
from networld_algos.nn.unet import MLPDenoiser, ReturnClassifier, TemporalUNet
from networld_envs.spec import TaskSpec

BINS = 51
"""Bins of each column of a box action, and of a return."""
MLP_LAYERS = 2
"""Hidden layers of encoder, decoder and inverse dynamics."""
SMALL = 0.01
"""Initial scale of what the encoder and the decoder add to their linear parts."""


class Seen(NamedTuple):
    """What agents see, and what they send.

    Attributes:
        z: ``(..., d)`` latents.
        sent: ``(..., M)`` messages.
        entities: ``(..., d)`` combined entities; None without any that share weights.
    """

    z: Tensor
    sent: Tensor
    entities: Tensor | None


class TaskNets(nn.Module):
    """The networks that a task has for itself.

    Attributes:
        encoder_grad: What trains the encoder, see `NetWorldConfig`.
        last_action: Columns of the observation that show the last action.
        features: Features of the observation, standardised by the dataset; without the columns of
            shared entities.
        entities: Combines the entities of the observation; None without any that share weights.
        encoder: Maps features to a raw latent, which ``standardiser`` turns into z.
        decoder: Maps z to features if the encoder is trained; used in training only.
        inverse: Maps ``[z_t, z_{t+1}]`` to the input of ``head``.
        head: Action logits.
        sender: g, from z and combined entities to a message; None if the message is not learned.
        field: Combines messages of neighbours; None without a mean field.
        slot: Action logits from the forecast's hidden layer, with ``action_slot``.
        message_standardiser: Standardises the combined message, with entities added.
        value: Expected return, with ``weighting="advantage"``.
        advantage_standardiser: Standardises the advantage.
        return_std: Standard deviation of the segment return, with ``weighting="advantage"``.
        returns: Bins of the segment return, which the classifier predicts; None without plans.
    """

    return_std: Tensor | None

    def __init__(self, spec: TaskSpec, config: NetWorldConfig) -> None:
        super().__init__()
        d, hidden = config.latent, [config.hidden] * MLP_LAYERS
        self.last_action = spec.last_action
        kind = config.features_of(config.columns_of(spec))
        self.entities = None
        if config.entities == "shared" and shared_groups(spec):
            self.features = ObsFeatures(spec.obs_dim, kind, own_columns(spec))
            self.entities = Entities(spec, kind, d)
        else:
            self.features = ObsFeatures(spec.obs_dim, kind)
        self.encoder_grad = config.encoder_grad_of(spec)
        self.standardiser = RunningStandardiser(d)
        self.encoder: Rotation | Residual
        self.decoder: Residual | None = None
        if self.encoder_grad == "none":
            self.encoder = Rotation(self.features.width, d)
        else:
            self.encoder = Residual([self.features.width, *hidden, d])
            self.decoder = Residual([d, *hidden, self.features.width])
        self.inverse = mlp([2 * d, *hidden], activate_last=True)
        coding: Coding = "onehot" if config.coding == "onehot" else "twohot"
        symlog = config.coding != "uniform"
        self.head = ActionHead(spec, config.hidden, BINS, coding, symlog)
        self.message_standardiser = RunningStandardiser(d)
        self.sender = self.field = None
        self.sends_features = config.message == "features"
        if config.mean_field:
            self.field = MeanField(
                self.features.width if self.sends_features else d,
                config.aggregate,
                extremes=self.sends_features,
                out=d if self.sends_features else None,
            )
            if config.message == "learned":
                inputs = d if self.entities is None else 2 * d
                self.sender = mlp([inputs, config.hidden // 2, d])
        self.slot = None
        if config.action_slot:
            self.slot = ActionHead(spec, config.hidden, BINS, coding, symlog)
        self.value = self.advantage_standardiser = None
        self.register_buffer("return_std", None)
        if config.weighting == "advantage":
            self.value = mlp([2 * d + 1, config.hidden, 1])
            self.advantage_standardiser = RunningStandardiser(1)
            self.register_buffer("return_std", torch.tensor(1.0))
        planned = config.planner == "diffusion"
        self.returns = TwoHot(1, BINS, coding, symlog) if planned else None
        self._start_as_rotation()

    @torch.no_grad()
    def _start_as_rotation(self) -> None:
        """Start a trained encoder near a rotation, which loses nothing if all features fit."""
        if self.decoder is None:
            return
        assert isinstance(self.encoder, Residual)
        nn.init.orthogonal_(self.encoder.linear.weight)
        nn.init.zeros_(self.encoder.linear.bias)
        for last in (self.encoder.net[-1], self.decoder.net[-1]):
            assert isinstance(last, nn.Linear)
            last.weight.mul_(SMALL)
            nn.init.zeros_(last.bias)

    @torch.no_grad()
    def fit_latents(self, features: Tensor) -> None:
        """Fit the standardiser to features ``(rows, F)``, and start a decoder as the inverse."""
        self.standardiser.fit(self.encoder(features))
        if self.decoder is None:
            return
        assert isinstance(self.encoder, Residual)
        rotation, stats = self.encoder.linear.weight, self.standardiser
        self.decoder.linear.weight.copy_(rotation.T * (stats.var + stats.EPS).sqrt())
        self.decoder.linear.bias.copy_(rotation.T @ stats.mean)

    def latents(self, features: Tensor) -> Tensor:
        """Features ``(..., F)`` to standardised latents ``(..., d)``."""
        return self.standardiser(self.encoder(features))

    def look(self, obs: Tensor) -> Seen:
        """What agents see in raw observations ``(..., O)``, and what they send."""
        features = self.features(obs)
        return self.see(obs, self.latents(features), features)

    def see(self, obs: Tensor, z: Tensor, features: Tensor) -> Seen:
        """`look`, if latents ``(..., d)`` and features ``(..., F)`` are known."""
        entities = None if self.entities is None else self.entities(obs)
        if self.sends_features:
            sent = features
        elif self.sender is None:
            sent = z
        else:
            sent = self.sender(z if entities is None else torch.cat([z, entities], dim=-1))
        return Seen(z, sent, entities)

    def received(self, seen: Seen, near: Tensor) -> tuple[Tensor, Tensor]:
        """What all agents of a team know beside their latents, before standardisation.

        Args:
            seen: What each of them sees, ``(..., N, ...)``.
            near: ``(..., N, D)`` int64 neighbours, padded with -1, the same leading axes.

        Returns:
            `beside` ``(..., N, d)`` of the messages that all send at the same time, and
            ``(..., N, 1)``, 1.0 where there is at least one message.
        """
        if self.field is None:
            absent = torch.zeros_like(seen.z[..., :1])
            return self.beside(seen, None, absent), absent
        combined, present = self.field.of_team(seen.sent, near)
        return self.beside(seen, combined, present), present

    def beside(self, seen: Seen, combined: Tensor | None, present: Tensor) -> Tensor:
        """Combined messages plus combined entities ``(..., d)``, or zeros without either."""
        if seen.entities is None:
            return torch.zeros_like(seen.z) if combined is None else combined
        return seen.entities if combined is None else combined * present + seen.entities

    def standard_message(self, combined: Tensor, present: Tensor) -> Tensor:
        """Standardised m."""
        return self.without_absent(self.message_standardiser(combined), present)

    def without_absent(self, m: Tensor, present: Tensor) -> Tensor:
        """``m`` ``(..., d)``, zero for agents without neighbours unless it also holds entities."""
        return m * present if self.entities is None else m

    def fit_returns(self, returns: Tensor) -> None:
        """Fit what is in units of the segment returns ``(S,)`` of the data."""
        if self.return_std is not None:
            self.return_std.copy_(returns.std(correction=0).clamp(min=1e-6))
        if self.returns is not None:
            self.returns.set_range(returns.min()[None], returns.max()[None])

    def set_action_range(self, low: Tensor, high: Tensor) -> None:
        """Spread the bins of a box action over the range seen in the data."""
        for head in (self.head, self.slot):
            if head is not None:
                head.set_range(low, high)

    def value_of(self, x: Tensor) -> Tensor:
        """Values ``(...)`` of ``[z; m; present]``, see `networld_algos.networld.advantage`."""
        assert self.value is not None
        return self.value(x).squeeze(-1)

    def action_logits(self, z: Tensor, z_next: Tensor) -> Tensor:
        """Inverse dynamics: logits ``(..., A, K)`` of the action between two latents."""
        return self.head(self.inverse(torch.cat([z, z_next], dim=-1)))


class Forecast(nn.Module):
    """Mean of the next latent from ``[z; m; present]`` and the task: z plus a gated network."""

    def __init__(self, channels: int, config: NetWorldConfig) -> None:
        super().__init__()
        hidden = Hidden("gated", config.hidden, config.layers)
        self.net = hidden.net(channels + config.dim, config.latent)
        self.latent = config.latent

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """``(..., channels)`` and the embedding ``(dim,)`` to ``(..., d)`` and the hidden layer."""
        inputs = torch.cat([x, embedding.expand(*x.shape[:-1], -1)], dim=-1)
        hidden = self.net[:-1](inputs)
        return x[..., : self.latent] + self.net[-1](hidden), hidden


class SharedNets(nn.Module):
    """The networks that all tasks share, and an embedding of each task."""

    def __init__(self, tasks: Iterable[str], config: NetWorldConfig) -> None:
        super().__init__()
        d = config.latent
        self.context = 1 if config.uses_context else 0
        self.channels = 2 * d if self.context else d
        # A ParameterDict made from a dict sorts its entries. They are added one by one, so that the
        # order of parameters, and of optimiser moments, is the same if a task is added later.
        self.embeddings = nn.ParameterDict()
        for task in tasks:
            self.embeddings[task] = nn.Parameter(torch.randn(config.dim))
        self.schedule = CosineSchedule(config.train_steps)
        size = {"dim": config.dim, "blocks": config.blocks}
        # x0 is predicted as its difference from the forecast, or from the present latent.
        self.residual = config.prediction == "x0"
        self.forecasting = config.forecast
        self.latent = d
        self.forecast_net = Forecast(self.channels + self.context, config)
        self.denoiser = self.classifier = None
        if config.planner == "forecast":
            return
        context = self.channels + self.context + (d if config.forecast else 0)
        if config.denoiser == "unet":
            self.denoiser = TemporalUNet(self.channels, context, mults=config.mults, **size)
        else:
            self.denoiser = MLPDenoiser(
                self.channels, context, config.horizon, hidden=config.hidden, **size
            )
        self.classifier = ReturnClassifier(
            self.channels + self.context, config.horizon, mults=config.mults, bins=BINS, **size
        )

    def embedding(self, task: str) -> Tensor:
        """Embedding ``(dim,)`` of a task."""
        return self.embeddings[task]

    def add_task(self, task: str) -> None:
        """Embed a new task as the mean of the known tasks."""
        known = torch.stack([p.detach() for p in self.embeddings.values()])
        self.embeddings[task] = nn.Parameter(known.mean(0))

    def forecast(self, z: Tensor, m: Tensor, present: Tensor, task: str) -> Tensor:
        """Mean of the next latent ``(..., d)`` from latents, messages and ``present`` flags."""
        return self.forecast_and_hidden(z, m, present, task)[0]

    def forecast_and_hidden(
        self, z: Tensor, m: Tensor, present: Tensor, task: str
    ) -> tuple[Tensor, Tensor]:
        """The forecast, and the hidden layer ``(..., hidden)`` that action slots read."""
        x = torch.cat([z, m, present], dim=-1) if self.context else z
        return self.forecast_net(x, self.embedding(task))

    def denoise(
        self,
        x: Tensor,
        t: Tensor,
        present: Tensor,
        ahead: Tensor,
        task: str,
        *,
        frozen: bool = False,
        shifts: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Network output ``(rows, C, H)`` for corrupted segments.

        Args:
            x: ``(rows, C, H)``; its known first position is shown at all positions.
            t: ``(rows or 1,)`` diffusion steps.
            present: ``(rows, 1)`` 1.0 where there is a neighbour.
            ahead: ``(rows, d)`` forecast, shown at all positions.
            task: Name of the task of the segments.
            frozen: The weights need no gradient.
            shifts: What each block adds for ``t`` and ``task``, if it is computed already.
        """
        assert self.denoiser is not None
        length = x.shape[-1]
        now = x[..., :1].expand_as(x)  # never corrupted
        seen = [x, now]
        if self.context:
            seen.append(present.unsqueeze(-1).expand(-1, -1, length))
        if self.forecasting:
            seen.append(ahead.unsqueeze(-1).expand(-1, -1, length))
        output = self.denoiser(
            torch.cat(seen, dim=1), t, self.embedding(task), frozen=frozen, shifts=shifts
        )
        if not self.residual:
            return output
        base = now
        if self.forecasting:
            later = torch.cat([seen[-1], now[:, self.latent :]], dim=1)[..., 1:]
            base = torch.cat([now[..., :1], later], dim=-1)
        return base + output

    def classify(
        self,
        x: Tensor,
        t: Tensor,
        present: Tensor,
        task: str,
        *,
        frozen: bool = False,
        shifts: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Return logits ``(rows, bins)`` of segments ``(rows, C, H)``; see `denoise`."""
        assert self.classifier is not None
        if self.context:
            x = torch.cat([x, present.unsqueeze(-1).expand(-1, -1, x.shape[-1])], dim=1)
        return self.classifier(x, t, self.embedding(task), frozen=frozen, shifts=shifts)


class Nets(nn.Module):
    """All networks of a model. The averaged weights are a second copy."""

    def __init__(self, specs: Iterable[TaskSpec], config: NetWorldConfig) -> None:
        super().__init__()
        specs = list(specs)
        self.shared = SharedNets([spec.task for spec in specs], config)
        self.tasks = nn.ModuleDict({spec.task: TaskNets(spec, config) for spec in specs})

    def task(self, name: str) -> TaskNets:
        """The networks of one task."""
        nets = self.tasks[name]
        assert isinstance(nets, TaskNets)
        return nets
