"""Off-policy evaluation on cases whose answer is known, and the command that prints it."""

import functools
import json

import numpy as np
import pytest
import torch

from networld_algos.cli import command
from networld_algos.data.episodes import Episodes
from networld_algos.data.load import load_episodes
from networld_algos.registry import make
from networld_algos.training.checkpoint import save
from networld_algos.training.ope.behaviour import fit_behaviour
from networld_algos.training.ope.choices import Choices
from networld_algos.training.ope.config import OPEConfig
from networld_algos.training.ope.decisions import decide
from networld_algos.training.ope.importance import weighted_sums
from networld_algos.training.ope.judge import Judge
from networld_algos.training.ope.parts import divide
from networld_algos.training.ope.views import View
from networld_envs import store
from networld_envs.policies.rollout import Behaviour
from networld_envs.spec import TaskSpec

GAMMA = 0.8
SMALL = OPEConfig(
    discount=GAMMA,
    updates=600,
    hidden=32,
    learning_rate=5e-3,
    sync=10,
    batch_steps=64,
    epsilon=0.02,
    resamples=200,
)
SWITCH = TaskSpec("switch", 2, 2, "discrete", 1, (0.0,), (1.0,), 1)


def switch(episodes=60, steps=12, seed=0, spec=SWITCH, share=0.5):
    """Each agent is in state 0 or 1; action a leads to state a, and state s gives the reward s.

    The recorded policy takes action 1 with probability ``share``. The first state is 0.
    """
    rng = np.random.default_rng(seed)
    taken = (rng.random((episodes, steps, 2)) < share).astype(np.int64)
    state = np.concatenate([np.zeros((episodes, 1, 2), np.int64), taken], axis=1)
    box = spec.action_kind == "box"
    return Episodes(
        spec=spec,
        obs=np.eye(2, dtype=np.float32)[state],
        actions=taken[..., None].astype(np.float32) if box else taken,
        rewards=state[:, :-1].astype(np.float32),
        terminated=np.zeros((episodes, steps), bool),
        truncated=np.tile(np.arange(steps) == steps - 1, (episodes, 1)),
        neighbours=np.tile(np.array([[1], [0]], np.int32), (episodes, 1, 1)),
        lengths=np.full(episodes, steps),
    )


def always(action):
    """The policy that always takes one action."""

    def decisions(data):
        shape = (*data.obs.shape[:3], *data.actions.shape[3:])
        return np.full(shape, action, data.actions.dtype)

    return decisions


@pytest.fixture(scope="module")
def judge():
    return Judge(switch(), switch(seed=1), SMALL)


def test_estimators_find_known_values(judge):
    """Always 1: no reward at first, then 1 for ever, ``(1 - g) sum_{t>0} g^t = g``. Always 0: 0."""
    found = {a: {q.name: q for q in judge.judge(always(a))} for a in (0, 1)}
    for action, want in {0: 0.0, 1: GAMMA}.items():
        fitted = found[action]["fitted Q evaluation"]
        assert fitted.value == pytest.approx(want, abs=0.06)
        assert fitted.reference == pytest.approx(0.5 * GAMMA, abs=0.06)
        sampled = found[action]["weighted importance sampling"]
        horizon = (1 - GAMMA**12) / (1 - GAMMA)
        finite = want and (horizon - 1) / horizon
        assert sampled.low - 0.05 <= finite <= sampled.high + 0.05
        assert found[action]["action agreement"].value == pytest.approx(0.5, abs=0.05)
        assert 0 < found[action]["effective sample size"].value < 60
        for quantity in found[action].values():
            assert quantity.low <= quantity.value <= quantity.high


def test_a_policy_like_the_recorded_one_is_worth_what_was_recorded():
    def same(data):
        return np.concatenate([data.actions, data.actions[:, -1:]], axis=1)

    judged = Judge(switch(share=1.0), switch(share=1.0, seed=1), SMALL)
    found = {q.name: q for q in judged.judge(same)}
    sampled = found["weighted importance sampling"]
    assert sampled.value == pytest.approx(sampled.reference, abs=1e-3)
    size = found["effective sample size"]
    assert size.value == pytest.approx(size.reference, rel=1e-3)
    assert found["action agreement"].value == 1.0


def test_decisions_that_the_data_never_took_are_out_of_support():
    judged = Judge(switch(share=0.0), switch(share=0.0, seed=1), SMALL)
    share = {}
    for action in (0, 1):
        found = {q.name: q for q in judged.judge(always(action))}
        share[action] = found["out of support"].value
    assert share == {0: pytest.approx(0.0, abs=0.02), 1: 1.0}


def test_weights_equal_a_plain_loop():
    rng = np.random.default_rng(0)
    k, t, n = 3, 5, 2
    ratio, rewards = rng.normal(0, 1, (k, t, n)), rng.random((k, t, n)).astype(np.float32)
    mask = np.arange(t) < np.array([5, 3, 4])[:, None]
    config = OPEConfig(discount=0.9, max_weight=2.0)
    sums = weighted_sums(ratio, rewards, mask, config)
    total = norm = effective = 0.0
    for step in range(t):
        weights, gained = [], []
        for episode in range(k):
            for agent in range(n):
                if mask[episode, step]:
                    product = np.exp(ratio[episode, : step + 1, agent].sum())
                    weights.append(min(product, 2.0))
                    gained.append(rewards[episode, step, agent])
        w = np.array(weights)
        total += 0.9**step * (w @ np.array(gained)) / w.sum()
        effective += 0.9**step * w.sum() ** 2 / (w**2).sum()
        norm += 0.9**step
    whole = np.ones((1, k))
    assert sums.estimate(whole)[0] == pytest.approx(total / norm)
    assert sums.effective(whole)[0] == pytest.approx(effective / norm)
    alone = np.array([[0.0, 1.0, 0.0]])  # the second episode, which is shorter
    assert np.isfinite(sums.estimate(alone)[0])


