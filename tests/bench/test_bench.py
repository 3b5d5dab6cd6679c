"""The runner: equal seeds, resuming, failures, and batched evaluation."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from networld_algos import bench, make
from networld_algos.bench import evaluator, worker
from networld_algos.bench.presets import SUITES, get_suite
from networld_algos.bench.suite import Entry, FewShot, Suite
from networld_algos.bench.unroll import unroll
from networld_algos.cli.progress import run_with_progress
from networld_algos.data.load import load_episodes
from networld_algos.results.folder import read_failures, read_suite
from networld_algos.results.rows import read_rows
from networld_algos.training import run as run_module
from networld_algos.training.evaluate import evaluate
from tests.helpers.catalogue import build_short

TIMINGS = {"train_seconds", "latency_p50_ms", "latency_p99_ms"}


@pytest.fixture(scope="module", autouse=True)
def small_store(tmp_path_factory):
    """The expert datasets of the catalogue, with few episodes, in a store of their own."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        ids = [f"networld/{task}/expert-v0" for task in ("cbf", "rb", "ns")]
        yield build_short(patch, root, 8, *ids)


def test_rows_have_the_commit_of_the_checkout():
    checkout = Path(bench.__file__).resolve().parents[2]
    found = evaluator.git_commit()
    assert (found is not None) == (checkout / ".git").exists()
    assert found is None or re.fullmatch(r"[0-9a-f]{12}(-dirty)?", found)


def tiny(**changes):
    values = {
        "name": "tiny",
        "tasks": ("rb",),
        "entries": (Entry("bc"), Entry("networld", config={"dim": 8, "hidden": 16})),
        "seeds": 1,
        "updates": 6,
        "evaluations": 2,
        "eval_episodes": 2,
    }
    return Suite(**{**values, **changes})


def rows_of(folder):
    """Rows without what a clock measured, in a fixed order."""
    rows = [json.loads(row.to_json()) for row in read_rows(folder)]
    kept = [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]
    return sorted(kept, key=lambda r: json.dumps(r, sort_keys=True))


@pytest.mark.slow
def test_equal_suites_give_equal_rows_with_any_number_of_jobs(tmp_path):
    assert not [o for o in bench.run_suite(tiny(), tmp_path / "a") if o.error]
    assert not [o for o in bench.run_suite(tiny(), tmp_path / "b", jobs=2) if o.error]
    one, two = rows_of(tmp_path / "a" / "tiny"), rows_of(tmp_path / "b" / "tiny")
    assert one == two
    learned = [r for r in one if r["kind"] == "learned"]
    assert {(r["algorithm"], r["updates"], r["is_last"]) for r in learned} == {
        (a, u, u == 6) for a in ("bc", "networld") for u in (3, 6)
    }
    assert all(r["episodes"] == 7 and len(r["episode_returns"]) == 2 for r in learned)
    other = bench.run_suite(tiny(seeds=2), tmp_path / "a")  # seed 0 is done already
    assert sorted(o.run.title for o in other) == [
        "comparison / rb / expert / bc / seed 1",
        "comparison / rb / expert / networld / seed 1",
    ]
    by_seed = {}
    for row in read_rows(tmp_path / "a" / "tiny"):
        by_seed.setdefault((row.label, row.updates), set()).add(row.episode_returns)
    assert len(by_seed["bc", 6]) == 2


