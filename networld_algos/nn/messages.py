"""Messages between neighbours: which ones an agent receives and keeps."""

from __future__ import annotations

import torch
from torch import Tensor

from networld_algos.base import Carry
from networld_algos.data.neighbours import gather_neighbours

MESSAGE_MAX_AGE = 5
"""Steps for which a neighbour's last message replaces lost ones, by default."""


def receive(
    messages: Tensor, neighbours: Tensor, carry: Carry, max_age: int
) -> tuple[Tensor, Tensor, Carry]:
    """Mean of the messages that arrive now; a lost one is replaced by the last from its slot.

    A slot of the neighbour table that was filled before and is -1 now is a lost message. Its last
    value is used for at most ``max_age`` steps. A slot that was never filled is ignored.
    The neighbour table must not reorder its slots within an episode.

    If the carry has ``"delay"`` (`networld_algos.base.Carry`), messages arrive that many steps
    after they were sent. The entry ``"in_flight"`` holds those under way. Nothing arrives in the
    first ``"delay"`` steps.

    Args:
        messages: ``(E, N, M)`` messages sent now.
        neighbours: ``(E, N, D)`` int64, -1 for none or lost.
        carry: History of the receiving agents.
        max_age: Steps for which a message is used; with 0, only those that arrive now are.

    Returns:
        Mean ``(E, N, M)``, presence ``(E, N, 1)``, and the entries ``held`` ``(E, N, D, M)`` and
        ``age`` ``(E, N, D)`` of the next carry.
    """
    arrived = neighbours >= 0
    memory: Carry = {}
    if delay := carry.get("delay", 0):
        in_flight = (*carry.get("in_flight", ()), messages)  # oldest first, each (E, N, M)
        memory["in_flight"] = in_flight[-delay:]
        messages = in_flight[0]
        if len(in_flight) <= delay:
            arrived = torch.zeros_like(arrived)
    held = torch.where(arrived.unsqueeze(-1), gather_neighbours(messages, neighbours), 0.0)
    age = torch.where(arrived, 0, max_age + 1)
    if "held" in carry:
        held = torch.where(arrived.unsqueeze(-1), held, carry["held"])
        age = torch.where(arrived, 0, (carry["age"] + 1).clamp(max=max_age + 1))
    usable = (age <= max_age).to(messages.dtype)
    count = usable.sum(-1, keepdim=True)
    mean = (held * usable.unsqueeze(-1)).sum(-2) / count.clamp(min=1.0)
    return mean, (count > 0).to(messages.dtype), {**memory, "held": held, "age": age}
