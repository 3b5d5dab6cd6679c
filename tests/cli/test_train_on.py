"""`networld train` beyond one run: stopped, extended, started from a model; where it is scored."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from networld_algos import make, save
from networld_algos.cli.command import main
from networld_algos.training.checkpoint import load, read_extra, weights_file
from networld_algos.training.online import OnlineConfig
from networld_algos.training.writer import sole_writer
from networld_envs import make_vec, store
from networld_envs.store.importing.logs import import_logs
from tests.helpers.catalogue import build_short

SMALL = ("--config.hidden", 16, "--config.layers", 1)


@pytest.fixture(scope="module", autouse=True)
def small_store(tmp_path_factory):
    """The expert datasets of two tasks with few episodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        ids = [f"networld/{task}/expert-v0" for task in ("rb", "ns")]
        build_short(patch, tmp_path_factory.mktemp("data"), 6, *ids)
        yield


def run(*args):
    return main([str(a) for a in args])


def train(out, *more, task="rb", updates=4, algorithm="bc"):
    return run("train", algorithm, "--task", task, "--out", out, "--updates", updates, *more)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_which_update(tmp_path, number, status):
    out = tmp_path / "model"
    options = ["train", "bc", "--task", "rb", "--out", str(out), "--updates", "1000000"]
    small = [str(value) for value in SMALL]
    program = (
        "import os, sys, networld_algos.training.train as t\n"
        "from networld_algos.cli.command import main\n"
        "real = t.distributed.largest\n"
        "def once(number, done=[]):\n"
        "    done.append(1)\n"
        f"    if len(done) == 7: os.kill(os.getpid(), {int(number)})\n"
        "    return real(number)\n"
        "t.distributed.largest = once\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *options, *small],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    updates = read_extra(out)["updates"]
    said = f"stopped by {number.name}: saved update {updates} of 1000000 in {out}"
    assert said in " ".join(done.stdout.split())
    assert updates in (7, 8)
    for word in ("Traceback", "leaked", "resource_tracker"):
        assert word not in done.stderr


def test_one_training_per_folder_and_one_that_can_be_written(tmp_path, capsys):
    out = tmp_path / "model"
    with sole_writer(out):
        assert train(out, *SMALL) == 2
        said = capsys.readouterr().err
        assert f"{out} is in use: process {os.getpid()} on " in said
    (tmp_path / "file").write_text("mine")
    assert train(tmp_path / "file" / "model", *SMALL) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_finished_training_goes_on(tmp_path, capsys):
    out = tmp_path / "model"
    assert train(out, *SMALL) == 0
    capsys.readouterr()
    assert train(out, *SMALL, updates=6) == 0
    assert "going on from 4 to 6 updates; the learning rate starts again" in capsys.readouterr().out
    extra = read_extra(out)
    assert (extra["updates"], extra["total_updates"], extra["restarts"]) == (6, 6, [4])
    weights = weights_file(out)
    assert train(out, *SMALL, updates=6) == 0  # finished: nothing to do
    assert weights_file(out) == weights
    assert train(out, *SMALL, updates=5) == 2
    assert "cannot end after 5; choose another --out, or a higher --updates" in (
        capsys.readouterr().err
    )
    assert train(out, *SMALL, "--seed", 1, updates=8) == 2
    assert "was started with seed=0, not 1" in capsys.readouterr().err


def test_a_model_that_was_saved_from_python_is_not_overwritten(tmp_path, capsys):
    out = tmp_path / "mine"
    save(make("ma-iql", make_vec("rb").task_spec, {"hidden": 16}), out, extra={"note": "mine"})
    weights = weights_file(out)
    assert train(out, *SMALL) == 2
    assert f"choose another --out, and start from this model with --init {out}" in " ".join(
        capsys.readouterr().err.split()
    )
    assert weights_file(out) == weights
    assert read_extra(out) == {"note": "mine"}


def test_a_training_starts_from_a_model(tmp_path, capsys):
    first, out = tmp_path / "first", tmp_path / "second"
    assert train(first, *SMALL) == 0
    assert train(out, "--init", first, "--seed", 1) == 0
    model, extra = load(out)
    assert model.config.hidden == 16  # the settings come from the model
    assert extra["init"] == {
        "source": str(first),
        "weights": weights_file(first),
        "dataset": "networld/rb/expert-v0",
        "updates": 4,
    }
    assert train(out, "--init", first, "--seed", 1) == 0  # finished: nothing to do
    capsys.readouterr()
    for options, said in (
        (("--init", tmp_path / "none"), "no checkpoint in"),
        (("--init", first, "--preset", "default"), "--init and --preset exclude each other"),
        (("--init", first, "--config.hidden", 8), "different: hidden. Leave out the options"),
        (("--init",), "--init needs a folder, pretrained:NAME or hf:"),
    ):
        assert train(tmp_path / "third", *options) == 2
        assert said in capsys.readouterr().err
    assert train(tmp_path / "third", "--init", first, task="ns") == 2
    assert "bc cannot adapt to task 'ns'" in capsys.readouterr().err
    assert train(tmp_path / "third", "--init", first, algorithm="ma-dt") == 2
    assert "holds a bc model, and ma-dt cannot start from it" in capsys.readouterr().err
    assert not (tmp_path / "third").exists()
    assert train(out, "--config.hidden", 16, "--config.layers", 1, "--seed", 1) == 2
    assert f"was started from {first} (model-" in capsys.readouterr().err


def test_a_model_of_another_task_is_adapted(tmp_path):
    first, out = tmp_path / "first", tmp_path / "second"
    small = ("--config.dim", 8, "--config.hidden", 16, "--config.batch-size", 2)
    assert train(first, *small, algorithm="networld", updates=2) == 0
    assert train(out, "--init", first, algorithm="networld", task="ns", updates=2) == 0
    assert sorted(load(out)[0].specs) == ["ns", "rb"]
    assert run("evaluate", out, "--task", "ns", "--episodes", 2) == 0


def site_logs(folder, agents=4, steps=12):
    """Logs of a small site, written as its operator would."""
    envs = make_vec("rb", 3, max_cycles=steps)
    obs, info = envs.reset(seed=[1, 2, 3])
    seen, acted, rewards = [obs], [], []
    envs.action_space.seed(0)
    for _ in range(steps):
        action = envs.action_space.sample()
        obs, _, _, _, info = envs.step(action)
        seen.append(obs)
        acted.append(action)
        rewards.append(info["agent_rewards"])
    ring = np.stack([(np.arange(agents) + 1) % agents, (np.arange(agents) - 1) % agents], 1)
    file = folder / "site.npz"
    np.savez(
        file,
        observations=np.stack(seen, 1)[:, :, :agents],
        actions=np.stack(acted, 1)[:, :, :agents],
        agent_rewards=np.stack(rewards, 1)[:, :, :agents],
        neighbours=np.broadcast_to(ring, (3, *ring.shape)),
    )
    return file


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluate_says_which_network_it_simulates(tmp_path, capsys):
    out = tmp_path / "model"
    assert train(out, *SMALL) == 0
    capsys.readouterr()
    assert run("evaluate", out, "--episodes", 2) == 0
    said = capsys.readouterr()
    agents = make_vec("rb").task_spec.num_agents
    assert f"simulated network: rb, preset default, {agents} agents" in said.out
    assert "warning" not in said.err
    assert read_extra(out)["origin"] == {
        "kind": "simulator",
        "preset": "default",
        "params": {},
        "agents": agents,
    }
    assert run("evaluate", out, "--episodes", 2, "--preset", "nodes12") == 0
    said = capsys.readouterr()
    assert "warning: the model was trained in another network (rb, preset default" in said.err


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluate_warns_of_a_model_of_logs(tmp_path, capsys):
    import_logs(site_logs(tmp_path), "site/rb/logs-v0", "rb")
    out = tmp_path / "model"
    assert train(out, *SMALL, "--dataset", "site/rb/logs-v0") == 0
    capsys.readouterr()
    assert run("evaluate", out, "--episodes", 2, "--record", "--json") == 0
    said = capsys.readouterr()
    assert "warning: the model was trained on logs (site.npz, 4 agents)" in said.err
    assert "trained on logs" in json.loads(said.out)["warning"]
    assert "trained on logs" in json.loads((out / "evaluation.json").read_text())["warning"]


def test_the_original_error_can_be_seen(tmp_path, capsys):
    out = tmp_path / "model"
    assert train(out, *SMALL) == 0
    (out / "checkpoint.json").write_text('{"format": 1}')
    capsys.readouterr()
    assert run("evaluate", out) == 2
    short = capsys.readouterr().err
    assert len(short.strip().splitlines()) == 1
    assert f"{out / 'checkpoint.json'} is damaged (it lacks " in short
    assert run("evaluate", out, "--traceback") == 2
    assert run("--traceback", "evaluate", out) == 2
    long = capsys.readouterr().err
    assert long.count("The above exception was the direct cause") == 2
    assert long.endswith(short)
    assert store.is_local("networld/rb/expert-v0")


def test_held_out_decisions_say_how_much_of_the_change_is_kept(tmp_path, capsys):
    first, out = tmp_path / "first", tmp_path / "second"
    assert train(first, *SMALL) == 0
    capsys.readouterr()
    assert train(out, "--init", first, "--episodes", 1) == 0
    assert "% of the change from" in capsys.readouterr().out
    kept = read_extra(out)["kept"]
    assert kept["updates"] == 4
    assert 0 <= kept["share"] <= 1
    assert train(out, "--init", first, "--episodes", 1) == 0  # finished: not mixed again
    assert "% of the change from" not in capsys.readouterr().out
    assert train(tmp_path / "third", "--init", first, "--anchor", 0) == 0
    assert "kept" not in read_extra(tmp_path / "third")


@pytest.mark.parametrize("algorithm", ["bc", "ma-iql"])  # with and without a validation loss
def test_a_training_ends_early_and_keeps_its_best_weights(algorithm, tmp_path, capsys, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 2.0, *[4.0] * 16])

    def loss(*_, **__):
        return np.float64(next(losses))

    monkeypatch.setattr("networld_algos.training.run._validation_loss", loss)
    monkeypatch.setattr("networld_algos.training.run.imitation_errors", loss)
    out, seen = tmp_path / "model", []
    from networld_algos.training import run as loop

    keep = loop.keep_best

    def spy(model, validation, seed, folder, updates):
        keep(model, validation, seed, folder, updates)
        seen.append((updates, [p.clone() for p in model.parameters()]))

    monkeypatch.setattr(loop, "keep_best", spy)
    patient = ("--patience", 5)
    assert train(out, *SMALL, *patient, updates=40, algorithm=algorithm) == 0
    said = capsys.readouterr().out
    assert "trained for 12 of 40 updates; kept the weights after 2" in said
    assert [updates for updates, _ in seen] == [0, 2, 4, 6, 8, 10, 12]
    model, extra = load(out)
    assert (extra["ended"], extra["best"]) == (True, {"validation_loss": 1.0, "best_updates": 2})
    for kept, best in zip(model.parameters(), seen[1][1], strict=True):
        assert torch.equal(kept, best)
    assert not (out / "best").exists()
    weights = weights_file(out)
    assert train(out, *SMALL, *patient, updates=40, algorithm=algorithm) == 0  # finished
    assert weights_file(out) == weights
    assert train(out, *SMALL, *patient, updates=80, algorithm=algorithm) == 2
    assert "such a training is not extended" in capsys.readouterr().err
    assert train(out, *SMALL, updates=40, algorithm=algorithm) == 2
    assert "started with patience=5, not 0" in capsys.readouterr().err


