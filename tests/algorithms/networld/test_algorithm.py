"""Every option of NetWorld, several tasks, and what its first statistics and losses see."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from networld_algos.data.batch import WindowSampler
from networld_algos.networld.config import DIFFUSION, FAITHFUL, NetWorldConfig
from networld_algos.networld.planning import plan
from networld_algos.networld.segments import draw_segments
from networld_algos.training.checkpoint import load, save
from tests.helpers.algorithms import act, assert_same_state, generator, prepared, train, untrained

NETWORLD_OPTIONS = [
    {},
    {"mean_field": False},
    {**DIFFUSION, "denoiser": "mlp", "blocks": 2, "solver": "dpm-solver++"},
    {**DIFFUSION, "mean_field": False, "return_of": "agent"},
    {**DIFFUSION, "guidance": "select", "candidates": 3, "weighting": "advantage"},
    {**DIFFUSION, "prediction": "epsilon", "solver": "ddpm", "guidance": "none"},
    {**DIFFUSION, "encoder_grad": "inverse+reconstruction"},
    {**DIFFUSION, "encoder_grad": "end_to_end"},
    {**DIFFUSION, "forecast": False, "temperature": 0.0},
    {"message": "features"},
    {"message": "latent", "aggregate": "softmax", "message_dropout": 0.5},
    {"action_slot": 0.0, "aggregate": "mean", "decode": "sample"},
    {"act_by": "slot", "weighting": "advantage"},
    {"weighting": "advantage", "discount": 0.0, "horizon": 2},
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


def test_all_losses_fall_when_overfitting_one_batch(toy):
    data = toy("box").collect(8)
    options = {"encoder_grad": "inverse+reconstruction", "learning_rate": 3e-3, **DIFFUSION}
    algorithm = prepared("networld", data, **options)
    batch = WindowSampler(data, algorithm.window, 4).sample(np.random.default_rng(0))
    history = [algorithm.update(batch, generator(0)) for _ in range(80)]
    parts = ("inverse", "reconstruction", "forecast", "diffusion", "classifier")
    assert set(history[0]) == {f"{part}_loss" for part in parts}
    for key, first in history[0].items():
        assert history[-1][key] < 0.8 * first, key


def test_without_plans_one_step_is_enough_unless_advantages_look_ahead(toy):
    data = toy("box").collect(4)
    for options, window in (
        ({}, 1),
        ({"weighting": "advantage"}, 3),
        ({"weighting": "advantage", "discount": 0.0}, 1),
        (DIFFUSION, 3),
    ):
        algorithm = prepared("networld", data, **options)
        assert algorithm.window == window
        batch = WindowSampler(data, window, 20).sample(np.random.default_rng(0))
        own = algorithm.nets.task("toy")
        segments = draw_segments(own, algorithm.config, batch, generator())
        assert segments.actions.shape[:2] == (24 * 3 // window, window)  # as many steps in all
        assert (algorithm.nets.shared.denoiser is None) is (options != DIFFUSION)


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
        prepared("networld", data, horizon=24, **DIFFUSION)


def test_diffusion_loss_leaves_the_encoder_alone(toy):
    data = toy("box").collect(4)
    for mode, reaches in (("inverse+reconstruction", False), ("end_to_end", True)):
        algorithm = prepared("networld", data, encoder_grad=mode, **DIFFUSION)
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


def test_returns_are_fitted_only_where_something_is_trained_on_them(toy):
    data = toy("box").collect(2)
    for changes, scaled, binned in (
        ({}, False, False),
        ({"weighting": "advantage"}, True, False),
        (DIFFUSION, False, True),
    ):
        own = prepared("networld", data, **changes).nets.task("toy")
        assert (own.return_std is not None) == scaled
        assert (own.returns is not None) == binned


def test_without_plans_advantages_can_look_any_number_of_steps_ahead(toy):
    data = toy("box").collect(2)
    model = prepared("networld", data, weighting="advantage", horizon=6, mults=(1, 2, 4))
    assert model.window == 5
    train(model, [data], 0, 1)


def test_selection_and_guidance_raise_the_predicted_return(toy):
    task = toy("box")
    data = task.collect(16)
    algorithm = prepared("networld", data, total=150, aggregate="mean", **DIFFUSION)
    train(algorithm, [data], 0, 150)
    nets, config = algorithm.acting, algorithm.config
    obs = torch.as_tensor(data.obs[:8, 0])
    z = nets.task("toy").look(obs).z.flatten(0, 1)
    m, present = torch.zeros_like(z), torch.ones(len(z), 1)

    def predicted(**changes):
        algorithm.reconfigure(**changes)
        segment, _ = plan(nets, algorithm.config, "toy", z, m, present, generator())
        assert torch.equal(segment[:, : config.latent, 0], z)  # the first latent is clamped
        with torch.no_grad():
            logits = nets.shared.classify(segment, torch.tensor([0]), present, "toy")
        return nets.task("toy").returns.score(logits).mean().item()

    plain = predicted(guidance="none", temperature=0.7)
    assert predicted(guidance="select", candidates=8) > plain
    assert predicted(guidance="gradient", guidance_weight=3.0) > plain


def test_two_tasks_and_a_third_adapted_resume_exactly(toy, tmp_path):
    tasks = [toy("box", task="one"), toy("ordered", task="two"), toy("discrete", task="three")]
    data = [t.collect(5, seed=i) for i, t in enumerate(tasks)]
    model = untrained("networld", [t.spec for t in tasks[:2]], adapt_share=0.5)
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


@pytest.mark.parametrize("kind", ["box", "discrete", "ordered"])
def test_an_action_slot_decides_as_well_as_the_forecast(toy, kind):
    task = toy(kind)
    data = task.collect(24)
    algorithm = prepared("networld", data, total=300, learning_rate=3e-3)
    train(algorithm, [data], 0, 300)
    by_forecast = task.score(algorithm)
    algorithm.reconfigure(act_by="slot", decode="argmax")
    assert task.score(algorithm) > 2.0 * by_forecast - 0.05  # rewards are negative


def test_an_action_slot_that_is_not_trained_cannot_decide():
    with pytest.raises(ValueError, match="act_by='slot' needs action_slot above 0"):
        NetWorldConfig(action_slot=0.0, act_by="slot")