@pytest.mark.parametrize("kind", ["discrete", "ordered", "box"])
def test_smoothed_policies_are_distributions(kind):
    low, high = ((0.0,), (1.0,)) if kind != "box" else ((-2.0,), (2.0,))
    spec = TaskSpec("switch", 2, 2, kind, 1, low, high, 1)
    data = switch(spec=spec)
    if kind == "box":
        data.actions[:] = np.random.default_rng(0).normal(size=data.actions.shape)
    choices = Choices(data, SMALL)
    own = choices.index(always(1)(data)[:, :-1])
    each = [torch.full_like(own, j) for j in range(choices.choices)]
    total = sum(choices.log_policy(own, taken).exp() for taken in each)
    torch.testing.assert_close(total, torch.ones_like(total))
    nearest = choices.log_policy(own, own).exp()
    assert all((nearest >= choices.log_policy(own, taken).exp()).all() for taken in each)


def test_bins_have_room_beyond_the_data():
    spec = TaskSpec("switch", 2, 2, "box", 1, (-9.0,), (9.0,), 1)
    data = switch(spec=spec)
    data.actions[:] = np.random.default_rng(0).random(data.actions.shape)
    choices = Choices(data, SMALL)
    index = choices.index(np.array([-1.0, 0.5, 2.0, data.actions.max()], np.float32)[:, None])
    assert (index[0, 0], index[2, 0], index[3, 0]) == (0, 11, 10)
    assert index[1, 0] in (5, 6)


def test_the_cloned_behaviour_learns_the_recorded_probabilities():
    data = switch(share=0.8, episodes=100)
    view, choices = View(data), Choices(data, SMALL)
    net = fit_behaviour(view, choices, data, SMALL)
    one = torch.ones((100, 12, 2, 1), dtype=torch.int64)
    with torch.no_grad():
        found = net.log_prob(view(data)[:, :-1], one).exp()
    assert found.mean().item() == pytest.approx(0.8, abs=0.05)
    assert found.std().item() < 0.1


def test_a_model_is_measured_on_what_its_training_held_out():
    data = switch(episodes=60)
    about = {"data_hashes": {"mine": "abc"}, "episodes": 60, "seed": 3}
    fitted, measured, what = divide(data, 100, about, "mine", "abc")
    train, held = data.split(0.1, 3)
    np.testing.assert_array_equal(measured.actions, held.actions)
    np.testing.assert_array_equal(fitted.actions, train.actions)
    assert what == "held out of the training"
    fitted, measured, what = divide(data, 20, about, "mine", "another content")
    assert (len(fitted), len(measured)) == (20, 20)
    assert "other data" in what
    with pytest.raises(ValueError, match="has 1 episode; off-policy evaluation needs at least 4"):
        divide(switch(episodes=1), 100, {}, "mine", "abc")


def test_bad_settings_are_refused():
    for wrong in ({"discount": 1.0}, {"bins": 1}, {"epsilon": 0.0}, {"max_weight": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            OPEConfig(**wrong)


RB = "networld/rb/tiny-v0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small dataset, and an untrained model saved as if it was trained on it."""
    root = tmp_path_factory.mktemp("ope")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(root / "minari"))
        patch.delenv(store.MIRROR, raising=False)
        dataset = store.build(store.Recipe(RB, "rb", 8, 6, 77, (Behaviour("random"),)))
        data = load_episodes(dataset)
        model = make("bc", data.spec, {"hidden": 16})
        model.prepare(data, 1)
        extra = {"dataset": RB, "data_hashes": {RB: store.recorded_hash(dataset)}}
        save(model, root / "bc", {**extra, "episodes": 8, "seed": 0, "task": "rb"})
        yield root / "bc", data, model


def test_decisions_are_those_of_acting_step_by_step(trained):
    _, data, model = trained
    found = decide(model, data)
    assert found.shape == (8, 7, data.spec.num_agents)
    carry = model.initial_carry(8, "rb")
    generator = torch.Generator().manual_seed(0)
    table = torch.from_numpy(data.neighbours.astype(np.int64))
    for t in range(7):
        actions, carry = model.act(torch.from_numpy(data.obs[:, t]), table, carry, generator)
        np.testing.assert_array_equal(found[:, t], actions.numpy())


def test_the_command_judges_a_model_by_a_dataset(trained, capsys, monkeypatch):
    quick = functools.partial(OPEConfig, updates=5)
    monkeypatch.setattr("networld_algos.training.ope.config.OPEConfig", quick)
    words = ["evaluate", str(trained[0]), "--dataset", RB, "--json"]
    assert command.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    names = [row["quantity"] for row in found["quantities"]]
    assert names[:3] == [
        "fitted Q evaluation",
        "weighted importance sampling",
        "effective sample size",
    ]
    assert {"action agreement", "action error", "log likelihood", "out of support"} <= {*names}
    assert found["caveats"]
    assert found["fitted_episodes"] + found["measured_episodes"] == 8
    assert command.main(words[:-1]) == 0
    shown = capsys.readouterr().out
    assert "not scores" in shown


def test_options_of_simulation_are_refused_with_a_dataset(trained, capsys):
    for more in (["--preset", "nodes12"], ["--record"], ["--seed", "3"]):
        assert command.main(["evaluate", str(trained[0]), "--dataset", RB, *more]) == 2
        assert more[0] in capsys.readouterr().err
    assert command.main(["evaluate", str(trained[0]), "--dataset", RB, "--episodes", "3"]) == 2
    assert "at least 4" in capsys.readouterr().err
