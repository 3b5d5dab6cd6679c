"""Late and lost messages, several decodings of one training, models scored by other parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from networld_algos import ALGORITHMS, bench, make
from networld_algos.bc import BC
from networld_algos.bench import worker
from networld_algos.bench.suite import Ablation, Condition, Cost, Entry, FewShot, Robustness, Suite
from networld_algos.bench.unroll import unroll
from networld_algos.data.load import load_episodes
from networld_algos.registry import BUILT_IN
from networld_algos.results.rows import read_rows
from networld_algos.training import run as run_module
from networld_algos.training.evaluate import decision_ms_one_agent, evaluate
from tests.helpers.catalogue import build_short
from tests.helpers.messages import received_mean

SMALL = {"dim": 8, "hidden": 16, "latent": 8, "batch_size": 2}
ONE_HOT = {**SMALL, "coding": "onehot"}
TWO = {"a": {"decode": "argmax"}, "b": {"decode": "sample", "temperature": 1.0}}


@pytest.fixture(scope="module", autouse=True)
def small_store(tmp_path_factory):
    """Two expert datasets with few episodes, in a store of their own."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        yield build_short(patch, root, 12, "networld/rb/expert-v0", "networld/ns/expert-v0")


def model_of(toy, name):
    data = toy("box").collect(4)
    config = SMALL if name == "networld" else {"mean_field": True}
    model = make(name, data.spec, config, seed=1)
    model.prepare(data, 10)
    model.eval()
    return model, data


def actions_of(model, data, delay, change_at=None, table=None):
    """Agent 0's actions ``(T, A)`` over five steps; a neighbour sees something else at one step."""
    obs = torch.as_tensor(data.obs[:1, :5]).clone()  # (1, T, N, O)
    if change_at is not None:
        obs[0, change_at, 1] += 3.0
    if table is None:
        table = torch.as_tensor(data.neighbours[:1]).long()
    carry = {**model.initial_carry(1, data.spec.task), "delay": delay}
    taken = []
    for step in range(5):
        generator = torch.Generator().manual_seed(step)
        actions, carry = model.act(obs[:, step], table, carry, generator)
        taken.append(actions[0, 0])
    return torch.stack(taken)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_delayed_message_acts_one_step_later_and_not_before(toy, name):
    model, data = model_of(toy, name)
    assert (
        model.message(torch.as_tensor(data.obs[:1, 0]), model.initial_carry(1, "toy")) is not None
    )
    for delay in (0, 1, 2):
        plain = actions_of(model, data, delay)
        changed = actions_of(model, data, delay, change_at=1)
        differs = (plain != changed).any(-1).tolist()
        assert not any(differs[: 1 + delay])
        assert differs[1 + delay]


def test_nothing_arrives_before_the_delay_is_over():
    table = torch.tensor([[[1, -1], [0, -1]]])
    carry = {"task": "toy", "delay": 1}
    sent = [torch.full((1, 2, 1), float(step)) for step in range(1, 5)]
    seen = []
    for step, messages in enumerate(sent):
        lost = torch.full_like(table, -1) if step == 2 else table
        mean, present, memory = received_mean(messages, lost, carry, max_age=5)
        carry = {**carry, **memory}
        seen.append((mean[0, 0, 0].item(), present[0, 0, 0].item()))
    # At step 2 the message of step 1 is lost, so the one of step 0 stays in use.
    assert seen == [(0.0, 0.0), (1.0, 1.0), (1.0, 1.0), (3.0, 1.0)]


@pytest.mark.parametrize("name", ["bc", "networld"])
def test_all_messages_lost_is_no_neighbour_and_none_lost_changes_nothing(toy, name, monkeypatch):
    episodes = load_episodes("networld/rb/expert-v0", "rb")
    model = make(name, episodes.spec, SMALL if name == "networld" else None, seed=2)
    model.prepare(episodes, 1)
    tables = []
    real = model.act
    monkeypatch.setattr(
        model, "act", lambda obs, table, *rest: (tables.append(table), real(obs, table, *rest))[1]
    )

    def rewards(**conditions):
        return evaluate(model, "rb", [5, 6, 7], max_cycles=10, **conditions).episode_rewards

    plain = rewards()
    np.testing.assert_array_equal(plain, rewards(message_loss=0.0, message_delay=0))
    full = tables[0]
    tables.clear()
    lossy = rewards(message_loss=0.3)
    assert not np.array_equal(plain, lossy)
    share = torch.stack([(t >= 0).sum() / (full >= 0).sum() for t in tables]).mean().item()
    assert 0.65 < share < 0.75
    kept = torch.stack([torch.where(t >= 0, t, full) == full for t in tables])
    assert bool(kept.all())  # what arrives comes from the right neighbour
    assert not torch.equal(tables[0], tables[1])
    np.testing.assert_array_equal(lossy, rewards(message_loss=0.3))
    alone = evaluate(model, "rb", [6], max_cycles=10, message_loss=0.3).episode_rewards
    if name == "bc":  # nothing else is drawn, so an episode loses the same in any batch
        np.testing.assert_allclose(alone[0], lossy[1], rtol=1e-6)
    tables.clear()
    rewards(message_loss=1.0)
    assert all(bool((t == -1).all()) for t in tables)
    assert not np.array_equal(plain, rewards(message_delay=1))


