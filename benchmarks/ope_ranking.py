"""How well off-policy evaluation ranks policies, where the true scores are known.

For each task, policies from random to good are judged by the recorded data alone
(`networld_algos.training.ope`) and scored in the simulator. The reference policies of the task that
act on local information are among them, beside models that are trained here: ``bc``, the same
stopped early, ``ma-iql`` and ``networld``. Spearman's rank correlation with the true score says how
well each number ranks them.

    python benchmarks/ope_ranking.py --out benchmarks/results/ope
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from scipy.stats import spearmanr

from networld_algos.base import Algorithm
from networld_algos.data.batch import WindowSampler
from networld_algos.data.episodes import HOLDOUT, Episodes
from networld_algos.data.load import load_episodes
from networld_algos.registry import make
from networld_algos.training.cpu import configure_cpu
from networld_algos.training.evaluate import evaluate
from networld_algos.training.ope.config import OPEConfig
from networld_algos.training.ope.decisions import decide
from networld_algos.training.ope.judge import Decide, Judge
from networld_envs.policies import get_policy, task_policies
from networld_envs.policies.references import reference_rewards
from networld_envs.simulator import MAX_CYCLES, make_params
from networld_envs.spec import Stream

FIRST_SEED = 1_000


@dataclass(frozen=True)
class Options:
    """Options of the benchmark.

    Attributes:
        out: Folder for ``ranking.json`` and ``ranking.md``.
        tasks: Tasks.
        quality: Quality of the recorded data.
        episodes: Most episodes to fit on, and to measure on.
        scored: Simulated episodes of a true score.
        updates: Gradient steps of bc and ma-iql.
        early: Gradient steps of the bc that is stopped early.
        networld_updates: Gradient steps of networld.
        ope_updates: Gradient steps of each network of the evaluation.
        discount: Discount of the estimates.
        seed: Seed of everything.
    """

    out: Path = Path("benchmarks/results/ope")
    tasks: tuple[str, ...] = ("rb", "ns")
    quality: str = "mixed"
    episodes: int = 100
    scored: int = 32
    updates: int = 800
    early: int = 60
    networld_updates: int = 250
    ope_updates: int = 1_200
    discount: float = 0.95
    seed: int = 0


def trained(name: str, data: Episodes, updates: int, seed: int) -> Algorithm:
    """A model with the algorithm's default settings after some updates."""
    model = make(name, [data.spec], {}, seed=seed)
    model.prepare(data, updates)
    sampler = WindowSampler(data, model.window, model.batch_size)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    for _ in range(updates):
        model.update(sampler.sample(rng), generator)
    return model


def reference(task: str, name: str, seed: int) -> Decide:
    """What a reference policy would do at the observations of recorded episodes."""
    policy, params = get_policy(task, name), make_params(task)
    assert policy.local is not None
    local = policy.local

    def decisions(data: Episodes) -> NDArray[Any]:
        rngs = [np.random.default_rng([seed, k, Stream.BEHAVIOUR]) for k in range(len(data))]
        each = [
            local(params, np.ascontiguousarray(data.obs[:, t]), data.neighbours, rngs, t)
            for t in range(data.obs.shape[1])
        ]
        return np.stack(each, axis=1)

    return decisions


def rank_task(task: str, options: Options) -> dict[str, Any]:
    """Judge and score the policies of one task."""
    dataset = f"networld/{task}/{options.quality}-v0"
    train, held = load_episodes(dataset, task).split(HOLDOUT, options.seed)
    assert held is not None
    index = np.arange(options.episodes)
    fitted, measured = train.take(index[: len(train)]), held.take(index[: len(held)])
    config = OPEConfig(discount=options.discount, updates=options.ope_updates)
    judge = Judge(fitted, measured, config, options.seed)
    seeds = range(FIRST_SEED, FIRST_SEED + options.scored)
    rows = []

    def add(name: str, decisions: Decide, score: float) -> None:
        found = {q.name: [q.value, q.low, q.high] for q in judge.judge(decisions)}
        rows.append({"policy": name, "score": score, "judged": found})
        print(task, name, round(score, 3), {k: round(v[0], 3) for k, v in found.items()})

    params = make_params(task)
    for name, policy in task_policies(task).items():
        if policy.local is not None and policy.needs(params):
            score = float(reference_rewards(task, name, seeds, MAX_CYCLES).mean())
            add(name, reference(task, name, options.seed), score)
    for label, name, updates in (
        ("bc, stopped early", "bc", options.early),
        ("bc", "bc", options.updates),
        ("ma-iql", "ma-iql", options.updates),
        ("networld", "networld", options.networld_updates),
    ):
        model = trained(name, train, updates, options.seed)
        score = evaluate(model, task, seeds).mean
        add(label, lambda data, model=model: decide(model, data), score)
    names = list(rows[0]["judged"])
    scores = [row["score"] for row in rows]
    ranks = {}
    for name in names:
        values = [row["judged"][name][0] for row in rows]
        ranks[name] = float(spearmanr(scores, values).statistic)
    return {
        "task": task,
        "dataset": dataset,
        "fitted_episodes": len(fitted),
        "measured_episodes": len(measured),
        "recorded": judge.recorded(),
        "rank_correlation": ranks,
        "policies": sorted(rows, key=lambda row: row["score"]),
    }


def text(found: list[dict[str, Any]], options: Options) -> str:
    """The result as a page."""
    lines = [
        "# How well off-policy evaluation ranks policies",
        "",
        f"`python benchmarks/ope_ranking.py`: one seed, data of quality `{options.quality}`, "
        f"{options.updates} updates of bc and ma-iql ({options.early} of the one stopped early), "
        f"{options.networld_updates} of networld, {options.ope_updates} of each network of the "
        f"evaluation, discount {options.discount:g}, true scores from {options.scored} episodes. "
        "A rank correlation of few policies is a rough number.",
        "",
        "## Rank correlation with the true score",
        "",
        "| number | " + " | ".join(one["task"] for one in found) + " |",
        "|---|" + "---|" * len(found),
    ]
    for name in found[0]["rank_correlation"]:
        cells = [f"{one['rank_correlation'].get(name, float('nan')):+.2f}" for one in found]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for one in found:
        names = list(one["policies"][0]["judged"])
        lines += [
            "",
            f"## {one['task']}: `{one['dataset']}`, recorded policy {one['recorded']:.3f}",
            "",
            f"Fitted on {one['fitted_episodes']} episodes, measured on "
            f"{one['measured_episodes']} others.",
            "",
            "| policy | true score | " + " | ".join(names) + " |",
            "|---|---|" + "---|" * len(names),
        ]
        for row in one["policies"]:
            cells = ["{:.3g} [{:.3g}, {:.3g}]".format(*row["judged"][name]) for name in names]
            lines.append(f"| {row['policy']} | {row['score']:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(options: Options) -> None:
    """Run the benchmark."""
    configure_cpu()
    found = [rank_task(task, options) for task in options.tasks]
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    content = {"options": settings, "tasks": found}
    (options.out / "ranking.json").write_text(json.dumps(content, indent=1) + "\n")
    (options.out / "ranking.md").write_text(text(found, options))


if __name__ == "__main__":
    main(tyro.cli(Options))
