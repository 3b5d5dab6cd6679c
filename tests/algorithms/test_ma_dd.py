from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos import make, make_config
from networld_algos.data.batch import WindowSampler
from networld_envs.policies.rollout import Behaviour

KINDS = ("box", "discrete", "ordered")
SMALL = {"hidden": 64, "dim": 16, "sequences": 32}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(data, updates=0, **config):
    algorithm = make("ma-dd", data.spec, {**SMALL, **config})
    algorithm.prepare(data, max(updates, 1))
    for k in range(updates):
        algorithm.update(batch_of(algorithm, data, k), generator(k))
    return algorithm


def batch_of(algorithm, data, seed=0, size=8):
    return WindowSampler(data, algorithm.window, size).sample(np.random.default_rng(seed))


def contexts(algorithm, data, rows=10):
    inputs = algorithm.acting.inputs
    batch = batch_of(algorithm, data, seed=3, size=rows)
    return inputs.of_obs(batch.obs, batch.neighbours)[:, 0, 0]


@pytest.mark.parametrize("prediction", ["x0", "epsilon"])
def test_guidance_mixes_the_two_models(toy, prediction):
    """One solver step: the plan is linear in w and w = 1, 0 are the two models."""
    data = toy("box").collect(6)
    algorithm = prepared(data, 30, steps=1, prediction=prediction, features="symlog")
    context = contexts(algorithm, data)
    plans = {}
    for weight in (0.0, 1.0, 1.2):
        algorithm.reconfigure(guidance_weight=weight)
        plans[weight] = algorithm.plan(context, generator())
    mixed = plans[0.0] + 1.2 * (plans[1.0] - plans[0.0])
    # A noise estimate is divided by the small signal of the last step: so is its rounding error.
    rounding = 1e-5 if prediction == "x0" else 2e-3
    inside = torch.stack(list(plans.values())).abs().amax(0) < 4.9  # of noise: bounded by 5
    torch.testing.assert_close(plans[1.2][inside], mixed[inside], rtol=1e-4, atol=10 * rounding)
    assert not torch.allclose(plans[0.0], plans[1.0], atol=1e-3)
    nets, config = algorithm.acting, algorithm.config
    x = config.temperature * torch.randn(10, nets.width, 4, generator=generator())
    x[..., 0] = context[:, : nets.width]
    t = torch.full((10,), 49)
    with torch.no_grad():
        output = nets.denoise(x, t, context, torch.zeros(10, 16))
        alone = nets.schedule.to_x0(output, x, 49, prediction)
    torch.testing.assert_close(plans[0.0][..., 1:], alone[..., 1:], rtol=1e-4, atol=rounding)


@pytest.mark.parametrize("solver", ["ddpm", "ddim", "dpm-solver++"])
def test_plans_begin_at_the_present_state(toy, solver):
    data = toy("ordered").collect(6)
    algorithm = prepared(data, 3, solver=solver, temperature=1.0)
    context = contexts(algorithm, data)
    plan = algorithm.plan(context, generator())
    assert plan.shape == (10, 8, 4)  # rows, both kinds of features of an observation, horizon
    assert torch.equal(plan[..., 0], context[:, :8])
    assert torch.equal(plan, algorithm.plan(context, generator()))
    assert not torch.equal(plan, algorithm.plan(context, generator(1)))


def test_returns_of_segments_and_their_quantiles(toy):
    data = toy("box").collect(5)
    algorithm = prepared(data, discount=0.9, target_quantile=0.5)
    found = [
        sum(0.9**k * data.rewards[e, t + k, i] for k in range(3))
        for e in range(5)
        for t in range(data.lengths[e] - 2)
        for i in range(6)
    ]
    nets = algorithm.acting
    mean, std = np.mean(found), np.std(found)
    torch.testing.assert_close(nets.return_stats, torch.tensor([mean, std]).float())
    median = nets.return_quantiles[10].item() * std + mean
    assert median == pytest.approx(np.median(found), rel=1e-5)
    sampler = WindowSampler(data, 3, 1)
    whole = algorithm.segments(sampler.windows(np.array([1]), np.array([4])), generator())
    by_hand = sum(0.9**k * data.rewards[1, 4 + k] for k in range(3))
    standardised = (np.sort(by_hand) - mean) / std
    np.testing.assert_allclose(np.sort(whole.returns[:, 0]), standardised, rtol=1e-4)
    with pytest.raises(ValueError, match="use a horizon of at most 21"):
        prepared(data, horizon=30)


