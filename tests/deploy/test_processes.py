"""Nineteen processes, each one station, that talk to each other by UDP on the loopback."""

import multiprocessing
from contextlib import contextmanager

import numpy as np
import pytest

from networld_algos import save
from networld_algos.deploy import Policy
from networld_envs import make_vec
from tests.helpers.algorithms import untrained
from tests.helpers.stations import lost_messages, station_process

STEPS = 3


@contextmanager
def stations(folder, table, **options):
    """A pipe to each of the processes, whose stations know each other's ports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "networld_algos.deploy.loading"])
    pipes, processes = [], []
    for number, near in enumerate(table.tolist()):
        ours, theirs = context.Pipe()
        given = (str(folder), number, near, options, theirs)
        processes.append(context.Process(target=station_process, args=given, daemon=True))
        processes[-1].start()
        pipes.append(ours)
    try:
        addresses = dict(enumerate(pipe.recv() for pipe in pipes))
        for pipe in pipes:
            pipe.send(addresses)
        yield pipes
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join(30)
    finally:
        for process in processes:
            process.kill()


def listeners(table, lost=None):
    """For each station, those that have it in their row of the table and get its message."""
    heard = (table >= 0) if lost is None else (table >= 0) & ~lost
    return [[int(i) for i, d in np.argwhere(heard) if table[i, d] == j] for j in range(len(table))]


def decide(pipes, observations, reached, barrier):
    """Actions of all stations; the message of station i reaches the stations ``reached[i]``."""
    for pipe, observation, others in zip(pipes, observations, reached, strict=True):
        pipe.send((observation, others, barrier))
    if barrier:
        assert [pipe.recv() for pipe in pipes] == ["sent"] * len(pipes)
        for pipe in pipes:
            pipe.send("decide")
    answers = [pipe.recv() for pipe in pipes]
    assert {why for _, why in answers} == {""}
    return np.stack([action for action, _ in answers])


@pytest.mark.parametrize(
    ("name", "changes"), [("bc", {}), ("networld", {"planner": "diffusion", "horizon": 4})]
)
def test_nineteen_processes_decide_as_the_batch_does_bit_by_bit(tmp_path, name, changes):
    network = make_vec("cbf", 1)
    obs, info = network.reset(seed=0)
    table = info["neighbours"][0]
    assert len(table) == 19
    save(untrained(name, network.task_spec, **changes), tmp_path)
    policy = Policy.load(tmp_path)
    with stations(tmp_path, table, message_delay=0, batch_rows=19) as pipes:
        for _ in range(STEPS):
            actions = decide(pipes, obs[0], listeners(table), barrier=False)
            assert actions.tobytes() == policy.act(obs[0], table).tobytes()
            obs, *_ = network.step(actions[None])
        for lost in lost_messages(0, STEPS, table.shape, 0.5):
            actions = decide(pipes, obs[0], listeners(table, lost), barrier=True)
            expected = policy.act(obs[0], np.where(lost, -1, table))
            assert actions.tobytes() == expected.tobytes()
            obs, *_ = network.step(actions[None])
