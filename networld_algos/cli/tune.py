"""``networld tune``: search the settings of algorithms on validation networks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional

from networld_algos.cli.terminal import (
    command_text,
    console,
    number_text,
    progress_bar,
    shown_in,
    task_name,
)
from networld_algos.results.text import count, suggestion

if TYPE_CHECKING:
    from networld_algos.training.tuning.search import Choice
    from networld_algos.training.tuning.subject import Subject


def tune(
    what: Positional[str],
    task: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    data: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    trials: int = 12,
    minutes: float | None = None,
    updates: int | None = None,
    jobs: int = 1,
    out: Path = Path("tuning"),
    networks: int = 32,
    pruner: Literal["median", "halving", "none"] = "median",
    seed: int = 0,
    margin: float = 1.0,
    finalists: int = 3,
    final_networks: int = 256,
    device: str = "cpu",
    also: tyro.conf.UseAppendAction[tuple[Path, ...]] = (),
) -> int:
    """Search the settings of an algorithm, or of all algorithms of a suite. A search resumes.

    Each trial trains with other settings and is scored on validation networks, never on those that
    suites test on. The settings of the best trials are in OUT/choices.toml, which networld train
    and networld bench run read with --settings, and all trials in OUT/trials.

    Args:
        what: An algorithm, your own (path/to/file.py:ClassName), or a suite.
        task: cbf, rb, ns, or your own task: path/to/file.py. Repeat the option for several tasks.
            By default, the tasks of the suite.
        data: Quality of the tasks' data, or the id of a dataset. Repeat the option for several. By
            default, expert, or the qualities of the suite.
        trials: Trials of each algorithm on each data; the first one has the settings as they are.
        minutes: Time of a training; 5 by default. The number of updates follows from it.
        updates: Updates of a training, in place of a time.
        jobs: Number of parallel processes, with one thread each.
        out: Folder of the search. If it already holds one, that one resumes.
        networks: Validation networks that each model is scored on.
        pruner: What ends a trial early: a score below the median of the others so far, being in the
            lower half of those that came as far, or nothing.
        seed: Seed of trainings and of the choice of settings.
        margin: Points of score by which other settings must be better than those as they are.
        finalists: After the trials, so many of the best ones, and the first, are trained once more
            from another seed and scored on FINAL_NETWORKS other networks; these scores decide. With
            0, the trials decide.
        final_networks: Validation networks that finalists are scored on.
        device: cpu, cuda, or auto: cuda if there is one.
        also: File of settings, as this command writes it, to try over the best ones so far. They
            count among the trials, so raise --trials. Repeat the option for several trials.
    """
    from networld_algos.training.device import resolve_device
    from networld_algos.training.tuning.choices import open_choices
    from networld_algos.training.tuning.search import CHOICES, Options, search
    from networld_algos.training.tuning.trial import Result

    if minutes is not None and updates is not None:
        raise ValueError("--minutes and --updates exclude each other: either is the length")
    options = Options(
        trials=trials,
        minutes=Options.minutes if minutes is None else minutes,
        updates=updates,
        networks=networks,
        seed=seed,
        pruner=pruner,
        margin=margin,
        finalists=finalists,
        final_networks=final_networks,
        device=resolve_device(device),
    )
    if jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {jobs}")
    suggested = [open_choices(path) for path in also]
    subjects = _subjects(what, tuple(map(task_name, task)), data)
    _obtain(subjects, jobs)
    with progress_bar("trials") as bar:
        line = bar.add_task(what, total=None)

        def start(done: int, total: int) -> None:
            bar.update(line, completed=done, total=total)

        def show(subject: Subject, result: Result, is_final: bool) -> None:
            bar.advance(line)
            name = f"final of {subject.name}" if is_final else subject.name
            ended = "" if result.state == "complete" else f", {result.state}"
            score = "no score" if result.score is None else number_text(result.score)
            reason = f": {result.error}" if result.error else ""
            bar.console.print(f"{name}: {score}{ended}{reason}")

        found = search(subjects, options, out, jobs, start, show, suggested)
    _print_choices(found)
    console.print(f"settings in {out / CHOICES}")
    if _is_suite(what):
        command = command_text("networld", "bench", "run", what, "--settings", out / CHOICES)
    else:
        words = ("--task", task[0], "--dataset", found[0].subject.dataset)
        words = (*words, "--settings", out / CHOICES, "--out", "model")
        command = command_text("networld", "train", what, *words)
    console.print(f"next: {command}")
    return 0


def _subjects(what: str, tasks: Sequence[str], data: Sequence[str]) -> list[Subject]:
    """What the first words of the command ask for.

    Raises:
        ValueError: If they name no algorithm or suite, or say too little.
    """
    from networld_algos.bench.presets import SUITES, find_suite
    from networld_algos.bench.tuned import suite_subjects
    from networld_algos.plugin import add_algorithm, is_plugin
    from networld_algos.registry import ALGORITHMS
    from networld_algos.training.tuning.subject import Subject

    if _is_suite(what):
        suite = find_suite(what)
        if unknown := [task for task in tasks if task not in suite.tasks]:
            raise ValueError(
                f"suite {suite.name!r} has no task {', '.join(unknown)}; it has "
                f"{', '.join(suite.tasks)}"
            )
        return suite_subjects(suite, tasks, data)
    name = add_algorithm(what) if is_plugin(what) else what
    if name not in ALGORITHMS:
        raise ValueError(
            f"unknown algorithm or suite {what!r}{suggestion(what, [*ALGORITHMS, *SUITES])}\n"
            f"algorithms: {', '.join(ALGORITHMS)}, or your own: path/to/file.py:ClassName\n"
            f"suites: {', '.join(SUITES)}, or your own: path/to/file.py"
        )
    if not tasks:
        raise ValueError(f"--task is missing, e.g. networld tune {what} --task rb")
    return [
        Subject(name, task, one if "/" in one else f"networld/{task}/{one}-v0")
        for task in tasks
        for one in data or ("expert",)
    ]


def _is_suite(what: str) -> bool:
    from networld_algos.bench.presets import SUITES

    return what in SUITES or (what.endswith(".py") and ":" not in what)


def _obtain(subjects: Sequence[Subject], jobs: int) -> None:
    """Check that there are ranges for all subjects, then download or build missing datasets."""
    from networld_envs import store

    for subject in subjects:
        _ = subject.space
    ids = sorted({subject.dataset for subject in subjects})
    missing = [dataset for dataset in ids if not store.is_local(dataset)]
    if not missing:
        return
    with progress_bar("episodes") as bar:
        for dataset in missing:
            workers = max(jobs, os.cpu_count() or 1)
            store.obtain(dataset, workers, shown_in(bar, dataset), say=console.print)


def _print_choices(found: Sequence[Choice]) -> None:
    """Print what was chosen for each subject, and by how much it is better."""
    for choice in found:
        first = "no score" if choice.first is None else number_text(choice.first)
        settings = "  ".join(f"{name} {_shown(v)}" for name, v in sorted(choice.params.items()))
        console.print(
            f"{choice.subject.name}, {count(choice.trials, 'trial')}: {number_text(choice.score)} "
            f"(before: {first}) with {settings}"
        )


def _shown(value: object) -> str:
    return number_text(value) if isinstance(value, float) else str(value)
