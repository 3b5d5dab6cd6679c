"""The monitor: what it compares, how often it is wrong, and what it survives."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from networld_algos import make
from networld_algos.deploy.monitor import Monitor, Reference, disagreements, ensemble
from networld_algos.deploy.monitor.bins import column_edges, histogram, stability_index
from networld_algos.deploy.monitor.limits import FALSE_ALARMS, USUAL_INDEX, index_limits
from networld_algos.deploy.monitor.reference import FILE
from networld_algos.deploy.monitor.support import SAMPLE, action_features
from networld_algos.files import DamagedFileError
from networld_envs.files import run_file
from networld_envs.spec import TaskSpec

ROOT = Path(__file__).resolve().parents[2]
AGENTS, STEPS, COLUMNS = 4, 20, 3


def make_spec(kind="box"):
    width, high = {"box": (2, (1.0, 1.0)), "discrete": (1, (4.0,)), "ordered": (1, (4.0,))}[kind]
    return TaskSpec("toy", AGENTS, COLUMNS, kind, width, (0.0,) * width, high, 2)


def make_logs(episodes, seed=0, kind="box", shift=0.0, steps=STEPS):
    """Episodes that differ from each other; the action follows the first column."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(episodes, 1, 1, COLUMNS))
    noise = rng.normal(size=(episodes, steps, AGENTS, COLUMNS))
    obs = (level + noise + shift).astype(np.float32)
    obs[..., 2] = np.maximum(obs[..., 2], 0.0)  # half of it is exactly zero
    push = 1.0 / (1.0 + np.exp(-obs[..., 0]))
    if kind == "box":
        return obs, np.stack([push, 1.0 - push], -1).astype(np.float32)
    return obs, np.rint(4.0 * push).astype(np.int64)


@pytest.fixture(scope="module")
def reference():
    return Reference.fit(make_spec(), *make_logs(200))


def watched(reference, obs, actions, **options):
    monitor = Monitor(reference, **options)
    for o, a in zip(obs, actions, strict=True):
        monitor.start_episode()
        monitor.update(o, a)
    return monitor.report()


def test_the_stability_index_is_the_formula():
    p, q = np.array([10, 30, 60]), np.array([20, 20, 60])
    by_hand = (0.1 - 0.2) * np.log(0.1 / 0.2) + (0.3 - 0.2) * np.log(0.3 / 0.2)
    assert stability_index(p, q) == pytest.approx(by_hand)
    assert stability_index(q, p) == pytest.approx(by_hand)
    assert stability_index(p, 7 * p) == 0.0
    assert np.isfinite(stability_index(np.array([100, 0]), np.array([0, 100])))


def test_bins_hold_tenths_and_catch_what_is_beyond_the_training_data():
    rows = np.stack([np.arange(1000), np.zeros(1000), np.arange(1000) // 500], -1)
    rows = rows.astype(np.float32)
    edges = column_edges(rows)
    counts = histogram(rows, edges)
    assert counts[0] == pytest.approx([0, *[100] * 10, 0], abs=1)
    assert counts[1, :3].tolist() == [0, 1000, 0]
    assert counts[2, :4].tolist() == [0, 500, 500, 0]
    beyond = np.array([[-1, -1e-6, -1], [1000, 1e-6, 2], [np.nan, np.inf, 0]], np.float32)
    found = histogram(beyond, edges)
    assert (found[0, 0], found[0, -1], found[0].sum()) == (1, 1, 2)
    assert (found[1, 0], found[1, 2], found[1].sum()) == (1, 1, 2)


def test_saved_and_loaded_it_is_the_same(reference, tmp_path):
    path = reference.save(tmp_path)
    found = Reference.load(tmp_path)
    logs = make_logs(3, seed=5)
    assert watched(found, *logs) == watched(reference, *logs)
    assert (found.spec, path.name) == (reference.spec, FILE)
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, None])
def test_a_damaged_file_is_named_with_the_remedy(reference, tmp_path, damage):
    path = reference.save(tmp_path)
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(DamagedFileError, match=rf"{FILE} is damaged .*--dataset"):
        Reference.load(tmp_path)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"has no monitor.safetensors.*networld train"):
        Reference.load(tmp_path)


