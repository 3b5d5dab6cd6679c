"""How much of what NetWorld's classifier prefers among plans is due to the action.

    python benchmarks/plan_variance.py MODEL DATASET [--states 64] [--plans 64]

From each of some held-out states, many plans are drawn without guidance. The classifier scores each
plan, and inverse dynamics says which action it implies. Within each state, the scores are regressed
on the implied action (linear and square terms of every column). The share of variance that the
action explains is what guidance can use. The rest is luck: things that happen whatever the agent
does. The share is corrected for the number of regressors (adjusted R squared).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from networld_algos import load, load_episodes
from networld_algos.networld.algorithm import NetWorld
from networld_algos.networld.planning import plan


def explained(scores: np.ndarray, actions: np.ndarray) -> float:
    """Adjusted share of the variance of scores ``(K,)`` explained by actions ``(K, A)``."""
    columns = actions[:, actions.std(axis=0) > 1e-9]
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    design = np.column_stack([np.ones(len(scores)), scaled, scaled**2])
    fitted = design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    rows, used = len(scores), np.linalg.matrix_rank(design)
    unexplained = ((scores - fitted) ** 2).sum() / max(rows - used, 1)
    return 1.0 - unexplained / scores.var(ddof=1)


@torch.no_grad()
def main() -> None:
    """Print the share for the first step of plans, averaged over states."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("dataset")
    parser.add_argument("--states", type=int, default=64)
    parser.add_argument("--plans", type=int, default=64)
    args = parser.parse_args()
    model, _ = load(args.model)
    assert isinstance(model, NetWorld)
    episodes = load_episodes(args.dataset)
    task, nets = episodes.spec.task, model.acting
    own = nets.task(task)
    assert nets.shared.classifier is not None
    model.reconfigure(guidance="none", deviation=1.0, temperature=1.0)
    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    shares, spreads = [], []
    for episode in rng.choice(len(episodes), args.states):
        step, agent = rng.integers(episodes.lengths[episode]), rng.integers(episodes.obs.shape[2])
        obs = torch.as_tensor(episodes.obs[episode, step])
        looks = own.look(obs)
        table = torch.as_tensor(episodes.neighbours[episode]).long()
        combined, present = own.received(looks, table)
        m = own.standard_message(combined, present)
        rows = (v[agent].expand(args.plans, -1) for v in (looks.z, m, present))
        now, mean, seen = rows
        segment, _ = plan(nets, model.config, task, now, mean, seen, generator)
        logits = nets.shared.classify(segment, torch.tensor([0]), seen, task)
        scores = own.returns.score(logits).double().numpy()
        implied = own.action_logits(now, segment[:, : model.config.latent, 1])
        actions = own.head.decode(implied, "expectation", 1.0, generator)
        actions = actions.reshape(args.plans, -1).double().numpy()
        spreads.append(scores.std())
        shares.append(explained(scores, actions) if actions.std(axis=0).max() > 1e-9 else 0.0)
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    print(
        f"{task}: the action explains {100 * np.mean(shares):.0f}% (standard error "
        f"{100 * error:.0f}) of the variance of the classifier between plans of one state, "
        f"whose standard deviation is {np.mean(spreads):.4f} on its scale of 0 to 1"
    )


if __name__ == "__main__":
    main()
