"""Decisions by plans, by controls of plans, and by plans that a critic judges.

    python benchmarks/plan_controls.py TASK [--quality mixed] [--updates 1500] [--seeds 0 1]

Trains NetWorld with a noise model (the suite `cpu`'s settings for plans and for the data), and
scores decisions of the same model on validation networks:

* the forecast, whole plans with and without guidance, and plans without noise;
* controls: the forecast plus Gaussian noise with the plans' own standard deviation, and the noise
  model's mean from pure zeros, which is a second regression pass;
* candidates weighted by ``softmax(lambda Q)``: each of K plans is read through inverse dynamics,
  and Q judges the action; lambda 0 is the mean of the plans;
* a few steps of ascent on Q from the forecast, through inverse dynamics, within a radius.

The critic is an ensemble of two two-hot networks ``Q(z, m, a)`` on the frozen representation,
trained on all transitions of a batch: on the next reward, or, where the settings of the data look
further ahead, bootstrapped from ``V``, an expectile of Q as in IQL (Kostrikov et al., 2022).
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networld_algos import evaluate, load_episodes, make
from networld_algos.bench.preset_entries import PLAN
from networld_algos.bench.presets import get_suite
from networld_algos.bench.tuned import main_entry
from networld_algos.data.episodes import HOLDOUT, Episodes
from networld_algos.files import write_text
from networld_algos.networld import planning
from networld_algos.networld.algorithm import NetWorld
from networld_algos.networld.segments import Transitions, draw_segments
from networld_algos.nn.layers import gated
from networld_algos.nn.optim import cosine_decay
from networld_algos.nn.twohot import TwoHot
from networld_algos.results.networks import failed_share, relative_scores
from networld_algos.training.cpu import configure_cpu
from networld_algos.training.train import make_samplers, train
from networld_envs.policies.references import VALIDATION_SEED, reference_rewards

BINS = 51
EXPECTILE = 0.7
CANDIDATES = 16
ASCENT_STEPS = 3

Plan = Callable[..., tuple[Tensor, Tensor]]


class Critic(nn.Module):
    """Q and V of one task on the frozen representation of a trained NetWorld.

    Args:
        model: The trained model.
        episodes: What it was trained on.
    """

    def __init__(self, model: NetWorld, episodes: Episodes) -> None:
        super().__init__()
        self.model, self.config, self.task = model, model.config, episodes.spec.task
        self.own = model.acting.task(self.task)
        spec, self.kind = episodes.spec, episodes.spec.action_kind
        self.code = spec.action_dim if self.kind == "box" else spec.num_choices
        low, high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
        self.low, self.span = low, high - low
        rows = 2 * self.config.latent + 1
        networks = [gated(rows + self.code, 128, 2).append(nn.Linear(128, BINS)) for _ in range(2)]
        self.q = nn.ModuleList(networks)
        self.slow = copy.deepcopy(self.q)
        self.v = gated(rows, 128, 2).append(nn.Linear(128, 1))
        self.bins = TwoHot(1, BINS)

    def coded(self, actions: Tensor) -> Tensor:
        """Actions as columns of an input: in [-1, 1], or one per choice."""
        if self.kind == "box":
            return 2 * (actions - self.low) / self.span - 1
        return F.one_hot(actions, self.code).float()

    def implied(self, z: Tensor, z_next: Tensor) -> Tensor:
        """The action that leads from one latent to the next, coded; differentiable."""
        logits = self.own.action_logits(z, z_next)
        if self.kind != "box":
            return logits.squeeze(-2).softmax(-1)
        return self.coded(self.own.head.twohot.expectation(logits.softmax(-1)).float())

    def values(self, networks: nn.ModuleList, x: Tensor, coded: Tensor) -> Tensor:
        """Q of both networks ``(2, rows)``, in deviations of the reward."""
        inputs = torch.cat([x, coded], -1)
        centres = self.bins.centres[0].float()
        return torch.stack([(net(inputs).softmax(-1) * centres).sum(-1) for net in networks])

    def judge(self, x: Tensor, coded: Tensor) -> Tensor:
        """The lower of both slow estimates ``(rows,)``."""
        return self.values(self.slow, x, coded).amin(0)

    def inputs(self, z: Tensor, combined: Tensor, present: Tensor) -> Tensor:
        """``[z; m; present]``, standardised."""
        return torch.cat([z, self.own.standard_message(combined, present), present], -1)

    def fit(self, episodes: Episodes, updates: int, seed: int) -> dict[str, float]:
        """Train; returns what is left of the variance of Q's targets, and that variance."""
        sampler = make_samplers(self.model, [episodes])[0]
        generator = torch.Generator().manual_seed(seed)
        rewards = torch.cat(
            [self._draw(sampler, i, seed, generator).rewards[:, 0] for i in range(20)]
        )
        mean, deviation = rewards.mean(), rewards.std()
        far = 6.0 if self.config.discount else 1.0
        ends = torch.quantile((rewards - mean) / deviation, torch.tensor([0.001, 0.999])) * far
        self.bins.set_range(ends[:1], ends[1:])
        optimizer = torch.optim.Adam([*self.q.parameters(), *self.v.parameters()], 1e-3)
        left = []
        for update in range(updates):
            data = self._draw(sampler, update, seed, generator)
            with torch.no_grad():
                x = self.inputs(data.z, data.combined, data.present)
                ahead = self.inputs(data.z_last, data.combined_last, data.present)
                target = (data.rewards[:, 0] - mean) / deviation
                alive = 1.0 - data.terminated
                target = target + self.config.discount * alive * self.v(ahead).squeeze(-1)
                known = self.judge(x, self.coded(data.actions))
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * cosine_decay(update, updates)
            error = known - self.v(x).squeeze(-1)
            loss = (torch.where(error < 0, 1 - EXPECTILE, EXPECTILE) * error**2).mean()
            inputs = torch.cat([x, self.coded(data.actions)], -1)
            for net in self.q:
                loss = loss + self.bins.loss(net(inputs)[:, None], target[:, None]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(self.slow.parameters()), list(self.q.parameters()), 0.01)
                fitted = self.values(self.q, x, self.coded(data.actions)).mean(0)
            left.append((float(((fitted - target) ** 2).mean()), float(target.var())))
        error, variance = np.mean(left[-200:], 0)
        return {
            "critic_error": round(float(error), 3),
            "critic_variance": round(float(variance), 3),
        }

    @torch.no_grad()
    def _draw(
        self, sampler: Any, update: int, seed: int, generator: torch.Generator
    ) -> Transitions:
        batch = sampler.sample(np.random.default_rng([seed, update, 7]))
        return draw_segments(self.own, self.config, batch, generator).transitions


