"""Score of the true next latent, read through a trained NetWorld's inverse dynamics.

    python benchmarks/ceiling.py TASK MODEL... [--networks 64]

In each step the expert's actions are tried in a copy of the simulator. The observations that follow
are encoded, inverse dynamics reads the actions out of both latents, and these are what is done. So
the score is a ceiling of what any forecast of the next latent can reach with this model. Scores are
normalised (random 0, expert 100), on validation networks. The expert sees more than an agent does.
"""

from __future__ import annotations

import argparse
import copy
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from networld_algos import load
from networld_algos.networld.algorithm import NetWorld
from networld_algos.results.networks import failed_share, relative_scores
from networld_algos.training.cpu import configure_cpu
from networld_envs.policies import get_policy
from networld_envs.policies.base import policy_actions
from networld_envs.policies.references import VALIDATION_SEED, reference_rewards
from networld_envs.simulator import MAX_CYCLES, Simulator, make_params
from networld_envs.spec import Stream


@torch.no_grad()
def rewards(model: NetWorld, task: str, seeds: range) -> np.ndarray:
    """Mean reward per agent and step ``(K,)`` of the actions that inverse dynamics reads."""
    params = make_params(task)
    sim = Simulator(task, params, len(seeds), MAX_CYCLES)
    expert = get_policy(task, "expert", params)
    sim.seed(seeds)
    rngs = [np.random.default_rng([seed, Stream.BEHAVIOUR]) for seed in seeds]
    own, generator = model.acting.task(task), torch.Generator().manual_seed(0)
    obs, earned = sim.reset(), []
    for step in range(sim.max_cycles):
        ahead = copy.deepcopy(sim).step(policy_actions(expert, sim, obs, rngs, step)).obs
        z, z_next = (own.look(torch.as_tensor(seen)).z for seen in (obs, ahead))
        logits = own.action_logits(z, z_next)
        actions = own.head.decode(logits, model.config.decode, 1.0, generator).numpy()
        outcome = sim.step(sim.check_actions(actions))
        obs = outcome.obs
        earned.append(outcome.rewards.mean(axis=1, dtype=np.float64))
    return np.mean(earned, axis=0)


def main() -> None:
    """Print the score of each model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("task")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--networks", type=int, default=64, help="of validation")
    args = parser.parse_args()
    configure_cpu()
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + args.networks)
    ends = [reference_rewards(args.task, name, seeds) for name in ("random", "expert")]
    for path in args.models:
        model, _ = load(path, args.task)
        assert isinstance(model, NetWorld)
        score = relative_scores([rewards(model, args.task, seeds)], *ends)[0]
        print(f"{args.task} {path.name}: {score.mean():.1f}, {failed_share([score]):.1%} below 50")


if __name__ == "__main__":
    main()
