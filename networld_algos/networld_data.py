"""What NetWorld trains on: agent-sequences with their messages and returns, from a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from networld_algos.base import gather_neighbours, mean_over_neighbours
from networld_algos.batch import Batch, Episodes
from networld_algos.features import shuffle_last_action
from networld_algos.networld_config import NetWorldConfig
from networld_algos.networld_nets import TaskNets


@dataclass(frozen=True)
class Transitions:
    """All single steps of a batch, what the forecast is trained on.

    Attributes:
        z: ``(B, T, N, d)`` latents, their last action shuffled; without gradient.
        mean: ``(B, T, N, d)`` mean message before standardisation, with gradient to the sender.
        present: ``(B, T, N, 1)`` 1.0 where the agent has a neighbour.
        z_next: ``(B, T, N, d)`` true latents one step later, without gradient.
        returns: ``(B, N)`` discounted return of the window.
        steps: ``(B, T)`` 1.0 where the transition is real.
    """

    z: Tensor
    mean: Tensor
    present: Tensor
    z_next: Tensor
    returns: Tensor
    steps: Tensor


@dataclass(frozen=True)
class Segments:
    """Agent-sequences drawn from a batch.

    Attributes:
        transitions: All steps of the whole batch.
        features: ``(S, H, O)``.
        z: ``(S, H, d)`` latents by the running statistics, without gradient.
        m: ``(S, H, d)`` standardised mean message, without gradient.
        present: ``(S, 1)`` 1.0 where the agent has a neighbour.
        actions: ``(S, H-1, ...)``.
        steps: ``(S, H-1)`` 1.0 where the transition is real.
        returns: ``(S,)`` discounted segment return.
        full: ``(S,)`` 1.0 where the whole segment is real.
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


def draw_segments(
    task: TaskNets, config: NetWorldConfig, batch: Batch, generator: torch.Generator
) -> Segments:
    """Encode every agent, average messages by the table, draw agent-sequences.

    Args:
        task: Networks of the batch's task.
        config: Of the model.
        batch: Windows of whole teams, ``T = H - 1``.
        generator: Draws which agents of which windows are trained on.
    """
    b, h, n, _ = batch.obs.shape
    share, columns = config.action_dropout, task.last_action
    shown = shuffle_last_action(batch.obs[:, :-1], columns, share, generator)
    with torch.no_grad():
        features = task.features(torch.cat([shown[:, :1], batch.obs[:, 1:]], dim=1))  # (B, H, N, O)
        z = task.standardiser(task.encoder(features))
        # Of position 0 the last action is shuffled already.
        seen = torch.cat([z[:, :1], task.encode(shown[:, 1:]), z[:, -1:]], dim=1)
    order = torch.randperm(b * n, generator=generator, device=generator.device)
    pick = order[: config.sequences].to(z.device)
    row, agent = pick // n, pick % n
    table = batch.neighbours[:, None].expand(-1, h, -1, -1)
    if config.mean_field == "off":
        mean = torch.zeros_like(z)
        present = torch.zeros_like(z[..., :1])
    else:
        mean, present = mean_over_neighbours(task.send(seen), table)
    with torch.no_grad():
        m = task.mean_message(mean[row, :, agent], present[row, :, agent])
    rewards = credit(batch.rewards, batch.neighbours, config)
    powers = config.discount ** torch.arange(h - 1, device=z.device)
    returns = (rewards * powers[:, None]).sum(1)  # (B, N)
    steps = batch.mask.to(z.dtype)
    transitions = Transitions(
        z=seen[:, :-1],
        mean=mean[:, :-1],
        present=present[:, :-1],
        z_next=z[:, 1:],
        returns=returns,
        steps=steps,
    )
    return Segments(
        transitions=transitions,
        features=features[row, :, agent],
        z=z[row, :, agent],
        m=m,
        present=present[row, 0, agent],
        actions=batch.actions[row, :, agent],
        steps=steps[row],
        returns=returns[row, agent],
        full=batch.mask[row].all(1).to(z.dtype),
    )


def credit(rewards: Tensor, neighbours: Tensor, config: NetWorldConfig) -> Tensor:
    """Rewards ``(B, T, N)`` of each agent, or of it and its neighbours ``(B, N, D)`` on average."""
    if config.return_of == "agent":
        return rewards
    per_agent = rewards.transpose(1, 2)  # (B, N, T)
    present = (neighbours >= 0).to(rewards.dtype)
    near = (gather_neighbours(per_agent, neighbours) * present.unsqueeze(-1)).sum(-2)
    return ((per_agent + near) / (1.0 + present.sum(-1, keepdim=True))).transpose(1, 2)


def segment_returns(episodes: Episodes, config: NetWorldConfig) -> Tensor:
    """Discounted return ``(S,)`` of every segment that lies inside its episode.

    Raises:
        ValueError: If every episode is shorter than a segment.
    """
    steps = config.horizon - 1
    found: list[Tensor] = []
    for k, length in enumerate(episodes.lengths.tolist()):
        if length < steps:
            continue
        rewards = torch.as_tensor(episodes.rewards[k : k + 1, :length])
        table = torch.as_tensor(episodes.neighbours[k : k + 1]).long()
        windows = credit(rewards, table, config)[0].unfold(0, steps, 1)  # (starts, N, H-1)
        found.append((windows * config.discount ** torch.arange(steps)).sum(-1).flatten())
    if not found:
        raise ValueError(
            f"all episodes are shorter than {steps} steps; use a horizon of at most "
            f"{int(episodes.lengths.max()) + 1}"
        )
    return torch.cat(found)
