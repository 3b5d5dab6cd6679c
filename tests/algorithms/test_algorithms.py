from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

from networld_algos import ALGORITHMS, make, make_config
from networld_algos.data.batch import WindowSampler
from networld_algos.networld.config import FAITHFUL
from networld_algos.networld.health import DIAGNOSTICS
from networld_algos.networld.planning import plan
from networld_algos.networld.segments import draw_segments
from networld_algos.training.checkpoint import load, save

KINDS = ("box", "discrete", "ordered")
SMALL = {
    "bc": {"hidden": 64},
    "ma-cql": {"hidden": 64},
    "ma-dd": {"hidden": 64, "dim": 16, "sequences": 24},
    "ma-dt": {"hidden": 32, "context": 6, "kept": 3, "layers": 2, "sequences": 24},
    "ma-iql": {"hidden": 64},
    "networld": {"hidden": 64, "dim": 16, "batch_size": 4, "sequences": 24},
}
EVERY = [(name, kind) for name in ALGORITHMS for kind in KINDS]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(name, episodes, total=1000, seed=0, **changes):
    algorithm = make(name, episodes.spec, {**SMALL.get(name, {}), **changes}, seed)
    algorithm.prepare(episodes, total)
    return algorithm


def train(algorithm, data, first, last):
    """Updates first .. last - 1; each has its own random numbers, tasks take turns."""
    samplers = [WindowSampler(d, algorithm.window, algorithm.batch_size) for d in data]
    metrics = []
    for update in range(first, last):
        batch = samplers[update % len(data)].sample(np.random.default_rng(update))
        metrics.append(algorithm.update(batch, generator(update)))
    return metrics


def act(algorithm, toy, obs=None, steps=2, seed=0):
    """Actions of a few steps on constant observations."""
    if obs is None:
        obs = torch.as_tensor(toy.obs(3))
    table = torch.as_tensor(toy.table).long().expand(len(obs), -1, -1)
    carry = algorithm.initial_carry(len(obs), toy.task)
    noise, out = generator(seed), []
    for _ in range(steps):
        actions, carry = algorithm.act(obs, table, carry, noise)
        out.append(actions)
    return torch.stack(out)


def assert_same_state(a, b):
    left, right = a.state_dict(), b.state_dict()
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert torch.equal(value, right[key]), key


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_loss_falls_when_overfitting_one_batch(toy, name, kind):
    data = toy(kind).collect(8)
    algorithm = prepared(name, data, learning_rate=3e-3)
    batch = WindowSampler(data, algorithm.window, algorithm.batch_size).sample(
        np.random.default_rng(0)
    )
    falling = {
        "bc": ("cloning_loss",),
        "ma-cql": ("conservative_loss",),
        "ma-dd": ("diffusion_loss", "inverse_loss", "outlook_loss"),
        "ma-dt": ("sequence_loss",),
        "ma-iql": (),  # its weights and targets move; the likelihood below is what must rise
        "networld": (
            "inverse_loss", "reconstruction_loss", "forecast_loss", "diffusion_loss",
            "classifier_loss",
        ),
    }[name]  # fmt: skip
    before = likelihood_loss(algorithm, batch) if name == "ma-iql" else 0.0
    history = [algorithm.update(batch, generator(0)) for _ in range(80)]
    for key in falling:
        assert history[-1][key] < 0.8 * history[0][key], key
    if name == "ma-iql":
        assert likelihood_loss(algorithm, batch) < before - 0.1


