"""Worker processes: one that dies is replaced, and none outlives its parent."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from networld_envs.store import workers
from networld_envs.store.workers import DEATHS, STARTS, WorkerDiedError, Workers

ROOT = Path(workers.__file__).parents[2]


def squares(items, jobs=2, function=lambda x: x * x):
    with Workers(function, jobs) as pool:
        return dict(pool.map(items))


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done_once(jobs):
    assert squares(range(7), jobs) == {x: x * x for x in range(7)}
    assert squares([], jobs) == {}


def test_a_pool_serves_several_lists_with_the_same_workers():
    with Workers(lambda _: os.getpid(), 2) as pool:
        first = {pid for _, pid in pool.map(range(5))}
        second = {pid for _, pid in pool.map(range(5))}
    assert os.getpid() not in first
    assert len(first | second) <= 2


@pytest.fixture
def kill_at(monkeypatch):
    """Kill the next workers at a moment: while they start, or as they are given an item."""

    def arrange(moment, count):
        left = [count]
        send = workers._Worker.send

        def watched(worker, value):
            now = "given" if worker.ready else "starting"
            if now == moment and left[0]:
                left[0] -= 1
                worker._process.kill()
            send(worker, value)

        monkeypatch.setattr(workers._Worker, "send", watched)
        return left

    return arrange


@pytest.mark.parametrize(("moment", "count"), [("starting", STARTS - 1), ("given", DEATHS - 1)])
def test_a_worker_that_is_killed_is_replaced(kill_at, moment, count):
    left = kill_at(moment, count)
    assert squares(range(4)) == {x: x * x for x in range(4)}
    assert left == [0]


def test_an_idle_worker_that_is_killed_costs_nothing(tmp_path):
    def work(x):
        while x and not (tmp_path / "go").exists():
            time.sleep(0.01)
        return x

    with Workers(work, 2) as pool:
        results = pool.map([0, 1])
        assert next(results) == (0, 0)
        (idle,) = [w for w in pool._workers if w.ready and w.number is None]
        idle._process.kill()
        idle._process.wait()
        (tmp_path / "go").touch()
        assert list(results) == [(1, 1)]


def test_a_worker_killed_in_the_middle_gives_its_item_to_another(tmp_path):
    def work(x):
        if x == 2 and len(list(tmp_path.iterdir())) < DEATHS - 1:
            (tmp_path / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    assert squares(range(5), function=work) == {x: x for x in range(5)}
    assert len(list(tmp_path.iterdir())) == DEATHS - 1


def test_an_item_that_kills_every_worker_is_given_up_and_the_others_are_done():
    def work(x):
        if x == 1:
            os._exit(7)
        return x

    found = squares(range(4), function=work)
    lost = found.pop(1)
    assert isinstance(lost, WorkerDiedError)
    assert str(lost).startswith(f"{DEATHS} worker processes died")
    assert "exit status 7" in str(lost)
    assert found == {0: 0, 2: 2, 3: 3}


def test_workers_that_never_start_end_in_one_error(kill_at):
    left = kill_at("starting", 99)
    with pytest.raises(WorkerDiedError, match=f"{STARTS} worker processes in a row.*SIGKILL"):
        squares(range(4))
    assert left[0] >= 99 - STARTS - 1


class Odd(Exception):  # cannot be unpickled
    def __init__(self, one, two):
        super().__init__(one)


@pytest.mark.parametrize(
    ("error", "kind"), [(FileNotFoundError(2, "none", "x"), FileNotFoundError), (Odd, RuntimeError)]
)
def test_an_exception_is_raised_here_with_the_traceback_of_the_worker(error, kind):
    def fail(x):
        raise error(1, 2) if error is Odd else error

    with pytest.raises(kind) as caught:
        squares([1], function=fail)
    text = str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))
    assert "in fail" in text


def test_jobs_are_a_positive_number():
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        Workers(print, 0)


SCRIPT = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from networld_envs.files import replacing
from networld_envs.store.workers import Workers

folder = pathlib.Path(sys.argv[2])

def work(x):
    print("printed by a worker")
    with replacing(folder / f"result-{x}") as file:
        file.write(b"half")
        (folder / f"at-{x}").touch()
        time.sleep(600)

with Workers(work, 2) as pool:
    for _ in range(2):
        (folder / f"started").touch()
    list(pool.map([1, 2, 3]))
"""


@contextlib.contextmanager
def script(tmp_path, *, until):
    """A script without a main guard whose workers are at work; ends when all processes have.

    Standard error closes when the last of them ends, and the worker that waits is in the middle of
    writing a file.
    """
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    folder = tmp_path / "out"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(path), str(ROOT), str(folder)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    guard = threading.Timer(60, os.killpg, (process.pid, signal.SIGKILL))
    guard.start()
    try:
        while not all((folder / name).exists() for name in until):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        yield process, folder
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        guard.cancel()


MOMENTS = [["at-1", "at-2"], ["started"]]  # the second: the workers still import


@pytest.mark.parametrize("until", MOMENTS, ids=["working", "starting"])
def test_workers_end_with_a_parent_that_is_killed(tmp_path, until):
    with script(tmp_path, until=until) as (process, folder):
        process.kill()
        out, err = process.communicate(timeout=30)  # returns when the last worker has ended
    assert out == b""
    assert err.replace(b"printed by a worker\n", b"") == b""
    assert not [p.name for p in folder.iterdir() if "result" in p.name]  # nothing half-written


@pytest.mark.parametrize("until", MOMENTS, ids=["working", "starting"])
def test_ctrl_c_reaches_the_parent_alone_and_ends_all(tmp_path, until):
    with script(tmp_path, until=until) as (process, folder):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT  # no handler in this script
    assert out == b""
    assert err.count(b"Traceback") <= 1  # of the script itself
    assert b"leaked" not in err
    assert not [p.name for p in folder.iterdir() if "result" in p.name]
