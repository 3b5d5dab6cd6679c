"""Unroll a suite into runs, part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from networld_algos.bench.entry_runs import comparison, entry_run, new_run, split, timed_updates
from networld_algos.bench.fewshot_runs import deployments, fewshot
from networld_algos.bench.parts import (
    Cost,
    Entry,
    Robustness,
    agents_levels,
    deployment_level,
    drift_levels,
)
from networld_algos.bench.runs import Condition, Run
from networld_algos.bench.suite import Suite
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
        *comparison(suite),
        *fewshot(suite),
        *deployments(suite),
        *_ablation(suite),
        *_robustness(suite),
        *_cost(suite),
    ]
    if chosen:
        wanted = [r for r in every if r.experiment in ("reference", *chosen)]
        starts = {run.start for run in wanted}
        every = [r for r in every if r.experiment in ("reference", *chosen) or r.key in starts]
    return list({run.key: run for run in every}.values())


def _references(suite: Suite) -> list[Run]:
    runs = []
    for task in suite.tasks:
        names = usable_policies(task, make_params(task))
        shift: list[dict[str, Any]] = []
        if suite.robustness is not None and suite.robustness.agents:
            shift = agents_levels(task)
        if suite.robustness is not None and suite.robustness.drift:
            shift = [*shift, *drift_levels(task)]
        if suite.deployments is not None:
            shift = [*shift, *map(deployment_level, suite.deployments.presets(task))]
        for name in names:
            ends = get_policy(task, name).role in ("random", "expert")
            levels = [{}, *shift] if ends else [{}]
            runs.append(
                new_run(
                    suite,
                    stage="reference",
                    experiment="reference",
                    task=task,
                    algorithm=name,
                    label=name,
                    quality="",
                    updates=0,
                    curve_episodes=suite.curve_episodes,
                    conditions=tuple(Condition(name, **values) for values in levels),
                )
            )
    return runs


def _ablation(suite: Suite) -> list[Run]:
    """Variants that differ only in decisions score one model, if possible the comparison's."""
    part = suite.ablation
    if part is None:
        return []
    trained = {_training(run): run for run in comparison(suite)}
    runs = []
    for task in part.tasks or suite.tasks:
        for variant in part.entries:
            entry = replace(variant, updates=variant.updates or part.updates)
            timed = {}
            if entry.updates is None:
                timed = timed_updates(suite, entry, task, suite.qualities[0])
            for seed in range(part.seeds):
                run = entry_run(suite, entry, task, seed, experiment="ablation", **timed)
                same = trained.setdefault(_training(run), run)
                if same is not run:
                    decision = split(run)[1]
                    conditions = tuple(
                        replace(c, decision={**decision, **c.decision}) for c in run.conditions
                    )
                    run = replace(run, stage="evaluate", start=same.key, conditions=conditions)
                runs.append(run)
    return runs


def _training(run: Run) -> str:
    """Key that is equal for trainings that give the same model; decision settings do not count."""
    config, _ = split(run)
    return repr((run.task, run.quality, run.seed, run.algorithm, config, run.updates))


def _trained(suite: Suite, part: Robustness | Cost, experiment: str) -> Iterable[tuple[Entry, Run]]:
    """Entries and evaluation runs of the comparison's models that a part uses."""
    by_label = {entry.label: entry for entry in suite.entries}
    for run in comparison(suite):
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
                    curve_episodes=0,
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