def likelihood_loss(algorithm, batch):
    """Mean of -log pi(a | x): the actor's loss with zero advantages."""
    x, actions = algorithm.inputs(batch, 1.0, torch.Generator())[:, 0], batch.actions[:, 0]
    if algorithm.spec.action_kind == "box":
        actions = (actions - algorithm.low) / algorithm.scale - 1.0
    zero = torch.zeros(x.shape[:2])
    return algorithm.actor_loss(x, actions, zero, torch.ones_like(zero)).item()


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_saved_and_resumed_training_equals_uninterrupted(toy, name, kind, tmp_path):
    task = toy(kind)
    data = task.collect(6)
    straight = prepared(name, data, total=8)
    train(straight, [data], 0, 8)
    first = prepared(name, data, total=8)
    train(first, [data], 0, 4)
    save(first, tmp_path / "run", {"update": 4})
    again, extra = load(tmp_path / "run", expect_task=task.spec)
    assert extra == {"update": 4}
    assert torch.equal(act(first, task), act(again, task))
    train(again, [data], 4, 8)
    assert_same_state(straight, again)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_actions_are_legal_for_any_number_of_agents(toy, name, kind):
    data = toy(kind, agents=19).collect(4)
    algorithm = prepared(name, data, **({"decode": "sample"}))
    train(algorithm, [data], 0, 2)
    low, high = torch.tensor(data.spec.action_low), torch.tensor(data.spec.action_high)
    for agents in (7, 19, 37):
        actions = act(algorithm, toy(kind, agents=agents))
        tail = (data.spec.action_dim,) if kind == "box" else ()
        assert actions.shape == (2, 3, agents, *tail)
        assert actions.dtype == (torch.float32 if kind == "box" else torch.int64)
        rows = actions.reshape(-1, data.spec.action_dim)
        assert ((rows >= low) & (rows <= high)).all()


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_only_neighbours_matter(toy, name, kind):
    task = toy(kind, agents=8)
    data = task.collect(4)
    extra = {"guidance": "gradient", "guidance_weight": 1.0} if name == "networld" else {}
    algorithm = prepared(name, data, decode="sample", **extra)
    train(algorithm, [data], 0, 3)
    obs = torch.as_tensor(task.obs(2, seed=1))
    changed = obs.clone()
    changed[:, 4] = torch.tensor([50.0, -9e3] + [1.0] * (obs.shape[-1] - 2))
    before = act(algorithm, task, obs, steps=1)[0]
    after = act(algorithm, task, changed, steps=1)[0]
    far = [i for i in range(8) if i not in (3, 4, 5)]
    assert torch.equal(before[:, far], after[:, far])
    message = algorithm.message(obs, algorithm.initial_carry(2, task.task))
    moved = algorithm.message(changed, algorithm.initial_carry(2, task.task))
    same = (message == moved).all(-1)
    assert same[:, far].all()
    assert not same[:, 4].any()


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_neighbours_do_matter_unless_turned_off(toy, name):
    task = toy("box", agents=8)
    data = task.collect(4)
    obs = torch.as_tensor(task.obs(2, seed=1))
    changed = obs.clone()
    changed[:, 4, 0] += 3.0
    for on in (True, False):
        field = ("full" if on else "off") if name == "networld" else on
        algorithm = prepared(name, data, mean_field=field)
        train(algorithm, [data], 0, 20)
        before, after = act(algorithm, task, obs)[0], act(algorithm, task, changed)[0]
        assert torch.equal(before[:, 3], after[:, 3]) is not on
        sent = algorithm.message(obs, algorithm.initial_carry(2, task.task))
        assert (sent is not None) is on


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_randomness_comes_from_seed_and_generator_only(toy, name):
    task = toy("ordered")
    data = task.collect(4)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = prepared(name, data, decode="sample")
    train(one, [data], 0, 2)
    first = act(one, task)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two = prepared(name, data, decode="sample")
    train(two, [data], 0, 2)
    assert_same_state(one, two)
    assert torch.equal(first, act(two, task))
    assert not torch.equal(first, act(two, task, seed=1))
    other = dict(prepared(name, data, seed=1).named_parameters())
    fresh = dict(prepared(name, data, seed=0).named_parameters())
    assert any(not torch.equal(other[key], fresh[key]) for key in fresh)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_unknown_tasks_and_unprepared_models_are_named(toy, name):
    data = toy("box").collect(3)
    algorithm = make(name, data.spec, SMALL.get(name))
    with pytest.raises(ValueError, match=r"\['toy'\], not for task 'cbf'"):
        algorithm.initial_carry(1, "cbf")
    batch = WindowSampler(data, algorithm.window, 2).sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"call prepare\(\)"):
        algorithm.update(batch, generator())
    with pytest.raises(ValueError, match="have obs_dim=4, the model was made for 5"):
        algorithm.prepare(toy("ordered").collect(3), 10)
    with pytest.raises(ValueError, match="'hidden' is fixed at training"):
        algorithm.reconfigure(hidden=3)
    with pytest.raises(ValueError, match="'hiden' is unknown"):
        algorithm.reconfigure(hiden=3)
    algorithm.reconfigure(decode="sample")
    assert algorithm.config.decode == "sample"


