"""Calls that must not make a decision late: they run in a second thread, with a time limit."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from typing import Any, TypeVar

Result = TypeVar("Result")

__all__ = ["LateError", "Worker"]


class Worker:
    """Runs one call at a time in a thread of its own, which does not outlive the process.

    A call that is late runs on. Until it ends, further calls are late at once, so that none waits
    in a queue and then answers an old question.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()
        self._running: Future[Any] | None = None
        thread = threading.Thread(target=self._loop, name="networld-station", daemon=True)
        thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a call is still running."""
        return self._running is not None and not self._running.done()

    def call(self, function: Callable[[], Result], until: float) -> Result:
        """The result of ``function()``; an error that it raises is raised here.

        Args:
            function: What to call.
            until: Time limit on the clock `time.monotonic`.

        Raises:
            LateError: If there is no result in time.
        """
        left = until - time.monotonic()
        if self.is_busy or left <= 0.0:
            raise LateError
        future: Future[Result] = Future()
        self._running = future
        self._calls.put((future, function))
        return future.result(timeout=left)

    def close(self) -> None:
        """End the thread after the call that is running."""
        self._calls.put(None)

    def _loop(self) -> None:
        while (item := self._calls.get()) is not None:
            future, function = item
            try:
                result = function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