def test_a_model_that_does_not_heed_the_delay_is_refused(monkeypatch):
    episodes = load_episodes("networld/rb/expert-v0", "rb")
    model = make("bc", episodes.spec)
    model.prepare(episodes, 1)
    for value in (-0.1, 1.5):
        rule = f"message_loss must be a number in .0, 1., got {value}"
        with pytest.raises(ValueError, match=rule):
            evaluate(model, "rb", [1], message_loss=value)
    with pytest.raises(ValueError, match="message_delay must be an integer of at least 0, got -1"):
        evaluate(model, "rb", [1], message_delay=-1)
    for wrong in ({"message_loss": "half"}, {"message_delay": True}, {"message_delay": 1.5}):
        (name,) = wrong
        with pytest.raises(TypeError, match=f"{name} must be"):
            evaluate(model, "rb", [1], **wrong)
    real = model.act
    monkeypatch.setattr(model, "act", lambda *a: (real(*a)[0], {"task": "rb"}))
    with pytest.raises(ValueError, match="bc does not support delayed messages"):
        evaluate(model, "rb", [1], message_delay=1)
    assert 0.0 < decision_ms_one_agent(make("bc", episodes.spec), "rb", repeats=3) < 1e4


def suite(**changes):
    values = {
        "name": "tiny",
        "tasks": ("rb",),
        "entries": (Entry("bc", decisions=TWO), Entry("networld", config=SMALL)),
        "seeds": 1,
        "updates": 4,
        "evaluations": 2,
        "eval_episodes": 2,
    }
    return Suite(**{**values, **changes})


def test_one_training_is_scored_under_each_of_its_decisions(tmp_path, monkeypatch):
    trained = []
    real = run_module.train
    monkeypatch.setattr(
        run_module,
        "train",
        lambda model, *a, **k: (trained.append(model.name), real(model, *a, **k))[1],
    )
    outcomes = bench.run_suite(suite(entries=(Entry("bc", decisions=TWO),)), tmp_path)
    assert not [o.error for o in outcomes if o.error]
    assert trained == ["bc", "bc"]  # up to each evaluation once
    rows = [r for r in read_rows(tmp_path / "tiny") if r.kind == "learned"]
    assert sorted((r.label, r.updates, r.algorithm) for r in rows) == [
        (label, updates, "bc") for label in "ab" for updates in (2, 4)
    ]
    last = {r.label: r for r in rows if r.is_last}
    assert last["a"].config_hash != last["b"].config_hash
    assert last["a"].episode_returns != last["b"].episode_returns
    model = make("bc", load_episodes("networld/rb/expert-v0").spec)
    assert last["a"].extra["parameters"] == sum(p.numel() for p in model.parameters())


