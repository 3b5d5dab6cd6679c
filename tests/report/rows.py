"""Result rows for tests of reports, made up without a simulator."""

from dataclasses import replace

import numpy as np

from networld_algos.report import summary
from networld_algos.results.rows import Row
from networld_algos.results.stats import Interval, Method

REFERENCES = {
    "cbf": {
        "random": ("random", 2.81),
        "mrt": ("heuristic", 4.56),
        "slnr": ("heuristic", 6.12),
        "expert": ("expert", 6.71),
        "genie": ("genie", 7.46),
    },
    "rb": {
        "random": ("random", -2.77),
        "hard": ("static", -3.04),
        "backlog": ("heuristic", -2.28),
        "capped": ("static", -1.25),
        "expert": ("expert", -0.47),
        "genie": ("genie", -0.39),
    },
    "ns": {
        "random": ("random", 0.819),
        "demand": ("heuristic", 0.903),
        "hard": ("static", 0.917),
        "static": ("static", 0.942),
        "expert": ("expert", 0.961),
        "genie": ("genie", 0.968),
    },
}


FINAL_SCORES = {  # (cbf, rb, ns), normalised
    "networld": (93, 94, 99),
    "bc": (85, 74, 98),
    "ma-iql": (80, 68, 97),
    "ma-cql": (66, 40, 90),
    "ma-dt": (78, 55, 95),
    "ma-dd": (82, 66, 98),
}


VARIANTS = {  # few-shot: start and end of the curve, normalised
    "networld": (52, 95),
    "networld (from scratch)": (22, 94),
    "networld (no fine-tuning)": (45, 71),
    "bc": (18, 90),
    "ma-iql": (10, 86),
}


def make_row(**changes) -> Row:
    values = {
        "suite": "cpu",
        "experiment": "comparison",
        "task": "cbf",
        "dataset": "networld/cbf/expert-v0",
        "algorithm": "bc",
        "kind": "learned",
        "role": None,
        "label": "bc",
        "config_hash": "1f2e3d4c",
        "seed": 0,
        "fraction": 1.0,
        "episodes": 500,
        "updates": 1000,
        "is_last": True,
        "eval_seed_set": "test",
        "episode_returns": (5.0, 6.0),
        "score": None,
        "latency_p50_ms": 1.5,
        "latency_p99_ms": 2.5,
        "bytes_per_step": 0.0,
        "train_seconds": 60.0,
        "version": "0.1.0",
        "git_commit": "0123abc",
    }
    return Row(**{**values, **changes})


def reference_rows(episodes: int = 200, seed: int = 0) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for task, policies in REFERENCES.items():
        gap = policies["expert"][1] - policies["random"][1]
        for name, (role, mean) in policies.items():
            rows.append(
                make_row(
                    experiment="reference",
                    task=task,
                    dataset=None,
                    algorithm=name,
                    kind="reference",
                    role=role,
                    label=name,
                    config_hash=None,
                    seed=-1,
                    fraction=None,
                    episodes=None,
                    updates=None,
                    episode_returns=rng.normal(mean, 0.08 * gap, episodes),
                    bytes_per_step=None,
                    train_seconds=None,
                )
            )
    return rows


def returns_at(task: str, score: float, rng: np.random.Generator, episodes: int = 16):
    random, expert = REFERENCES[task]["random"][1], REFERENCES[task]["expert"][1]
    gap = expert - random
    return random + gap * (score / 100 + rng.normal(0, 0.08, episodes))


def comparison_rows(seeds: int = 5, checkpoints: int = 11, seed: int = 1) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for algorithm, finals in FINAL_SCORES.items():
        for task, final in zip(REFERENCES, finals, strict=True):
            for s in range(seeds):
                end = final + rng.normal(0, 3)
                for k in range(checkpoints):
                    x = k / (checkpoints - 1)
                    score = end * (1 - np.exp(-4.5 * x)) + rng.normal(0, 2)
                    extra = {"latent_std": 1.0 + 0.02 * s, "effective_rank": 4.6}
                    rows.append(
                        make_row(
                            task=task,
                            dataset=f"networld/{task}/expert-v0",
                            algorithm=algorithm,
                            label=algorithm,
                            seed=s,
                            updates=2000 * k,
                            is_last=k == checkpoints - 1,
                            episode_returns=returns_at(task, score, rng),
                            bytes_per_step=128.0 if algorithm == "networld" else 0.0,
                            latency_p50_ms=float(rng.uniform(1, 12)),
                            extra=extra if algorithm == "networld" else {},
                        )
                    )
    return rows