def test_patience_that_cannot_be_had_is_refused(tmp_path, capsys):
    for more, text in (
        (("--patience", 2, "--episodes", 1), "there is only one; leave it out"),
        (("--patience", -1), "--patience must be at least 0, got -1"),
        (("--patience", 2, "--init", tmp_path, "--online", 8), "goes neither with --online"),
    ):
        made = make("bc", make_vec("rb", 1).simulator.spec, {"hidden": 8})
        save(made, tmp_path, {"updates": 0})
        assert train(tmp_path / "model", *more) == 2
        assert text in capsys.readouterr().err


def test_a_model_where_the_best_weights_are_kept_is_neither_taken_nor_deleted(tmp_path, capsys):
    out = tmp_path / "model"
    assert train(out / "best", *SMALL) == 0
    kept = weights_file(out / "best")
    assert train(out, *SMALL) == 0  # without patience nothing is kept there
    other = tmp_path / "patient"
    (out / "best").rename(tmp_path / "best")
    other.mkdir()
    (tmp_path / "best").rename(other / "best")
    assert train(other, *SMALL, "--patience", 2) == 2
    assert "best holds the model of another training" in " ".join(capsys.readouterr().err.split())
    assert weights_file(other / "best") == kept


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--weight-decay", "nan", "--weight-decay must be finite and at least 0, got nan"),
        ("--weight-decay", "-1", "--weight-decay must be finite and at least 0, got -1"),
        ("--anchor", "inf", "--anchor must be finite and at least 0, got inf"),
        ("--seed", "-1", "--seed must be at least 0, got -1"),
    ],
)
def test_numbers_that_no_training_can_use_are_refused(tmp_path, capsys, option, value, text):
    assert train(tmp_path / "model", f"{option}={value}") == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_settings_of_collecting_are_options_with_the_defaults_of_its_config(tmp_path, monkeypatch):
    made = make("ma-iql", make_vec("ns", 1).simulator.spec, {"hidden": 8, "layers": 1})
    save(made, tmp_path / "first", {"updates": 0})
    seen = []
    monkeypatch.setattr(
        "networld_algos.training.online.train_online", lambda *args, **_: seen.append(args[2])
    )
    words = ("train", "ma-iql", "--task", "ns", "--out", tmp_path / "out")
    words += ("--init", tmp_path / "first", "--online")
    assert run(*words, 12) == 0
    more = ("--updates", 9, "--rounds", 3, "--exploration", 0.3, "--per-offline", 2)
    assert run(*words, 12, *more) == 0
    assert seen == [
        OnlineConfig(episodes=12),
        OnlineConfig(episodes=12, updates=9, rounds=3, exploration=0.3, per_offline=2),
    ]


