"""NetWorld's ablations: one-hot, no symlog, encoders, frozen networks; presets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos import make, make_config
from networld_algos.data.batch import WindowSampler
from networld_algos.networld.config import FAITHFUL
from networld_algos.nn.action_head import ActionHead
from networld_algos.nn.features import FEATURES, ObsFeatures
from networld_algos.nn.twohot import TwoHot, symlog
from networld_algos.training.checkpoint import load, save
from networld_algos.training.train import train

SMALL = {"hidden": 16, "latent": 8, "dim": 8, "batch_size": 2}


def prepared(data, **changes):
    model = make("networld", data.spec, {**SMALL, **changes}, seed=1)
    model.prepare(data, 8)
    return model


def test_one_hot_puts_all_weight_on_the_nearest_bin():
    bins = TwoHot(1, 5, coding="onehot", symlog=False)
    bins.set_range(torch.tensor([0.0]), torch.tensor([4.0]))
    values = torch.tensor([[0.0], [0.4], [0.6], [2.5], [3.51], [9.0]])
    lower, weight = bins.target(values)
    assert (lower + weight).flatten().tolist() == [0, 0, 1, 2, 4, 4]
    assert bins.centres[0].tolist() == [0, 1, 2, 3, 4]  # not in the symlog domain
    logits = torch.randn(6, 1, 5, generator=torch.Generator().manual_seed(0))
    nearest = (lower + weight.long())[..., 0]
    plain = torch.nn.functional.cross_entropy(logits[:, 0], nearest, reduction="none")
    torch.testing.assert_close(bins.loss(logits, values)[:, 0], plain)
    with pytest.raises(ValueError, match="coding must be one of"):
        TwoHot(1, 5, coding="hot")  # pyright: ignore[reportArgumentType]


def test_a_one_hot_action_head_loses_what_lies_between_bins(toy):
    spec = toy("box").spec
    two, one = (ActionHead(spec, 4, 5, coding) for coding in ("twohot", "onehot"))
    centres = two.twohot.centres[:, 2:4].to(torch.float32)
    between = (0.75 * centres[:, 0] + 0.25 * centres[:, 1])[None]
    for head, exact in ((two, True), (one, False)):
        lower, weight = head.twohot.target(between)
        p = torch.zeros(1, len(centres), 5).scatter(-1, lower[..., None], 1 - weight[..., None])
        p = p.scatter_add(-1, lower[..., None] + 1, weight[..., None])
        found = head.decode(p.clamp(min=1e-12).log(), "expectation", 1.0, torch.Generator())
        assert torch.allclose(found, between, atol=1e-4) is exact


@pytest.mark.parametrize("fixed", [True, False])
def test_an_encoder_is_a_fixed_rotation_or_trained(toy, fixed, tmp_path):
    data = toy("box").collect(6)
    model = prepared(data, encoder_grad="none" if fixed else "inverse+reconstruction")
    task = model.nets.task("toy")
    obs = torch.as_tensor(data.obs)
    before = task.look(obs).z
    losses: dict[str, float] = {}
    train(model, [data], 4, 0, on_update=lambda _, values: losses.update(values))
    after = task.look(obs).z
    assert torch.equal(before, after) is fixed
    assert ("reconstruction_loss" in losses) is not fixed
    assert bool(list(task.encoder.parameters())) is not fixed
    if fixed:
        rotation = task.encoder.weight
        assert torch.allclose(rotation.T @ rotation, torch.eye(rotation.shape[1]), atol=1e-5)
        save(model, tmp_path / "model", {})
        again = load(tmp_path / "model")[0].nets.task("toy")
        assert torch.equal(again.look(obs).z, after)


def test_the_encoder_is_fixed_by_default_if_the_features_fit(toy):
    spec = toy("box").spec
    for latent, found in (
        (64, "none"),
        (spec.obs_dim, "none"),
        (spec.obs_dim - 1, "inverse+reconstruction"),
    ):
        assert make_config("networld", {"latent": latent}).encoder_grad_of(spec) == found
    narrow = spec.obs_dim - 1
    fixed = {"latent": narrow, "features": "symlog", "encoder_grad": "none"}
    with pytest.raises(ValueError, match=f"'toy' needs latent of at least {spec.obs_dim}"):
        make("networld", spec, fixed)
    model = make("networld", replace(spec, obs_dim=narrow, last_action=()), fixed)
    with pytest.raises(ValueError, match="'other' needs latent"):
        model.adapt(replace(spec, task="other"))
    assert list(model.specs) == ["toy"]
    model.adapt(replace(spec, task="other", obs_dim=narrow, last_action=()))


@pytest.mark.parametrize("kind", FEATURES)
def test_features_of_every_kind_are_standardised(toy, kind):
    data = toy("box").collect(4)
    data.lengths[:] = data.actions.shape[1]  # no padding
    features = ObsFeatures(data.spec.obs_dim, kind)
    features.fit(data)
    rows = torch.as_tensor(data.obs).flatten(0, -2)
    parts = {"symlog": [symlog(rows)], "linear": [rows], "both": [symlog(rows), rows]}
    values = torch.cat(parts[kind], dim=-1)
    assert features(rows).shape == values.shape == (len(rows), features.width)
    wanted = (values - values.mean(0)) / values.std(0, correction=0)
    moving = values.std(0, correction=0) > 1e-3
    torch.testing.assert_close(
        features(rows)[:, moving], wanted[:, moving].clamp(-10, 10), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize(
    "options",
    [
        {"coding": "onehot", "planner": "diffusion"},
        {"coding": "uniform", "features": "linear"},
        {"features": "both"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["box", "discrete"])
def test_ablations_train_act_and_load(toy, options, kind, tmp_path):
    task = toy(kind)
    data = task.collect(4)
    model = prepared(data, **options)
    losses = []
    train(model, [data], 8, seed=0, on_update=lambda _, values: losses.append(values))
    assert all(np.isfinite(list(values.values())).all() for values in losses)
    save(model, tmp_path)
    again, _ = load(tmp_path)
    obs = torch.as_tensor(data.obs[:2, 0])
    table = torch.as_tensor(data.neighbours[:2]).long()
    carry = model.initial_carry(2, data.spec.task)
    actions = [
        m.act(obs, table, carry, torch.Generator().manual_seed(0))[0] for m in (model, again)
    ]
    assert torch.equal(*actions)


@pytest.mark.parametrize("shared", ["tune", "frozen"])
def test_frozen_shared_networks_do_not_move_on_a_new_task(toy, shared):
    one, two = toy("box", task="one"), toy("discrete", task="two")
    data, new = one.collect(4), two.collect(4)
    model = prepared(data, adapt_shared=shared, adapt_share=0.0)
    train(model, [data], 4, 0)
    model.adapt(new.spec)
    model.prepare(new, 4)
    before = {k: v.clone() for k, v in model.nets.state_dict().items()}
    train(model, [new], 4, 0)
    moved = {k for k, v in model.nets.state_dict().items() if not torch.equal(v, before[k])}
    assert any(k.startswith("tasks.two.") for k in moved)
    assert not any(k.startswith("tasks.one.") for k in moved)
    assert any(k.startswith("shared.") for k in moved) is (shared == "tune")


@pytest.mark.parametrize("name", ["networld", "bc", "ma-dd"])
def test_validation_loss_changes_nothing_and_tells_a_trained_model(toy, name):
    data = toy("box").collect(8)
    model = make(
        name, data.spec, {**(SMALL if name == "networld" else {}), "learning_rate": 0.01}, seed=1
    )
    model.prepare(data, 100)
    batch = WindowSampler(data, model.window, 8).sample(np.random.default_rng(0))
    state = {k: v.clone() for k, v in model.state_dict().items()}
    untrained = model.validation_loss(batch, torch.Generator().manual_seed(0))
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert untrained == model.validation_loss(batch, torch.Generator().manual_seed(0))
    train(model, [data], 100, 0)
    trained = model.validation_loss(batch, torch.Generator().manual_seed(0))
    assert untrained is not None
    assert trained is not None
    assert trained < 0.9 * untrained


@pytest.mark.slow
def test_presets_are_named_everywhere_a_config_is(toy, capsys):
    from networld_algos.cli.command import main

    spec = toy("box").spec
    faithful = make("networld", spec, "faithful").config
    assert faithful == make_config("networld", FAITHFUL) == make_config("networld", "faithful")
    assert make_config("networld", "default") == make_config("networld")
    with pytest.raises(ValueError, match="unknown preset 'paper' of 'networld'; it has default"):
        make("networld", spec, "paper")
    command = ["train", "networld", "--preset", "faithful", "--task", "csma", "--out", "x"]
    assert main([*command, "--config.dim", "8"]) == 2  # the options are read, the task is not
    assert "csma" in capsys.readouterr().err
    assert main(["train", "bc", "--preset=faithful", "--task", "rb", "--out", "x"]) == 2
    assert "unknown preset 'faithful' of 'bc'" in capsys.readouterr().err


def test_features_are_of_both_kinds_where_the_latent_has_room():
    config = make_config("networld", {"latent": 8})
    assert [config.features_of(obs_dim) for obs_dim in (4, 5)] == ["both", "symlog"]
    assert make_config("networld", {"features": "linear"}).features_of(4) == "linear"
    with pytest.raises(ValueError, match="features"):
        make_config("networld", {"features": "log"})
