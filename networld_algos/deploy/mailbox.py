"""The messages that one station holds: which it keeps, which it drops, which it may use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from networld_algos.deploy.wire import MalformedMessageError, Message, decode

MOST_AHEAD = 8
"""Slots by which a sender may be ahead. Later messages are dropped, so that memory is bounded."""


class Mailbox:
    """Keeps messages of neighbours by slot, and drops all others.

    ===============  ==============================================================
    count            a message that
    ===============  ==============================================================
    ``"kept"``       can be used in this slot or a later one
    ``"late"``       is of a slot that no decision can use any more
    ``"doubled"``    came from a sender and slot whose message is there already
    ``"foreign"``    is from no neighbour, or of another model
    ``"early"``      is of a slot more than `MOST_AHEAD` slots ahead
    ``"malformed"``  is not a message, see `networld_algos.deploy.wire.decode`
    ===============  ==============================================================

    Args:
        neighbours: Number of the station in each slot of the neighbour table, -1 for none.
        model: Messages of other models are foreign.
        width: Values ``M`` of a message.
        delay: Slots that a message takes, 0 if those of the same slot are used.
        max_age: Slots for which a message is used in place of lost ones.

    Attributes:
        counts: How many messages of each kind have come.
    """

    def __init__(
        self, neighbours: Sequence[int], model: int, width: int, delay: int, max_age: int
    ) -> None:
        self.neighbours = list(neighbours)
        self.model, self.width, self.delay, self.max_age = model, width, delay, max_age
        self.counts: Counter[str] = Counter()
        self._kept: dict[int, dict[int, NDArray[np.float32]]] = {
            number: {} for number in self.neighbours if number >= 0
        }  # sender -> slot -> values
        self._oldest = -max_age - delay

    def clear(self) -> None:
        """Forget all messages; the counts stay."""
        for kept in self._kept.values():
            kept.clear()

    def begin(self, slot: int) -> None:
        """Forget the messages that no decision in ``slot`` or later uses."""
        self._oldest = slot - self.delay - self.max_age
        for kept in self._kept.values():
            for old in [s for s in kept if s < self._oldest]:
                del kept[old]

    def put(self, data: bytes, slot: int) -> str:
        """Take a message that arrived during ``slot``; returns the kind that was counted."""
        kind = self._kind(data, slot)
        self.counts[kind] += 1
        return kind

    def _kind(self, data: bytes, slot: int) -> str:
        try:
            message: Message = decode(data)
        except (MalformedMessageError, TypeError):
            return "malformed"
        kept = self._kept.get(message.sender)
        if kept is None or message.model != self.model:
            return "foreign"
        if len(message.values) != self.width:
            return "malformed"
        if message.slot < self._oldest:
            return "late"
        if message.slot > slot + MOST_AHEAD:
            return "early"
        if message.slot in kept:
            return "doubled"
        kept[message.slot] = message.values
        return "kept"

    def missing(self, slot: int) -> list[int]:
        """Neighbours whose message for a decision in ``slot`` has not come."""
        return [number for number, kept in self._kept.items() if slot - self.delay not in kept]

    def collect(self, slot: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The newest usable message of each neighbour for a decision in ``slot``.

        Returns:
            Values ``(D, M)`` float32, zero where there is none, and ``(D,)`` float32, 1.0 where
            there is one.
        """
        held = np.zeros((len(self.neighbours), self.width), np.float32)
        usable = np.zeros(len(self.neighbours), np.float32)
        newest = slot - self.delay
        for place, number in enumerate(self.neighbours):
            ages = [newest - s for s in self._kept.get(number, ()) if s <= newest]
            if ages and min(ages) <= self.max_age:
                held[place] = self._kept[number][newest - min(ages)]
                usable[place] = 1.0
        return held, usable