def test_make_names_what_is_wrong(toy):
    spec = toy("box").spec
    with pytest.raises(ValueError, match="unknown algorithm 'ppo'"):
        make("ppo", spec)
    with pytest.raises(ValueError, match=r"unknown config keys \['hiden'\]"):
        make("bc", spec, {"hiden": 3})
    with pytest.raises(ValueError, match="needs a BCConfig"):
        make("bc", spec, make_config("ma-iql"))
    with pytest.raises(ValueError, match="at least one TaskSpec"):
        make("networld", [])
    with pytest.raises(ValueError, match="learns one task"):
        make("bc", [spec, toy("box", task="other").spec])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("bc", {"hidden": 0}, "BCConfig.hidden .* got 0"),
        ("bc", {"decode": "mean"}, "BCConfig.decode .* got 'mean'"),
        ("bc", {"mean_field": 1}, "True or False, got 1"),
        ("ma-iql", {"expectile": 1.5}, "expectile .* got 1.5"),
        ("ma-iql", {"learning_rate": float("nan")}, "learning_rate .* got nan"),
        ("networld", {"horizon": 5}, "horizon must be a multiple of 2 .* got 5"),
        ("networld", {"dim": 12}, "multiple of 8"),
        ("networld", {"steps": 51}, "steps must be at most train_steps=50, got 51"),
        ("networld", {"classifier": False}, "needs classifier=True"),
        ("networld", {"solver": "euler"}, "solver .* got 'euler'"),
        ("networld", {"message": "raw"}, "message .* got 'raw'"),
    ],
)
def test_bad_configs_are_named(name, values, message):
    if "classifier" in values:
        values = {**values, "guidance": "gradient"}
    with pytest.raises(ValueError, match=message):
        make_config(name, values)


def test_damaged_checkpoints_are_refused(toy, tmp_path):
    task = toy("box")
    algorithm = prepared("bc", task.collect(3))
    path = tmp_path / "run"
    with pytest.raises(ValueError, match="no checkpoint in"):
        load(path)
    with pytest.raises(ValueError, match="JSON types only"):
        save(algorithm, path, {"rng": object()})
    path.mkdir()
    (path / "mine.safetensors").write_bytes(b"somebody else's")
    save(algorithm, path)
    save(algorithm, path, {"again": True})
    assert len(list(path.iterdir())) == 4  # nothing stale, nothing temporary, nothing else touched
    with pytest.raises(ValueError, match=r"model for \['toy'\], not for task 'rb'"):
        load(path, expect_task="rb")
    with pytest.raises(ValueError, match="use the same preset"):
        load(path, expect_task=toy("ordered").spec)
    index, text = path / "checkpoint.json", (path / "checkpoint.json").read_text()
    for key, value, message in (
        ("format", 99, "has format 99"),
        ("algorithm", "ppo", "unknown algorithm 'ppo'"),
        ("config", {"hiden": 3}, "unknown config keys"),
        ("specs", [{"task": "toy"}], "damaged task spec"),
        ("files", {}, "lacks its model file"),
    ):
        index.write_text(json.dumps({**json.loads(text), key: value}))
        with pytest.raises(ValueError, match=message):
            load(path)
    index.write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        load(path)
    index.write_text(text)
    model = next(path.glob("model-*"))
    data = model.read_bytes()
    model.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match="does not match its hash"):
        load(path)
    model.unlink()
    with pytest.raises(ValueError, match="lacks its model file"):
        load(path)


def test_interrupted_save_keeps_the_previous_checkpoint(toy, tmp_path, monkeypatch):
    data = toy("box").collect(3)
    algorithm = prepared("bc", data)
    save(algorithm, tmp_path, {"update": 0})
    train(algorithm, [data], 0, 1)
    real = json.dumps

    def stop(value, **options):
        if options.get("indent"):  # the index, after the tensors
            raise KeyboardInterrupt
        return real(value, **options)

    monkeypatch.setattr(json, "dumps", stop)
    with pytest.raises(KeyboardInterrupt):
        save(algorithm, tmp_path, {"update": 1})
    monkeypatch.undo()
    assert load(tmp_path)[1] == {"update": 0}


