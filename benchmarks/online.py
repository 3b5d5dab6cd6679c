"""Score against episodes collected online, in a deployment that is not that of the data.

    python benchmarks/online.py TASK MODEL [--preset P] [--episodes 0 8 16 32] [--json FILE]

MODEL is a trained model with a critic of its own, such as MA-IQL or NetWorld with
``--config.weighting advantage``. Scores are on validation networks of the deployment; random is 0
and the expert 100. ``collected`` is the score that the collecting itself had, exploration included:
what a network pays for learning.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from networld_algos import evaluate, load, load_episodes
from networld_algos.training.cpu import configure_cpu
from networld_algos.training.online import Known, OnlineConfig, adapt_online
from networld_envs.policies.references import VALIDATION_SEED, reference_rewards


def main() -> None:
    """Print the curve, one line per number of episodes and seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("task")
    parser.add_argument("model", type=Path)
    parser.add_argument("--preset", default="default", help="deployment")
    parser.add_argument("--dataset", help="offline data; by default the task's expert data")
    parser.add_argument("--episodes", type=int, nargs="+", default=[0, 8, 16, 32])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--updates", type=int, default=20, help="per collected episode")
    parser.add_argument("--exploration", type=float, default=0.1)
    parser.add_argument("--networks", type=int, default=32, help="of validation")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    configure_cpu()
    networks = range(VALIDATION_SEED, VALIDATION_SEED + args.networks)
    ends = [
        reference_rewards(args.task, policy, networks, preset=args.preset).mean()
        for policy in ("random", "expert")
    ]

    def normalised(reward: float) -> float:
        return float(100 * (reward - ends[0]) / (ends[1] - ends[0]))

    model, extra = load(args.model, args.task)
    dataset = args.dataset or f"networld/{args.task}/expert-v0"
    offline = load_episodes(dataset, args.task, episodes=100)
    known = Known(offline)
    rows = []
    for count in args.episodes:
        for seed in range(args.seeds if count else 1):
            row = {"task": args.task, "preset": args.preset, "algorithm": model.name}
            row |= {"trained_on": extra.get("dataset"), "offline": dataset, "episodes": count}
            row |= {"seed": seed, "networks": args.networks, "exploration": args.exploration}
            acting = model
            if count:
                config = OnlineConfig(
                    episodes=count, updates=args.updates * count, exploration=args.exploration
                )
                found = adapt_online(
                    model, args.task, config, known, offline=offline, seed=seed, preset=args.preset
                )
                acting = found.model
                earned = np.concatenate(found.rewards).mean()
                row |= {"updates": config.updates, "kept": found.kept}
                row |= {"unknown": float(np.mean(found.unknown)), "collected": normalised(earned)}
            row["score"] = normalised(
                evaluate(acting, args.task, networks, preset=args.preset).mean
            )
            rows.append(row)
            print(json.dumps(row), flush=True)
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