def one_step(
    nets: Any, config: Any, task: str, z: Tensor, m: Tensor, present: Tensor, _: Any
) -> Any:
    """The noise model's mean from pure zeros: a second regression pass."""
    shared = nets.shared
    ahead = shared.forecast(z, m, present, task)
    clamp = torch.cat([z, m], -1) if shared.context else z
    x = torch.zeros(len(z), shared.channels, config.horizon)
    x[..., 0] = clamp
    last = shared.schedule.train_steps - 1
    output = shared.denoise(x, torch.tensor([last]), present, ahead, task)
    return shared.schedule.to_x0(output, x, last, config.prediction), ahead


def gaussian(*args: Any) -> tuple[Tensor, Tensor]:
    """The forecast plus noise of the deviation that the plans of all rows have, per latent."""
    segment, ahead = planning.plan(*args)
    d = ahead.shape[1]
    deviation = (segment[:, :d, 1] - ahead).std(0)
    noise = torch.randn(ahead.shape, generator=args[-1])
    return torch.stack([args[3], ahead + deviation * noise], -1), ahead


def judged(critic: Critic, strength: float) -> Plan:
    """The mean of candidate plans, weighted by ``softmax(strength Q)``."""

    def decide(nets: Any, config: Any, task: str, *rest: Any) -> tuple[Tensor, Tensor]:
        *rows, generator = rest
        z, m, present = (v.repeat_interleave(CANDIDATES, 0) for v in rows)
        segment, ahead = planning.plan(nets, config, task, z, m, present, generator)
        ahead = ahead[::CANDIDATES]
        found = segment[:, : config.latent, 1]
        q = critic.judge(torch.cat([z, m, present], -1), critic.implied(z, found))
        weight = (strength * q.view(-1, CANDIDATES)).softmax(-1)
        mean = (weight[..., None] * found.view(-1, CANDIDATES, config.latent)).sum(1)
        return torch.stack([rows[0], mean], -1), ahead

    return decide


