"""Runs of the parts "fewshot" and "deployments", and the trainings that they start from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from networld_algos.bench.entry_runs import comparison, entry_run, new_run, split, timed_updates
from networld_algos.bench.parts import Entry, FewShot, deployment_level
from networld_algos.bench.runs import Run
from networld_algos.bench.suite import Suite
from networld_algos.data.episodes import held_out, kept
from networld_algos.registry import ALGORITHMS
from networld_envs.store.recipes import find_recipe


def fewshot(suite: Suite) -> list[Run]:
    """Training on little data of a task, from models of the other tasks and from scratch."""
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

    def updates(fraction: float) -> int:
        limit = episode_limit(suite, part, task, fraction)
        return min(most, limit or most) if entry.tuned else 0

    return [
        entry_run(
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


def episode_limit(suite: Suite, part: FewShot, task: str, fraction: float) -> int:
    """Largest number of updates on this share of the data; 0 for no limit."""
    dataset_id = f"networld/{task}/{suite.qualities[0]}-v0"
    return part.updates_per_episode * training_episodes(suite, dataset_id, fraction)


def training_episodes(suite: Suite, dataset_id: str, fraction: float) -> int:
    """Episodes that a training on this share of a dataset has, without those that are held out."""
    whole = find_recipe(dataset_id).episodes
    used = min(whole, suite.data_episodes or whole)
    return kept(used - held_out(used), fraction)


def _most_updates(suite: Suite, part: FewShot, entry: Entry, task: str) -> int:
    if entry.updates is None and part.share:
        for other in suite.entries:
            if other.label == entry.algorithm == other.algorithm:
                timed = timed_updates(suite, other, task, suite.qualities[0])
                whole = entry_run(suite, other, task, 0, **timed).updates
                return max(1, round(part.share * whole))
    return max(1, round(part.pace.get(task, 1.0) * (entry.updates or part.updates)))


def deployments(suite: Suite) -> list[Run]:
    """Training on little data of other deployments, from models of the default one."""
    part = suite.deployments
    if part is None:
        return []
    trained = {_settings(run): run for run in reversed(comparison(suite))}
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
    usual = entry_run(suite, entry, task, seed)
    known = trained.get(_settings(usual))
    if known is not None and entry.pretrain_updates is None and not entry.shuffled:
        return known
    updates = max(1, round(part.pace.get(task, 1.0) * part.pretrain_updates))
    if known is not None:
        updates = known.updates
    return _before(suite, entry, task, seed, entry.pretrain_updates or updates, (task,))


def _settings(run: Run) -> str:
    """Key that is equal for trainings of the comparison that differ in the number of updates."""
    return repr((run.task, run.quality, run.seed, run.algorithm, split(run)[0]))


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
    return new_run(
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
