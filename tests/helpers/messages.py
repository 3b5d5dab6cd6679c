"""The arithmetic mean of the messages that agents hold."""

from __future__ import annotations

from networld_algos.nn.messages import MeanField, collect


def received_mean(messages, neighbours, carry, max_age):
    """Mean, presence, and the entries of the next carry, see `collect`."""
    held, usable, memory = collect(messages, neighbours, carry, max_age)
    field = MeanField(messages.shape[-1], "mean")
    return (*field(messages, held, usable), memory)
