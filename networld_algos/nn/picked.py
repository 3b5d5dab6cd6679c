"""Inputs of some agents of a batch: only those, and what their neighbours send, are computed.

The result is that of `LocalInputs.of_obs` at the same agents, up to rounding. Where few agents of a
batch are trained on, most of the other inputs would never be read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from networld_algos.nn.entities import EntityFeatures
from networld_algos.nn.inputs import LocalInputs
from networld_algos.nn.messages import drop_messages
from networld_algos.nn.sharding import Picked, pick


def draw_inputs(
    inputs: LocalInputs, obs: Tensor, neighbours: Tensor, most: int, generator: torch.Generator
) -> tuple[Tensor, Picked]:
    """Choose agents of a batch, and what they know.

    Args:
        inputs: What an agent knows.
        obs: ``(B, T, N, O)``.
        neighbours: ``(B, N, D)`` int64, padded with -1.
        most: Largest number of (window, agent) pairs, as in `networld_algos.nn.sharding.pick`.
        generator: Chooses the lost messages first, and then the agents.

    Returns:
        Inputs ``(S, T, F)``, and the agents and windows that the rows come from.
    """
    b, _, n, _ = obs.shape
    if inputs.field is not None:
        neighbours = drop_messages(neighbours, inputs.config.message_dropout, generator)
    picked = pick(b * n, most, generator, obs.device)
    row, agent = picked.rows // n, picked.rows % n
    if inputs.field is None:
        return inputs.features(obs[row, :, agent]), picked
    near = neighbours[row, agent]  # (S, D)
    sending = torch.zeros(b * n, dtype=torch.bool, device=obs.device)
    sending[picked.rows] = True
    sending[((row * n)[:, None] + near)[near >= 0]] = True
    senders = sending.nonzero().squeeze(1)
    features = inputs.features(obs[senders // n, :, senders % n])
    sent = inputs.sent(features)
    heard = inputs.field.of_picked(sent, senders, (b, n), picked.rows, near)
    own = features.index_select(0, torch.searchsorted(senders, picked.rows))
    return torch.cat([own, *heard], dim=-1), picked


def own_features(inputs: LocalInputs, obs: Tensor) -> Tensor:
    """The leading columns of the inputs that need no weights, ``(..., LocalInputs.own_width)``."""
    kind = inputs.features
    return kind.own(obs) if isinstance(kind, EntityFeatures) else kind(obs)
