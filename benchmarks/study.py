"""Train and score the cases of a small study on validation networks.

    python benchmarks/study.py benchmarks/studies/NAME.toml [--jobs 2] [--table]

A study is a TOML file of cases, see `Case`. A list in a case's `task`, `quality` or `episodes`
stands for several cases. Rows go to `benchmarks/results/studies/NAME.jsonl`, one line per trained
model, decision and share of lost messages. A case whose rows exist is not trained again, so a study
that was stopped goes on. `--table` prints means over seeds and trains nothing.

Scores are normalised (random 0, expert 100) on validation networks, which no dataset and no table
of the benchmark uses. `failed` is the share of networks with a score below 50.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from networld_algos import evaluate, load_episodes, make
from networld_algos.bench.presets import get_suite
from networld_algos.bench.tuned import main_entry
from networld_algos.data.episodes import HOLDOUT
from networld_algos.files import write_text
from networld_algos.results.networks import failed_share, relative_scores
from networld_algos.training.cpu import configure_cpu
from networld_algos.training.start import keeper
from networld_algos.training.train import train
from networld_envs.policies.references import VALIDATION_SEED, reference_rewards

RESULTS = Path(__file__).parent / "results" / "studies"


@dataclass(frozen=True)
class Case:
    """Something to train and to score.

    Attributes:
        label: Name in the table.
        algorithm: Key of `networld_algos.ALGORITHMS`.
        task: The task.
        quality: Of the catalogue's data.
        updates: Gradient steps; by task if it is a table.
        searched: Settings start from those that the suite `cpu` has for data of this quality;
            from the algorithm's defaults if it is empty.
        settings: Settings that differ.
        decisions: Ways in which the trained model decides, by name; fields that differ.
        episodes: Episodes to train on, at most; by default all but the held-out tenth.
        seeds: Seeds of training, which also choose the episodes.
        losses: Shares of messages that are lost when it is scored.
        evaluations: How often it is scored during training, in equal steps.
        weight_decay: See `networld train --weight-decay`.
        networks: Number of validation networks.
    """

    label: str
    algorithm: str
    task: str
    quality: str
    updates: int | dict[str, int]
    searched: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    decisions: dict[str, dict[str, Any]] = field(default_factory=lambda: {"": {}})
    episodes: int | None = None
    seeds: tuple[int, ...] = (0,)
    losses: tuple[float, ...] = (0.0,)
    evaluations: int = 1
    weight_decay: float = 0.0
    networks: int = 64


def read_cases(path: Path) -> list[Case]:
    """The cases of a study; entries outside of `[[case]]` hold for all of them."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    cases = content.pop("case")
    found = []
    for case in cases:
        values = {**content, **case}
        lists = {
            k: values.get(k) if isinstance(values.get(k), list) else [values.get(k)]
            for k in ("task", "quality", "episodes")
        }
        for some in product(*lists.values()):
            one = {**values, **dict(zip(lists, some, strict=True))}
            found.append(
                Case(**{k: tuple(v) if isinstance(v, list) else v for k, v in one.items()})
            )
    return found


def settings_of(case: Case) -> dict[str, Any]:
    """All settings that differ from the algorithm's defaults."""
    if not case.searched:
        return case.settings
    entry = main_entry(get_suite("cpu").entries, case.algorithm)
    return {**entry.values_on(case.task, case.searched), **case.settings}


def run(case: Case, seed: int) -> list[dict[str, Any]]:
    """Train one model and score it; returns its rows."""
    configure_cpu()
    data = load_episodes(f"networld/{case.task}/{case.quality}-v0", case.task)
    data, heldout = data.split(HOLDOUT, seed)
    if case.episodes is not None:
        data = data.fraction(case.episodes / len(data), seed)
    updates = case.updates if isinstance(case.updates, int) else case.updates[case.task]
    model = make(case.algorithm, data.spec, settings_of(case), seed=seed)
    model.prepare(data, updates)
    decay = keeper(None, model, data, heldout, updates, weight_decay=case.weight_decay)
    losses: list[dict[str, float]] = []

    def note(update: int, found: dict[str, float]) -> None:
        decay.step()
        losses.append(found)

    networks = range(VALIDATION_SEED, VALIDATION_SEED + case.networks)
    ends = [reference_rewards(case.task, name, networks) for name in ("random", "expert")]
    rows, done, seconds = [], 0, 0.0
    for part in range(1, case.evaluations + 1):
        start = time.process_time()
        until = round(updates * part / case.evaluations)
        done = train(model, [data], until, seed, first=done, on_update=note)
        seconds += time.process_time() - start
        recent = losses[-100:]
        row = {"label": case.label, "algorithm": case.algorithm, "task": case.task}
        row |= {"quality": case.quality, "asked": case.episodes, "episodes": len(data)}
        row |= {"seed": seed, "updates": done}
        row |= {"minutes": round(seconds / 60, 2), "networks": case.networks}
        row |= {"losses": {k: float(np.mean([x[k] for x in recent])) for k in recent[-1]}}
        for (name, decision), loss in product(case.decisions.items(), case.losses):
            model.reconfigure(**decision)
            found = evaluate(model, case.task, networks, message_loss=loss).episode_rewards
            score = relative_scores([found], *ends)[0]
            rows.append(
                {**row, "decision": name, "lost": loss, "score": round(float(score.mean()), 2)}
                | {"failed": round(failed_share([score]), 3)}
            )
    return rows


def unfinished(cases: list[Case], rows: list[dict[str, Any]]) -> Iterator[tuple[Case, int]]:
    """Cases and seeds without rows."""
    names = ("label", "task", "quality", "asked", "seed")
    done = {tuple(row[name] for name in names) for row in rows}
    for case in cases:
        for seed in case.seeds:
            if (case.label, case.task, case.quality, case.episodes, seed) not in done:
                yield case, seed


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per case and decision, at its last update, with every seed's score."""
    last: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        of = (row["task"], row["quality"], row["episodes"], row["label"], row["decision"])
        last.setdefault((*of, row["lost"], row["updates"]), []).append(row)
    most = {k[:6]: max(u[6] for u in last if u[:6] == k[:6]) for k in last}
    lines = [
        "| data | case | updates, minutes | mean | seeds | failed |",
        "|---|---|---|---|---|---|",
    ]
    for of, some in sorted(last.items(), key=lambda item: tuple(map(str, item[0]))):
        if of[6] != most[of[:6]]:
            continue
        task, quality, episodes, label, decision, lost, updates = of
        scores = [row["score"] for row in sorted(some, key=lambda row: row["seed"])]
        name = ", ".join(x for x in (label, decision, f"{lost:.0%} lost" if lost else "") if x)
        minutes = np.mean([row["minutes"] for row in some])
        lines.append(
            f"| `{task}` {quality}, {episodes} episodes | {name} | {updates:,}, {minutes:.1f} "
            f"| {np.mean(scores):.1f} | {', '.join(f'{s:.1f}' for s in scores)} "
            f"| {np.mean([row['failed'] for row in some]):.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is left of a study, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only print the table")
    args = parser.parse_args()
    cases = read_cases(args.study)
    path = RESULTS / f"{args.study.stem}.jsonl"
    rows = []
    if path.exists():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not args.table:
        with ProcessPoolExecutor(args.jobs) as pool:
            futures = [pool.submit(run, *what) for what in unfinished(cases, rows)]
            for future in as_completed(futures):
                rows += future.result()
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
                print(json.dumps(rows[-1]), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
