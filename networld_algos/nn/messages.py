"""Messages between neighbours: what an agent receives and keeps of them."""

from __future__ import annotations

import torch
from torch import Tensor

from networld_algos.base import Carry
from networld_algos.data.neighbours import gather_neighbours

MESSAGE_MAX_AGE = 5
"""Steps for which the last message of a neighbour stands in for lost ones."""


def receive(
    messages: Tensor, neighbours: Tensor, carry: Carry, max_age: int
) -> tuple[Tensor, Tensor, Carry]:
    """Mean field of what arrives now, lost messages replaced by the last ones from that slot.

    A slot of the neighbour table that was filled before and is -1 now is a lost message: its last
    value counts for at most ``max_age`` steps. A slot that was never filled counts for nothing.
    The neighbour table must not reorder its slots within an episode.

    A carry with ``"delay"`` (`networld_algos.base.Carry`) delivers what was sent so many steps ago;
    what is on its way is the entry ``"in_flight"``. Nothing arrives in the first steps.

    Args:
        messages: ``(E, N, M)`` sent now.
        neighbours: ``(E, N, D)`` int64, -1 for none or lost.
        carry: Of the receiving agents.
        max_age: Steps a message stays in use; 0 uses only what arrives now.

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