def test_iql_bootstraps_through_truncation_but_not_termination(toy, monkeypatch):
    data = toy("box").collect(6)
    algorithm = prepared("ma-iql", data)
    batch = WindowSampler(data, 1, 8).sample(np.random.default_rng(0))
    seen = []

    def critic_loss(x, actions, target, weights):
        seen.append(target)
        return (0 * target).sum()

    algorithm.critic_loss = critic_loss
    monkeypatch.setattr("networld_algos.ma_iql.descend", lambda optimizer, loss: None)
    batch.terminated[:], batch.truncated[:] = False, True
    algorithm.update(batch, generator())
    batch.terminated[:] = True
    algorithm.update(batch, generator())
    torch.testing.assert_close(seen[1], algorithm.reward_scale(batch.rewards[:, 0]))
    assert (seen[0] != seen[1]).all()


def test_bc_approaches_the_policy_of_the_data(toy):
    for kind in KINDS:
        task = toy(kind)
        data = task.collect(32)
        algorithm = prepared("bc", data, total=300)
        train(algorithm, [data], 0, 300)
        random, expert = task.score("random"), task.score("expert")
        assert task.score(algorithm) > random + 0.85 * (expert - random), kind


NETWORLD_OPTIONS = [
    {"planner": "regression"},
    {"planner": "regression", "mean_field": "off"},
    {"denoiser": "mlp", "blocks": 2, "solver": "dpm-solver++"},
    {"mean_field": "classifier", "guidance": "gradient"},
    {"mean_field": "off", "guidance": "gradient"},
    {"message": "learned", "return_of": "neighbourhood"},
    {"guidance": "select", "candidates": 3, "temperature": 0.7, "weighting": "return"},
    {"prediction": "epsilon", "solver": "ddpm", "classifier": False, "guidance": "none"},
    {"encoder_grad": "none"},
    {"encoder_grad": "end_to_end"},
    {"warm_start": True},
    {"forecast": False},
    {**FAITHFUL, "dim": 8},
]


@pytest.mark.parametrize("options", NETWORLD_OPTIONS, ids=str)
def test_every_networld_option_trains_acts_and_resumes(toy, options, tmp_path):
    task = toy("ordered")
    data = task.collect(6)
    one = prepared("networld", data, total=8, **options)
    metrics = train(one, [data], 0, 4)
    assert all(np.isfinite(list(m.values())).all() for m in metrics)
    save(one, tmp_path)
    two, _ = load(tmp_path)
    train(one, [data], 4, 8)
    train(two, [data], 4, 8)
    assert_same_state(one, two)
    actions = act(one, task, steps=3)
    assert torch.equal(actions, act(two, task, steps=3))
    assert ((actions >= 0) & (actions <= 10)).all()
    assert all(np.isfinite([found.value for found in one.health(data).values()]))


def test_first_statistics_are_those_of_real_steps(toy):
    data = toy("box").collect(4)
    data.lengths[:] = [20, 3, 7, 5]
    states = []
    for padding in (0.0, 1e7):
        for k, length in enumerate(data.lengths):
            data.obs[k, length + 1 :] = padding
        states.append(prepared("networld", data))
    assert_same_state(*states)
    with pytest.raises(ValueError, match="shorter than 23 steps; use a horizon of at most 21"):
        prepared("networld", data, horizon=24)


def test_diffusion_loss_leaves_the_encoder_alone(toy):
    data = toy("box").collect(4)
    for mode, reaches in (("inverse+reconstruction", False), ("end_to_end", True)):
        algorithm = prepared("networld", data, encoder_grad=mode)
        task = algorithm.nets.task("toy")
        batch = WindowSampler(data, algorithm.window, 4).sample(np.random.default_rng(0))
        segments = draw_segments(task, algorithm.config, batch, generator())
        z = task.standardiser.batch(task.encoder(segments.features))
        target = z if mode == "end_to_end" else segments.z
        losses = algorithm.segment_losses(
            algorithm.nets, "toy", target, segments, segments.steps, generator()
        )
        losses["diffusion_loss"].backward()
        assert (task.encoder.linear.weight.grad is not None) is reaches


