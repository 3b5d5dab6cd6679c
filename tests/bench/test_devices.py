"""Devices, epochs and time limits of suites; what needs a GPU has the marker ``gpu``."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from networld_algos import ALGORITHMS, bench, make
from networld_algos.bench import backends, job, worker
from networld_algos.bench.estimate import GPU_RUNS, Pace, gpu_seconds, run_seconds
from networld_algos.bench.presets import get_suite
from networld_algos.bench.suite import Entry, FewShot, Suite
from networld_algos.bench.unroll import unroll
from networld_algos.cli.command import main
from networld_algos.data.batch import WindowSampler
from networld_algos.nn.sharding import pick
from networld_algos.results.rows import Row, read_rows
from networld_algos.training import checkpoint, device, run
from networld_algos.training.epochs import epochs_per_update
from tests.helpers.catalogue import build_short
from tests.report.rows import make_row

TIMINGS = {"train_seconds", "latency_p50_ms", "latency_p99_ms"}


@pytest.fixture(scope="module", autouse=True)
def small_store(tmp_path_factory):
    """Two expert datasets with few episodes, in a store of their own."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        yield build_short(patch, root, 8, "networld/rb/expert-v0", "networld/ns/expert-v0")


def tiny(**changes):
    values = {"entries": (Entry("bc"),), "seeds": 1, "updates": 6, "evaluations": 2}
    return Suite("tiny", **{"tasks": ("rb",), "eval_episodes": 2, **values, **changes})


def rows_of(folder):
    rows = [json.loads(row.to_json()) for row in read_rows(folder)]
    kept = [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]
    return sorted(kept, key=lambda r: json.dumps(r, sort_keys=True))


def late_after(monkeypatch, calls):
    """A clock that passes every deadline when it has been read so often."""
    reads = iter(range(10**9))
    clock = SimpleNamespace(time=lambda: 0.0 if next(reads) < calls else math.inf)
    monkeypatch.setattr(job, "time", clock)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("kind", ["box", "ordered"])
def test_an_update_learns_from_as_many_transitions_as_are_counted(toy, name, kind, monkeypatch):
    """Every algorithm draws its segments by `pick`, or takes all agents of all windows."""
    data = toy(kind).collect(episodes=6, length=12)
    model = make(name, data.spec)
    segments, steps = model.rows_per_update(data.spec)
    everything = model.batch_size * data.spec.num_agents
    drawn = []

    def noted(*args):
        drawn.append(pick(*args))
        return drawn[-1]

    for module in ("nn.picked", "networld.segments"):
        monkeypatch.setattr(f"networld_algos.{module}.pick", noted)
    model.prepare(data, 2)
    batch = WindowSampler(data, model.window, model.batch_size).sample(np.random.default_rng(0))
    model.update(batch, torch.Generator().manual_seed(0))
    assert segments == (len(drawn[0].rows) if drawn else everything)
    assert steps in (1, model.window)


def test_epochs_count_the_steps_that_are_not_padding(toy):
    data = toy().collect(episodes=5, length=12)  # the last one has nine steps
    model = make("ma-dt", data.spec, {"context": 4, "kept": 4, "batch_size": 8, "sequences": 16})
    real = [min(4, length - s) for length in data.lengths for s in range(length)]
    transitions = data.lengths.sum() * data.spec.num_agents
    expected = 16 * np.mean(real) / transitions
    assert epochs_per_update(model, [data]) == pytest.approx(expected)
    wide = make("ma-dt", data.spec, {"context": 20, "batch_size": 8, "sequences": 16})
    real = [min(20, length - s) for length in data.lengths for s in range(length)]
    assert epochs_per_update(wide, [data]) == pytest.approx(16 * np.mean(real) / transitions)
    bc = make("bc", data.spec, {"batch_size": 8})
    assert epochs_per_update(bc, [data]) == pytest.approx(8 / data.lengths.sum())
    assert epochs_per_update(bc, [data, data]) == pytest.approx(4 / data.lengths.sum())


