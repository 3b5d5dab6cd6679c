"""A tiny suite and a user's algorithm, for tests of comparisons with committed rows."""

import json
from itertools import product
from pathlib import Path

from networld_algos.bench import Ablation, Cost, Entry, FewShot, Robustness, Suite, unroll
from networld_algos.bench.fewshot_runs import training_episodes
from networld_algos.bench.submission.joining import join
from networld_envs.version import __version__

EXAMPLE = f"{Path(__file__).parents[2] / 'examples' / 'filtered_bc.py'}:FilteredBC"
SUITE = "from tests.helpers.submissions import tiny_suite\nSUITE = tiny_suite()\n"
"""Content of a file that defines the suite."""


def tiny_suite(hidden=16, **changes):
    """Every part at its smallest: two seeds of behaviour cloning on a few episodes."""
    bc = Entry("bc", config={"hidden": hidden})
    values = {
        "name": "tiny",
        "tasks": ("rb",),
        "entries": (bc,),
        "seeds": 2,
        "updates": 6,
        "evaluations": 2,
        "eval_episodes": 2,
        "fewshot": FewShot((bc,), (1.0,), seeds=1, updates=3, pretrain_updates=2),
        "ablation": Ablation((bc, Entry("bc", "smaller", {"hidden": 8})), seeds=1),
        "robustness": Robustness(
            ("bc",), seeds=1, agents=False, message_loss=(0.0, 0.5), message_delay=()
        ),
        "cost": Cost(("bc",), seeds=1),
    }
    return Suite(**{**values, **changes})


METADATA = """\
name = "Filtered cloning"
authors = ["A. Author", "B. Author"]
date = 2026-11-28
link = "https://example.org/filtered"
description = "Cloning of the better steps."
"""
HASH = "a" * 64
"""Content hash of every dataset in made-up rows."""


def made_up_rows(suite, algorithm, level=0.0):
    """File name -> rows of one algorithm in every part of a suite, without a training."""
    files = {}
    for run in unroll(join(suite, ["bc"]).suite):
        if run.stage not in ("train", "evaluate"):
            continue
        common = {
            "suite": suite.name,
            "experiment": run.experiment,
            "task": run.task,
            "dataset": run.dataset_ids[-1],
            "algorithm": algorithm,
            "kind": "learned",
            "role": None,
            "label": algorithm + run.label.removeprefix("bc"),  # (from scratch)
            "config_hash": "1f2e3d4c",
            "seed": run.seed,
            "fraction": run.fraction,
            "episodes": training_episodes(suite, run.dataset_ids[-1], run.fraction),
            "latency_p50_ms": 1.0,
            "latency_p99_ms": 2.0,
            "bytes_per_step": 0.0,
            "version": __version__,
            "git_commit": "0123456789ab",
            "device": "cpu",
            "data_hashes": dict.fromkeys(run.dataset_ids, HASH),
        }
        rows = []
        for share in range(1, run.evaluations + 1):
            is_last = share == run.evaluations
            sets = {"validation": suite.curve_episodes} if run.curve_episodes else {}
            sets |= {"test": suite.eval_episodes} if is_last or not sets else {}
            for (name, count), condition in product(sets.items(), run.conditions):
                first = level + 0.01 * run.seed + (name == "validation")
                returns = [first + 0.1 * k for k in range(count)]
                rows.append(
                    common
                    | {
                        "updates": run.updates * share // run.evaluations,
                        "is_last": is_last,
                        "eval_seed_set": name,
                        "episode_returns": returns,
                        "score": 100 * sum(returns) / count,
                        "train_seconds": 60.0 * share / run.evaluations,
                        "epochs": 2.0 * share / run.evaluations,
                        "factor": condition.factor,
                        "level": condition.level,
                    }
                )
        files[f"{run.key}.jsonl"] = rows
    return files


def reference_rows(suite):
    """File name -> rows of random and expert, whose rewards are 0 and 1 on test networks."""
    files = {}
    for task, (role, reward) in product(suite.tasks, (("random", 0.0), ("expert", 1.0))):
        rows = made_up_rows(suite, role, reward)
        row = next(
            r for found in rows.values() for r in found if r["task"] == task and r["is_last"]
        )
        returns = [reward] * suite.eval_episodes
        files[f"reference-{task}-{role}-00000000.jsonl"] = [
            row
            | dict.fromkeys(("dataset", "config_hash", "fraction", "episodes", "updates", "epochs"))
            | {"kind": "reference", "role": role, "seed": -1, "data_hashes": {}, "device": None}
            | {"experiment": "reference", "eval_seed_set": "test", "episode_returns": returns}
        ]
    return files


def write_files(folder, files, metadata=None):
    """Write rows, and submission.toml if there is any; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    if metadata is not None:
        (folder / "submission.toml").write_text(metadata)
    return folder
