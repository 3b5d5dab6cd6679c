"""Stop a training after the current update when a signal asks for it, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from networld_algos.training import distributed

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Says whether a training should stop; every process of a job gets the same answer.

    Attributes:
        number: The signal that asked for it; 0 if none did.
    """

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> bool:
        """Whether a process of the job got a signal. Each process calls this once per update."""
        found = distributed.largest(self.number)
        if found:  # never forget a signal that came after the line above
            self.number = found
        return found != 0

    @property
    def name(self) -> str:
        """Name of the signal, e.g. ``"SIGINT"``."""
        return signal.Signals(self.number).name

    @property
    def exit_status(self) -> int:
        """Exit status of a process that the signal ends: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


@contextmanager
def signals_stop() -> Iterator[Stop]:
    """Note SIGINT (Ctrl-C) and SIGTERM instead of ending the process.

    A second Ctrl-C raises KeyboardInterrupt at once. The processes of a job ignore it, because
    ``torchrun`` passes on the signal that they already got from the terminal. Signals that the
    process ignores, as under ``nohup``, stay ignored. Outside the main thread, which alone may
    handle signals, nothing changes.

    Yields:
        What `networld_algos.training.run.run_training` asks after each update.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.number == number == signal.SIGINT and distributed.shard() is None:
            raise KeyboardInterrupt
        stop.number = stop.number or number

    kept = [(number, signal.getsignal(number)) for number in SIGNALS]
    kept = [(number, handler) for number, handler in kept if handler is not signal.SIG_IGN]
    for number, _ in kept:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in kept:
            signal.signal(number, handler)
