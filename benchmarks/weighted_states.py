"""What weights by episode leave of the rare states of RB's expert data.

    python benchmarks/weighted_states.py [--beta 2] [--backlog 100]

Prints the correlation of an episode's advantage with its arrivals, and the share of states in which
a cluster's backlog is above a limit: in the data, and as drawn with the weights.
"""

from __future__ import annotations

import argparse

import numpy as np

from networld_algos import load_episodes
from networld_algos.data.behaviour import episode_advantages, episode_weights
from networld_envs.rb.task import OBSERVATION


def main() -> None:
    """Print the three numbers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--beta", type=float, default=2.0)
    parser.add_argument("--backlog", type=float, default=100.0, help="packets")
    args = parser.parse_args()
    episodes = load_episodes("networld/rb/expert-v0", "rb")
    columns = {name: episodes.obs[..., k] for k, name in enumerate(OBSERVATION)}
    arrivals = columns["arrivals"][:, 1:].mean((1, 2), dtype=np.float64)
    rare = (columns["cluster_backlog"] > args.backlog).mean((1, 2))
    weights = episode_weights(episodes, args.beta)
    correlation = np.corrcoef(episode_advantages(episodes), arrivals)[0, 1]
    print(f"correlation of advantages and arrivals: {correlation:.2f}")
    print(f"states with a backlog above {args.backlog:g}: {rare.mean():.3%} of the data")
    print(f"with weights of beta {args.beta:g}: {np.average(rare, weights=weights):.4%}")


if __name__ == "__main__":
    main()