def test_a_run_killed_between_evaluations_continues_to_the_same_rows(tmp_path, monkeypatch):
    suite = tiny(entries=(Entry("ma-iql"),))
    bench.run_suite(suite, tmp_path / "whole")
    calls = []

    def dies(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt  # not an Exception: nothing is recorded, as with a kill
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(evaluator, "evaluate", dies)
    with pytest.raises(KeyboardInterrupt):
        bench.run_suite(suite, tmp_path / "cut")
    assert not list((tmp_path / "cut" / "tiny").glob("comparison*.jsonl"))
    monkeypatch.setattr(evaluator, "evaluate", evaluate)
    first_updates = []
    monkeypatch.setattr(
        run_module,
        "train",
        lambda *a, real=run_module.train, **k: (first_updates.append(k["first"]), real(*a, **k))[1],
    )
    bench.run_suite(suite, tmp_path / "cut")
    assert first_updates == [3]  # went on from the checkpoint of the first evaluation
    assert rows_of(tmp_path / "cut" / "tiny") == rows_of(tmp_path / "whole" / "tiny")
    assert not list((tmp_path / "cut" / "tiny" / "checkpoints").iterdir())


def test_a_failing_run_is_recorded_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def explodes(algorithm, *args, **kwargs):
        if algorithm.name == "bc":
            raise FloatingPointError("the loss is nan")
        return evaluate(algorithm, *args, **kwargs)

    monkeypatch.setattr(evaluator, "evaluate", explodes)
    outcomes = run_with_progress(tiny(), tmp_path, jobs=1)
    assert [o.error for o in outcomes if o.error] == ["FloatingPointError: the loss is nan"]
    said = capsys.readouterr().err
    assert "failed comparison / rb / expert / bc / seed 0: FloatingPointError: the loss" in said
    (failure,) = read_failures(tmp_path / "tiny")
    assert failure.run == "comparison / rb / expert / bc / seed 0"
    assert "explodes" in failure.traceback
    assert {r.algorithm for r in read_rows(tmp_path / "tiny") if r.kind == "learned"} == {
        "networld"
    }
    monkeypatch.setattr(evaluator, "evaluate", evaluate)
    assert [o.run.algorithm for o in bench.run_suite(tiny(), tmp_path)] == ["bc"]
    assert not read_failures(tmp_path / "tiny")


def test_results_of_other_settings_are_set_aside_not_mixed(tmp_path, monkeypatch, capsys):
    suite = tiny(entries=(Entry("bc"),))
    run_with_progress(suite, tmp_path, jobs=1)
    folder = tmp_path / "tiny"
    (old,) = folder.glob("comparison-*.jsonl")
    references = {path.name for path in folder.glob("reference-*.jsonl")}
    assert "moved" not in capsys.readouterr().err
    other = tiny(entries=(Entry("bc", config={"hidden": 8}), Entry("ma-iql")))
    run_with_progress(other, tmp_path, jobs=1)
    assert "moved 1 result file with other settings" in capsys.readouterr().err
    assert [path.name for path in (folder / "superseded").iterdir()] == [old.name]
    assert {path.name for path in folder.glob("reference-*.jsonl")} == references
    labels = sorted(r.label for r in read_rows(folder) if r.kind == "learned" and r.is_last)
    assert labels == ["bc", "ma-iql"]
    assert len(read_suite(folder).rows) == len(read_rows(folder))  # what a report shows
    monkeypatch.setattr("networld_algos.bench.runs.__version__", "9.0")
    run_with_progress(other, tmp_path, jobs=1)
    assert len(list((folder / "superseded").iterdir())) == 3 + len(references)


def test_results_of_seeds_that_are_not_run_now_are_set_aside_too(tmp_path):
    suite = tiny(entries=(Entry("bc"),), seeds=2)
    bench.run_suite(suite, tmp_path, command=["bench", "run", "tiny"])
    other = tiny(entries=(Entry("bc", config={"hidden": 8}),), seeds=2)
    outcomes = bench.run_suite(other, tmp_path, seeds=1)
    assert [o.run.seed for o in outcomes] == [0]
    rows = [r for r in read_rows(tmp_path / "tiny") if r.kind == "learned"]
    assert {r.seed for r in rows} == {0}
    assert read_suite(tmp_path / "tiny").commands == ["networld bench run tiny"]


def test_what_runs_of_one_name_have_left_is_not_set_aside(tmp_path):
    """Pre-trainings of different length have names that differ in the hash only."""
    suite = get_suite("cpu")
    runs = [run for run in unroll(suite) if run.stage == "pretrain"]
    paths = bench.Paths(tmp_path)
    assert len({run.stem for run in runs}) < len({run.key for run in runs}) == len(runs)
    for run in runs:
        paths.failure(run).write_text("{}")
    (tmp_path / f"{runs[0].stem}-00000000.failure.json").write_text("{}")
    assert bench.set_aside(suite, paths) == 1
    assert all(paths.failure(run).is_file() for run in runs)


def test_few_shot_pre_trains_once_and_starts_from_that_model(tmp_path):
    config = {"dim": 8, "hidden": 16, "batch_size": 2, "sequences": 8}
    suite = tiny(
        tasks=("rb", "ns"),
        entries=(),
        fewshot=FewShot(
            entries=(Entry("networld", config=config, pretrained=True), Entry("bc")),
            fractions=(0.125, 1.0),
            seeds=1,
            updates=4,
            pretrain_updates=4,
        ),
    )
    outcomes = bench.run_suite(suite, tmp_path)
    assert not [o for o in outcomes if o.error]
    assert sum(o.run.stage == "pretrain" for o in outcomes) == 2
    rows = [r for r in read_rows(tmp_path / "tiny") if r.experiment == "fewshot"]
    assert sorted((r.task, r.label, r.episodes) for r in rows) == [
        (t, a, k) for t in ("ns", "rb") for a in ("bc", "networld") for k in (1, 7)
    ]
    assert not bench.run_suite(suite, tmp_path)
    shutil.rmtree(tmp_path / "tiny" / "checkpoints")  # nothing that is left to do needs a model
    assert not bench.run_suite(suite, tmp_path)


def test_no_run_starts_from_an_unfinished_pre_training(tmp_path, monkeypatch):
    """It fails after a first checkpoint, and so does what starts from it; the next time neither."""
    config = {"dim": 8, "hidden": 16, "batch_size": 2, "sequences": 8}
    few = FewShot((Entry("networld", config=config, pretrained=True),), (1.0,), 1, 2, 4)
    suite = tiny(tasks=("rb", "ns"), entries=(), fewshot=few)
    real = run_module.train

    def fails(algorithm, data, mark, *args, **kwargs):
        if mark == 4:
            raise FloatingPointError("the loss is nan")
        return real(algorithm, data, mark, *args, **kwargs)

    monkeypatch.setattr(worker, "SAVE_EVERY", 2)
    monkeypatch.setattr(run_module, "train", fails)
    errors = [o.error for o in bench.run_suite(suite, tmp_path) if o.error]
    assert [error.split(":")[0] for error in errors] == ["FloatingPointError"] * 2 + [
        "ValueError"
    ] * 2
    assert "this run starts from a training that is not finished" in errors[-1]
    monkeypatch.setattr(run_module, "train", real)
    assert [o.error for o in bench.run_suite(suite, tmp_path)] == [""] * 4


def test_every_agent_of_every_episode_goes_through_one_forward(monkeypatch):
    episodes = load_episodes("networld/rb/expert-v0", "rb")
    model = make("bc", episodes.spec)
    model.prepare(episodes, 1)
    shapes = []
    monkeypatch.setattr(
        model, "act", lambda obs, *a, real=model.act: (shapes.append(obs.shape), real(obs, *a))[1]
    )
    result = evaluate(model, "rb", range(7), max_cycles=5)
    assert shapes == [(7, 24, 8)] * 5
    assert result.episode_rewards.shape == (7,)
    assert result.bytes_per_step == 64 * 4  # a learned message
    again = evaluate(model, "rb", range(7), max_cycles=5)
    np.testing.assert_array_equal(result.episode_rewards, again.episode_rewards)


@pytest.mark.parametrize("name", ["bc", "ma-iql", "networld"])
@pytest.mark.parametrize("task", ["cbf", "rb", "ns"])
def test_execution_is_decentralised_in_the_real_tasks(task, name):
    """Changing what a non-neighbour sees leaves an agent's action bit for bit unchanged."""
    episodes = load_episodes(f"networld/{task}/expert-v0", task)
    model = make(name, episodes.spec, seed=3)
    model.prepare(episodes, 1)
    agent = 0
    near = {agent, *episodes.neighbours[0, agent].tolist()}
    far = next(j for j in range(episodes.spec.num_agents) if j not in near)
    obs = torch.from_numpy(episodes.obs[:1, 3].copy())
    neighbours = torch.from_numpy(episodes.neighbours[:1].astype(np.int64))

    def act(obs):
        generator = torch.Generator().manual_seed(1)
        return model.act(obs, neighbours, model.initial_carry(1, task), generator)[0][0]

    before = act(obs)
    changed = obs.clone()
    changed[0, far] = torch.from_numpy(episodes.obs[1, 9, far])
    after = act(changed)
    assert torch.equal(before[agent], after[agent])


def test_a_model_of_another_task_or_size_is_refused():
    episodes = load_episodes("networld/ns/expert-v0", "ns")
    model = make("bc", episodes.spec)
    model.prepare(episodes, 1)
    with pytest.raises(ValueError, match="for \\['ns'\\], not for task 'rb'"):
        evaluate(model, "rb", range(2))
    with pytest.raises(ValueError, match="action_high"):
        evaluate(model, "ns", range(2), bandwidth_hz=5e6)


@pytest.mark.slow
def test_workers_know_the_algorithms_a_user_has_added(tmp_path):
    """As a user's script does it: the class is defined there, and workers are new processes."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from networld_algos import ALGORITHMS\n"
        "from networld_algos.bc import BC, BCConfig\n"
        "from networld_algos.bench.runner import run_suite\n"
        "from networld_algos.bench.suite import Entry, Suite\n"
        "class Renamed(BC):\n"
        "    name = 'renamed'\n"
        "ALGORITHMS['renamed'] = (BCConfig, Renamed)\n"
        "entries = (Entry('renamed'), Entry('bc'))\n"
        "suite = Suite('mine', ('rb',), entries, seeds=1, updates=4, eval_episodes=2)\n"
        "print([o.error for o in run_suite(suite, Path(sys.argv[1]), jobs=2) if o.error])\n"
    )
    script = tmp_path / "mine.py"
    script.write_text(code)
    command = [sys.executable, "-W", "ignore", str(script), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stdout + out.stderr
    learned = [r for r in read_rows(tmp_path / "mine") if r.kind == "learned" and r.is_last]
    assert {r.label for r in learned} == {"renamed", "bc"}


def test_smaller_training_sets_lie_inside_larger_ones():
    suite = tiny(data_episodes=8, entries=(Entry("bc"),))
    run = next(r for r in unroll(suite) if r.stage == "train")
    for seed in range(6):
        sets = []
        for fraction in (0.1, 0.3, 0.6, 1.0):
            fitted, heldout = worker._training_data(
                replace(run, fraction=fraction, seed=seed), "rb", run.dataset_ids[-1]
            )
            found = {obs.tobytes() for obs in fitted.obs}
            assert not found & {obs.tobytes() for obs in heldout.obs}
            sets.append(found)
        assert sets[0] <= sets[1] <= sets[2] <= sets[3]
        assert [len(s) for s in sets] == [1, 2, 4, 7]


def test_unknown_names_in_a_suite_are_named():
    with pytest.raises(ValueError, match=r"unknown suite 'huge'\nvalid suites: smoke, demo"):
        get_suite("huge")
    with pytest.raises(ValueError, match=r"unknown algorithm 'ppo'; valid algorithms: .*bc"):
        Entry("ppo")
    with pytest.raises(ValueError, match=r"unknown config keys \['colour'\].* it has"):
        Entry("bc", config={"colour": 3})
    with pytest.raises(ValueError, match="cannot be pre-trained"):
        tiny(tasks=("rb", "ns"), fewshot=FewShot((Entry("bc", pretrained=True),), (1.0,), 1, 1, 1))
    with pytest.raises(ValueError, match="labels must be distinct"):
        tiny(entries=(Entry("bc"), Entry("bc")))
    with pytest.raises(ValueError, match="fractions must be distinct"):
        FewShot((Entry("bc"),), fractions=(0.1, 0.1), seeds=1, updates=1, pretrain_updates=1)
    with pytest.raises(ValueError, match="tasks must be distinct"):
        tiny(tasks=("rb", "rb"))
    with pytest.raises(ValueError, match=r"unknown task \['csma'\]"):
        tiny(tasks=("csma",))


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda s: s.name)
def test_suites_unroll_into_runs_with_distinct_files(suite):
    runs = unroll(suite)
    assert len({run.key for run in runs}) == len(runs)
    order = [run.key for run in runs]
    for run in runs:
        if run.start:
            start = runs[order.index(run.start)]
            assert order.index(run.start) < order.index(run.key)
            known = run.stage == "evaluate" or run.experiment == "deployments"
            known &= not run.label.endswith("(random frozen)")  # around other tasks' networks
            assert (run.task in start.data_tasks) is known