def test_rows_have_epochs_and_the_device(tmp_path):
    entry = Entry("bc", config={"batch_size": 7})
    bench.run_suite(tiny(entries=(entry,)), tmp_path)
    found = {r.updates: r for r in read_rows(tmp_path) if r.kind == "learned"}
    assert {u: r.epochs for u, r in found.items()} == {  # 7 episodes of 50 steps
        3: pytest.approx(3 * 7 / 350),
        6: pytest.approx(6 * 7 / 350),
    }
    assert {r.device for r in found.values()} == {"cpu"}
    assert all(r.epochs is r.device is None for r in read_rows(tmp_path) if r.kind != "learned")
    old = json.loads(found[6].to_json())
    del old["epochs"], old["device"]
    assert Row.from_dict(old) == replace(found[6], epochs=None, device=None)
    with pytest.raises(ValueError, match="epochs must not be negative, got -1"):
        replace(found[6], epochs=-1.0)


def test_a_time_limit_stops_at_a_checkpoint_and_slices_give_the_same_rows(tmp_path, monkeypatch):
    suite = tiny(entries=(Entry("bc"), Entry("ma-iql")))
    bench.run_suite(suite, tmp_path / "whole")
    paths = bench.suite_paths(tmp_path / "cut", suite)
    references = sum(run.stage == "reference" for run in unroll(suite))
    saved = []
    for calls in (references + 3, 4, 4, 4, 10**6):
        late_after(monkeypatch, calls)
        outcomes = bench.run_suite(suite, tmp_path / "cut", time_limit_s=60.0)
        assert not [o.error for o in outcomes if o.error]
        for o in outcomes:
            assert o.stopped == (not paths.rows(o.run).exists())
            if o.stopped and checkpoint.exists(paths.checkpoint(o.run.key)):
                saved.append(checkpoint.read_extra(paths.checkpoint(o.run.key))["updates"])
    assert not [o for o in outcomes if o.stopped]
    assert len(saved) >= 2
    assert all(0 < updates < 6 for updates in saved)
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")


def test_what_starts_from_a_stopped_training_waits_for_it(tmp_path, monkeypatch):
    config = {"dim": 8, "hidden": 16, "batch_size": 2}
    few = FewShot((Entry("networld", config=config, pretrained=True),), (1.0,), 1, 2, 4)
    suite = tiny(entries=(), fewshot=few, tasks=("rb", "ns"))
    late_after(monkeypatch, 3)  # in the first pre-training
    outcomes = bench.run_suite(suite, tmp_path, time_limit_s=60.0)
    assert not [o.error for o in outcomes if o.error]
    assert len([o for o in outcomes if o.stopped and o.run.stage in ("pretrain", "train")]) == 4
    monkeypatch.undo()
    assert not [o for o in bench.run_suite(suite, tmp_path) if o.error or o.stopped]


def test_the_command_says_what_a_time_limit_left(tmp_path, monkeypatch, capsys):
    late_after(monkeypatch, 2)
    command = ["bench", "run", "smoke", "--only", "comparison", "--results", str(tmp_path)]
    assert main([*command, "--time-limit", "1", "--seeds", "1"]) == 75
    said = capsys.readouterr().out
    assert "time limit reached" in said
    assert "give the same command again" in said
    assert main([*command, "--time-limit", "0"]) == 2
    assert "time limit must be positive" in capsys.readouterr().err


def test_a_device_that_is_missing_is_refused_with_a_way_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    command = ["bench", "run", "smoke", "--results", str(tmp_path), "--device"]
    assert main([*command, "cuda"]) == 2
    said = capsys.readouterr().err
    assert "device 'cuda' cannot be used" in said
    assert "or use --device cpu" in said
    with pytest.raises(ValueError, match="one of cpu, cuda, auto; got 'tpu'"):
        bench.run_suite(tiny(), tmp_path, device="tpu")
    train = ["train", "bc", "--task", "rb", "--out", str(tmp_path / "m"), "--device", "cuda"]
    assert main(train) == 2
    assert "or use --device cpu" in capsys.readouterr().err
    assert not (tmp_path / "smoke").exists()
    for built, reason in ((None, "pytorch.org"), ("12.8", "nvidia-smi")):
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(torch.version, "hip", None)
        with pytest.raises(ValueError, match=reason):
            device.resolve_device("cuda")