def test_a_model_collects_its_own_episodes(tmp_path, capsys, monkeypatch):
    first, out = tmp_path / "first", tmp_path / "second"
    small = ("--config.hidden", 16, "--config.layers", 1)
    assert train(first, *small, algorithm="ma-iql", task="ns") == 0
    online = ("--init", first, "--online", 8, "--deployment", "hotspots")
    assert train(out, *online, algorithm="ma-iql", task="ns") == 0
    assert read_extra(out)["online"]["deployment"] == {"preset": "hotspots"}
    assert "round 3: 2 episodes" in capsys.readouterr().out
    assert train(out, *online, algorithm="ma-iql", task="ns") == 2
    assert "an online training is not resumed" in capsys.readouterr().err
    weights = weights_file(out)
    assert train(out, "--init", first, algorithm="ma-iql", task="ns") == 2
    assert "was trained online, which is not resumed" in capsys.readouterr().err
    assert weights_file(out) == weights
    assert train(tmp_path / "third", "--online", 8) == 2
    assert "--online needs a model that acts: give it with --init" in capsys.readouterr().err
    assert train(tmp_path / "third", "--deployment", "hotspots") == 2
    assert "--deployment is where --online collects" in capsys.readouterr().err
    assert train(tmp_path / "third", "--rounds", 3, "--per-offline", 2) == 2
    assert "--rounds, --per-offline: only for --online" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train(tmp_path / "third", "--init", first, "--online", 8, algorithm="ma-iql") == 2
    assert "--online runs in one process on the CPU" in capsys.readouterr().err
