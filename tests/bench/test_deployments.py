"""Training on other deployments of a task, to convergence, with its controls."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos import bench, make
from networld_algos.bench.suite import Entry, FewShot, Suite
from networld_algos.bench.unroll import unroll
from networld_algos.results.rows import read_rows
from networld_algos.training import checkpoint
from networld_algos.training import run as runs
from networld_algos.training.near import hold_out
from networld_algos.training.run import BEST, Progress, Training, best_model, resume, run_training
from networld_envs import make_params, store
from networld_envs.simulator import BUILT_IN, about, task_module
from networld_envs.store.minari_io import remedy
from tests.helpers.catalogue import build_short

RING = "networld/rb/ring6/expert-v0"
EXPERT = "networld/rb/expert-v0"
METHODS = (
    Entry("bc", pretrained=True),
    Entry("bc", "bc (from scratch)"),
    Entry("bc", "bc (not tuned)", pretrained=True, tuned=False),
    Entry("bc", "bc (shuffled)", pretrained=True, shuffled=True, deployments=("ring6",)),
)
PART = FewShot(
    METHODS, (0.15, 1.0), 1, 4, 3, patience=1, anchor=300.0, deployments={"rb": ("ring6",)}
)


@pytest.fixture(scope="module", autouse=True)
def small_store(tmp_path_factory):
    """RB expert data of two deployments with few episodes, in a store of its own."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        yield build_short(patch, root, 8, EXPERT)


def tiny(**changes) -> Suite:
    suite = Suite(
        "tiny", ("rb",), (Entry("bc"),), 1, 3, evaluations=1, eval_episodes=2, deployments=PART
    )
    return replace(suite, **changes)


def test_every_deployment_is_a_preset_with_data_of_its_own():
    found = store.catalog()
    for task in BUILT_IN:
        for preset in about(task).deployments:
            assert make_params(task, preset) != make_params(task)
            recipe = store.find_recipe(f"networld/{task}/{preset}/expert-v0")
            assert recipe.preset == preset
            assert remedy(recipe.dataset_id).startswith("`networld dataset build networld/")
            used = [range(r.seed, r.seed + r.episodes) for r in found.values()]
            assert not any(recipe.seed in r or r.start in range(recipe.seed, recipe.seed + 500)
                           for r in used)  # fmt: skip
        usual = make_params(task)
        for name, values in about(task).drifts.items():
            assert getattr(usual, name) in values
            for value in values:
                task_module(task).spec(replace(usual, **{name: value}))


def test_models_of_the_comparison_are_tuned_to_other_deployments():
    runs_ = unroll(tiny())
    (trained,) = (r for r in runs_ if r.experiment == "comparison")
    found = {(r.label, r.fraction): r for r in runs_ if r.experiment == "deployments"}
    assert [label for label, _ in found].count("bc (not tuned)") == 1
    tuned = found["bc", 1.0]
    assert (tuned.start, tuned.anchor, tuned.patience, tuned.updates) == (trained.key, 300.0, 1, 4)
    assert tuned.dataset_ids == [RING]
    as_it_is = found["bc (not tuned)", 0.15]
    assert (as_it_is.start, as_it_is.anchor, as_it_is.updates) == (trained.key, 0.0, 0)
    assert found["bc (from scratch)", 1.0].start == ""
    (before,) = (r for r in runs_ if r.stage == "pretrain")
    assert (before.shuffled, before.updates, before.data_tasks) == (True, 3, ("rb",))
    assert found["bc (shuffled)", 1.0].start == before.key
    ends = [r for r in runs_ if r.stage == "reference" and r.label in ("random", "expert")]
    assert all({"preset": "ring6"} in [c.params for c in r.conditions] for r in ends)
    elsewhere = replace(PART, entries=(replace(METHODS[3], deployments=("busy",)),))
    assert not [r for r in unroll(tiny(deployments=elsewhere)) if r.experiment == "deployments"]


def test_without_a_comparison_a_pre_training_takes_its_place():
    runs_ = unroll(tiny(entries=(Entry("networld"),)))
    tuned = next(r for r in runs_ if r.experiment == "deployments" and r.label == "bc")
    before = next(r for r in runs_ if r.key == tuned.start)
    assert (before.stage, before.updates, before.shuffled) == ("pretrain", 3, False)


