from __future__ import annotations

import math

import pytest
import torch

from networld_algos.nn.diffusion import SOLVERS, CosineSchedule, sample
from networld_algos.nn.unet import MLPDenoiser, ReturnClassifier, TemporalUNet

MEAN, STD = 1.5, 0.5


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(schedule):
    """The exact denoiser of x_0 ~ N(MEAN, STD^2)."""

    def denoise(x, t):
        ab = schedule.levels[t]
        gain = math.sqrt(ab) * STD**2 / (ab * STD**2 + 1 - ab)
        return MEAN + gain * (x - math.sqrt(ab) * MEAN)

    return denoise


def ode_solution(schedule, x):
    """Where the probability-flow ODE takes x from the last step to the first one."""
    begin, end = schedule.levels[-1], schedule.levels[0]
    scale = [math.sqrt(ab * STD**2 + 1 - ab) for ab in (begin, end)]
    x = math.sqrt(end) * MEAN + scale[1] / scale[0] * (x - math.sqrt(begin) * MEAN)
    return gaussian(schedule)(x, 0)


def draw(schedule, solver, steps, rows=4000, **options):
    return sample(
        gaussian(schedule), schedule, (rows, 1, 2),
        steps=steps, solver=solver, generator=generator(), **options,
    )  # fmt: skip


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_reaches_the_gaussian(solver):
    x = draw(CosineSchedule(1000), solver, 200)
    torch.testing.assert_close(x.mean(), torch.tensor(MEAN), atol=0.02, rtol=0)
    torch.testing.assert_close(x.std(), torch.tensor(STD), atol=0.02, rtol=0)


def test_deterministic_solvers_converge_to_the_ode_and_second_order_is_better():
    schedule = CosineSchedule(1000)
    noise = torch.randn(200, 1, 2, generator=generator())
    exact = ode_solution(schedule, noise)

    def error(solver, steps):
        x = draw(schedule, solver, steps, rows=200)
        return (x - exact).abs().mean().item()

    for solver in ("ddim", "dpm-solver++"):
        assert error(solver, 200) < 0.5 * error(solver, 20)
    assert error("dpm-solver++", 100) < 0.5 * error("ddim", 100)


def test_temperature_cools():
    x = draw(CosineSchedule(1000), "ddim", 100, temperature=0.5)
    torch.testing.assert_close(x.std(), torch.tensor(0.5 * STD), atol=0.02, rtol=0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_clamped_position_is_exact_at_every_call_and_guidance_moves_the_rest(solver):
    schedule = CosineSchedule(50)
    clamp = torch.full((64, 1), 9.0)
    exact, seen = gaussian(schedule), []

    def denoise(x, t):
        seen.append(x[..., 0].clone())
        return exact(x, t)

    def pull(weight):
        return sample(
            denoise, schedule, (64, 1, 3), steps=10, solver=solver, generator=generator(),
            clamp=clamp, guidance=lambda x, t: torch.full_like(x, 7.0), guidance_weight=weight,
        )  # fmt: skip

    still, moved = pull(0.0), pull(0.5)
    assert torch.equal(moved[..., 0], clamp)
    assert all(torch.equal(x, clamp) for x in seen)
    assert (moved[..., 1:] > still[..., 1:]).all()


def test_last_steps_are_not_guided():
    schedule, calls = CosineSchedule(50), []

    def guidance(x, t):
        calls.append(t)
        return torch.ones_like(x)

    draw(schedule, "ddim", 5, rows=2, guidance=guidance, guidance_weight=1.0)
    assert calls == schedule.grid(5)[:3]
    assert schedule.grid(5)[0] == 49
    assert schedule.grid(5)[-1] == 0


def test_guidance_has_unit_norm_whatever_its_scale():
    schedule = CosineSchedule(50)
    results = [
        draw(schedule, "ddim", 5, rows=8, guidance=lambda x, t, s=s: s * x, guidance_weight=0.3)
        for s in (1e-6, 1.0, 1e6)
    ]
    torch.testing.assert_close(results[0], results[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(results[1], results[2], atol=1e-4, rtol=1e-4)


def test_schedule_and_epsilon_agree():
    schedule = CosineSchedule(50)
    x, noise = torch.randn(40, 2, 3), torch.randn(40, 2, 3)
    assert all(a > b for a, b in zip(schedule.levels, schedule.levels[1:], strict=False))
    for t in (0, 20, 40):
        noised = schedule.corrupt(x, torch.full((40,), t), noise)
        back = schedule.to_x0(noise, noised, t, "epsilon")
        torch.testing.assert_close(back, x, atol=1e-3, rtol=1e-3)


def test_training_steps_skew_to_high_noise():
    schedule = CosineSchedule(50)
    even, skewed = (schedule.draw(20_000, skew, generator()).float() for skew in (1.0, 2.0))
    assert abs(even.mean().item() - 24.5) < 0.5
    assert abs(skewed.mean().item() - 49 * 2 / 3) < 0.7
    assert even.min() == 0
    assert even.max() == 49


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 0}, "got 0"), ({"steps": 51}, "got 51"), ({"solver": "euler"}, "got 'euler'")],
)
def test_bad_sampler_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        draw(CosineSchedule(50), **{"solver": "ddim", "steps": 5, **options})


def test_networks_keep_rows_apart_and_shapes():
    task, present = torch.randn(16), torch.ones(5, 1, 8)
    x = torch.cat([torch.randn(5, 6, 8), present], dim=1)
    t = torch.tensor([7])
    nets = [
        TemporalUNet(6, 1, 16, (1, 2, 4), 2),
        MLPDenoiser(6, 1, 8, 16, 64, 2),
        ReturnClassifier(7, 8, 16, (1, 2), 1, 21),
    ]
    for net in nets:
        torch.nn.init.normal_(list(net.parameters())[-2], std=0.1)  # the classifier starts at 0
        net.requires_grad_(False)  # otherwise frozen changes nothing
        for frozen in (False, True):
            out = net(x, t, task, frozen=frozen)
            assert out.shape == ((5, 21) if isinstance(net, ReturnClassifier) else (5, 6, 8))
            other = x.clone()
            other[3] += 1.0
            changed = (net(other, t, task, frozen=frozen) != out).flatten(1).any(1)
            assert changed.tolist() == [False, False, False, True, False]
        torch.testing.assert_close(net(x, t, task), net(x, t, task, frozen=True))