def ascent(critic: Critic, radius: float) -> Plan:
    """A few steps from the forecast along the gradient of Q through inverse dynamics."""

    def decide(nets: Any, config: Any, task: str, z: Tensor, m: Tensor, *rest: Any) -> Any:
        present = rest[0]
        ahead = nets.shared.forecast(z, m, present, task)
        x, found = torch.cat([z, m, present], -1), ahead
        for _ in range(ASCENT_STEPS):
            with torch.enable_grad():
                point = found.detach().requires_grad_(True)
                q = critic.judge(x, critic.implied(z, point)).sum()
                slope = torch.autograd.grad(q, point)[0]
            slope = slope / slope.norm(dim=-1, keepdim=True).clamp(min=1e-8)
            found = found + radius / ASCENT_STEPS * slope
        return torch.stack([z, found], -1), ahead

    return decide


def decisions(critic: Critic) -> dict[str, tuple[dict[str, Any], Plan]]:
    """Ways to decide: settings, and what takes the place of `planning.plan`."""
    whole = {"deviation": 1.0, "guidance": "gradient", "temperature": 1.0}
    free = {**whole, "guidance": "none"}
    found: dict[str, tuple[dict[str, Any], Plan]] = {
        "forecast": ({**whole, "deviation": 0.0}, planning.plan),
        "plan": (whole, planning.plan),
        "plan, a tenth of it": ({**whole, "deviation": 0.1}, planning.plan),
        "plan, no guidance": (free, planning.plan),
        "plan, temperature 0": ({**whole, "temperature": 0.0}, planning.plan),
        "one step from zeros": (free, one_step),
        "forecast with Gaussian noise": (free, gaussian),
    }
    for strength in (0.0, 1.0, 3.0, 10.0):
        found[f"{CANDIDATES} plans, lambda {strength:g}"] = (free, judged(critic, strength))
    for radius in (0.1, 0.3, 1.0):
        found[f"ascent within {radius:g}"] = (free, ascent(critic, radius))
    return found


def study(task: str, quality: str, updates: int, seed: int, networks: int) -> list[dict[str, Any]]:
    """Train a model and a critic, and score every decision."""
    episodes = load_episodes(f"networld/{task}/{quality}-v0", task).split(HOLDOUT, seed)[0]
    entry = main_entry(get_suite("cpu").entries, "networld")
    settings = {**entry.values_on(task, quality), **PLAN, "act_by": "inverse"}
    model = make("networld", episodes.spec, settings, seed=seed)
    assert isinstance(model, NetWorld)
    model.prepare(episodes, updates)
    train(model, [episodes], updates, seed)
    torch.manual_seed(seed)
    critic = Critic(model, episodes)
    about = critic.fit(episodes, updates, seed)
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + networks)
    ends = [reference_rewards(task, name, seeds) for name in ("random", "expert")]
    rows = []
    for name, (changes, how) in decisions(critic).items():
        model.reconfigure(**changes)
        with mock.patch("networld_algos.networld.algorithm.plan", how):
            rewards = evaluate(model, task, seeds).episode_rewards
        score = relative_scores([rewards], *ends)[0]
        row = {"task": task, "quality": quality, "updates": updates, "seed": seed}
        row |= {"networks": networks, "decision": name, "score": round(float(score.mean()), 2)}
        rows.append({**row, "failed": round(failed_share([score]), 3), **about})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Print one line per decision and seed, and add them to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("task")
    parser.add_argument("--quality", default="mixed")
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--networks", type=int, default=64, help="of validation")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    configure_cpu()
    rows = []
    for seed in args.seeds:
        rows += study(args.task, args.quality, args.updates, seed, args.networks)
        if args.json is not None:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            write_text(args.json, "".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
