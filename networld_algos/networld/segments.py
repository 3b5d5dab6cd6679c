"""What NetWorld is trained on: agent-sequences with messages and returns, cut from a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from networld_algos.data.batch import Batch
from networld_algos.data.returns import assigned_rewards
from networld_algos.networld.config import NetWorldConfig
from networld_algos.networld.nets import TaskNets
from networld_algos.nn.features import shuffle_last_action
from networld_algos.nn.messages import drop_messages
from networld_algos.nn.sharding import Picked, pick


@dataclass(frozen=True)
class Transitions:
    """The first step of every window, for every agent; forecast and value are trained on it.

    Windows are drawn independently, so these steps are independent, while the steps within a window
    are nearly alike.

    Attributes:
        z: ``(B, N, d)`` latents with shuffled last action, without gradient.
        mean: ``(B, N, d)`` mean message before standardisation, with gradient to the sender.
        present: ``(B, N, 1)`` 1.0 where the agent has a neighbour.
        actions: ``(B, N, ...)`` what was done.
        z_next: ``(B, N, d)`` true latents one step later, without gradient.
        z_last: ``(B, N, d)`` latents at the end of the window, without gradient.
        mean_last: ``(B, N, d)`` mean message there, without gradient.
        rewards: ``(B, T, N)`` rewards that count, see `NetWorldConfig.return_of`.
        returns: ``(B, N)`` discounted return of the window.
        terminated: ``(B,)`` 1.0 where the episode terminates within the window.
        steps: ``(B, T)`` 1.0 where the transition is real; the first one always is.
        picked: The agents and windows that the forecast is trained on.
    """

    z: Tensor
    mean: Tensor
    present: Tensor
    actions: Tensor
    z_next: Tensor
    z_last: Tensor
    mean_last: Tensor
    rewards: Tensor
    returns: Tensor
    terminated: Tensor
    steps: Tensor
    picked: Picked

    def of_picked(self, values: Tensor) -> Tensor:
        """Values of every agent ``(B, N, ...)``, reduced to those picked, ``(rows, ...)``."""
        return values.flatten(0, 1)[self.picked.rows]


@dataclass(frozen=True)
class Segments:
    """Agent-sequences drawn from a batch.

    Attributes:
        transitions: First steps of the whole batch.
        features: ``(S, H, F)``.
        z: ``(S, H, d)`` latents standardised with running statistics, without gradient.
        m: ``(S, H, d)`` standardised mean message, without gradient.
        present: ``(S, 1)`` 1.0 where the agent has a neighbour.
        actions: ``(S, H-1, ...)``.
        steps: ``(S, H-1)`` 1.0 where the transition is real.
        returns: ``(S,)`` discounted segment return.
        full: ``(S,)`` 1.0 where the whole segment is real.
        picked: The agents and windows that the rows come from.
    """

    transitions: Transitions
    features: Tensor
    z: Tensor
    m: Tensor
    present: Tensor
    actions: Tensor
    steps: Tensor
    returns: Tensor
    full: Tensor
    picked: Picked

    def weights(self, weights: Tensor) -> Tensor:
        """Weights ``(B, N)`` of first steps, spread over all steps ``(S, H-1)`` of the segments."""
        return weights.flatten()[self.picked.rows][:, None] * self.steps


def draw_segments(
    own: TaskNets, config: NetWorldConfig, batch: Batch, generator: torch.Generator
) -> Segments:
    """Encode every agent, average messages over neighbours, and draw agent-sequences.

    Args:
        own: Networks of the batch's task.
        config: Config of the model.
        batch: Windows of whole teams, ``T = H - 1``.
        generator: Chooses the agents and windows to train on.
    """
    b, h, n, _ = batch.obs.shape
    share, columns = config.action_dropout, own.last_action
    near = drop_messages(batch.neighbours, config.message_dropout, generator)
    table = near[:, None].expand(-1, h - 1, -1, -1)
    with torch.no_grad():
        shown = shuffle_last_action(batch.obs[:, :1], columns, share, generator)
        features = own.features(torch.cat([shown, batch.obs[:, 1:]], dim=1))  # (B, H, N, F)
        z = own.latents(features)
    if config.mean_field == "off":
        means = torch.zeros_like(z)
        mean, present = means[:, 0], torch.zeros_like(z[:, 0, :, :1])
    else:
        mean, present = own.field.of_team(own.send(z[:, 0], features[:, 0]), near)
        with torch.no_grad():
            later, _ = own.field.of_team(own.send(z[:, 1:], features[:, 1:]), table)
        means = torch.cat([mean.detach()[:, None], later], dim=1)
    sequences = pick(b * n, config.sequences, generator, z.device)
    row, agent = sequences.rows // n, sequences.rows % n
    with torch.no_grad():
        m = own.mean_message(means[row, :, agent], present[row, agent, None])
    rewards = assigned_rewards(batch.rewards, batch.neighbours, config.return_of)
    powers = config.discount ** torch.arange(h - 1, device=z.device)
    returns = (rewards * powers[:, None]).sum(1)  # (B, N)
    steps = batch.mask.to(z.dtype)
    transitions = Transitions(
        z=z[:, 0],
        mean=mean,
        present=present,
        actions=batch.actions[:, 0],
        z_next=z[:, 1],
        z_last=z[:, -1],
        mean_last=means[:, -1],
        rewards=rewards,
        returns=returns,
        terminated=batch.terminated.to(z.dtype).amax(1),
        steps=steps,
        picked=pick(b * n, config.transitions, generator, z.device),
    )
    return Segments(
        transitions=transitions,
        features=features[row, :, agent],
        z=z[row, :, agent],
        m=m,
        present=present[row, agent],
        actions=batch.actions[row, :, agent],
        steps=steps[row],
        returns=returns[row, agent],
        full=batch.mask[row].all(1).to(z.dtype),
        picked=sequences,
    )
