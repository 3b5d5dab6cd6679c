"""One base station: it decides by its own observation and its neighbours' messages.

In each slot a station does two things, and `Station.step` does both::

    outbox = station.observe(observation)   # send it to all that listen
    action = station.decide(inbox)          # with what has arrived

With ``message_delay=1`` a decision uses the messages that neighbours sent in the slot before, so it
never waits. This is what ``evaluate(..., message_delay=1)`` scores. With ``message_delay=0`` it
uses those of the same slot, as ``evaluate`` does by default; messages must then cross between
`Station.observe` and `Station.decide`.

The stations that listen to a station are those that have it among their neighbours. On CBF a
station's neighbours do not all listen to it.

A message that is lost, late, doubled, foreign or malformed never stops a station, see
`networld_algos.deploy.mailbox.Mailbox`. Nor does a model that is late or fails: the station then
takes its fallback action. Every action is legal. This module needs NumPy only.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_algos.deploy.interface import Engine
from networld_algos.deploy.mailbox import Mailbox
from networld_algos.deploy.wire import Message, encode
from networld_algos.deploy.worker import LateError, Worker

Fallback = Callable[[NDArray[np.float32], int], Any]
"""``(observation, slot) -> action`` that is taken when the model has none."""

LAST_SLOT = 2**64 - 1
"""Largest number of a slot in a message."""


class Station:
    """A station that is stepped through its slots.

    Args:
        engine: The model.
        number: Number of the station; it is the sender of its messages.
        neighbours: Numbers of its 1-hop neighbours, whose messages it uses: its row of the
            neighbour table, with -1 for an empty entry. Their order changes decisions by rounding
            only.
        message_delay: Slots that messages take: 0 or more, see the top of this page.
        deadline_ms: Most time in ms from the call of `observe` until `decide` returns, besides the
            time that the caller spends between them. None sets no limit.
        fallback: Action if the model is late, fails, or gets an observation with a value that is
            not finite (then it sees the last finite one). By default, the last action, and before
            the first, the smallest legal value.

    Attributes:
        counts: ``"decisions"``, and how many of them were the fallback because the model was
            ``"late"``, ``"failed"`` or had an ``"unusable"`` observation.
        fell_back: Why the last action was the fallback: a key of ``counts``, or ``""``.
        last_error: What the model raised when it failed last.

    Raises:
        ValueError: If ``number`` is among the neighbours, a neighbour is named twice, or a number
            is out of range.
    """

    def __init__(
        self,
        engine: Engine,
        number: int,
        neighbours: Sequence[int],
        *,
        message_delay: int,
        deadline_ms: float | None = None,
        fallback: Fallback | None = None,
    ) -> None:
        listed = [int(n) for n in neighbours]
        real = [n for n in listed if n != -1]
        if len(set(real)) < len(real) or number in real or min([number, *real]) < 0:
            raise ValueError(
                "number and neighbours must be different and at least 0 (-1 for an empty slot), "
                f"got number {number} and neighbours {listed}"
            )
        if message_delay < 0 or message_delay != int(message_delay):
            raise ValueError(f"message_delay must be 0 or more slots, got {message_delay!r}")
        if deadline_ms is not None and not deadline_ms > 0:
            raise ValueError(f"deadline_ms must be above 0 or None, got {deadline_ms!r}")
        self.engine, self.number = engine, int(number)
        self.interface = about = engine.interface
        self.message_delay, self.deadline_ms = int(message_delay), deadline_ms
        self.counts: Counter[str] = Counter()
        self.fell_back, self.last_error = "", None
        self._mail = Mailbox(
            listed, about.model, about.message_width, self.message_delay, about.message_max_age
        )
        self._fallback = fallback
        self._worker = None if deadline_ms is None else Worker()
        self.reset()

    @classmethod
    def load(
        cls,
        source: str | Path,
        number: int,
        neighbours: Sequence[int],
        *,
        message_delay: int,
        deadline_ms: float | None = None,
        task: str | None = None,
        preset: str | None = None,
        seed: int = 0,
        batch_rows: int | None = None,
    ) -> Station:
        """A station of a trained model, with the fallback of its task.

        Args:
            source: Folder of a checkpoint, ``pretrained:NAME`` or ``hf://owner/name``.
            number: Number of the station.
            neighbours: Numbers of its neighbours.
            message_delay: Slots that messages take.
            deadline_ms: Most time of a decision.
            task: The task, if the model has several.
            preset: Preset of the task's parameters, for the fallback. By default, that of the
                training data.
            seed: Seed of the model's own randomness; each station number has its own stream.
            batch_rows: Number of agents ``N`` of a network whose batched decisions
                (`networld_algos.deploy.Policy`) this station repeats bit by bit. It then computes
                all ``N`` rows, with the random numbers of the batch, and ``number`` must be below
                ``N``. By default it computes one row, which is much faster and differs by rounding.

        Raises:
            ValueError: If there is no usable checkpoint, or a value is out of range.
            OSError: If the Hub cannot be reached.
        """
        loading = import_module("networld_algos.deploy.loading")  # needs torch
        return loading.load_station(
            source,
            number,
            neighbours,
            message_delay=message_delay,
            deadline_ms=deadline_ms,
            task=task,
            preset=preset,
            seed=seed,
            batch_rows=batch_rows,
        )

    def reset(self, slot: int = 0) -> None:
        """Start an episode: forget history and messages; the counts stay.

        Args:
            slot: Number of the first slot. A station that is restarted needs the slot that its
                neighbours are in, because messages carry it.
        """
        if self._worker is not None and self._worker.is_busy:
            self._worker.close()  # what it still computes belongs to the old history
            self._worker = Worker()
        self.engine.reset()
        self._mail.clear()
        self._next, self._slot = slot, slot
        self._observation: NDArray[np.float32] | None = None
        self._began = self._is_usable = False
        self._until = float("inf")
        self._action = self._lowest()

    @property
    def slot(self) -> int:
        """The slot that the station is in."""
        return self._slot

    @property
    def neighbours(self) -> list[int]:
        """Numbers of the neighbours, without empty slots."""
        return [number for number in self._mail.neighbours if number >= 0]

    @property
    def message_counts(self) -> Counter[str]:
        """How many messages of each kind have come, see `networld_algos.deploy.mailbox`."""
        return self._mail.counts

    @property
    def waits_for(self) -> list[int]:
        """Neighbours whose message for this slot's decision has not come."""
        return self._mail.missing(self._slot) if self.interface.message_width else []

    def time_left_s(self) -> float:
        """Seconds until the deadline of this slot; infinite without one."""
        return self._until - time.monotonic()

    def observe(self, observation: Any, slot: int | None = None) -> bytes:
        """Begin a slot.

        Args:
            observation: ``(O,)``.
            slot: Number of the slot, the same at all stations; by default, one more than the last.
                Slots may be left out, but not repeated.

        Returns:
            The message for all that listen. It is empty if the model does not communicate, is late
            or fails, or if a value of the observation is not finite.

        Raises:
            ValueError: If the observation has another shape, or the slot is not after the last.
        """
        begun = time.monotonic()
        row = self.interface.observation(observation)
        now = self._next if slot is None else int(slot)
        if not self._next <= now <= LAST_SLOT:
            raise ValueError(
                f"slot must be in {self._next} .. {LAST_SLOT}, got {now}; reset() starts again"
            )
        self._slot, self._next = now, now + 1
        if self.deadline_ms is not None:
            self._until = begun + self.deadline_ms / 1e3
        self._mail.begin(now)
        self._began = True
        self._is_usable = bool(np.isfinite(row).all())
        if self._is_usable:
            self._observation = row.copy()
        if not self._is_usable or not self.interface.message_width:
            return b""
        try:
            values = self._run(lambda: self.engine.message(row))
            about = self.interface
            if values.shape != (about.message_width,) or not np.isfinite(values).all():
                raise ValueError(f"the model made the message {values!r}")
            return encode(Message(about.model, self.number, now, values))
        except LateError:
            return b""
        except Exception as error:  # whatever it is, neighbours can do without the message
            self.last_error = error
            return b""

    def receive(self, datagram: bytes) -> str:
        """Take a message when it arrives; `decide` then does not need it in its inbox.

        Returns:
            What became of it, see `networld_algos.deploy.mailbox.Mailbox`. No message raises.
        """
        return self._mail.put(datagram, self._slot)

    def decide(self, inbox: Iterable[bytes] = ()) -> NDArray[Any]:
        """The action of this slot.

        Args:
            inbox: Messages that have arrived since the last call, of any slot and in any order.

        Returns:
            ``(A,)`` float32 or ``()`` int64, legal for the task.

        Raises:
            ValueError: If `observe` was not called since the last decision.
        """
        if not self._began:
            raise ValueError("call observe() before decide(), once for each decision")
        self._began = False
        for datagram in inbox:
            self.receive(datagram)
        self.counts["decisions"] += 1
        spare = self._spare()  # before the model: then it is there when the deadline comes
        self.fell_back = ""
        observation = self._observation
        if not self._is_usable or observation is None:
            self.fell_back = "unusable"
        else:
            held, usable = self._mail.collect(self._slot)
            try:
                chosen = self._run(lambda: self.engine.decide(observation, held, usable))
                self._action = self.interface.legal(chosen)
            except LateError:
                self.fell_back = "late"
            except Exception as error:  # a station without a decision is worse than any error
                self.fell_back, self.last_error = "failed", error
        if self.fell_back:
            self.counts[self.fell_back] += 1
            self._action = spare
        return self._action.copy()

    def step(self, observation: Any, inbox: Iterable[bytes] = ()) -> tuple[NDArray[Any], bytes]:
        """`observe` and `decide` at once, for ``message_delay`` of at least 1.

        Args:
            observation: ``(O,)``.
            inbox: Messages that have arrived since the last step.

        Returns:
            The action, and the message for all that listen.

        Raises:
            ValueError: If the observation has another shape, or the model communicates and
                ``message_delay`` is 0: no message of this slot can have arrived yet.
        """
        if self.message_delay == 0 and self.interface.message_width:
            raise ValueError(
                "step() needs message_delay of at least 1, because neighbours send the messages of "
                "this slot at the same time; with 0, call observe(), exchange messages, and call "
                "decide()"
            )
        outbox = self.observe(observation)
        return self.decide(inbox), outbox

    def _run(self, function: Callable[[], Any]) -> Any:
        return function() if self._worker is None else self._worker.call(function, self._until)

    def _lowest(self) -> NDArray[Any]:
        about = self.interface
        low = about.action_low
        return about.legal(np.array(low, np.float32) if about.action_kind == "box" else int(low[0]))

    def _spare(self) -> NDArray[Any]:
        """The fallback; the last action if there is none, or it fails."""
        if self._fallback is None or self._observation is None:
            return self._action
        try:
            return self.interface.legal(self._fallback(self._observation, self._slot))
        except Exception as error:
            self.last_error = error
            return self._action
