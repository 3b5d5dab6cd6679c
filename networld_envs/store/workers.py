"""Worker processes. One that dies is replaced, and all of them end when this process ends.

A worker is a new Python interpreter. It reads items from its standard input, one at a time, and
writes results to its standard output; what the function prints goes to standard error. The main
module is not imported, so a script needs no ``if __name__ == "__main__"``. Functions and classes
that the script defines are sent by value.

The standard input of a worker closes when this process ends, however that happens. The worker then
raises `SystemExit` in what it is doing, which removes its temporary files, and ends. Ctrl-C reaches
this process only, which ends the workers in the same way.
"""

from __future__ import annotations

import _thread
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any, Generic, TypeVar

import cloudpickle

Item = TypeVar("Item")
Result = TypeVar("Result")

DEATHS = 3
"""Number of workers that may die of one item before it is given up."""
STARTS = 5
"""Number of workers that may die in a row while they start."""
GRACE_S = 5.0
"""Time that a worker has to remove its temporary files when it is told to end."""
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""Environment variables of a worker, unless they are set: one process per core, one thread each."""

_COMMAND = (
    "import sys; sys.path[:] = sys.argv[1:]; del sys.argv[1:]; "
    "from networld_envs.store.workers import serve; serve()"
)
_LENGTH = struct.Struct("!Q")  # precedes every message


class WorkerDiedError(ChildProcessError):
    """Workers died, for example because memory ran out."""


class Workers(Generic[Item, Result]):
    """Up to ``jobs`` processes that apply a function to items; a context manager.

    Workers start when there are items for them, and end with the block.

    Args:
        function: Called with an item in a worker. With ``jobs=1`` it is called in this process.
        jobs: Number of processes.

    Raises:
        ValueError: If ``jobs`` is not positive.
    """

    def __init__(self, function: Callable[[Item], Result], jobs: int) -> None:
        if jobs < 1:
            raise ValueError(f"jobs must be at least 1, got {jobs}")
        self._function = function
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._events: _Events = queue.SimpleQueue()

    def __enter__(self) -> Workers[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, also those that are at work."""
        for worker in self._workers:
            worker.hang_up()
        deadline = time.monotonic() + 2 * GRACE_S
        for worker in self._workers:
            worker.wait(deadline - time.monotonic())
        self._workers.clear()

    def map(self, items: Sequence[Item]) -> Iterator[tuple[Item, Result | WorkerDiedError]]:
        """Apply the function to each item; yields (item, result) in the order of completion.

        An item whose worker dies is given to another. After `DEATHS` deaths, the error takes the
        place of its result, and the others go on.

        Args:
            items: The items. The first ones are started first.

        Raises:
            WorkerDiedError: If `STARTS` workers in a row die while they start.
            Exception: What the function raises, with the worker's traceback as a note.
        """
        if self._jobs == 1:
            for item in items:
                yield item, self._function(item)
            return
        waiting = deque(range(len(items)))
        deaths: Counter[int] = Counter()
        failed_starts = 0
        left = len(items)
        while left:
            self._hand_out(items, waiting, left)
            worker, message = self._next_event()
            if worker not in self._workers:  # its end has been dealt with
                continue
            number = worker.number
            if message is None:
                self._workers.remove(worker)
                end = worker.wait(GRACE_S)
                if not worker.ready:
                    failed_starts += 1
                    if failed_starts >= STARTS:
                        raise WorkerDiedError(
                            f"{STARTS} worker processes in a row died while they started; "
                            f"the last one: {end}; try fewer jobs"
                        )
                elif number is not None:
                    deaths[number] += 1
                    if deaths[number] < DEATHS:
                        waiting.appendleft(number)
                    else:
                        left -= 1
                        yield (
                            items[number],
                            WorkerDiedError(
                                f"{DEATHS} worker processes died one after another while they did "
                                f"this, perhaps because memory ran out; the last one: {end}; "
                                "try fewer jobs"
                            ),
                        )
                continue
            kind, value = pickle.loads(message)
            if kind == "error":
                raise value
            if kind == "ready":
                worker.ready, failed_starts = True, 0
            elif number is not None:
                worker.number = None
                left -= 1
                yield items[number], value

    def _hand_out(self, items: Sequence[Item], waiting: deque[int], left: int) -> None:
        """Start the workers that are missing, and give items to those that have none."""
        while len(self._workers) < min(self._jobs, left):
            worker = _Worker(self._events)
            self._workers.append(worker)
            worker.send(self._function)
        for worker in self._workers:
            if waiting and worker.ready and worker.number is None:
                worker.number = waiting.popleft()
                worker.send(items[worker.number])

    def _next_event(self) -> tuple[_Worker, bytes | None]:
        while True:
            # Without a limit, Ctrl-C would not be noticed on Windows while this waits.
            with suppress(queue.Empty):
                return self._events.get(timeout=1.0)
            for worker in self._workers:
                if worker.is_gone():  # but a process that it started keeps its output open
                    return worker, None


