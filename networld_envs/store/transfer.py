"""HTTP transfers with limits: no answer is larger or takes longer than the caller allows.

A server may announce one size and send another, send one byte at a time, or never end. Whatever it
does, reading stops with an error at the announced size and at the time limit.
"""

from __future__ import annotations

import math
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from types import FrameType
from typing import BinaryIO

import requests
import urllib3

from networld_envs.store.ids import DatasetError

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a remote may use up before a transfer is given up.

    Attributes:
        max_gb: Size of a dataset, in gigabytes: its files, and its arrays after decompression.
        total_s: Time of a whole download or listing, in seconds.
        silence_s: Longest time without a byte, in seconds.
        index_mb: Size of a mirror's index, in megabytes.

    Raises:
        DatasetError: If a limit is not a positive number.
    """

    max_gb: float = 4.0
    total_s: float = 3600.0
    silence_s: float = 30.0
    index_mb: float = 16.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not (math.isfinite(value) and value > 0):
                raise DatasetError(f"{limit.name} must be a positive number, got {value!r}")

    @property
    def max_bytes(self) -> int:
        """Most bytes of a dataset."""
        return round(self.max_gb * 1e9)

    @property
    def index_bytes(self) -> int:
        """Most bytes of an index."""
        return round(self.index_mb * 1e6)


class LimitError(Exception):
    """A server sends too much or takes too long. Trying again is of no use."""


class Deadline:
    """The end of the time that a transfer has; its clock starts now."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self._end = time.monotonic() + total_s

    def left(self) -> float:
        """Seconds that are left, more than 0.

        Raises:
            LimitError: If none are left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.passed()
        return left

    def passed(self) -> LimitError:
        """The error to raise when the time is up."""
        return LimitError(f"it took longer than {self.total_s:g} s; --timeout sets a longer time")


def read(
    url: str,
    into: BinaryIO,
    most_bytes: int,
    deadline: Deadline,
    silence_s: float,
    progress: Callable[[int], None] | None = None,
    too_large: str = "",
) -> None:
    """Write the answer to a GET request into a file.

    Args:
        url: What to ask for.
        into: An empty file, open for writing.
        most_bytes: Size at which reading stops with an error.
        deadline: Time at which it does.
        silence_s: Longest time without a byte.
        progress: Called with the number of bytes so far.
        too_large: Added to the error if the answer is too large: what to do about it.

    Raises:
        LimitError: If the answer is too large or takes too long.
        requests.RequestException: If the server cannot be reached, refuses, or breaks off.
    """
    done = 0
    with _answer(url, deadline, silence_s) as answer:
        answer.raise_for_status()
        announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced[:20]) > most_bytes:
            raise LimitError(
                f"the server sends {announced[:20]} bytes, not {most_bytes}{too_large}"
            )
        try:
            # read1 returns what is there; read would wait for a whole chunk, past the deadline.
            while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=False):
                done += len(chunk)
                if done > most_bytes:
                    raise LimitError(f"the server sends more than {most_bytes} bytes{too_large}")
                into.write(chunk)
                if progress is not None:
                    progress(done)
                deadline.left()
        except urllib3.exceptions.HTTPError as error:  # requests would wrap it in the same way
            raise requests.ConnectionError(error) from error


def _answer(url: str, deadline: Deadline, silence_s: float) -> requests.Response:
    """The beginning of an answer, its body still to be read.

    A thread waits for it: a server that sends a header byte by byte is never silent, and only the
    deadline ends it. The thread is left behind then, and does nothing more.
    """
    arrived: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            arrived.put(
                requests.get(
                    url,
                    stream=True,
                    timeout=min(silence_s, deadline.left()),
                    headers={"Accept-Encoding": "identity"},  # what arrives is what is counted
                )
            )
        except Exception as error:  # raised where the answer is awaited
            arrived.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = arrived.get(timeout=deadline.left())
    except queue.Empty:
        raise deadline.passed() from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def printable(error: object) -> str:
    """An error in words, without control characters that a server could have put there."""
    return "".join(c if c.isprintable() else "?" for c in str(error)[:500])


@contextmanager
def cleaning_up_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, so that temporary files are removed.

    The process then ends with status 143. A handler that the program has set itself is kept.
    """
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not ours:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
