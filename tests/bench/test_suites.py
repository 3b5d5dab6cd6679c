"""Suites of one's own, what the command line says of them, estimates, and TensorBoard's files."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from networld_algos import bench, make_config
from networld_algos.bench import runs, worker
from networld_algos.bench.estimate import known_rates, run_seconds
from networld_algos.bench.presets import SUITES, get_suite, load_suite
from networld_algos.bench.suite import PARTS, Ablation, Entry, FewShot, Suite
from networld_algos.bench.unroll import unroll
from networld_algos.cli.command import main
from networld_algos.registry import BUILT_IN
from networld_algos.results.loggers import log
from networld_algos.results.rows import Row, read_rows
from networld_algos.results.stats import normalised_score
from networld_envs import make_vec
from tests.helpers.catalogue import build_short

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_suite.py"


@pytest.fixture(scope="module", autouse=True)
def small_store(tmp_path_factory):
    """The RB expert dataset with few episodes, in a store of its own."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        yield build_short(patch, root, 8, "networld/rb/expert-v0")


def test_a_suite_in_a_file_runs_from_the_command_line(tmp_path, capsys):
    suite = load_suite(str(EXAMPLE))
    assert suite.parts == ("comparison", "robustness")
    code = [line for line in EXAMPLE.read_text().split('"""')[2].splitlines() if line]
    assert len(code) <= 10  # the promise of the documentation
    small = tmp_path / "small.py"
    text = EXAMPLE.read_text().replace('Entry("networld")', "Entry('ma-iql')")
    text = text.replace(', Entry("networld", "silent", {"mean_field": False})', "")
    text = text.replace('("bc", "networld")', '("bc",)').replace("seeds=3", "seeds=1")
    small.write_text(text.replace("1_000", "4, eval_episodes=2"))
    command = ["bench", "run", str(small), "--results", str(tmp_path)]
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr().out
    count = len(unroll(load_suite(str(small))))
    assert f"{count} runs, about" in said
    assert re.search(r"\d s +robustness / rb / expert / bc / seed 0", said)
    assert not (tmp_path / "messages").exists()
    assert main([*command, "--only", "comparison"]) == 0
    found = {r.experiment for r in read_rows(tmp_path / "messages")}
    assert found == {"reference", "comparison"}
    assert main(command) == 0
    assert "1 run done, 0 failed" in capsys.readouterr().out  # the robustness part of one entry
    assert main([*command, "--only", "fewshot"]) == 2
    assert "has no part fewshot; it has comparison, robustness" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file"),
        ("suite = 3", "has no SUITE; it needs"),
        ("SUITE = 3", "a SUITE that is a int"),
        ("import nothing_of_that_name", "does not run: ModuleNotFoundError"),
    ],
)
def test_a_file_without_a_suite_says_what_it_lacks(tmp_path, text, message):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_suite(str(path))