@pytest.mark.parametrize("view", ["network", "station"])
@pytest.mark.parametrize("size", [1, 6])
def test_unchanged_data_rarely_raise_an_alarm(reference, view, size):
    windows = 150
    obs, actions = make_logs(windows * size, seed=9)
    if view == "station":
        obs, actions = obs[:, :, 1:2], actions[:, :, 1:2]
    reports = [
        watched(reference, obs[i : i + size], actions[i : i + size], view=view)
        for i in range(0, windows * size, size)
    ]
    assert all(r.units == size for r in reports)
    columns = np.mean([any(c.alarm for c in r.columns) for r in reports])
    support = np.mean([r.support.alarm for r in reports])
    assert max(columns, support) <= 5 * FALSE_ALARMS
    # The usual rule of thumb takes the differences between episodes for drift.
    if size == 1:
        assert np.mean([max(c.psi for c in r.columns) > USUAL_INDEX for r in reports]) > 0.5


def test_a_column_that_moves_is_named(reference):
    obs, actions = make_logs(8, seed=3)
    obs[..., 1] += 2.0
    report = watched(reference, obs, actions)
    assert [c.column for c in report.columns if c.alarm] == [1]
    moved = report.columns[1]
    assert moved.median_now - moved.median_then == pytest.approx(2.0, abs=0.5)
    assert moved.ks > 0.5
    assert report.alarms[0].startswith("column 1 has moved: stability index")


@pytest.mark.parametrize("kind", ["box", "discrete", "ordered"])
def test_actions_that_nobody_took_there_are_out_of_support(kind):
    spec = make_spec(kind)
    reference = Reference.fit(spec, *make_logs(100, kind=kind))
    obs, actions = make_logs(8, seed=4, kind=kind)
    usual = watched(reference, obs, actions)
    opposite = watched(reference, obs, 4 - actions if kind != "box" else 1.0 - actions)
    assert usual.actions_outside < 0.05
    assert opposite.actions_outside > 0.3
    assert opposite.support.alarm
    assert opposite.observations_outside == usual.observations_outside


def test_observations_far_from_the_data_are_out_of_support(reference):
    report = watched(reference, *make_logs(4, seed=2, shift=6.0))
    assert report.observations_outside > 0.9
    assert any("out of support" in text for text in report.alarms)


def test_a_few_decisions_are_too_little_for_limits(reference):
    obs, actions = make_logs(1, shift=50.0)
    monitor = Monitor(reference)
    monitor.update(obs[0, :3], actions[0, :3])
    report = monitor.report()
    assert (report.units, report.needed, report.decisions) == (0, AGENTS * STEPS, 3 * AGENTS)
    assert not report.alarms
    assert "too little data for limits" in report.notes[0]
    assert Monitor(reference).report().columns == ()


def test_a_long_stream_without_resets_has_the_limits_of_one_episode(reference):
    obs, actions = make_logs(1, steps=10 * STEPS)
    one = watched(reference, obs, actions)
    assert (one.units, one.episodes, one.decisions) == (1, 1, 10 * STEPS * AGENTS)


def test_decisions_may_come_one_by_one_or_together(reference):
    obs, actions = make_logs(1, seed=8)
    whole, single = Monitor(reference), Monitor(reference)
    whole.update(obs[0], actions[0])
    for o, a in zip(obs[0].reshape(-1, COLUMNS), actions[0].reshape(-1, 2), strict=True):
        single.update(o, a)
    assert single.report() == whole.report()


def test_the_sample_is_uniform_and_does_not_grow(reference):
    monitor = Monitor(reference)
    for i in range(40):
        monitor.update(np.full((500, COLUMNS), i, np.float32), np.zeros((500, 2), np.float32))
    kept = monitor._obs[:, 0]
    assert len(kept) == SAMPLE
    assert np.histogram(kept, 4, (0, 40))[0] == pytest.approx([SAMPLE / 4] * 4, rel=0.15)
    monitor.clear()
    assert (monitor.decisions, len(monitor._obs)) == (0, 0)


def test_fallbacks_and_broken_sensors_raise_alarms(reference):
    obs, actions = make_logs(2)
    monitor = Monitor(reference, most_fallbacks=0.1)
    monitor.update(obs[0], actions[0], fallbacks=8)
    assert not monitor.report().fallback.alarm
    monitor.update(obs[1], actions[1], fallbacks=20)
    obs[0, :2] = np.nan
    monitor.update(obs[0], actions[0])
    alarms = monitor.report().alarms
    assert any(text.startswith("fallback decisions: 0.117") for text in alarms)
    assert any(text.startswith("observations that are not finite: 0.0333") for text in alarms)
    json.dumps(monitor.report().to_dict())