@pytest.mark.slow
def test_other_parts_score_the_models_of_the_comparison(tmp_path, monkeypatch):
    whole = suite(
        robustness=Robustness(("bc", "networld"), 1, message_loss=(0.0, 0.9), message_delay=(0, 1)),
        ablation=Ablation(
            (
                Entry("networld", config=SMALL),
                Entry("networld", "no guidance", {**SMALL, "guidance": "none"}),
                Entry("networld", "one-hot", ONE_HOT),
                Entry("networld", "one-hot, argmax", {**ONE_HOT, "decode": "argmax"}),
            ),
            seeds=1,
        ),
        cost=Cost(
            ("bc", "networld"),
            1,
            curves={"networld": (Condition("networld", "steps", 7.0, decision={"steps": 7}),)},
        ),
    )
    assert whole.parts == ("comparison", "ablation", "robustness", "cost")
    outcomes = bench.run_suite(whole, tmp_path, only=["comparison"])
    assert {o.run.experiment for o in outcomes} == {"reference", "comparison"}
    assert not [o.error for o in outcomes if o.error]
    trained = []
    real = run_module.train
    monkeypatch.setattr(
        run_module, "train", lambda model, *a, **k: (trained.append(model), real(model, *a, **k))[1]
    )
    outcomes = bench.run_suite(whole, tmp_path)
    assert not [o.error for o in outcomes if o.error]
    assert [m.config.coding for m in trained] == ["onehot"]  # the other models are there
    shared = [o.run for o in outcomes if o.run.label.startswith("one-hot")]
    assert [run.stage for run in shared] == ["train", "evaluate"]
    rows = read_rows(tmp_path / "tiny")
    assert len({(*r.run, r.updates) for r in rows}) == len(rows)
    learned = [r for r in rows if r.kind == "learned"]
    found = {(r.label, r.factor, r.level) for r in learned if r.experiment == "robustness"}
    levels = [("agents", n) for n in (12.0, 24.0, 48.0, 96.0)]
    levels += [("message_loss", 0.0), ("message_loss", 0.9)]
    levels += [("message_delay", 0.0), ("message_delay", 1.0)]
    assert found == {(label, f, x) for label in ("a", "b", "networld") for f, x in levels}
    scaled = {(r.label, r.level) for r in rows if r.kind == "reference" and r.factor == "agents"}
    assert scaled == {(p, n) for p in ("random", "expert") for f, n in levels if f == "agents"}

    def returns(experiment, label, factor=None, level=None):
        (row,) = (
            r
            for r in learned
            if (r.experiment, r.label, r.factor, r.level) == (experiment, label, factor, level)
            and r.is_last
        )
        return row.episode_returns

    plain = returns("comparison", "networld")
    for factor, level in (("agents", 24.0), ("message_loss", 0.0), ("message_delay", 0.0)):
        assert returns("robustness", "networld", factor, level) == plain
    assert returns("ablation", "networld") == plain
    assert returns("robustness", "networld", "message_loss", 0.9) != plain
    cost = [r for r in learned if r.experiment == "cost"]
    assert {(r.label, r.factor, r.level) for r in cost} == {
        ("a", None, None),
        ("b", None, None),
        ("networld", None, None),
        ("networld", "steps", 7.0),
    }
    assert all(r.extra["decision_ms_one_agent"] > 0 for r in cost)
    base = next(r for r in learned if r.experiment == "ablation" and r.label == "networld")
    assert base.extra["latent_std"] > 0  # the diagnostics of the training
    assert not bench.run_suite(whole, tmp_path)


def test_a_lost_model_is_trained_again_only_if_it_is_needed(tmp_path):
    whole = suite(entries=(Entry("bc"),), robustness=Robustness(("bc",), 1, agents=False))
    bench.run_suite(whole, tmp_path, only=["comparison"])
    paths = bench.suite_paths(tmp_path, whole)
    before = sorted((p.name, p.read_bytes()) for p in paths.root.glob("comparison*.jsonl"))
    (model,) = (p for p in (paths.root / "checkpoints").iterdir() if p.is_dir())
    (model / "finished").unlink()
    for part in model.glob("*"):
        part.unlink()
    assert not bench.unfinished(whole, paths, ["comparison"])
    outcomes = bench.run_suite(whole, tmp_path)
    assert [o.run.stage for o in outcomes] == ["train", "evaluate"]
    assert not [o.error for o in outcomes if o.error]
    after = sorted((p.name, p.read_bytes()) for p in paths.root.glob("comparison*.jsonl"))
    assert [name for name, _ in before] == [name for name, _ in after]


