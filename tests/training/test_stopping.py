"""Signals end a training after the current update, and nothing is lost; one training per folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal

import pytest

from networld_algos import make
from networld_algos.training import checkpoint, distributed
from networld_algos.training.run import Training, resume, run_training
from networld_algos.training.stopping import signals_stop
from networld_algos.training.writer import sole_writer
from tests.helpers.algorithms import assert_same_state


@pytest.fixture(scope="module")
def data(toy):
    return toy("box").collect(6)


def do(folder, data, on_update=None):
    def new():
        model = make("bc", [data.spec], {"hidden": 8})
        model.prepare(data, 10)
        return model

    model, progress = resume(folder, new)
    training = Training([data], 10, seed=0, save_every=100)
    with signals_stop() as stop:
        finished = run_training(training, model, progress, folder, on_update, should_stop=stop)
    return model, progress, finished, stop


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_update_it_met_and_the_training_goes_on(tmp_path, data, number, status):
    def kill(update, metrics):
        if update == 4:
            os.kill(os.getpid(), number)

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    _, progress, finished, stop = do(tmp_path / "cut", data, kill)
    assert not finished
    assert progress.updates == 4
    assert (stop.exit_status, stop.name) == (status, number.name)
    assert checkpoint.read_extra(tmp_path / "cut")["updates"] == 4
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    resumed, _, finished, _ = do(tmp_path / "cut", data)
    assert finished
    whole, *_ = do(tmp_path / "whole", data)
    assert_same_state(resumed, whole)


def test_a_signal_between_two_looks_is_not_forgotten(monkeypatch):
    def slow(number, real=distributed.largest):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(number)

    with signals_stop() as stop:
        monkeypatch.setattr(distributed, "largest", slow)
        assert not stop()
        monkeypatch.undo()
        assert stop()


def test_a_second_ctrl_c_ends_the_training_at_once(tmp_path, data):
    def kill_twice(update, metrics):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        do(tmp_path, data, kill_twice)


def test_ignored_signals_stay_ignored(tmp_path, data):
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup does
    try:
        kill = lambda update, metrics: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
        assert do(tmp_path, data, kill)[2]
    finally:
        signal.signal(signal.SIGINT, kept)


def hold(folder, held, release):
    with sole_writer(folder):
        held.set()
        release.wait(60)
        os.kill(os.getpid(), signal.SIGKILL)


def test_one_training_per_folder(tmp_path):
    folder = tmp_path / "a" / "model"
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(folder, held, release))
    other.start()
    assert held.wait(60)
    message = rf"{folder} is in use: process {other.pid} on .* choose another folder"
    with pytest.raises(BlockingIOError, match=message), sole_writer(folder):
        raise AssertionError("a second training began")
    release.set()
    other.join()
    with sole_writer(folder):  # the hold of a killed process has ended with it
        assert json.loads((folder / ".training.json").read_text())["pid"] == os.getpid()
    assert not list(folder.iterdir())
    with sole_writer(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()  # nothing was trained


def test_a_folder_that_cannot_be_written_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(OSError, match=r"file/model cannot be written .* choose another folder"),
        sole_writer(tmp_path / "file" / "model"),
    ):
        raise AssertionError("the training began")
    assert (tmp_path / "file").read_text() == "mine"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with (
        pytest.raises(OSError, match=r"cannot be written \(.*No space left"),
        sole_writer(tmp_path / "model"),
    ):
        raise AssertionError("the training began")