def test_the_largest_number_of_updates_is_a_share_of_the_comparisons_and_limited_by_episode():
    part = replace(PART, fractions=(0.15, 1.0), updates_per_episode=5, share=0.5)
    few = replace(part, share=0.0, entries=(Entry("bc"),))
    suite = tiny(updates=40, pace={"rb": 2.0}, deployments=part, fewshot=few)
    updates = {(r.experiment, r.fraction): r.updates for r in unroll(suite) if r.label == "bc"}
    assert updates["comparison", 1.0] == 80
    assert updates["deployments", 0.15] == 5  # one episode of seven
    assert updates["deployments", 1.0] == 35
    assert updates["fewshot", 1.0] == 4  # its own number
    longer = replace(part, updates_per_episode=0)
    assert {r.updates for r in unroll(tiny(updates=40, deployments=longer)) if r.label == "bc"
            and r.experiment == "deployments"} == {20}  # fmt: skip


def test_random_frozen_networks_start_from_other_tasks():
    frozen = Entry(
        "networld", "frozen", {"adapt_shared": "frozen"}, pretrained=True, pretrain_updates=0
    )
    part = replace(PART, entries=(frozen,))
    with pytest.raises(ValueError, match="pre-training needs at least one task besides 'rb'"):
        tiny(deployments=part)
    runs_ = unroll(tiny(tasks=("rb", "ns"), deployments=part))
    run = next(r for r in runs_ if r.experiment == "deployments" and r.task == "rb")
    before = next(r for r in runs_ if r.key == run.start)
    assert (before.data_tasks, before.updates, run.anchor) == (("ns",), 0, 0.0)


def test_the_part_runs_and_its_rows_name_deployment_and_data(tmp_path):
    outcomes = bench.run_suite(tiny(), tmp_path)
    assert not [o.error for o in outcomes if o.error]
    rows = [r for r in read_rows(tmp_path / "tiny") if r.experiment == "deployments"]
    assert {r.dataset for r in rows} == {RING}
    assert {r.factor for r in rows} == {"deployment:ring6"}
    assert all(r.is_last and r.score is not None for r in rows)
    by_label = {(r.label, r.fraction): r for r in rows}
    assert set(by_label["bc", 1.0].data_hashes) == {RING, EXPERT}
    assert set(by_label["bc (from scratch)", 1.0].data_hashes) == {RING}
    assert by_label["bc (not tuned)", 0.15].updates == 0
    assert by_label["bc", 0.15].episodes == 1
    for share in (0.15, 1.0):
        assert 0.0 <= by_label["bc", share].extra["tuned_share"] <= 1.0
        assert "validation_loss" in by_label["bc (from scratch)", share].extra
    assert {r.updates for r in rows} <= {0, 1, 2, 3, 4}
    assert not bench.run_suite(tiny(), tmp_path)  # nothing is left


def test_a_training_ends_when_its_error_no_longer_falls(tmp_path, toy, monkeypatch):
    episodes = toy("ordered").collect()
    rest, some = episodes.split(0.3, 0)
    fitted, held = hold_out(rest, some, 0)
    assert held is not None
    errors = iter([5.0, 4.0, 4.5, 4.5, 4.5, 4.5, 3.0])
    monkeypatch.setattr(runs, "imitation_errors", lambda *_: np.array([next(errors)]))
    evaluated = []

    def evaluate(algorithm, progress):
        evaluated.append((progress.updates, progress.best))
        return [{"updates": progress.updates}]

    how = {"save_every": 500, "evaluate": evaluate, "evaluations": 1, "validation": held}
    training = Training([fitted], 40, 0, patience=2, **how)

    def new():
        model = make("bc", [episodes.spec], {}, seed=0)
        model.prepare(fitted, 40)
        return model

    algorithm, progress = resume(tmp_path, new)
    assert run_training(training, algorithm, progress, tmp_path)
    assert progress.updates == 10  # a quarter; best at 2, so patience ended at 6
    assert progress.is_over(40)
    assert [u for u, _ in evaluated] == [10]
    assert evaluated[0][1].best_updates == 2
    assert checkpoint.read_extra(tmp_path / BEST)["best_updates"] == 2
    again, progress = resume(tmp_path, new)  # a process that died before it wrote the rows
    assert run_training(training, again, progress, tmp_path)
    assert (progress.updates, len(progress.rows), len(evaluated)) == (10, 1, 1)
    best = best_model(again, tmp_path)[1]
    assert best is not None
    assert best.validation_loss == 4.0
    assert Progress.from_extra(json.loads(json.dumps(progress.to_extra()))).ended


def test_entries_and_parts_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"'bc' has shuffled or tuned=False.* pretrained=True"):
        Entry("bc", tuned=False)
    with pytest.raises(ValueError, match=r"unknown deployments \['moon'\]; valid: dense, "):
        Entry("bc", deployments=("ring6", "moon"))
    with pytest.raises(ValueError, match=r"task 'rb' has no deployments \['moon'\]; it has ring6"):
        replace(PART, deployments={"rb": ("moon",)})
    with pytest.raises(ValueError, match="early_stop and patience exclude each other"):
        replace(PART, early_stop=True)