def test_early_stopping_keeps_the_weights_with_the_least_validation_loss(tmp_path, monkeypatch):
    held, scored = [], {}

    def loss(self, batch, generator):
        held.append(len(batch.obs))
        return abs(self.counters["updates"] - 12)

    def watch(run, algorithm, heldout, progress, real=worker.learned_rows):
        scored[run.label, run.fraction] = algorithm.counters["updates"]
        return real(run, algorithm, heldout, progress)

    monkeypatch.setattr(BC, "validation_loss", loss)
    monkeypatch.setattr(worker, "learned_rows", watch)
    few = FewShot(
        (Entry("bc"), Entry("ma-iql")), (0.1, 1.0), 1, updates=20, pretrain_updates=1,
        early_stop=True,
    )  # fmt: skip
    outcomes = bench.run_suite(suite(entries=(), fewshot=few), tmp_path)
    assert not [o.error for o in outcomes if o.error]
    assert len(held) == 20 * run_module.VALIDATION_BATCHES
    # Of one episode nothing can be held out, and IQL has no such loss.
    assert scored == {("bc", 0.1): 20, ("bc", 1.0): 12, ("ma-iql", 0.1): 20, ("ma-iql", 1.0): 20}
    rows = [r for r in read_rows(tmp_path / "tiny") if r.kind == "learned"]
    assert {(r.label, r.episodes, r.updates) for r in rows} == {
        (label, count, 20) for label in ("bc", "ma-iql") for count in (1, 11)
    }
    best = {(r.label, r.episodes): r.extra.get("best_updates") for r in rows}
    assert best["bc", 11] == 12
    assert list(best.values()).count(None) == 3


def test_what_early_stopping_looks_at_is_not_trained_on(tmp_path, monkeypatch):
    used = {}

    def train(algorithm, data, *args, real=run_module.train, **kwargs):
        used["trained"] = {obs.tobytes() for obs in data[0].obs}
        return real(algorithm, data, *args, **kwargs)

    def keep(algorithm, episodes, *args, real=run_module.keep_best):
        used["checked"] = {obs.tobytes() for obs in episodes.obs}
        real(algorithm, episodes, *args)

    monkeypatch.setattr(run_module, "train", train)
    monkeypatch.setattr(run_module, "keep_best", keep)
    few = FewShot((Entry("bc"),), (1.0,), 1, updates=2, pretrain_updates=1, early_stop=True)
    bench.run_suite(suite(entries=(), fewshot=few), tmp_path)
    assert (len(used["trained"]), len(used["checked"])) == (10, 1)
    assert not used["trained"] & used["checked"]


@pytest.mark.slow
def test_controls_share_one_pre_training_and_an_untrained_one_costs_nothing(tmp_path):
    frozen = {**SMALL, "adapt_shared": "frozen"}
    entries = (
        Entry("networld", config=SMALL, pretrained=True),
        Entry("networld", "no fine-tuning", frozen, pretrained=True),
        Entry("networld", "random frozen", frozen, pretrained=True, pretrain_updates=0),
        Entry("networld", "from scratch", SMALL),
    )
    few = FewShot(entries, (1.0,), seeds=1, updates=4, pretrain_updates=4, early_stop=True)
    part = suite(tasks=("rb", "ns"), entries=(), fewshot=few)
    first = [run for run in unroll(part) if run.stage == "pretrain"]
    assert sorted((run.task, run.updates) for run in first) == [
        ("ns", 0), ("ns", 4), ("rb", 0), ("rb", 4),
    ]  # fmt: skip
    outcomes = bench.run_suite(part, tmp_path)
    assert not [o.error for o in outcomes if o.error]
    rows = [r for r in read_rows(tmp_path / "tiny") if r.experiment == "fewshot"]
    assert len({r.extra["next_latent_error"] for r in rows}) == len(rows) == 8


def test_what_a_suite_cannot_do_is_said_at_once():
    with pytest.raises(ValueError, match=r"cannot change \['hidden'\] after training; it can"):
        Entry("bc", decisions={"wide": {"hidden": 512}})
    with pytest.raises(ValueError, match="decode must be one of"):
        Entry("bc", decisions={"odd": {"decode": "mean"}})
    with pytest.raises(ValueError, match="unknown preset 'big' of 'networld'; it has default"):
        Entry("networld", preset="big")
    with pytest.raises(ValueError, match=r"robustness .* has no labels \['ma-dt'\]; it has \['bc'"):
        suite(robustness=Robustness(("ma-dt",), 1))
    with pytest.raises(ValueError, match="cost has 2 seeds, but the comparison has only 1"):
        suite(cost=Cost(("bc",), 2))
    with pytest.raises(ValueError, match="labels must be distinct"):
        suite(entries=(Entry("bc", decisions=TWO), Entry("bc", "a")))
    with pytest.raises(ValueError, match="networld/rb/best-v0"):
        suite(qualities=("best",))
    with pytest.raises(ValueError, match="has no part cost; it has comparison"):
        unroll(suite(), ["cost"])
    with pytest.raises(ValueError, match="name of a folder, got 'a/b'"):
        suite(name="a/b")
    assert Entry("networld", preset="faithful").values["prediction"] == "epsilon"
    assert ALGORITHMS["networld"][1].adapt_fields