def test_a_broken_sensor_hides_no_disagreement(reference):
    obs, actions = make_logs(1)
    differ = np.full(obs.shape[1:-1], 3.0)
    obs[0, 0, 0], differ[0, 0] = np.nan, np.nan
    monitor = Monitor(reference)
    monitor.update(obs[0], actions[0], disagreement=differ)
    disagreement = monitor.report().disagreement
    assert disagreement is not None
    assert disagreement.value == 3.0


def test_wrong_sizes_are_named(reference):
    monitor = Monitor(reference)
    with pytest.raises(ValueError, match=r"has 3 columns, got \(5,\)"):
        monitor.update(np.zeros(5), np.zeros(2))
    with pytest.raises(ValueError, match=r"need actions \(7, 2\), got \(7,\)"):
        monitor.update(np.zeros((7, 3)), np.zeros(7))
    with pytest.raises(ValueError, match=r"fallbacks must be in 0 .. 7, got 8"):
        monitor.update(np.zeros((7, 3)), np.zeros((7, 2)), fallbacks=8)
    with pytest.raises(ValueError, match=r"view must be one of"):
        Monitor(reference, view="cell")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"must be in 0 .. 4, got 5 .. 5"):
        action_features(np.array([5]), make_spec("discrete"))


def test_few_episodes_have_the_rule_of_thumb_and_say_so():
    reference = Reference.fit(make_spec(), *make_logs(1))
    report = watched(reference, *make_logs(1, seed=1))
    assert {c.limit for c in report.columns} == {USUAL_INDEX}
    assert report.support.limit is None
    assert any("too few episodes" in text for text in report.notes)


def test_limits_shrink_with_the_window():
    obs, _ = make_logs(64)
    edges = column_edges(obs.reshape(-1, COLUMNS))
    counts = np.stack([histogram(o.reshape(-1, COLUMNS), edges) for o in obs])
    limits = index_limits(counts, np.zeros(64, np.int64), np.random.default_rng(0))
    assert limits.sizes.tolist() == [1, 2, 4, 8, 16, 32]
    assert (np.diff(limits.values, axis=0) <= 0).all()
    assert limits.at(0) is None
    assert limits.at(9) is not None
    np.testing.assert_array_equal(limits.at(9), limits.values[3])


def test_critics_disagree_by_the_difference_of_their_values(toy, monkeypatch):
    data = toy().collect()
    model = make("ma-iql", [data.spec], {"hidden": 16})
    model.prepare(data, 10)
    found = disagreements(model, data)
    table = torch.as_tensor(data.neighbours[:1]).long()
    obs = torch.from_numpy(data.obs[:1, 3])
    x, _ = model.inputs.receive(obs, table, model.initial_carry(1, "toy"), 0)
    first, second = model.critic(x, model.box.to_unit(torch.from_numpy(data.actions[:1, 3])))
    np.testing.assert_allclose(found[0][3], (first - second).abs()[0].detach(), rtol=1e-4)
    monkeypatch.setattr(ensemble, "MOST_ROWS", 20)  # a few steps at a time
    np.testing.assert_allclose(disagreements(model, data)[0], found[0], rtol=1e-4)
    differ = Reference.of_episodes(data, found)
    assert differ.usual["network"].disagreement.sizes.size > 0
    monitor = Monitor(differ)
    monitor.update(data.obs[0, :-1], data.actions[0], disagreement=100.0 * found[0])
    assert any(text.startswith("ensemble disagreement") for text in monitor.report().alarms)


def test_models_without_an_ensemble_have_no_disagreement(toy):
    data = toy("discrete").collect()
    for name in ("bc", "ma-cql"):
        model = make(name, [data.spec], {"hidden": 16})
        model.prepare(data, 10)
        assert disagreements(model, data) == []


def test_watching_needs_no_torch():
    code = """
import sys
from networld_algos.deploy.monitor import Monitor, Reference
assert "torch" not in sys.modules, sorted(m for m in sys.modules if "networld" in m)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr


def test_the_committed_tables_are_those_of_the_rows():
    made = run_file(ROOT / "benchmarks" / "drift.py")
    folder = ROOT / "benchmarks" / "results" / "drift"
    rows = json.loads((folder / "drift.json").read_text())["rows"]
    assert (folder / "drift.md").read_text() == made.table(rows)
    assert (folder / "summary.md").read_text() == made.summary(rows)