class _Worker:
    """A worker as its parent sees it.

    Attributes:
        ready: Whether it has started and loaded the function.
        number: Number of the item that it is at, or None.
    """

    def __init__(self, events: _Events) -> None:
        self.ready = False
        self.number: int | None = None
        options = [f"-W{option}" for option in sys.warnoptions]
        with _interrupts_held_back():
            self._process = subprocess.Popen(
                [sys.executable, *options, "-c", _COMMAND, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**ONE_THREAD, **os.environ},
                # On Windows, a process of another group does not receive Ctrl-C.
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def _listen(self, events: _Events) -> None:
        """Pass on what the worker writes, and then None, because the worker is gone."""
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for message in _messages(stream):
                events.put((self, message))
        events.put((self, None))

    def send(self, value: Any) -> None:
        """Send a value. If the worker is gone, nothing happens: `_listen` reports that."""
        data = cloudpickle.dumps(value)
        with suppress(OSError, ValueError):
            assert self._process.stdin is not None
            _write(self._process.stdin, data)

    def is_gone(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def hang_up(self) -> None:
        """Tell the worker to end."""
        with suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def wait(self, seconds: float) -> str:
        """Wait for the end of the worker, and kill it after some time; returns how it ended."""
        self.hang_up()
        try:
            status = self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status >= 0:
            return f"exit status {status}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
        return f"killed by signal {-status}"


_Events = queue.SimpleQueue[tuple[_Worker, "bytes | None"]]


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process that is started in this block ignores Ctrl-C from its first instruction."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _messages(stream: IO[bytes]) -> Iterator[bytes]:
    """The messages of a stream, until it ends or breaks."""
    with suppress(OSError, ValueError):
        while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            message = stream.read(length)
            if len(message) < length:
                return
            yield message


def _write(stream: IO[bytes], message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def serve() -> None:
    """Work as a worker process; returns when the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    receive, answer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)  # what the function prints must not mix with the answers
    except OSError:  # there is no standard error
        os.dup2(null, 1)
    inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_watch, args=(receive, inbox), daemon=True).start()
    try:
        function = None
        while (message := inbox.get()) is not None:
            function, reply = _work(function, message)
            _write(answer, reply)
    except BrokenPipeError:  # the parent is gone
        pass
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending


def _work(function: Callable[[Any], Any] | None, message: bytes) -> tuple[Any, bytes]:
    """Load the function, or apply it; returns the function and the reply."""
    try:
        value = pickle.loads(message)
        if function is None:
            return value, cloudpickle.dumps(("ready", None))
        return function, cloudpickle.dumps(("result", function(value)))
    except Exception as error:
        text = traceback.format_exc()
        error.add_note(f"In a worker process:\n{text}")
        try:
            reply = cloudpickle.dumps(("error", error))
            pickle.loads(reply)
        except Exception:  # an exception that cannot be sent
            reply = cloudpickle.dumps(("error", RuntimeError(f"in a worker process: {text}")))
        return function, reply


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _watch(stream: IO[bytes], inbox: queue.SimpleQueue[bytes | None]) -> None:
    """Pass on what the parent sends. When the parent is gone, end this process."""
    for message in _messages(stream):
        inbox.put(message)
    inbox.put(None)
    # Runs `_leave` in the main thread, unless this process ends already.
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # also if it sleeps
    else:  # Windows
        _thread.interrupt_main(signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
