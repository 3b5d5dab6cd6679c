"""What every test starts from: one thread, the toy task in the table of tasks."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch

from networld_envs.simulator import TASKS
from tests.helpers import toy as toy_task

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and programs that tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """What a test sets for the whole process (`networld_algos.training.cpu`) ends with it."""
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.fixture(scope="session", autouse=True)
def registered_toy() -> Iterator[None]:
    """The toy task is one of the tasks while tests run, and not when they are collected."""
    toy_task.register()
    yield
    del TASKS[toy_task.NAME]


@pytest.fixture(scope="session")
def toy(registered_toy: None) -> type[toy_task.Toy]:
    """The toy task: ``toy("ordered").collect()`` gives episodes."""
    return toy_task.Toy