def test_auto_takes_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.resolve_device("auto") == "cpu"
    assert device.shared_devices("cpu") == ("cpu",)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.resolve_device("auto") == device.resolve_device("cuda") == "cuda"
    assert device.shared_devices("cuda") == ("cuda:0", "cuda:1")
    assert device.device_name("meta") == "meta"


def test_runs_take_turns_on_the_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    jobs = []

    def note(todo, workers):
        del workers
        jobs.extend(todo)
        yield from (bench.Outcome(w.run, "") for w in todo)

    monkeypatch.setattr(backends, "local", note)
    bench.run_suite(tiny(seeds=3), tmp_path, jobs=4, device="auto")
    used = [w.device for w in jobs]
    assert abs(used.count("cuda:0") - used.count("cuda:1")) <= 1
    assert set(used) == {"cuda:0", "cuda:1"}


def test_the_paper_suite_fits_into_two_days_of_a_gpu(capsys):
    """By estimates, which `bench list` prints and calls so."""
    runs = unroll(get_suite("paper"))
    hours = sum(map(gpu_seconds, runs)) / 3600
    assert 10 < hours < 48
    assert main(["bench", "list"]) == 0
    said = capsys.readouterr().out
    assert "Times are estimates" in said
    assert f"{hours:.1f}" in said
    assert main(["bench", "list", "--json"]) == 0
    listed = {s["suite"]: s for s in json.loads(capsys.readouterr().out)["suites"]}
    assert listed["paper"]["gpu_hours"] == pytest.approx(hours)


def test_estimates_for_a_gpu_grow_with_updates_and_with_the_network():
    run = next(r for r in unroll(tiny(updates=1_000)) if r.stage == "train")
    one = gpu_seconds(run)
    assert gpu_seconds(replace(run, updates=3_000)) > 2 * one
    plain = replace(run, algorithm="networld", config={})
    wide = replace(plain, config=dict(ALGORITHMS["networld"][1].presets["faithful"]))
    assert gpu_seconds(wide) > 2 * gpu_seconds(plain)
    assert run_seconds(run, device="cuda") == pytest.approx(GPU_RUNS * one)


def test_the_pace_on_a_gpu_is_learned_from_rows_of_a_gpu():
    run = next(r for r in unroll(tiny(updates=1_000)) if r.stage == "train")
    rows = [
        make_row(task="rb", updates=1_000, train_seconds=seconds, machine="m", device=name)
        for seconds, name in ((10.0, None), (30.0, "cuda, NVIDIA X"))
    ]
    for name, update_s in (("cpu", 0.01), ("cuda", 0.03)):
        pace = Pace(device=name)
        assert not pace.is_measured
        pace.learn([run], rows, "m")
        assert pace.rates == {("rb", "bc"): update_s}
        assert pace.seconds(run) == pytest.approx(run_seconds(run, pace.rates, name))


class FakeTask:
    """A reference to the result of a task."""

    def __init__(self, outcome):
        self.outcome = outcome


class FakeRay:
    """The part of Ray that the backend uses; tasks run at once."""

    def __init__(self, gpus):
        self.gpus, self.asked = gpus, []
        self.exceptions = SimpleNamespace(WorkerCrashedError=KeyError, RayError=KeyError)

    def is_initialized(self):
        return True

    def cluster_resources(self):
        return {"CPU": 2.0, **({"GPU": float(self.gpus)} if self.gpus else {})}

    def remote(self, **options):
        def made(function, options=options):
            def run_it(work):
                self.asked.append((work.run.stage, work.device, options.get("num_gpus", 0)))
                return FakeTask(function(work))

            return SimpleNamespace(
                remote=run_it, options=lambda **more: made(function, {**options, **more})
            )

        return made

    def wait(self, tasks, num_returns):
        return tasks[:num_returns], tasks[num_returns:]

    def get(self, task):
        return task.outcome