def fewshot_rows(seeds: int = 3, seed: int = 2) -> list[Row]:
    rng = np.random.default_rng(seed)
    fractions = (0.002, 0.01, 0.033, 0.1, 0.33, 1.0)
    rows = []
    for label, (start, end) in VARIANTS.items():
        for i, task in enumerate(REFERENCES):
            for s in range(seeds):
                for j, fraction in enumerate(fractions):
                    x = j / (len(fractions) - 1)
                    score = start + (end - start) * x ** (0.5 + 0.3 * i) + rng.normal(0, 3)
                    rows.append(
                        make_row(
                            experiment="fewshot",
                            task=task,
                            dataset=f"networld/{task}/expert-v0",
                            algorithm=label.split()[0],
                            label=label,
                            seed=s,
                            fraction=fraction,
                            episodes=max(1, round(500 * fraction)),
                            episode_returns=returns_at(task, score, rng),
                        )
                    )
    return rows


DEPLOYMENTS = {  # start and end of the curve, normalised; one model is not tuned
    "networld": (88, 96),
    "networld (from scratch)": (20, 95),
    "networld (not tuned)": (85, 85),
}


def deployment_rows(seeds: int = 3, seed: int = 5) -> list[Row]:
    """Curves on two deployments of RB, whose rewards are twice those of the default, and ends."""
    rng = np.random.default_rng(seed)
    ends = {name: 2.0 * REFERENCES["rb"][name][1] for name in ("random", "expert")}
    rows = []
    for preset in ("ring6", "busy"):
        place = {"factor": f"deployment:{preset}", "level": 1.0}
        rows += [
            replace(r, **place, episode_returns=tuple(2.0 * x for x in r.episode_returns))
            for r in reference_rows(20)
            if r.task == "rb" and r.role in ends
        ]
        for label, (start, end) in DEPLOYMENTS.items():
            shares = (0.002, 0.01, 0.033, 1.0) if start != end else (0.002,)
            for s in range(seeds):
                effects = rng.normal(0, 0.02, 16)
                for j, share in enumerate(shares):
                    score = start + (end - start) * j / max(1, len(shares) - 1)
                    gap = ends["expert"] - ends["random"]
                    changes = {
                        "experiment": "deployments",
                        "dataset": f"networld/rb/{preset}/expert-v0",
                        "label": label,
                        "seed": s,
                        "fraction": share,
                        "episodes": max(1, round(450 * share)),
                        "updates": 0 if start == end else 100,
                        "episode_returns": ends["random"] + gap * (score / 100 + effects),
                    }
                    rows.append(replace(learned("rb", 0.0, rng), **{**changes, **place}))
    return rows


ABLATIONS = {  # change in score on (cbf, rb, ns)
    "networld": (0, 0, 0),
    "no message": (-9, -22, -1),
    "one-hot": (-2, -5, -1),
    "no guidance": (1, -3, 0),
}


def learned(task: str, score: float, rng: np.random.Generator, **changes) -> Row:
    """A final row of NetWorld with a given normalised score."""
    values = {
        "task": task,
        "dataset": f"networld/{task}/expert-v0",
        "algorithm": "networld",
        "label": "networld",
        "bytes_per_step": 128.0,
        "episode_returns": returns_at(task, score, rng),
    }
    return make_row(**{**values, **changes})


def ablation_rows(seeds: int = 3, seed: int = 3) -> list[Row]:
    """Seeds differ by 6 points, the same for every ablation: only pairing sees small changes."""
    rng = np.random.default_rng(seed)
    return [
        learned(task, 90 + change + 6 * s, rng, experiment="ablation", label=label, seed=s)
        for label, changes in ABLATIONS.items()
        for task, change in zip(REFERENCES, changes, strict=True)
        for s in range(seeds)
    ]


