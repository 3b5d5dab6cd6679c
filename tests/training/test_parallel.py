"""Several processes with a share of each batch train like one process with all of it.

Run as a script by `torch.distributed.run`, this file trains every case of `CASES` and writes what
process 0 saw; run by pytest, it compares that with one process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from networld_algos import make
from networld_algos.cli.command import main
from networld_algos.nn import sharding
from networld_algos.training import distributed
from networld_algos.training.checkpoint import load
from networld_algos.training.train import train

UPDATES = 5
SMALL = {"hidden": 16, "batch_size": 4}
PLANNER = {**SMALL, "planner": "diffusion", "sequences": 16, "latent": 8, "dim": 8, "horizon": 4}
CASES = {
    "bc box": ("bc", "box", SMALL),
    "bc discrete": ("bc", "discrete", {**SMALL, "mean_field": False}),
    "ma-cql box": ("ma-cql", "box", SMALL),
    "ma-cql ordered": ("ma-cql", "ordered", SMALL),
    "ma-iql box": ("ma-iql", "box", SMALL),
    "ma-iql discrete": ("ma-iql", "discrete", SMALL),
    # What dropout drops differs: each process draws its own.
    "ma-dt box": ("ma-dt", "box", {**SMALL, "context": 4, "kept": 2, "dropout": 0.0}),
    "ma-dt ordered": ("ma-dt", "ordered", {**SMALL, "context": 4, "kept": 2, "dropout": 0.0}),
    "ma-dd box": ("ma-dd", "box", {**SMALL, "sequences": 16, "dim": 8, "horizon": 4}),
    "networld box": ("networld", "box", PLANNER),
    "networld ordered": ("networld", "ordered", {**PLANNER, "weighting": "advantage"}),
    "networld discrete": ("networld", "discrete", {**PLANNER, "encoder_grad": "end_to_end"}),
    "networld off": ("networld", "box", {**PLANNER, "mean_field": False, "planner": "forecast"}),
}


def run_case(toy, name):
    """Losses of each update, the weights before the first and after the last."""
    algorithm, kind, config = CASES[name]
    data = toy(kind).collect(8)
    data = replace(data, spec=replace(data.spec, last_action=(2,)))
    model = make(algorithm, data.spec, config, seed=1)
    model.prepare(data, 100)
    for optimizer in model.optimizers().values():
        for group in optimizer.param_groups:
            # With 1e-8, Adam's steps have the size of the learning rate however small a gradient
            # is, and rounding decides the sign of many.
            group["eps"] = 1e-2
    losses, start = [], flat(model)
    train(model, [data], UPDATES, seed=3, on_update=lambda _, metrics: losses.append(metrics))
    return losses, start, flat(model)


def flat(model):
    """All weights and statistics as one vector."""
    tensors = (v for k, v in sorted(model.state_dict().items()) if v.is_floating_point())
    return torch.cat([v.detach().double().flatten() for v in tensors])


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def start_two(*arguments):
    """This file as two processes of a job; torchrun sets the same variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)],
            env=environment(**common, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """What two processes made of all cases."""
    out = tmp_path_factory.mktemp("two")
    for job in start_two(out):
        _, errors = job.communicate(timeout=300)
        assert job.returncode == 0, errors[-3000:]
    return json.loads((out / "losses.json").read_text()), out


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_as_one_does(toy, two_processes, name):
    found, out = two_processes
    losses, start, weights = run_case(toy, name)
    assert len(losses) == UPDATES
    for mine, theirs in zip(losses, found[name], strict=True):
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert theirs[key] == pytest.approx(value, rel=2e-4, abs=2e-5), key
    shared = torch.from_numpy(np.load(out / f"{name}.npy"))
    assert (shared - weights).norm() < 1e-3 * (weights - start).norm()


def test_a_share_alone_is_not_the_whole(toy, two_processes):
    """The comparison above can fail: half of the batch gives other losses."""
    found, _ = two_processes
    algorithm, kind, config = CASES["bc box"]
    data = toy(kind).collect(8)
    data = replace(data, spec=replace(data.spec, last_action=(2,)))
    model = make(algorithm, data.spec, {**config, "batch_size": 2}, seed=1)
    model.prepare(data, 100)
    losses = []
    train(model, [data], UPDATES, seed=3, on_update=lambda _, metrics: losses.append(metrics))
    assert losses[0]["cloning_loss"] != pytest.approx(found["bc box"][0]["cloning_loss"], rel=1e-3)


def test_outside_of_an_update_nothing_is_shared():
    generator = torch.Generator().manual_seed(0)
    device = torch.device("cpu")
    whole = torch.rand(6, 2, generator=generator)
    for rank in range(3):
        generator.manual_seed(0)
        with sharding.sharing(sharding.Shard(rank, 3)):
            part = sharding.draw(lambda shape: torch.rand(shape, generator=generator), (2, 2))
        torch.testing.assert_close(part, whole[2 * rank : 2 * rank + 2], rtol=0, atol=0)
    assert sharding.shard() is None
    generator.manual_seed(0)
    torch.testing.assert_close(
        sharding.draw(lambda shape: torch.rand(shape, generator=generator), (6, 2)), whole
    )
    picks = []
    for rank in range(2):
        generator.manual_seed(5)
        with sharding.sharing(sharding.Shard(rank, 2)):
            picks.append(sharding.pick(10, 8, generator, device))
    generator.manual_seed(5)
    alone = sharding.pick(20, 8, generator, device)
    together = torch.cat([p.rows + 10 * rank for rank, p in enumerate(picks)])
    order = torch.cat([p.order for p in picks if p.order is not None])
    assert torch.equal(together[order.argsort()], alone.rows)
    assert all(p.total == 8 for p in picks)


def test_a_batch_that_cannot_be_divided_is_refused_before_the_data_is_read(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun does; nobody waits for the other process
    out = str(tmp_path / "m")
    command = ["train", "bc", "--task", "rb", "--dataset", "absent-v0", "--out", out]
    assert main([*command, "--config.batch-size", "3"]) == 2
    said = capsys.readouterr().err
    assert "batch_size=3 is for all processes together" in said
    assert "multiple of 2" in said
    assert "absent-v0" not in said
    assert not (tmp_path / "m").exists()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A Minari store with a small dataset."""
    from networld_envs.policies.rollout import Behaviour
    from networld_envs.store import Recipe, build

    folder = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder))
        build(Recipe("networld/rb/tiny-v0", "rb", 4, 10, 5, (Behaviour("expert", 0.05),)))
    return folder


@pytest.mark.slow
def test_the_command_trains_as_one_process_does(tmp_path, home, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(home))
    common = [
        "train", "bc", "--task", "rb", "--dataset", "networld/rb/tiny-v0",
        "--updates", "6", "--config.batch-size", "4", "--config.hidden", "16",
    ]  # fmt: skip
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, "-m", "networld_algos", *common, "--out", str(tmp_path / "two")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("saved ") == 1  # one process writes
    assert len(list((tmp_path / "two").glob("model-*.safetensors"))) == 1
    assert main([*common, "--out", str(tmp_path / "one")]) == 0
    models = [load(tmp_path / name)[0] for name in ("one", "two")]
    for mine, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-3, atol=5e-4)


@pytest.mark.slow
def test_a_dead_peer_ends_the_job(tmp_path):
    """Process 1 is killed in the middle; process 0 says so and does not hang."""
    jobs = start_two(tmp_path, "endless")
    try:
        assert jobs[1].stdout is not None
        assert jobs[1].stdout.readline().strip() == "training"
        jobs[1].send_signal(signal.SIGKILL)
        _, errors = jobs[0].communicate(timeout=300)
        assert jobs[0].returncode not in (0, None)
        assert "PeerLostError: process 0 of 2 lost another process of the job" in errors
    finally:
        for job in jobs:
            job.kill()
            job.communicate()


def one_process() -> None:
    """One of the processes of a job."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from helpers.toy import Toy, register

    register()
    out, share = Path(sys.argv[1]), distributed.start()
    assert share is not None
    if len(sys.argv) > 2:
        data = Toy("box").collect(8)
        model = make("bc", data.spec, SMALL)
        model.prepare(data, 10**6)

        def say(update, metrics):
            if update == 20:
                print("training", flush=True)

        train(model, [data], 10**6, seed=0, on_update=say)
    found = {}
    for name in CASES:
        losses, _, weights = run_case(Toy, name)
        found[name] = losses
        if share.rank == 0:
            np.save(out / f"{name}.npy", weights.numpy())
    if share.rank == 0:
        (out / "losses.json").write_text(json.dumps(found))
    distributed.stop()
    os._exit(0)  # as networld_algos.__main__ does, and for its reason


if __name__ == "__main__":
    one_process()