def test_the_suites_of_the_package_have_what_is_promised(capsys):
    for name in ("cpu", "paper"):
        suite = get_suite(name)
        assert suite.parts == PARTS
        assert suite.qualities[0] == "expert"
        assert suite.eval_episodes >= 100
        assert suite.evaluations >= 8
        assert suite.curve_episodes > 0
        labels = {label for entry in suite.entries for label in entry.labels}
        assert "networld (plan)" in labels
        for baseline in BUILT_IN:
            assert {baseline, f"{baseline} (no mean field)"} <= labels
        for part in (suite.fewshot, suite.deployments):
            assert part is not None
            assert part.patience
            few = {entry.label for entry in part.entries}
            controls = {"from scratch", "random frozen", "shuffled pre-training"}
            assert {"networld", *(f"networld ({control})" for control in controls)} <= few
        assert suite.deployments is not None
        assert "networld (not tuned)" in {entry.label for entry in suite.deployments.entries}
        starts = {r.key: r for r in unroll(suite)}
        for run in starts.values():  # from models of the comparison where that is possible
            if run.experiment == "deployments" and run.label in ("networld", "bc", "ma-iql"):
                assert starts[run.start].experiment == "comparison"
                assert starts[run.start].label == run.label
                assert starts[run.start].seed == run.seed
    assert get_suite("paper").seeds == 10
    faithful = next(e for e in get_suite("paper").entries if e.preset == "faithful")
    assert faithful.values["dim"] == 256
    hours = sum(map(run_seconds, unroll(get_suite("cpu")))) / 3600
    assert hours < 32  # of one busy core, see the note in `networld_algos.bench.estimate`
    assert main(["bench", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in SUITES)


def test_on_medium_data_every_method_has_what_was_chosen_for_it_on_mixed_data():
    paper = get_suite("paper")
    by_quality = {
        quality: {
            (run.label, run.task): run.config
            for run in unroll(paper, ["comparison"])
            if run.stage == "train" and run.quality == quality
        }
        for quality in ("medium", "mixed")
    }
    methods = {(name, task) for name in BUILT_IN for task in paper.tasks}
    assert set(by_quality["medium"]) == methods
    for key in methods:
        assert by_quality["medium"][key] == by_quality["mixed"][key]


def test_estimates_grow_with_the_work_and_learn_from_finished_runs(tmp_path):
    suite = Suite("tiny", ("rb",), (Entry("bc"),), seeds=1, updates=4, eval_episodes=2)
    run = next(r for r in unroll(suite) if r.stage == "train")
    assert run_seconds(replace(run, updates=4_000)) > 10 * run_seconds(run)
    assert run_seconds(replace(run, eval_episodes=200)) > run_seconds(run)
    wide = Entry("networld", preset="faithful")
    plain = replace(run, algorithm="networld", updates=100, config={})
    assert run_seconds(replace(plain, config=wide.values)) > 20 * run_seconds(plain)
    bench.run_suite(suite, tmp_path)
    rates = known_rates(read_rows(tmp_path / "tiny"))
    (row,) = (r for r in read_rows(tmp_path / "tiny") if r.kind == "learned" and r.is_last)
    assert rates == {("rb", "bc"): row.train_seconds / 4}
    slow = run_seconds(run, {("rb", "bc"): 10.0})
    assert 40.0 < slow < 60.0
    both = Entry("bc", decisions={"one": {"decode": "argmax"}, "two": {"decode": "sample"}})
    run = next(r for r in unroll(replace(suite, entries=(both,))) if r.stage == "train")
    assert 40.0 < run_seconds(run, {("rb", "one"): 10.0, ("rb", "two"): 10.0}) < 60.0


def test_pace_is_by_task_or_by_task_and_quality_and_not_for_few_shot():
    few = FewShot((Entry("bc"),), (0.1,), seeds=1, updates=7, pretrain_updates=5)
    ablation = Ablation((Entry("networld"),), seeds=1, updates=20, tasks=("ns",))
    suite = Suite(
        "tiny", ("rb", "ns"), (Entry("bc"),), 1, 40, ("expert", "medium"),
        pace={"rb": 2.0, "rb/medium": 0.5}, fewshot=few, ablation=ablation,
    )  # fmt: skip
    updates = {(r.experiment, r.task, r.quality): r.updates for r in unroll(suite) if r.updates}
    assert updates == {
        ("comparison", "rb", "expert"): 80,
        ("comparison", "rb", "medium"): 20,
        ("comparison", "ns", "expert"): 40,
        ("comparison", "ns", "medium"): 40,
        ("fewshot", "rb", "expert"): 7,
        ("fewshot", "ns", "expert"): 7,
        ("ablation", "ns", "expert"): 20,
    }
    slow = replace(suite, entries=(Entry("bc", pace={"rb": 3.0}),))
    updates = {(r.task, r.quality): r.updates for r in unroll(slow) if r.experiment == "comparison"}
    assert updates[("rb", "expert")] == 240
    assert updates[("rb", "medium")] == 60
    assert updates[("ns", "expert")] == 40
    for wrong in ({"zz": 1.0}, {"rb": 0.0}):
        with pytest.raises(ValueError, match="pace must give tasks positive numbers"):
            Entry("bc", pace=wrong)
    with pytest.raises(ValueError, match="pace must give its own tasks"):
        replace(suite, pace={"rb/best": 1.0})
    with pytest.raises(ValueError, match="the ablation uses tasks"):
        replace(suite, ablation=replace(ablation, tasks=("cbf",)))
    with pytest.raises(ValueError, match="tasks must be distinct"):
        replace(ablation, tasks=())


def test_the_first_seeds_of_a_suite_are_some_of_its_runs(tmp_path, capsys):
    whole = get_suite("cpu")
    two = whole.first_seeds(2)
    keys = {run.key for run in unroll(whole)}
    assert {run.key for run in unroll(two)} < keys
    assert {run.seed for run in unroll(two)} == {-1, 0, 1}
    assert {run.experiment for run in unroll(two)} == {run.experiment for run in unroll(whole)}
    assert whole.first_seeds(100) == whole
    command = ["bench", "run", "cpu", "--dry-run", "--results", str(tmp_path), "--seeds"]
    assert main([*command, "1"]) == 0
    said = capsys.readouterr().out
    assert "seed 0" in said
    assert "seed 1" not in said
    assert main([*command, "0"]) == 2
    assert "seeds must be at least 1, got 0" in capsys.readouterr().err


def test_factor_and_level_go_together_and_old_rows_are_read():
    folder = EXAMPLE.parents[1] / "benchmarks" / "results" / "cpu"
    row = next(r for r in read_rows(folder) if r.factor is None)
    varied = replace(row, factor="message_loss", level=1)
    assert Row.from_dict(json.loads(varied.to_json())) == varied
    assert varied.run != row.run
    old = {k: v for k, v in json.loads(row.to_json()).items() if k not in ("factor", "level")}
    assert Row.from_dict(old) == replace(row, factor=None, level=None)
    with pytest.raises(ValueError, match="factor and level go together, got factor='agents'"):
        replace(row, factor="agents", level=None)
    with pytest.raises(ValueError, match=r"level=3\.0"):
        replace(row, factor=None, level=3.0)


def test_only_keeps_what_the_chosen_parts_start_from():
    few = FewShot((Entry("networld", pretrained=True),), (1.0,), 1, 2, 2)
    suite = Suite("tiny", ("rb", "ns"), (Entry("bc"),), seeds=1, updates=4, fewshot=few)
    stages = [(r.stage, r.experiment) for r in unroll(suite, ["fewshot"]) if r.stage != "reference"]
    assert stages == [("pretrain", "pretrain")] * 2 + [("train", "fewshot")] * 2
    smoke = get_suite("smoke")
    chosen = unroll(smoke, ["cost"])
    keys = {r.key for r in chosen}
    assert {r.label for r in chosen if r.experiment == "comparison"} == {"networld", "bc"}
    assert all(r.start in keys for r in chosen if r.start)
    assert keys < {r.key for r in unroll(smoke)}


@pytest.mark.interop
def test_tensorboard_gets_losses_and_scores_and_goes_on_after_a_stop(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="needs networld[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    suite = Suite("tiny", ("rb",), (Entry("bc"),), 1, updates=40, evaluations=2, eval_episodes=2)
    monkeypatch.setattr(log, "EVERY", 10)
    real = worker.learned_rows
    calls = []

    def stops(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(worker, "learned_rows", stops)
    with pytest.raises(KeyboardInterrupt):
        bench.run_suite(suite, tmp_path, log=["tensorboard", "csv"])
    bench.run_suite(suite, tmp_path, log=["tensorboard", "csv"])
    (folder,) = (tmp_path / "tiny" / "logs").iterdir()
    found = EventAccumulator(str(folder / "tensorboard")).Reload()
    steps = [event.step for event in found.Scalars("loss/cloning_loss")]
    assert steps == [10, 20, 30, 40]  # those after the last checkpoint are not doubled
    assert [event.step for event in found.Scalars("eval/score")] == [20, 40]
    rows = {r.updates: r for r in read_rows(tmp_path / "tiny") if r.kind == "learned"}
    value = found.Scalars("eval/reward")[-1].value
    assert value == pytest.approx(rows[40].mean_return, rel=1e-5)
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert f"40,eval/reward,{rows[40].mean_return!r}" in lines
    assert sum(",loss/cloning_loss," in line for line in lines) == 4


def test_without_tensorboard_the_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    command = ["bench", "run", "smoke", "--results", str(tmp_path), "--log", "tensorboard"]
    assert main(command) == 2
    assert "pip install 'networld[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "smoke").exists()


def test_settings_by_task_and_quality_and_the_most_exact_goes_first():
    entry = Entry(
        "networld",
        config={"horizon": 8},
        by_data={
            "rb/medium": {"learning_rate": 4e-3},
            "rb": {"learning_rate": 2e-3, "encoder_grad": "none"},
            "medium": {"learning_rate": 3e-3, "weighting": "advantage"},
        },
    )
    suite = Suite("tiny", ("rb", "ns"), (entry,), 1, 40, ("expert", "medium"))
    config = {(r.task, r.quality): r.config for r in unroll(suite) if r.stage == "train"}
    assert config == {
        ("rb", "expert"): {"horizon": 8, "learning_rate": 2e-3, "encoder_grad": "none"},
        ("rb", "medium"): {
            "horizon": 8, "learning_rate": 4e-3, "encoder_grad": "none", "weighting": "advantage",
        },
        ("ns", "expert"): {"horizon": 8},
        ("ns", "medium"): {"horizon": 8, "learning_rate": 3e-3, "weighting": "advantage"},
    }  # fmt: skip
    few = FewShot(
        (replace(entry, by_data={"expert": {"horizon": 4}}, pretrained=True),), (0.1,), 1, 7, 5
    )
    before = next(r for r in unroll(replace(suite, fewshot=few)) if r.stage == "pretrain")
    assert before.config == {"horizon": 4}
    with pytest.raises(ValueError, match=r"must not depend on the task, got \['rb', 'rb/medium'\]"):
        replace(suite, fewshot=replace(few, entries=(replace(entry, pretrained=True),)))
    with pytest.raises(ValueError, match=r"unknown keys \['best', 'rb/best'\]; valid: cbf"):
        Entry("bc", by_data={"rb/best": {}, "best": {}})
    with pytest.raises(ValueError, match="unknown config keys"):
        Entry("bc", by_data={"rb": {"colour": 3}})


def test_minutes_and_measured_rates_give_the_updates_of_comparison_and_ablation():
    entry = Entry("networld", updates=9, rates={"rb": 100.0, "rb/mixed": 123.4})
    other = Entry("bc", updates=9)
    suite = Suite(
        "tiny", ("rb", "ns"), (entry, other), 1, 40, ("expert", "mixed"),
        minutes={"rb": 2.0, "ns": 1.0},
        ablation=Ablation((replace(entry, updates=None),), seeds=1, tasks=("rb",)),
    )  # fmt: skip
    updates = {(r.label, r.task, r.quality, r.stage): r.updates for r in unroll(suite)}
    assert updates["networld", "rb", "expert", "train"] == 200
    assert updates["networld", "rb", "mixed", "train"] == 250  # 246.8, two digits
    assert updates["networld", "ns", "expert", "train"] == 9  # no rate is known there
    assert updates["bc", "rb", "expert", "train"] == 9
    assert updates["networld", "rb", "expert", "evaluate"] == 200  # the ablation has this model
    with pytest.raises(ValueError, match="rates must give tasks or their data positive"):
        replace(entry, rates={"rb": -1.0})
    with pytest.raises(ValueError, match="minutes must give its own tasks positive numbers"):
        replace(suite, minutes={"cbf": 1.0})


def test_test_networks_are_scored_once_where_validation_networks_show_the_curve(tmp_path):
    suite = Suite(
        "tiny", ("rb",), (Entry("bc"),), 1, 4, evaluations=2, eval_episodes=3, curve_episodes=2
    )
    bench.run_suite(suite, tmp_path)
    rows = read_rows(tmp_path / "tiny")
    learned = [(r.eval_seed_set, r.updates, r.is_last) for r in rows if r.kind == "learned"]
    assert learned == [("validation", 2, False), ("validation", 4, True), ("test", 4, True)]
    assert {len(r.episode_returns) for r in rows if r.eval_seed_set == "test"} == {3}
    assert {len(r.episode_returns) for r in rows if r.eval_seed_set == "validation"} == {2}
    for row in rows:
        if row.kind == "learned":  # by random and expert on the same networks
            ends = [
                r.mean_return
                for role in ("random", "expert")
                for r in rows
                if r.role == role and r.eval_seed_set == row.eval_seed_set
            ]
            assert row.score == pytest.approx(normalised_score(row.mean_return, *ends))


def test_a_new_field_of_runs_changes_no_key_where_it_has_its_default(monkeypatch):
    suite = Suite("tiny", ("rb",), (Entry("bc"),), seeds=1, updates=4)
    run = next(r for r in unroll(suite) if r.stage == "train")
    key = run.key
    assert replace(run, curve_episodes=1).key != key
    monkeypatch.setattr(runs, "ADDED", frozenset())
    assert replace(run).key != key  # so it was left out


def test_ablations_start_from_the_method_of_the_comparison():
    suite = SUITES["paper"]
    assert suite.ablation is not None
    whole = next(e for e in suite.entries if e.label == "networld")
    bare = next(e for e in suite.ablation.entries if e.label == "networld")
    for task in suite.tasks:
        assert whole.values_on(task, "expert") == bare.values_on(task, "expert")
    spec, models = make_vec("rb").simulator.spec, {}
    for entry in suite.ablation.entries:
        config = make_config("networld", entry.values_on("rb", "expert"))
        settled = replace(config, encoder_grad=config.encoder_grad_of(spec))
        models.setdefault(settled, []).append(entry.label)
    assert [labels for labels in models.values() if len(labels) > 1] == []
