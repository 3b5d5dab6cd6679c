"""Imported logs whose arrays do not fit together: refused if impossible, else a warning.

The arrays are those of real rollouts, damaged in one way each. A `LogWarning` that a test does not
expect is an error, as all warnings are.
"""

import numpy as np
import pytest

import networld_envs
from networld_algos.cli import command
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.simulator import BUILT_IN, TASKS, make_params
from networld_envs.spec import About
from networld_envs.store.importing.column_ranges import COLUMN_FIELDS, column_ranges, measure
from networld_envs.store.importing.consistency import LogWarning
from networld_envs.store.importing.logs import export_npz, import_logs, import_report
from tests.helpers.log_files import logs, save

MINE = "networld/mine/campus-v0"
LONG = (30, 30, 30)


@pytest.fixture(autouse=True)
def local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


def imported(tmp_path, arrays, task="rb", **options):
    path = save(tmp_path / "log.npz", arrays)
    return import_logs(path, MINE, task, force=True, **options)


def each(arrays, field, function):
    """The arrays with a function applied to one field of every episode."""
    chosen = {n for n in arrays if n.endswith(f"/{field}")}
    return {n: function(a) if n in chosen else a for n, a in arrays.items()}


def column(index, function):
    def changed(array):
        array = array.copy()
        array[..., index] = function(array[..., index])
        return array

    return changed


def noise(arrays, task):
    """The same arrays, their values uniform in the task's bounds."""
    rng, params = np.random.default_rng(0), make_params(task)
    space, spec = TASKS[task].observation_space(params), TASKS[task].spec(params)
    low, high = np.maximum(space.low, -1e3), np.minimum(space.high, 1e3)

    def act(a):
        if a.dtype.kind == "i":
            return rng.integers(0, spec.num_choices, a.shape)
        return rng.uniform(spec.action_low, spec.action_high, a.shape).astype(np.float32)

    def see(a):
        return rng.uniform(low, high, a.shape).astype(np.float32)

    return each(each(arrays, "observations", see), "actions", act)


@pytest.mark.parametrize("task", sorted(BUILT_IN))
def test_uniform_noise_is_refused(tmp_path, task):
    text = r"^log\.npz: episode 0: step 1, agent 0: observations column .* but after the action"
    with pytest.raises(store.DatasetError, match=text) as raised:
        imported(tmp_path, noise(logs(task, LONG), task), task)
    assert "by up to 8 steps does not help" in str(raised.value)
    assert not store.is_local(MINE)


@pytest.mark.parametrize("lag", [-2, -1, 1, 3])
@pytest.mark.parametrize("policy", ["random", "expert"])
@pytest.mark.parametrize("task", sorted(BUILT_IN))
def test_shifted_actions_are_refused_and_the_shift_is_named(tmp_path, task, policy, lag):
    arrays = logs(task, LONG, policy=policy)
    shifted = each(arrays, "actions", lambda a: np.roll(a, lag, axis=0))
    steps = f"{abs(lag)} step{'s' * (abs(lag) > 1)} {'earlier' if lag > 0 else 'later'}"
    text = rf"episode 0: step 1, agent \d+: observations column \d+ \(.* moved by {steps}: then 100"
    with pytest.raises(store.DatasetError, match=text):
        imported(tmp_path, shifted, task)


def test_one_shifted_episode_is_found(tmp_path):
    arrays = logs("rb", (20,) * 12)
    arrays["episode_11/actions"] = np.roll(arrays["episode_11/actions"], 1, axis=0)
    with pytest.raises(store.DatasetError, match=r"episode 11: .* moved by 1 step earlier"):
        imported(tmp_path, arrays)


@pytest.mark.parametrize(("task", "text"), [
    ("rb", r"episode 0: step 0, agent 0: agent_rewards is .*\(-inf, 0\]; with the other sign"),
    ("ns", r"episode 0: step 0, agent 0: agent_rewards is .*\[0, 1\]; with the other sign"),
    ("cbf", r"wrong sign: the reward falls with observations column 20 \(rate\) .* by -1"),
])  # fmt: skip
def test_rewards_of_flipped_sign_are_refused(tmp_path, task, text):
    with pytest.raises(store.DatasetError, match=text):
        imported(tmp_path, each(logs(task, LONG), "agent_rewards", np.negative), task)


def one_sided(table):
    table = table.copy()
    table[0, 0] = -1
    return table