def robustness_rows(seeds: int = 3, seed: int = 4) -> list[Row]:
    """Agents, with references twice as far from zero at each level, and lost messages."""
    rng = np.random.default_rng(seed)
    rows = []
    for agents in (7, 19, 91):
        condition = {"factor": "agents", "level": float(agents)}
        rows += [
            replace(r, **condition, episode_returns=tuple(2 * x for x in r.episode_returns))
            for r in reference_rows(20)
        ]
        rows += [
            replace(row, episode_returns=tuple(2 * x for x in row.episode_returns))
            for task in REFERENCES
            for s in range(seeds)
            for row in [learned(task, 88, rng, experiment="robustness", seed=s, **condition)]
        ]
    return rows + [
        learned(
            task,
            95 - (60 if label == "networld" else 0) * loss,
            rng,
            experiment="robustness",
            algorithm=label,
            label=label,
            seed=s,
            factor="message_loss",
            level=loss,
        )
        for label in ("networld", "bc")
        for task in REFERENCES
        for s in range(seeds)
        for loss in (0.0, 0.3, 0.6, 0.9)
    ]


def cost_rows(seeds: int = 3, seed: int = 5) -> list[Row]:
    rng = np.random.default_rng(seed)
    settings = {"steps": (1, 2, 5, 10, 20), "candidates": (1, 4, 16)}
    return [
        learned(
            task,
            93 - 20 / level if factor == "steps" else 90 + level / 5,
            rng,
            experiment="cost",
            seed=s,
            factor=factor,
            level=level,
            latency_p50_ms=4 + 3.0 * level,
            extra={"parameters": 312_345, "decision_ms_one_agent": 1.0 + 0.4 * level},
        )
        for task in REFERENCES
        for factor, levels in settings.items()
        for level in levels
        for s in range(seeds)
    ]


def value(interval: Interval | None) -> float:
    assert interval is not None
    return interval.value


def crowd() -> list[summary.Curve]:
    """Ten methods of two algorithms on two tasks; ``a`` has a plain name, of b the 3rd is best."""
    finals = {"a": 1.0, **{f"a, in another way {i}": 2.0 for i in range(4)}}
    finals |= {f"b, in another way {i}": float(i) for i in range(4)} | {"b, in another way 4": -8.0}
    return [
        summary.Curve(
            (task, "d"), label[0], label, np.array([1.0]), [Interval(y, y, y, 2, Method.T)]
        )
        for task in ("rb", "ns")
        for label, y in finals.items()
    ]


def with_validation(rows: list[Row], evaluations: int = 10, seed: int = 7) -> list[Row]:
    """The comparison as the suites run it: test networks once, at the end, validation before.

    The rewards of a run rise from the mean of the random policy to those of its final row, on half
    as many validation networks, and its minutes in proportion to its updates.
    """
    rng = np.random.default_rng(seed)
    means = {
        r.task: float(np.mean(r.episode_returns))
        for r in rows
        if r.role == "random" and r.eval_seed_set == "test"
    }
    out = [r for r in rows if r.kind == "reference" or r.experiment != "comparison"]
    for row in rows:
        if row.kind != "learned" or row.experiment != "comparison" or not row.is_last:
            continue
        out.append(row)
        returns, end = np.array(row.episode_returns), row.updates or 1000
        half = returns[: max(2, len(returns) // 2)]
        for k in range(1, evaluations + 1):
            reached = 1.0 - np.exp(-5.0 * k / evaluations)
            noise = rng.normal(0.0, 0.02 * abs(half.mean() - means[row.task]), len(half))
            values = means[row.task] + reached * (half - means[row.task]) + noise
            out.append(
                replace(
                    row,
                    eval_seed_set="validation",
                    updates=end * k // evaluations,
                    is_last=k == evaluations,
                    episode_returns=tuple(values),
                    train_seconds=None
                    if row.train_seconds is None
                    else row.train_seconds * k / evaluations,
                )
            )
    return out
