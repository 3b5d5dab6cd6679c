"""The command line as its user meets it: results, and errors that say what to do."""

import json
import os
import re
import subprocess
import sys

import pytest

from networld_algos import make
from networld_algos.bench.presets import get_suite
from networld_algos.bench.unroll import unroll
from networld_algos.cli.command import COMMANDS, main
from networld_algos.cli.train import run as train_verb
from networld_algos.results.loggers import log
from networld_algos.training import run as run_module
from networld_algos.training.checkpoint import save
from networld_envs import make_vec
from tests.helpers.catalogue import build_short


@pytest.fixture(scope="module", autouse=True)
def small_store(tmp_path_factory):
    """The expert datasets of the catalogue with few episodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        ids = [f"networld/{task}/expert-v0" for task in ("rb", "ns", "cbf")]
        build_short(patch, tmp_path_factory.mktemp("data"), 6, *ids)
        yield


def run(*args):
    return main([str(a) for a in args])


def test_help_names_every_command(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    for command in ("reference", "dataset", "train", "evaluate", "bench", "report"):
        assert command in text
    assert run("--version") == 0


def test_reference_prints_every_policy(capsys):
    assert run("reference", "--task", "rb", "--episodes", 2, "--with-metrics") == 0
    text = capsys.readouterr().out
    for name in ("random", "hard", "backlog", "cap", "expert", "genie", "dropped"):
        assert name in text


def test_a_preset_some_policies_cannot_see_in_scores_the_others(capsys):
    options = ("reference", "--task", "cbf", "--episodes", 2, "--preset", "ge2020")
    assert run(*options) == 0
    text = capsys.readouterr().out
    assert "random" in text
    assert "genie" in text
    assert "slnr" not in text


def test_train_evaluate_and_go_on(tmp_path, capsys):
    out = tmp_path / "model"
    options = ("train", "bc", "--task", "rb", "--out", out, "--updates", 8)
    assert run(*options, "--config.hidden", 32) == 0
    assert json.loads((out / "checkpoint.json").read_text())["config"]["hidden"] == 32
    assert run("evaluate", out, "--episodes", 3) == 0
    text = capsys.readouterr().out
    assert re.search(r"bc +│ +-\d", text)
    assert "expert" in text
    assert "256 bytes sent" in text
    assert run(*options, "--config.hidden", 32) == 0  # finished already: nothing to do
    assert run(*options) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert run("evaluate", out, "--task", "ns") == 2
    assert "'ns'" in capsys.readouterr().err


def test_evaluate_can_decide_otherwise(tmp_path, capsys):
    out = tmp_path / "model"
    assert run("train", "bc", "--task", "rb", "--out", out, "--updates", 8) == 0
    scores = []
    for more in ((), ("--set", "decode=sample", "--set", "temperature=2"), ()):
        capsys.readouterr()
        assert run("evaluate", out, "--episodes", 2, *more) == 0
        scores.append(re.search(r"bc +│ +(-\S+)", capsys.readouterr().out)[1])
    assert scores[0] == scores[2] != scores[1]
    for setting, said in (
        ("hidden=3", "'hidden' is fixed at training"),
        ("decode", "--set takes NAME=VALUE"),
        ("decode=best", "decode must be one of"),
    ):
        assert run("evaluate", out, "--set", setting) == 2
        assert said in capsys.readouterr().err
    assert run("evaluate", out, "--record", "--set", "decode=sample") == 2
    assert "leave out --set" in capsys.readouterr().err
    assert run("evaluate", tmp_path / "none") == 2
    assert "hf://owner/name" in capsys.readouterr().err


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    options = ("train", "ma-iql", "--task", "ns", "--updates", 6, "--log", "csv", "--out")
    monkeypatch.setattr(log, "EVERY", 1)
    assert run(*options, tmp_path / "whole") == 0
    monkeypatch.setattr(train_verb, "SAVE_EVERY", 4)
    real, first = run_module.train, []

    def stops(model, data, updates, seed, **kwargs):
        first.append(kwargs["first"])
        done = real(model, data, min(updates, 5), seed, **kwargs)
        if updates > 5:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(run_module, "train", stops)
    assert run(*options, tmp_path / "cut") == 130
    monkeypatch.setattr(run_module, "train", real)
    assert run(*options, tmp_path / "cut") == 0
    assert first == [0, 4]
    whole, cut = (
        json.loads((tmp_path / name / "checkpoint.json").read_text()) for name in ("whole", "cut")
    )
    assert all(index["extra"].pop("seconds") > 0 for index in (whole, cut))
    assert whole.pop("sha256") != cut.pop("sha256")  # of the seconds, too
    assert whole == cut  # file names are content hashes
    logs = [(tmp_path / name / "logs" / "metrics.csv").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert run(*options, tmp_path / "cut") == 0  # finished: nothing to do, and nothing to log
    assert (tmp_path / "cut" / "logs" / "metrics.csv").read_text() == logs[0]
    names = {line.split(",")[1].split("/")[0] for line in logs[0].splitlines()[1:]}
    assert names == {"loss"}


def test_health_asks_for_data_where_the_checkpoint_names_none(tmp_path, capsys):
    save(make("bc", make_vec("rb").simulator.spec), tmp_path / "model")
    assert run("health", tmp_path / "model") == 2
    assert "--dataset networld/rb/expert-v0" in " ".join(capsys.readouterr().err.split())


def test_health_does_not_call_other_data_held_out(tmp_path, capsys):
    about = {"dataset": "networld/rb/expert-v0", "episodes": 8, "seed": 0}
    about["data_hashes"] = {"networld/rb/expert-v0": "0" * 64}
    save(make("bc", make_vec("rb").simulator.spec), tmp_path / "model", extra=about)
    assert run("health", tmp_path / "model") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "was made with dataset 'networld/rb/expert-v0' of content 0000000000000000" in said
    assert "held-out episodes are unknown: give --dataset networld/rb/expert-v0" in said


def test_of_a_single_episode_nothing_is_held_out(tmp_path, capsys):
    out = tmp_path / "model"
    config = ("--config.dim", 8, "--config.hidden", 16, "--config.batch-size", 2)
    options = ("train", "networld", "--task", "rb", "--out", out, "--updates", 2, *config)
    assert run(*options, "--episodes", 1) == 0
    said = capsys.readouterr().out
    assert "no diagnostics: nothing can be held out of a single episode" in said
    assert "effective_rank" not in said
    assert run("health", out) == 2
    assert "nothing was held out; name a dataset" in capsys.readouterr().err
    assert run("health", out, "--dataset", "networld/rb/expert-v0") in (0, 1)
    assert "effective_rank" in capsys.readouterr().out


@pytest.mark.slow
def test_the_smoke_suite_ends_in_a_page(tmp_path, capsys):
    runs = len(unroll(get_suite("smoke")))
    assert run("bench", "run", "smoke", "--results", tmp_path, "--dry-run") == 0
    assert f"{runs} runs" in capsys.readouterr().out
    assert run("bench", "run", "smoke", "--results", tmp_path, "--jobs", 1) == 0
    said = capsys.readouterr()
    assert f"{runs} runs done, 0 failed" in said.out
    finished = [line for line in said.err.splitlines() if line.startswith("done ")]
    assert len(finished) == runs
    assert finished[-1].endswith("; no runs left")
    assert run("report", tmp_path / "smoke") == 0
    page = (tmp_path / "smoke" / "report" / "report.html").read_text()
    for word in ("NetWorld", "MA-IQL", "BC", "Few-shot", "expert", "genie"):
        assert word in page
    figures = {p.name for p in (tmp_path / "smoke" / "report" / "figures").iterdir()}
    assert {"comparison.png", "comparison.svg", "fewshot.png", "fewshot.svg"} <= figures
    assert run("bench", "run", "smoke", "--results", tmp_path) == 0
    assert "0 runs done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("fly",), "unknown command 'fly'\ncommands: reference, dataset"),
        (("reference", "--task", "csma"), "unknown task 'csma'; valid tasks: cbf, rb, ns"),
        (("reference", "--task", "rb", "--policies", "best"), "valid policies: random"),
        (("dataset", "build", "networld/rb/best-v0"), "known datasets:\n  networld/cbf/expert-v0"),
        (("dataset", "show", "networld/rb/medium-v0"), "networld dataset build"),
        (("dataset", "build", "networld/rb/expert-v0"), "use --force to build it again"),
        (("train", "bc", "--task", "csma", "--out", "x"), "valid tasks: cbf, rb, ns"),
        (
            ("train", "bc", "--task", "ns", "--dataset", "networld/rb/expert-v0", "--out", "x"),
            "of task 'rb', not of 'ns'",
        ),
        (("train", "bc", "--task", "ns", "--out", "x", "--episodes", "7"), "must be in 1 .. 6"),
        (("evaluate", "nowhere"), "nowhere"),
        (("bench", "run", "huge"), "unknown suite 'huge'\nvalid suites: smoke, demo"),
        (("report", "nowhere"), "run a suite first"),
    ],
)
def test_errors_name_the_value_and_the_remedy(args, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*args) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []  # nothing half-written


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("train", "bc", "--task", "rb"), "--out"),
        (("train", "bc", "--task", "rb", "--out", "x", "--colour", "3"), "colour"),
        (
            ("train", "bc", "--task", "rb", "--out", "x", "--config.hidden", "0"),
            "at least 1, got 0",
        ),
        (("dataset", "fly"), "build"),
    ],
)
def test_unknown_options_list_the_valid_ones(args, text, capsys):
    try:
        status = run(*args)
    except SystemExit as error:
        status = error.code
    assert status == 2
    captured = capsys.readouterr()
    assert text in captured.err + captured.out


def test_an_error_of_the_operating_system_names_the_file_and_the_cause(
    tmp_path, capsys, monkeypatch
):
    """Also where a temporary file with another name could not take its place."""

    def fails(args):
        (tmp_path / "unfinished").write_text("")
        (tmp_path / "folder").mkdir()
        os.replace(tmp_path / "unfinished", tmp_path / "folder")

    monkeypatch.setitem(COMMANDS, "report", ("", fails))
    assert run("report") == 2
    assert capsys.readouterr().err == f"networld report: {tmp_path / 'folder'}: Is a directory\n"


def test_reading_results_needs_no_torch():
    code = (
        "import sys; import networld_algos.report.page, networld_algos.results.stats;"
        "import networld_algos.cli.command;"
        "print(sorted({'torch', 'gymnasium', 'pettingzoo', 'minari'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
