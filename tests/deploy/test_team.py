"""Stations together decide as the batch of `evaluate` does, message for message."""

import numpy as np
import pytest
import torch

from networld_algos import ALGORITHMS, save
from networld_algos.base import Algorithm
from networld_algos.deploy import Policy, Station
from networld_envs import make_vec
from networld_envs.simulator import TASKS, about, make_params
from tests.helpers.algorithms import untrained
from tests.helpers.stations import act_together, batch_reward, load_team, team_reward

KINDS = {"networld": "ordered", "ma-dt": "discrete", "ma-dd": "box", "bc": "ordered"}
PLANS = {"planner": "diffusion", "horizon": 4}
MODELS = [(name, {}) for name in ALGORITHMS] + [
    ("networld", PLANS),
    ("bc", {"decode": "sample"}),
    ("bc", {"mean_field": False}),
    ("bc", {"message_max_age": 2}),
    ("bc", {"message": "features"}),
]
each_model = pytest.mark.parametrize(("name", "changes"), MODELS)


def saved(toy, tmp_path, name, changes):
    """A model of the toy task, and the folder of its checkpoint."""
    kind = KINDS.get(name, "box")
    model = untrained(name, toy(kind).spec, **changes)
    save(model, tmp_path)
    return model, {"preset": kind if kind != "box" else "default"}


@each_model
@pytest.mark.parametrize("delay", [0, 2])
def test_stations_score_exactly_as_evaluate_does(toy, tmp_path, name, changes, delay):
    model, params = saved(toy, tmp_path, name, changes)
    table = toy(KINDS.get(name, "box")).table
    for loss in (0.0, 0.5):
        team = load_team(tmp_path, table, message_delay=delay, batch_rows=len(table))
        got = team_reward(team, "toy", 5, 6, loss, **params)
        silent = delay if changes.get("mean_field", True) else 0
        assert got == batch_reward(model, "toy", 5, 6, loss, silent, **params)
        assert not any(station.fell_back for station in team)


def test_losing_messages_changes_decisions(toy, tmp_path):
    _, params = saved(toy, tmp_path, "bc", {})
    rewards = []
    for loss in (0.0, 1.0):
        team = load_team(tmp_path, toy("ordered").table, message_delay=0)
        rewards.append(team_reward(team, "toy", 5, 6, loss, **params)[0])
    assert rewards[0] != rewards[1]


@pytest.mark.parametrize("name", ["bc", "ma-iql", "networld"])
def test_a_station_that_computes_one_row_differs_by_rounding_only(toy, tmp_path, name):
    model = untrained(name, toy("box").spec)
    save(model, tmp_path)
    table = toy("box").table
    policy = Policy.load(tmp_path)
    team = load_team(tmp_path, table, message_delay=0)
    for seed in range(3):
        obs = toy("box").obs(1, seed)[0]
        np.testing.assert_allclose(act_together(team, obs), policy.act(obs, table), atol=1e-5)


def test_models_that_take_messages_elsewhere_are_refused(toy, tmp_path):
    save(untrained("bc", toy("box").spec), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ALGORITHMS["bc"][1],
            "act",
            lambda self, obs, table, carry, gen: (torch.zeros(1, 1, 2), carry),
        )
        with pytest.raises(ValueError, match="bc cannot act at one station"):
            Station.load(tmp_path, 0, [1], message_delay=1)


def test_models_of_other_weights_do_not_listen_to_each_other(toy, tmp_path):
    for seed in (0, 1):
        save(untrained("bc", toy("box").spec, seed), tmp_path / str(seed))
    one = Station.load(tmp_path / "0", 0, [1], message_delay=1)
    other = Station.load(tmp_path / "1", 1, [0], message_delay=1)
    _, outbox = other.step(np.zeros(5))
    one.step(np.zeros(5), [outbox])
    assert one.message_counts == {"foreign": 1}


@pytest.mark.parametrize("task", [task for task in TASKS if task != "toy"])
def test_the_fallback_of_a_task_uses_the_own_observation_alone(task, tmp_path):
    network = make_vec(task, 1)
    obs, info = network.reset(seed=0)
    table = info["neighbours"][0]
    save(untrained("bc", network.task_spec), tmp_path)
    team = [Station.load(tmp_path, i, table[i], message_delay=1) for i in (0, 5)]
    name = about(task).fallback
    assert {station._fallback.name for station in team} == {name}
    policy = network.simulator.task.POLICIES[name]
    params = make_params(task)
    rngs = [np.random.default_rng(0)]
    expected = policy.local(params, obs, info["neighbours"], rngs, 0)[0]
    for station, i in zip(team, (0, 5), strict=True):
        station.engine = None  # every call fails
        action, outbox = station.step(obs[0, i])
        assert outbox == b""
        assert station.fell_back == "failed"
        np.testing.assert_allclose(action, expected[i], rtol=1e-6)


def test_a_task_without_a_usable_fallback_repeats_the_last_action(tmp_path):
    network = make_vec("cbf", 1, preset="ge2020")
    save(untrained("bc", network.task_spec), tmp_path)
    station = Station.load(tmp_path, 0, [1], message_delay=1, preset="ge2020")
    assert station._fallback is None


def test_policy_and_act_of_the_model_agree(toy, tmp_path):
    model, _ = saved(toy, tmp_path, "ma-dt", {})
    task = toy("discrete")
    obs, table = task.obs(3), np.repeat(task.table[None], 3, 0)
    policy = Policy.load(tmp_path)
    carry, generator = model.initial_carry(3, "toy"), torch.Generator().manual_seed(0)
    model.eval()
    for _ in range(3):
        expected, carry = model.act(
            torch.as_tensor(obs), torch.as_tensor(table).long(), carry, generator
        )
        actions = policy.act(obs.tolist(), table.tolist())
        assert isinstance(actions, np.ndarray)
        assert np.array_equal(actions, expected.numpy())
    policy.reset()
    assert policy.act(obs[0], table[0]).shape == (6,)


def test_policy_names_what_is_wrong_and_keeps_its_history(toy, tmp_path):
    saved(toy, tmp_path, "ma-dt", {})
    obs, table = toy("discrete").obs(1)[0], toy("discrete").table
    policy, twin = Policy.load(tmp_path), Policy.load(tmp_path)
    policy.act(obs, table), twin.act(obs, table)
    hole = obs.copy()
    hole[2, 1] = np.nan
    for given, near, error in (
        (obs[:, :3], table, r"have shape \(N, 4\)"),
        (hole, table, "nan at agent 2, column 1"),
        (obs, table[:2], r"integers of shape \(N, D\)"),
        (obs, table.astype(float), "integers of shape"),
        (obs, np.full_like(table, 6), r"must be in -1 \.\. 5, got 6"),
        (obs[:3], np.full((3, 3), -1), r"are \(1, 3, 3\), but were \(1, 6, 3\) before"),
    ):
        with pytest.raises(ValueError, match=error):
            policy.act(given, near)
    assert np.array_equal(policy.act(obs, table), twin.act(obs, table))


def test_a_model_of_several_tasks_needs_the_name_of_one(toy, tmp_path):
    specs = [toy("box", task=name).spec for name in ("first", "second")]
    save(untrained("networld", specs), tmp_path)
    with pytest.raises(ValueError, match=r"give one of \['first', 'second'\]"):
        Policy.load(tmp_path)
    policies = [Policy.load(tmp_path, task=name) for name in ("first", "second")]
    assert policies[0].interface.model != policies[1].interface.model
    assert isinstance(policies[0]._algorithm, Algorithm)
