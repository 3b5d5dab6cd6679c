"""A slow machine gets fewer updates of the demo, and finds the same number again."""

from dataclasses import replace

import pytest

from networld_algos.bench import suite_paths, unroll
from networld_algos.bench.machine_speed import share_for, share_here, with_share
from networld_algos.bench.presets import SUITES, get_suite
from networld_algos.cli import bench as command
from networld_algos.results.folder import RATES
from networld_algos.training.tuning.choices import RATE, read_choices


def trainings(suite):
    return {(r.experiment, r.updates) for r in unroll(suite) if r.stage in ("train", "pretrain")}


@pytest.mark.parametrize(
    ("slowness", "share"), [(0.5, 1.0), (1.4, 1.0), (1.5, 0.5), (2.8, 0.5), (3, 0.25), (50, 0.25)]
)
def test_a_slow_machine_gets_a_smaller_share(slowness, share):
    assert share_for(slowness) == share


def test_only_the_demo_depends_on_the_machine(tmp_path):
    def measure(*_):
        raise AssertionError("nothing is measured")

    for name, suite in SUITES.items():
        if name != "demo":
            assert share_here(suite, tmp_path / RATES, measure) == 1.0
    assert not (tmp_path / RATES).exists()


def test_a_share_is_of_every_training():
    demo = get_suite("demo")
    assert with_share(demo, 1.0) is demo
    assert trainings(demo) == {("comparison", 250), ("fewshot", 100), ("pretrain", 200)}
    assert trainings(with_share(demo, 0.25)) == {
        ("comparison", 62), ("fewshot", 25), ("pretrain", 50),
    }  # fmt: skip


def test_a_measured_rate_is_kept_so_that_the_suite_resumes(tmp_path):
    demo, rates = get_suite("demo"), tmp_path / "demo" / RATES
    usual = demo.entries[0].rates["cbf/expert"]
    rates.parent.mkdir()
    assert share_here(demo, rates, None) == 1.0
    assert not rates.exists()  # a dry run leaves nothing
    assert share_here(demo, rates, lambda *_: usual / 2) == 0.5
    assert read_choices(rates) == {"networld": {"cbf/expert": {RATE: usual / 2}}}
    for later in (None, lambda *_: usual):  # the machine is idle now
        assert share_here(demo, rates, later) == 0.5


def test_a_suite_without_a_rate_to_compare_with_is_refused(tmp_path):
    demo = get_suite("demo")
    bare = replace(demo, entries=(replace(demo.entries[0], rates={}),))
    with pytest.raises(ValueError, match="first entry needs rates for 'cbf/expert'"):
        share_here(bare, tmp_path / RATES)


def test_the_command_says_that_it_trains_less(tmp_path, monkeypatch, capsys):
    root = suite_paths(tmp_path, get_suite("demo")).root
    root.mkdir()
    (root / RATES).write_text('[networld."cbf/expert"]\nupdates_per_minute = 500.0\n')
    ran = []

    def run(suite, *_, **__):
        ran.append(suite)
        return []

    monkeypatch.setattr("networld_algos.cli.progress.run_with_progress", run)
    assert command.bench_run("demo", results=tmp_path) == 0
    assert trainings(ran[0]) == trainings(with_share(get_suite("demo"), 0.25))
    said = capsys.readouterr().out
    assert "this machine is slow: 62 updates per training instead of 250" in said
