"""Runs of the entries of a suite, and the part "comparison"."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from networld_algos.bench.parts import Entry
from networld_algos.bench.runs import Run
from networld_algos.bench.suite import Suite
from networld_algos.registry import ALGORITHMS, make_config


def new_run(suite: Suite, **values: Any) -> Run:
    """A run of a suite with these fields; by default, a training on all of the first data."""
    default = Run(
        suite=suite.name,
        stage="train",
        experiment="comparison",
        task="",
        algorithm="",
        label="",
        config={},
        seed=-1,
        data_tasks=(),
        quality=suite.qualities[0],
        data_episodes=suite.data_episodes,
        fraction=1.0,
        updates=suite.updates,
        evaluations=1,
        eval_episodes=suite.eval_episodes,
        conditions=(),
    )
    return replace(default, **values)


def entry_run(suite: Suite, entry: Entry, task: str, seed: int, **values: Any) -> Run:
    """A training of an entry; ``values`` are further fields of the run."""
    common: dict[str, Any] = {
        "task": task,
        "algorithm": entry.algorithm,
        "label": entry.label,
        "seed": seed,
        "data_tasks": (task,),
        "conditions": entry.conditions,
    }
    quality = values.get("quality", suite.qualities[0])
    common["config"] = entry.values_on(task, quality)
    pace = suite.pace.get(f"{task}/{quality}", suite.pace.get(task, 1.0))
    pace *= entry.pace.get(task, 1.0)
    values.setdefault("updates", max(1, round(pace * (entry.updates or suite.updates))))
    return new_run(suite, **{**common, **values})


def timed_updates(suite: Suite, entry: Entry, task: str, quality: str) -> dict[str, int]:
    """The number of updates, if time decides it: two digits of it, since rates are measured."""
    key = f"{task}/{quality}"
    minutes = suite.minutes.get(key, suite.minutes.get(task))
    rate = entry.rates.get(key, entry.rates.get(task))
    if minutes is None or rate is None:
        return {}
    return {"updates": max(1, int(float(f"{minutes * rate:.2g}")))}


def comparison(suite: Suite) -> list[Run]:
    """Every entry on its tasks and data, with every seed."""
    return [
        entry_run(
            suite,
            entry,
            task,
            seed,
            quality=quality,
            evaluations=suite.evaluations,
            curve_episodes=suite.curve_episodes,
            **timed_updates(suite, entry, task, quality),
        )
        for quality in suite.qualities
        for task in suite.tasks
        for entry in suite.entries
        if quality in entry.qualities
        for seed in range(suite.seeds)
    ]


def split(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's full configuration in two parts: for training, and read only when acting."""
    config = asdict(make_config(run.algorithm, run.config))
    later = ALGORITHMS[run.algorithm][1].decision_fields
    decision = {name: config.pop(name) for name in later}
    return config, decision