@pytest.mark.parametrize(("task", "field", "damage", "text"), [
    ("rb", "observations", column(3, lambda served: served + 41),
     r"outside \[0, 40\]"),
    ("rb", "observations", column(2, lambda grant: np.minimum(grant + 20, 40)),
     r"step 0, agent 0: .* 2 \(grant\) is 20, more than column 7 \(request\), which is 0"),
    ("rb", "neighbours", one_sided,
     r"agent 1: neighbours lists agent 0, but agent 0 does not list agent 1, although"),
    ("ns", "neighbours", one_sided, "relation is symmetric"),
    ("ns", "neighbours", lambda t: np.array([[j for j in range(9) if j != i] for i in range(9)]),
     "agent 0: neighbours lists 8 agents, but the task allows at most 6"),
    ("cbf", "actions", lambda a: a[..., ::-1], "by up to 8 steps does not help; check their order"),
    ("ns", "actions", lambda a: a / np.float32(1e6), "check their order of agents"),
])  # fmt: skip
def test_other_impossible_logs_are_refused(tmp_path, task, field, damage, text):
    arrays = logs(task, LONG)
    if "at most 6" in text:  # nine agents: the last two are copies
        wide = {n: 0 if "neighbours" in n else 1 for n in arrays}
        arrays = {n: np.concatenate([a, a.take([0, 1], wide[n])], wide[n])
                  for n, a in arrays.items()}  # fmt: skip
    with pytest.raises(store.DatasetError, match=text):
        imported(tmp_path, each(arrays, field, damage), task)


def alone(table):
    table = np.where((table == 2) | (np.arange(len(table)) == 2)[:, None], -1, table)
    return table


def copied(arrays):
    return arrays | {n.replace("_0", "_3"): a for n, a in arrays.items() if "episode_0" in n}


def one_off(arrays):
    actions = arrays["episode_1/actions"].copy()
    actions[4, 2] = (actions[4, 2] + 1) % 40
    return arrays | {"episode_1/actions": actions}


