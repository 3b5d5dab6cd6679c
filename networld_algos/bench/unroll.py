"""Unroll a suite into runs, part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from networld_algos.bench.parts import (
    Cost,
    Entry,
    FewShot,
    Robustness,
    agents_levels,
    deployment_level,
    drift_levels,
)
from networld_algos.bench.runs import Condition, Run
from networld_algos.bench.suite import Suite
from networld_algos.data.episodes import HOLDOUT
from networld_algos.registry import ALGORITHMS, make_config
from networld_envs.policies import get_policy, usable_policies
from networld_envs.simulator import make_params
from networld_envs.store.recipes import find_recipe


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
        *_deployments(suite),
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


def _timed_updates(suite: Suite, entry: Entry, task: str, quality: str) -> dict[str, int]:
    """The number of updates, if time decides it: two digits of it, since rates are measured."""
    key = f"{task}/{quality}"
    minutes = suite.minutes.get(key, suite.minutes.get(task))
    rate = entry.rates.get(key, entry.rates.get(task))
    if minutes is None or rate is None:
        return {}
    return {"updates": max(1, int(float(f"{minutes * rate:.2g}")))}


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
                _run(
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


def _comparison(suite: Suite) -> list[Run]:
    return [
        _entry_run(
            suite,
            entry,
            task,
            seed,
            quality=quality,
            evaluations=suite.evaluations,
            curve_episodes=suite.curve_episodes,
            **_timed_updates(suite, entry, task, quality),
        )
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
                then += _few(suite, part, entry, task, seed, experiment="fewshot", start=start)
    return [*first.values(), *then]


def _few(
    suite: Suite, part: FewShot, entry: Entry, task: str, seed: int, **values: Any
) -> list[Run]:
    """One run for each share of the data; only the smallest if the model stays as it is."""
    most = _most_updates(suite, part, entry, task)
    dataset = find_recipe(f"networld/{task}/{suite.qualities[0]}-v0")
    episodes = min(dataset.episodes, suite.data_episodes or dataset.episodes) * (1.0 - HOLDOUT)

    def updates(fraction: float) -> int:
        limit = part.updates_per_episode * max(1, round(episodes * fraction))
        return min(most, limit or most) if entry.tuned else 0

    return [
        _entry_run(
            suite,
            entry,
            task,
            seed,
            fraction=fraction,
            updates=updates(fraction),
            early_stop=part.early_stop and entry.tuned,
            patience=part.patience if entry.tuned else 0,
            **values,
        )
        for fraction in (part.fractions if entry.tuned else (min(part.fractions),))
    ]


def _most_updates(suite: Suite, part: FewShot, entry: Entry, task: str) -> int:
    if entry.updates is None and part.share:
        for other in suite.entries:
            if other.label == entry.algorithm == other.algorithm:
                timed = _timed_updates(suite, other, task, suite.qualities[0])
                whole = _entry_run(suite, other, task, 0, **timed).updates
                return max(1, round(part.share * whole))
    return max(1, round(part.pace.get(task, 1.0) * (entry.updates or part.updates)))


def _deployments(suite: Suite) -> list[Run]:
    """Training on other deployments, from models of the default one."""
    part = suite.deployments
    if part is None:
        return []
    trained = {_settings(run): run for run in reversed(_comparison(suite))}
    first: dict[str, Run] = {}
    then = []
    for task in suite.tasks:
        for preset in part.presets(task):
            for entry in part.entries:
                if entry.deployments is not None and preset not in entry.deployments:
                    continue
                for seed in range(part.seeds):
                    start, anchor = "", 0.0
                    if entry.pretrained:
                        before = _of_default(suite, part, entry, task, seed, trained)
                        start = before.key
                        first[start] = before
                        anchor = part.anchor if entry.tuned and task in before.data_tasks else 0.0
                    level = deployment_level(preset)
                    then += _few(
                        suite,
                        part,
                        entry,
                        task,
                        seed,
                        experiment="deployments",
                        deployment=preset,
                        start=start,
                        anchor=anchor,
                        conditions=tuple(replace(c, **level) for c in entry.conditions),
                    )
    return [*first.values(), *then]


def _of_default(
    suite: Suite, part: FewShot, entry: Entry, task: str, seed: int, trained: dict[str, Run]
) -> Run:
    """The model of the default deployment that an entry starts from.

    It is the comparison's, if that has one with these settings. The one on shuffled data has as
    many updates. An untrained one is of the other tasks, so that its networks can stay frozen.
    """
    if entry.pretrain_updates == 0:
        return _pretraining(suite, entry, task, seed, 0)
    usual = _entry_run(suite, entry, task, seed)
    known = trained.get(_settings(usual))
    if known is not None and entry.pretrain_updates is None and not entry.shuffled:
        return known
    updates = max(1, round(part.pace.get(task, 1.0) * part.pretrain_updates))
    if known is not None:
        updates = known.updates
    return _before(suite, entry, task, seed, entry.pretrain_updates or updates, (task,))


def _settings(run: Run) -> str:
    """Key that is equal for trainings of the comparison that differ in the number of updates."""
    return repr((run.task, run.quality, run.seed, run.algorithm, _split(run)[0]))


def _pretraining(suite: Suite, entry: Entry, task: str, seed: int, updates: int) -> Run:
    """Training on the other tasks."""
    if entry.pretrain_updates is not None:
        updates = entry.pretrain_updates
    others = tuple(t for t in suite.tasks if t != task)
    return _before(suite, entry, task, seed, updates, others)


def _before(
    suite: Suite, entry: Entry, task: str, seed: int, updates: int, tasks: tuple[str, ...]
) -> Run:
    """A pre-training. Entries that differ only in later settings share it."""
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
        data_tasks=tasks,
        updates=updates,
        evaluations=0,
        shuffled=entry.shuffled,
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
            timed = {}
            if entry.updates is None:
                timed = _timed_updates(suite, entry, task, suite.qualities[0])
            for seed in range(part.seeds):
                run = _entry_run(suite, entry, task, seed, experiment="ablation", **timed)
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
