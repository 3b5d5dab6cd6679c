"""Score against episodes collected online, in a deployment that is not that of the data.

    python benchmarks/online.py TASK MODEL... [--preset P] [--episodes 0 8 16 32] [--json FILE]

Each MODEL is a trained model with a critic of its own, such as MA-IQL or NetWorld with
``--config.weighting advantage``, one per training seed. Scores are on validation networks of the
deployment; random is 0 and the expert 100. ``collected`` is the score that the collecting itself
had, exploration included: what a network pays for learning. The gain over the model as it was is
paired by model and network, and its interval counts how both vary.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from networld_algos import evaluate, load, load_episodes
from networld_algos.results.stats import normalised_score, paired_interval
from networld_algos.training.cpu import configure_cpu
from networld_algos.training.online import Known, OnlineConfig, adapt_online
from networld_envs.policies.references import VALIDATION_SEED, reference_rewards


def main() -> None:
    """Print the curve, one line per number of episodes and model, and gains."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("task")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--preset", default="default", help="deployment")
    parser.add_argument("--dataset", help="offline data; by default the task's expert data")
    parser.add_argument("--offline", type=int, default=100, help="episodes of the offline data")
    parser.add_argument(
        "--episodes", type=int, nargs="+", default=[0, 8, 16, 32], help="collected episodes"
    )
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

    def normalised(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        return normalised_score(rewards, *ends)

    dataset = args.dataset or f"networld/{args.task}/expert-v0"
    offline = load_episodes(dataset, args.task, episodes=args.offline)
    known = Known(offline)
    loaded = [load(path, args.task) for path in args.models]
    rows = []
    scores: dict[int, list[NDArray[np.float64]]] = {}
    for count in args.episodes:
        for seed, (model, extra) in enumerate(loaded):
            row = {"task": args.task, "preset": args.preset, "algorithm": model.name}
            row |= {"trained_on": extra.get("dataset"), "offline": dataset, "episodes": count}
            row |= {"seed": seed, "networks": args.networks, "exploration": args.exploration}
            acting = model
            if count:
                config = OnlineConfig(
                    episodes=count, updates=args.updates * count, exploration=args.exploration
                )
                adapted = adapt_online(
                    model, args.task, config, known, offline=offline, seed=seed, preset=args.preset
                )
                acting = adapted.model
                earned = normalised(np.concatenate(adapted.rewards))
                row |= {"updates": config.updates, "kept": adapted.kept}
                row |= {"unknown": float(np.mean(adapted.unknown))}
                row |= {"collected": float(earned.mean())}
            found = evaluate(acting, args.task, networks, preset=args.preset).episode_rewards
            scores.setdefault(count, []).append(normalised(found))
            row["score"] = float(scores[count][-1].mean())
            rows.append(row)
            print(json.dumps(row), flush=True)
        if 0 in scores and count:
            gain = paired_interval(scores[count], scores[0], np.random.default_rng(0))
            print(f"gain of {count} episodes: {gain.value:.1f} [{gain.low:.1f}, {gain.high:.1f}]")
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