UNLIKELY = {
    "dead column": (
        "rb", lambda a: each(a, "observations", column(0, lambda x: 0 * x + 7)),
        r"observations: constant .* column 0 \(arrivals\) is always 7; check that",
    ),
    "too large": (
        "rb", lambda a: each(a, "observations", column(0, lambda x: 1000 * x + 500)),
        r"observations: another scale than the task's: column 0 \(arrivals\) is mostly in \[500, ",
    ),
    "too small": (
        "ns", lambda a: each(a, "observations", column(3, lambda x: x / 1e6)),
        r"observations: another scale .* column 3 \(bits.volte\) .* check units",
    ),
    "reward scale": (
        "cbf", lambda a: each(a, "agent_rewards", lambda r: 1000 * r),
        "agent_rewards: another scale than the task's: the reward is mostly in",
    ),
    "reward shift": (
        "ns", lambda a: each(a, "agent_rewards", lambda r: np.roll(r, 2, axis=0)),
        "agent_rewards agree with .* best when they are moved by 2 steps earlier",
    ),
    "alone": ("rb", lambda a: each(a, "neighbours", alone), "first agent 2 in episode 0"),
    "copy": ("rb", copied, "equal episodes: 3 to 0; keep one of each"),
    "one action": (
        "rb", one_off,
        r"0\.22% of the steps of agents, first: step 5, agent 2: observations column 7 \(request\)",
    ),
    "no choice": ("rb", lambda a: logs("rb", LONG, policy="hard"), "actions: always the same"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNLIKELY)
def test_unlikely_logs_give_a_warning_that_is_kept(tmp_path, kind):
    task, damage, text = UNLIKELY[kind]
    arrays = damage(logs(task, LONG))
    with pytest.warns(LogWarning, match=text) as caught:
        dataset = imported(tmp_path, arrays, task)
    kept = import_report(store.load(MINE)).warnings
    assert [str(w.message) for w in caught] == [f"log.npz: {warning}" for warning in kept]
    assert import_report(dataset).warnings == kept
    with pytest.raises(store.DatasetError, match=rf"refused by strict: (?s:.)*{text}"):
        imported(tmp_path, arrays, task, strict=True)
    assert import_report(store.load(MINE)).warnings == kept  # what was there is untouched


def test_the_command_shows_warnings_and_refuses_them_with_strict(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    path = save(tmp_path / "log.npz", copied(logs("cbf", LONG)))
    given = ["dataset", "import", str(path), "--task", "cbf", "--id", MINE]
    assert command.main([*given, "--strict"]) == 2
    assert "equal episodes: 3 to 0" in capsys.readouterr().err
    assert not store.is_local(MINE)
    assert command.main(given) == 0
    out = capsys.readouterr().out
    assert "warning: equal episodes: 3 to 0; keep one of each" in out
    assert "not checked: range of the reward: the task does not state one" in out


DEPLOYMENTS = [
    ("rb", {"num_clusters": 10}),
    ("rb", {"num_clusters": 4, "nodes_per_cluster": 3, "load": 0.5}),
    ("rb", {"topology": "random", "conflict": 0.1}),
    ("cbf", {"rings": 2, "inter_site_m": 1000.0, "max_distance_m": 500.0}),
    ("cbf", {"user_speed_mps": 10.0, "shadowing_db": 2.0}),
    ("ns", {"rings": 0}),
    ("ns", {"load": 0.3, "hotspots": 1}),
    ("ns", {"load": 1.2, "interference": 0.5}),
]


@pytest.mark.parametrize("policy", ["random", "expert"])
@pytest.mark.parametrize(("task", "changes"), DEPLOYMENTS)
def test_other_deployments_give_no_warning(tmp_path, task, changes, policy):
    dataset = imported(tmp_path, logs(task, LONG, policy=policy, **changes), task, strict=True)
    assert not import_report(dataset).warnings


@pytest.mark.parametrize("task", sorted(BUILT_IN))
@pytest.mark.parametrize("behaviour", [("random", 0.0), ("expert", 0.4), ("expert", 0.05)])
def test_exported_datasets_give_no_warning(tmp_path, task, behaviour):
    recipe = store.Recipe(f"networld/{task}/tiny-v0", task, 8, 25, 7, (Behaviour(*behaviour),))
    export_npz(store.build(recipe), tmp_path / "log.npz")
    dataset = import_logs(tmp_path / "log.npz", MINE, task, strict=True)
    assert not import_report(dataset).warnings


def test_a_task_without_facts_is_imported_and_says_what_was_skipped(tmp_path, monkeypatch):
    """A user's task, like the task `rb` but with nothing stated about its logs."""
    rb = TASKS["rb"]
    monkeypatch.setattr(rb, "ABOUT", About(title="mine"))
    monkeypatch.setattr("networld_envs.store.importing.consistency.column_ranges", lambda *_: None)
    report = import_report(imported(tmp_path, logs("rb", LONG)))
    assert not report.warnings
    assert len(report.skipped) == 3
    assert "range of each column: none are recorded" in " ".join(report.skipped)
    shifted = each(logs("rb", LONG), "actions", lambda a: np.roll(a, 3, axis=0))
    with pytest.raises(store.DatasetError, match=r"explain 100% of .* moved by 3 steps earlier"):
        imported(tmp_path, shifted)
    none = each(logs("rb", LONG), "actions", np.random.default_rng(0).permutation)
    with pytest.warns(LogWarning, match="no column of the last action depends on the actions"):
        imported(tmp_path, none)


def test_short_logs_are_not_judged_by_their_distribution(tmp_path):
    report = import_report(imported(tmp_path, logs("rb", (4, 7))))
    assert "range of each column: fewer than 200 steps of agents" in report.skipped


def test_every_preset_has_ranges_that_can_be_measured_again():
    for task in BUILT_IN:
        for preset, params in TASKS[task].PRESETS.items():
            found = column_ranges(task, preset)
            assert found is not None
            spec = TASKS[task].spec(params)
            shapes = {name: rows.shape for name, rows in found.items()}
            widths = (spec.obs_dim, spec.action_dim, 1)
            assert shapes == {n: (5, w) for n, w in zip(COLUMN_FIELDS, widths, strict=True)}
    again, recorded = measure("rb", "nodes12"), column_ranges("rb", "nodes12")
    for name in COLUMN_FIELDS:
        np.testing.assert_allclose(again[name], recorded[name], rtol=0.05, atol=1.0)


def test_facts_name_columns_of_the_task():
    for task in BUILT_IN:
        facts = networld_envs.simulator.about(task).logs
        spec = TASKS[task].spec(make_params(task))
        names = {c.name for c in spec.obs_columns}
        used = {n for pair in facts.at_most for n in pair}
        assert used | set(facts.reward_rises_with) | set(facts.unlisted_columns) <= names
        shape = (2, 3, spec.action_dim) if spec.action_kind == "box" else (2, 3)
        dtype = np.float32 if spec.action_kind == "box" else np.int64
        shown = facts.shown_action(make_params(task), np.zeros(shape, dtype))
        columns = {spec.obs_columns[i].name for i in spec.last_action}
        assert set(shown) <= columns
        assert all(values.shape == (2, 3) for values in shown.values())
