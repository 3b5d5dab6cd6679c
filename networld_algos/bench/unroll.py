"""Unroll a suite into runs, part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from networld_algos.bench.parts import Cost, Entry, Robustness, agents_levels
from networld_algos.bench.runs import Condition, Run
from networld_algos.bench.suite import Suite
from networld_algos.registry import ALGORITHMS, make_config
from networld_envs.policies import get_policy, usable_policies
from networld_envs.simulator import make_params


def unroll(suite: Suite, only: Iterable[str] = ()) -> list[Run]:
    """The runs of a suite. Runs that others start from come first.

    Args:
        suite: The suite.
        only: Parts to run, together with the runs they start from; all by default.

    Raises:
        ValueError: If the suite has no such part.
    """
    chosen = tuple(only)
    if unknown := [part for part in chosen if part not in suite.parts]:
        raise ValueError(
            f"suite {suite.name!r} has no part {', '.join(unknown)}; it has "
            f"{', '.join(suite.parts)}"
        )
    every = [
        *_references(suite),
        *_comparison(suite),
        *_fewshot(suite),
        *_ablation(suite),
        *_robustness(suite),
        *_cost(suite),
    ]
    if chosen:
        wanted = [r for r in every if r.experiment in ("reference", *chosen)]
        starts = {run.start for run in wanted}
        every = [r for r in every if r.experiment in ("reference", *chosen) or r.key in starts]
    return list({run.key: run for run in every}.values())


def _run(suite: Suite, **values: Any) -> Run:
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


def _entry_run(suite: Suite, entry: Entry, task: str, seed: int, **values: Any) -> Run:
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
    return _run(suite, **{**common, **values})


def _references(suite: Suite) -> list[Run]:
    runs = []
    for task in suite.tasks:
        names = usable_policies(task, make_params(task))
        shift: list[dict[str, Any]] = []
        if suite.robustness is not None and suite.robustness.agents:
            shift = agents_levels(task)
        for name in names:
            ends = get_policy(task, name).role in ("random", "expert")
            levels = [{}, *shift] if ends else [{}]
            runs.append(
                _run(
                    suite,
                    stage="reference",
                    experiment="reference",
                    task=task,
                    algorithm=name,
                    label=name,
                    quality="",
                    updates=0,
                    conditions=tuple(Condition(name, **values) for values in levels),
                )
            )
    return runs


def _comparison(suite: Suite) -> list[Run]:
    return [
        _entry_run(suite, entry, task, seed, quality=quality, evaluations=suite.evaluations)
        for quality in suite.qualities
        for task in suite.tasks
        for entry in suite.entries
        if quality in entry.qualities
        for seed in range(suite.seeds)
    ]


def _fewshot(suite: Suite) -> list[Run]:
    part = suite.fewshot
    if part is None:
        return []
    first: dict[str, Run] = {}
    then = []
    for task in suite.tasks:
        for entry in part.entries:
            for seed in range(part.seeds):
                start = ""
                if entry.pretrained:
                    before = _pretraining(suite, entry, task, seed, part.pretrain_updates)
                    start = before.key
                    first[start] = before
                then += [
                    _entry_run(
                        suite,
                        entry,
                        task,
                        seed,
                        experiment="fewshot",
                        fraction=fraction,
                        updates=entry.updates or part.updates,
                        start=start,
                        early_stop=part.early_stop,
                    )
                    for fraction in part.fractions
                ]
    return [*first.values(), *then]


def _pretraining(suite: Suite, entry: Entry, task: str, seed: int, updates: int) -> Run:
    """Training on the other tasks. Entries that differ only in later settings share it."""
    kind = ALGORITHMS[entry.algorithm][1]
    later = {*kind.decision_fields, *kind.adapt_fields}
    values = entry.values_on(task, suite.qualities[0])  # if pre-trained, the same on every task
    config = {k: v for k, v in values.items() if k not in later}
    return _run(
        suite,
        stage="pretrain",
        experiment="pretrain",
        task=task,
        algorithm=entry.algorithm,
        label=entry.algorithm,
        config=config,
        seed=seed,
        data_tasks=tuple(t for t in suite.tasks if t != task),
        updates=updates if entry.pretrain_updates is None else entry.pretrain_updates,
        evaluations=0,
    )


def _ablation(suite: Suite) -> list[Run]:
    """Variants that differ only in decisions score one model, if possible the comparison's."""
    part = suite.ablation
    if part is None:
        return []
    trained = {_training(run): run for run in _comparison(suite)}
    runs = []
    for task in part.tasks or suite.tasks:
        for variant in part.entries:
            entry = replace(variant, updates=variant.updates or part.updates)
            for seed in range(part.seeds):
                run = _entry_run(suite, entry, task, seed, experiment="ablation")
                same = trained.setdefault(_training(run), run)
                if same is not run:
                    decision = _split(run)[1]
                    conditions = tuple(
                        replace(c, decision={**decision, **c.decision}) for c in run.conditions
                    )
                    run = replace(run, stage="evaluate", start=same.key, conditions=conditions)
                runs.append(run)
    return runs


def _split(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's full configuration in two parts: for training, and read only when acting."""
    config = asdict(make_config(run.algorithm, run.config))
    later = ALGORITHMS[run.algorithm][1].decision_fields
    decision = {name: config.pop(name) for name in later}
    return config, decision


def _training(run: Run) -> str:
    """Key that is equal for trainings that give the same model; decision settings do not count."""
    config, _ = _split(run)
    return repr((run.task, run.quality, run.seed, run.algorithm, config, run.updates))


def _trained(suite: Suite, part: Robustness | Cost, experiment: str) -> Iterable[tuple[Entry, Run]]:
    """Entries and evaluation runs of the comparison's models that a part uses."""
    by_label = {entry.label: entry for entry in suite.entries}
    for run in _comparison(suite):
        if run.quality != suite.qualities[0] or run.seed >= part.seeds:
            continue
        if run.label in part.labels:
            yield (
                by_label[run.label],
                replace(
                    run,
                    stage="evaluate",
                    experiment=experiment,
                    evaluations=1,
                    start=run.key,
                ),
            )


def _robustness(suite: Suite) -> list[Run]:
    part = suite.robustness
    if part is None:
        return []
    return [
        replace(run, conditions=part.conditions(entry, run.task))
        for entry, run in _trained(suite, part, "robustness")
    ]


def _cost(suite: Suite) -> list[Run]:
    part = suite.cost
    if part is None:
        return []
    return [
        replace(run, conditions=part.conditions(entry))
        for entry, run in _trained(suite, part, "cost")
    ]