def test_selection_and_guidance_raise_the_predicted_return(toy):
    task = toy("box")
    data = task.collect(16)
    algorithm = prepared("networld", data, total=150)
    train(algorithm, [data], 0, 150)
    nets, config = algorithm.acting, algorithm.config
    obs = torch.as_tensor(data.obs[:8, 0])
    z = nets.task("toy").encode(obs).flatten(0, 1)
    m, present = torch.zeros_like(z), torch.ones(len(z), 1)

    def predicted(**changes):
        algorithm.reconfigure(**changes)
        segment, _ = plan(nets, algorithm.config, "toy", z, m, present, generator())
        assert torch.equal(segment[:, : config.latent, 0], z)  # the first latent is clamped
        with torch.no_grad():
            logits = nets.shared.classify(segment, torch.tensor([0]), m, present, "toy")
        return nets.task("toy").returns.score(logits).mean().item()

    plain = predicted(guidance="none", temperature=0.7)
    assert predicted(guidance="select", candidates=8) > plain
    assert predicted(guidance="gradient", guidance_weight=3.0) > plain


def test_two_tasks_and_a_third_adapted_resume_exactly(toy, tmp_path):
    tasks = [toy("box", task="one"), toy("ordered", task="two"), toy("discrete", task="three")]
    data = [t.collect(5, seed=i) for i, t in enumerate(tasks)]
    config = {**SMALL["networld"], "adapt_share": 0.5}
    model = make("networld", [t.spec for t in tasks[:2]], config)
    for episodes in data[:2]:
        model.prepare(episodes, 6)
    train(model, data[:2], 0, 6)
    with pytest.raises(ValueError, match="known already"):
        model.adapt(tasks[0].spec)
    model.adapt(tasks[2].spec)
    model.prepare(data[2], 8)
    old = [model.nets.shared.embedding(t) for t in ("one", "two")]
    torch.testing.assert_close(model.nets.shared.embedding("three"), (old[0] + old[1]) / 2)
    shared = {k: v.clone() for k, v in model.nets.shared.state_dict().items()}
    twin = copy.deepcopy(model.nets.tasks["one"].state_dict())
    train(model, data[2:], 0, 4)  # phase 1: shared networks frozen
    assert all(torch.equal(v, model.nets.shared.state_dict()[k]) for k, v in shared.items())
    train(model, data[2:], 4, 6)  # phase 2: they move
    save(model, tmp_path)
    again, _ = load(tmp_path, expect_task="three")
    assert list(again.nets.shared.embeddings) == list(model.nets.shared.embeddings)
    for algorithm in (model, again):
        train(algorithm, data[2:], 6, 8)
    assert_same_state(model, again)
    moved = model.nets.shared.state_dict()
    assert any(not torch.equal(v, moved[k]) for k, v in shared.items())
    assert all(torch.equal(v, model.nets.tasks["one"].state_dict()[k]) for k, v in twin.items())
    for task in tasks:
        assert torch.equal(act(model, task), act(again, task))


@pytest.fixture(scope="module")
def trained(toy):
    """NetWorld on the toy task, as by default and end to end."""
    data = toy("ordered").collect(48)
    models = {}
    for mode, updates in (("inverse+reconstruction", 300), ("end_to_end", 150)):
        model = prepared("networld", data, total=updates, encoder_grad=mode, hidden=128)
        train(model, [data], 0, updates)
        models[mode] = model
    return models


def test_networld_plans_better_than_random(toy, trained):
    task = toy("ordered")
    random, expert = task.score("random"), task.score("expert")
    score = task.score(trained["inverse+reconstruction"])
    assert score > random + 0.6 * (expert - random)


def test_default_latents_are_healthy_and_end_to_end_ones_are_not(toy, trained):
    held_out = toy("ordered").collect(12, seed=99)
    good = trained["inverse+reconstruction"].health(held_out)
    assert set(good) == set(DIAGNOSTICS)
    assert [name for name, found in good.items() if not found.is_healthy] == []
    bad = trained["end_to_end"].health(held_out)
    assert not all(found.is_healthy for found in bad.values())
    assert bad["effective_rank"].value < bad["effective_rank"].low == 3.0
    assert bad["inverse_error_noised"].value > good["inverse_error_noised"].value