def test_returns_are_hidden_at_random_and_where_segments_are_cut(toy):
    data = toy("box").collect(8)
    algorithm = prepared(data, return_dropout=0.25, sequences=6 * 400)
    segments = algorithm.segments(batch_of(algorithm, data, size=400), generator())
    full = segments.steps.all(1)
    assert not full.all()
    assert (segments.known[:, 0] == full).all()
    shown = []

    def denoise(x, t, context, outlook):
        shown.append((outlook != 0).any(1))
        return 0 * x

    algorithm.nets.denoise = denoise
    algorithm.diffusion_loss(algorithm.nets, segments, generator())
    assert not shown[0][~full].any()
    assert shown[0][full].float().mean().item() == pytest.approx(0.75, abs=0.04)


def test_outlook_learns_the_quantiles_that_follow_from_a_state(toy):
    """Returns uniform in [c, c + 1] for states that show c have the quantiles c + share."""
    data = toy("box").collect(4)
    algorithm = prepared(data, mean_field=False)
    nets, optimizer = algorithm.nets, torch.optim.Adam(algorithm.nets.outlook.parameters(), 3e-3)
    noise = generator()
    base = algorithm.segments(batch_of(algorithm, data), noise)
    for _ in range(400):
        c = torch.randint(2, (256, 1), generator=noise).float()
        y = c + torch.rand(256, 1, generator=noise)
        case = replace(
            base, context=c.expand(-1, nets.width) - 0.5, returns=y, known=torch.ones(256, 1)
        )
        optimizer.zero_grad()
        algorithm.outlook_loss(algorithm.nets, case).backward()
        optimizer.step()
    with torch.no_grad():
        grid = nets.outlook(torch.tensor([[-0.5], [0.5]]).expand(-1, nets.width))
    expected = torch.stack([nets.shares, nets.shares + 1.0])
    torch.testing.assert_close(grid, expected, rtol=0, atol=0.12)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_ignore_padding(toy, kind):
    data = toy(kind).collect(8)
    algorithm = prepared(data)
    sampler = WindowSampler(data, 3, 1)
    segments = algorithm.segments(sampler.windows(np.array([0]), np.array([18])), generator())
    assert segments.steps[0].tolist() == [1.0, 1.0, 0.0]
    changed = segments.states.clone()
    changed[:, 3] += 7.0
    other = replace(segments, states=changed)
    one, two = (algorithm.inverse_loss(algorithm.nets, s, generator()) for s in (segments, other))
    assert torch.equal(one, two)
    # The denoiser sees all positions, so only the errors of padded ones may not count.
    seen = []

    def denoise(x, t, context, outlook):
        seen.append(x)
        return torch.zeros_like(x)

    algorithm.nets.denoise = denoise
    weights = torch.tensor([5.0, 1.0])
    loss = algorithm.diffusion_loss(algorithm.nets, segments, generator())
    errors = (segments.states[:, 1:3] ** 2).mean(-1) * weights
    torch.testing.assert_close(loss, errors.sum() / (6 * weights.sum()))
    assert torch.equal(seen[0][..., 0], segments.states[:, 0])


def test_asking_for_more_return_gets_more(toy):
    """Half of the teams act well, half at random; plans follow the return that is asked for."""
    task = toy("box")
    good, bad = task.collect(24), task.collect(24, seed=1, behaviour=Behaviour("random"))
    names = [name for name in vars(good) if name != "spec"]
    both = {name: np.concatenate([getattr(good, name), getattr(bad, name)]) for name in names}
    algorithm = prepared(replace(good, **both), 400, learning_rate=3e-3)
    for target in ("state", "data"):
        scores = []
        for share in (0.05, 0.9):
            algorithm.reconfigure(target=target, target_quantile=share)
            scores.append(task.score(algorithm))
        assert scores[1] > scores[0] + 0.1 * (task.score("expert") - task.score("random")), target


@pytest.mark.parametrize("kind", KINDS)
def test_approaches_the_policy_of_the_data(toy, kind):
    task = toy(kind)
    algorithm = prepared(task.collect(32), 200, learning_rate=3e-3)
    random, expert = task.score("random"), task.score("expert")
    assert task.score(algorithm) > random + 0.6 * (expert - random)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"horizon": 5}, "horizon must be a multiple of 2 .* got 5"),
        ({"dim": 12}, "multiple of 8"),
        ({"steps": 51}, "steps must be at most train_steps=50, got 51"),
        ({"return_dropout": 1.5}, "return_dropout .* got 1.5"),
        ({"target": "best"}, "target .* got 'best'"),
        ({"solver": "euler"}, "solver .* got 'euler'"),
    ],
)
def test_bad_configs_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        make_config("ma-dd", values)