@pytest.mark.parametrize(
    ("asked", "gpus", "expected"),
    [("cpu", 1, ("cpu", 0)), ("auto", 0, ("cpu", 0)), ("auto", 1, ("cuda", 0.25)),
     ("cuda", 2, ("cuda", 0.25))],
)  # fmt: skip
def test_ray_tasks_ask_for_a_share_of_a_gpu(tmp_path, monkeypatch, asked, gpus, expected):
    ray = FakeRay(gpus)
    monkeypatch.setattr(backends, "load_ray", lambda: ray)
    monkeypatch.setattr(backends, "perform", lambda work: bench.Outcome(work.run, ""))
    bench.run_suite(tiny(), tmp_path, backend="ray", device=asked, runs_per_gpu=4)
    found = {stage: rest for stage, *rest in ray.asked}
    assert tuple(found["train"]) == expected
    assert found["reference"] == [expected[0], 0]


def test_ray_without_gpus_refuses_cuda_instead_of_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "load_ray", lambda: FakeRay(0))
    with pytest.raises(ValueError, match="the Ray cluster has no GPU"):
        bench.run_suite(tiny(), tmp_path, backend="ray", device="cuda")
    with pytest.raises(ValueError, match="runs_per_gpu must be at least 1, got 0"):
        bench.run_suite(tiny(), tmp_path, runs_per_gpu=0)


def test_the_best_weights_are_loaded_to_the_device_of_the_model(toy, tmp_path):
    """The device "meta" holds no numbers, but every machine has it."""
    data = toy().collect(episodes=4, length=6)
    model = make("bc", data.spec)
    model.prepare(data, 2)
    checkpoint.save(model, tmp_path / run.BEST, {"validation_loss": 1.0, "best_updates": 2})
    best, _ = run.best_model(model.to("meta"), tmp_path)
    assert {str(p.device) for p in best.parameters()} == {"meta"}


def test_a_full_gpu_is_a_failure_that_says_what_to_do(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(worker, "run_training", full)
    (found,) = [o for o in bench.run_suite(tiny(), tmp_path) if o.error]
    assert found.error == "OutOfMemoryError: the memory of cpu is full; use fewer --jobs"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_both_devices_give_equal_scores_and_checkpoints_move_between_them(tmp_path, monkeypatch):
    """300 updates of cloning: the means of two devices differ by less than three errors."""
    suite = tiny(updates=300, evaluations=1, seeds=3, eval_episodes=16)
    here = bench.run_suite(suite, tmp_path / "cpu", jobs=1)
    there = bench.run_suite(suite, tmp_path / "cuda", jobs=2, device="cuda")
    assert not [o.error for o in (*here, *there) if o.error]
    scores = {
        name: [r.score for r in read_rows(tmp_path / name) if r.kind == "learned" and r.is_last]
        for name in ("cpu", "cuda")
    }
    error = np.sqrt(sum(np.var(found, ddof=1) / len(found) for found in scores.values()))
    assert abs(np.mean(scores["cpu"]) - np.mean(scores["cuda"])) <= 3 * error
    assert all(
        r.device.startswith("cuda, ") for r in read_rows(tmp_path / "cuda") if r.kind == "learned"
    )
    late_after(monkeypatch, 100)
    bench.run_suite(suite, tmp_path / "both", device="cuda", time_limit_s=60.0)
    monkeypatch.undo()
    assert not [o for o in bench.run_suite(suite, tmp_path / "both") if o.error or o.stopped]
    rows = [r for r in read_rows(tmp_path / "both") if r.kind == "learned"]
    assert {r.device for r in rows} == {"cpu"}
