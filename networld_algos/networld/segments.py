"""What NetWorld is trained on: transitions and segments of agents, cut from a batch."""

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
    """The first step of windows, for agents drawn at random; forecast and value are trained on it.

    Windows are drawn independently, so these steps are nearly independent, while the steps within a
    window are nearly alike.

    Attributes:
        z: ``(R, d)`` latents with shuffled last action, without gradient.
        combined: ``(R, d)`` combined message before standardisation, plus combined entities if they
            share weights. With gradient to the networks that made them.
        present: ``(R, 1)`` 1.0 where the agent has a neighbour.
        actions: ``(R, ...)`` what was done.
        z_next: ``(R, d)`` true latents one step later, without gradient.
        z_last: ``(R, d)`` latents at the end of the window, without gradient.
        combined_last: ``(R, d)`` the same there, without gradient.
        rewards: ``(R, T)`` rewards that count, see `NetWorldConfig.return_of`.
        terminated: ``(R,)`` 1.0 where the episode terminates within the window.
        steps: ``(R, T)`` 1.0 where the transition is real; the first one always is.
    """

    z: Tensor
    combined: Tensor
    present: Tensor
    actions: Tensor
    z_next: Tensor
    z_last: Tensor
    combined_last: Tensor
    rewards: Tensor
    terminated: Tensor
    steps: Tensor


@dataclass(frozen=True)
class Segments:
    """Whole windows of some of the agents of `Transitions`.

    Attributes:
        transitions: The first steps of these and other windows.
        chosen: ``(S,)`` rows of ``transitions`` that the segments belong to.
        features: ``(S, H, F)``.
        z: ``(S, H, d)`` latents standardised with running statistics, without gradient.
        m: ``(S, H, d)`` the same, standardised, without gradient; None if no plan is trained.
        present: ``(S, 1)`` 1.0 where the agent has a neighbour.
        actions: ``(S, H-1, ...)``.
        steps: ``(S, H-1)`` 1.0 where the transition is real.
        returns: ``(S,)`` discounted segment return, for the classifier.
        full: ``(S,)`` 1.0 where the whole segment is real.
        picked: The agents and windows that the rows come from.
    """

    transitions: Transitions
    chosen: Tensor
    features: Tensor
    z: Tensor
    m: Tensor | None
    present: Tensor
    actions: Tensor
    steps: Tensor
    returns: Tensor
    full: Tensor
    picked: Picked

    def weights(self, weights: Tensor) -> Tensor:
        """Weights ``(R,)`` of transitions, spread over all steps ``(S, H-1)`` of the segments."""
        return weights[self.chosen][:, None] * self.steps


def draw_segments(
    own: TaskNets, config: NetWorldConfig, batch: Batch, generator: torch.Generator
) -> Segments:
    """Encode every agent, draw some, and combine the messages that they receive.

    Args:
        own: Networks of the batch's task.
        config: Config of the model.
        batch: Windows of whole teams, ``T`` steps as `NetWorldConfig.window` says.
        generator: Chooses the agents and windows to train on.
    """
    b, h, n, _ = batch.obs.shape
    near = drop_messages(batch.neighbours, config.message_dropout, generator)
    with torch.no_grad():
        shown = shuffle_last_action(
            batch.obs[:, :1], own.last_action, config.action_dropout, generator
        )
        obs = torch.cat([shown, batch.obs[:, 1:]], dim=1)
        features = own.features(obs)  # (B, H, N, F)
        z = own.latents(features)
    picked = pick(b * n, config.transitions, generator, z.device)
    window, agent = picked.rows // n, picked.rows % n
    # Without plans a window can have fewer steps, and more windows make up for them.
    count = config.sequences * max(1, (config.horizon - 1) // (h - 1))
    chosen, sequences = picked.first(count)
    row, of = window[chosen], agent[chosen]
    combined, seen = own.received(own.see(obs[:, 0], z[:, 0], features[:, 0]), near)
    combined, present = combined[window, agent], seen[window, agent]
    m, combined_last = None, combined.detach()
    with torch.no_grad():
        if config.planner == "diffusion":
            table = near[:, None].expand(-1, h - 1, -1, -1)
            later, _ = own.received(own.see(obs[:, 1:], z[:, 1:], features[:, 1:]), table)
            combined_last = later[window, -1, agent]
            m = torch.cat([combined[chosen, None], later[row, :, of]], dim=1)
            m = own.standard_message(m, present[chosen, None])
        elif config.window > 1:
            last, _ = own.received(own.see(obs[:, -1], z[:, -1], features[:, -1]), near)
            combined_last = last[window, agent]
    rewards = assigned_rewards(batch.rewards, batch.neighbours, config.return_of)  # (B, T, N)
    powers = config.discount ** torch.arange(h - 1, device=z.device)
    steps = batch.mask.to(z.dtype)
    transitions = Transitions(
        z=z[window, 0, agent],
        combined=combined,
        present=present,
        actions=batch.actions[window, 0, agent],
        z_next=z[window, 1, agent],
        z_last=z[window, -1, agent],
        combined_last=combined_last,
        rewards=rewards[window, :, agent],
        terminated=batch.terminated.to(z.dtype).amax(1)[window],
        steps=steps[window],
    )
    return Segments(
        transitions=transitions,
        chosen=chosen,
        features=features[row, :, of],
        z=z[row, :, of],
        m=m,
        present=present[chosen],
        actions=batch.actions[row, :, of],
        steps=steps[row],
        returns=(rewards[row, :, of] * powers).sum(1),
        full=batch.mask[row].all(1).to(z.dtype),
        picked=sequences,
    )
