"""The models that come with the package, how they are found, and how they are made."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from networld_algos.bench import get_suite, unroll
from networld_algos.cli.command import main
from networld_algos.deploy.monitor.reference import Reference
from networld_algos.deploy.policy import Policy
from networld_algos.files import DamagedFileError
from networld_algos.training import checkpoint, hub, pretrained
from networld_algos.training.evaluate import evaluate
from networld_algos.training.start import find_model
from networld_envs.files import run_file
from networld_envs.policies.references import VALIDATION_SEED, reference_rewards
from networld_envs.store.recipes import reserved
from tests.helpers.algorithms import prepared
from tests.helpers.catalogue import build_short

ROOT = Path(__file__).resolve().parents[2]
TASKS = ("cbf", "ns", "rb")
NEEDS_ONNX = pytest.mark.skipif(find_spec("onnx") is None, reason="the export needs onnx")


def test_there_is_one_small_model_per_task():
    assert pretrained.names() == [*TASKS]
    files = [file for file in pretrained.ROOT.rglob("*") if file.suffix != ".py"]
    assert sum(file.stat().st_size for file in files if file.is_file()) < 8e6


@pytest.mark.parametrize("task", TASKS)
def test_a_model_loads_and_acts(task):
    source = f"pretrained:{task}"
    model, about = hub.from_pretrained(source, expect_task=task)
    assert all(value.dtype != torch.float16 for value in model.state_dict().values())
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + 4)
    reward = evaluate(model, task, seeds, max_cycles=20).mean
    assert reward > reference_rewards(task, "random", seeds, 20).mean()
    assert find_model(source, "networld").config == model.config
    assert Policy.load(source).task == task
    folder = hub.fetch(source)
    assert Reference.load(folder).about["weights"] == checkpoint.weights_file(folder)
    assert "normalised" in (hub.score_of(folder) or "")
    record = about["pretrained"]
    assert record["updates"] == about["updates"]
    assert abs(record["score"] - record["score_before_rounding"]) < 0.5


@pytest.mark.parametrize("task", TASKS)
def test_a_model_was_trained_on_the_data_of_the_catalogue(task):
    _, about = hub.from_pretrained(f"pretrained:{task}")
    for dataset, found in about["data_hashes"].items():
        assert found == reserved()[dataset].sha256


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "pretrained:rbb"],
        ["health", "pretrained:rbb"],
        ["push", "pretrained:rbb", "owner/name"],
        ["act", "pretrained:rbb"],
        pytest.param(["export", "pretrained:rbb", "--out", "station"], marks=NEEDS_ONNX),
        ["drift", "networld/rb/expert-v0", "--model", "pretrained:rbb"],
        ["train", "networld", "--task", "rb", "--out", "run", "--init", "pretrained:rbb"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_that_takes_a_model_knows_the_names(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "_hub", lambda: SimpleNamespace())
    assert main(command) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "no model 'pretrained:rbb'; did you mean 'pretrained:rb'?" in said
    assert "pretrained:cbf, pretrained:ns, pretrained:rb" in said
    assert not list(tmp_path.iterdir())


def test_nothing_is_recorded_inside_the_package(capsys):
    assert main(["evaluate", "pretrained:rb", "--record"]) == 2
    assert "give a folder" in capsys.readouterr().err


def test_a_compact_checkpoint_is_small_and_acts_alike(toy, tmp_path):
    model = prepared("networld", toy("box").collect(3))
    model.nets.load_state_dict(model.ema.module.state_dict())
    checkpoint.save(model, tmp_path / "whole")
    checkpoint.save(model, tmp_path / "small", {"note": 1}, compact=True)
    sizes = [
        (tmp_path / name / checkpoint.weights_file(tmp_path / name)).stat().st_size
        for name in ("whole", "small")
    ]
    assert sizes[1] < 0.3 * sizes[0]  # half precision, and the averages equal the weights
    loaded, extra = checkpoint.load(tmp_path / "small")
    assert extra == {"note": 1}
    parameters = {name for name, _ in model.named_parameters()}
    for name, value in model.state_dict().items():
        there = loaded.state_dict()[name]
        assert there.dtype == value.dtype
        if name in parameters and value.dim() > 1:
            torch.testing.assert_close(there, value, rtol=1e-3, atol=1e-6)
        else:
            assert torch.equal(there, value)  # statistics and bins keep their precision


def test_what_half_precision_cannot_hold_stays_single(toy, tmp_path):
    model = prepared("bc", toy("box").collect(3))
    weight = next(p for p in model.parameters() if p.dim() > 1)
    with torch.no_grad():
        weight[0, 0] = 1e6
    checkpoint.save(model, tmp_path, compact=True)
    loaded, _ = checkpoint.load(tmp_path)
    assert torch.equal(next(p for p in loaded.parameters() if p.dim() > 1), weight)


@pytest.mark.parametrize("shared", [[], {"a": "missing"}, {"a": ["list"]}])
def test_a_damaged_list_of_shared_tensors_is_refused(toy, tmp_path, shared):
    checkpoint.save(prepared("bc", toy("box").collect(3)), tmp_path, compact=True)
    file = tmp_path / checkpoint.INDEX
    index = json.loads(file.read_text()) | {"shared": shared}
    del index["sha256"]
    file.write_text(json.dumps(index))
    with pytest.raises(DamagedFileError, match=r"checkpoint\.json is damaged"):
        checkpoint.load(tmp_path)


def test_models_are_made_from_the_runs_of_a_suite(tmp_path, monkeypatch, capsys):
    build_short(monkeypatch, tmp_path, 4, "networld/rb/expert-v0")
    make = run_file(ROOT / "tools" / "pretrained.py").main
    here = ["--suite", "smoke", "--out", str(tmp_path / "made"), "--networks", "2", "rb"]
    with pytest.raises(FileNotFoundError, match="networld bench run smoke"):
        make(["--results", str(tmp_path / "none"), *here])
    assert make(["--share", "0.1", *here]) == 0
    assert '"preliminary": true' in capsys.readouterr().out
    assert make(["--results", str(tmp_path), "--train", *here]) == 0
    assert '"preliminary": false' in capsys.readouterr().out
    model, about = checkpoint.load(tmp_path / "made" / "rb")
    record = about["pretrained"]
    assert record["networks"] == "test, seeds 1000 to 1001"
    assert (about["updates"], about["trained_on"], about["episodes"]) == (20, 3, 4)
    rewards = evaluate(model, "rb", range(1_000, 1_002), sampling_seed=0).episode_rewards
    found = json.loads((tmp_path / "made" / "rb" / hub.EVALUATION).read_text())
    assert found["mean"] == pytest.approx(rewards.mean())
    assert found["normalised"] == record["score"]


@pytest.mark.parametrize("task", TASKS)
def test_the_suite_keeps_the_models_that_are_taken_from_it(task):
    suite = get_suite("cpu")
    run = run_file(ROOT / "tools" / "pretrained.py").chosen_run(suite, task)
    assert (run.label, run.seed, run.quality) == ("networld", 0, suite.qualities[0])
    assert run.key in {other.start for other in unroll(suite)}  # which the runner keeps
