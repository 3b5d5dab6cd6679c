"""``networld bench``: run and list suites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional

from networld_algos.cli.terminal import console, time_span

if TYPE_CHECKING:
    from networld_algos.bench.suite import Suite


def bench_run(
    suite: Positional[str],
    jobs: int = 1,
    results: Path = Path("results"),
    only: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    seeds: int | None = None,
    dry_run: bool = False,
    backend: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    tensorboard: bool = False,
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Run a suite. A stopped suite resumes where it left off.

    Args:
        suite: A suite of `networld bench list`, or your own: path/to/file.py that defines SUITE.
        jobs: Number of parallel processes, with one thread each.
        results: Folder for the results; the suite gets a subfolder.
        only: Run only this part: comparison, fewshot, ablation, robustness or cost. Runs that the
            part starts from are included. Repeat the option for several parts.
        seeds: Run only this many training seeds of every part. Run the others later without it.
        dry_run: Only print the runs and their estimated time.
        backend: Run in processes on this machine, or as tasks of a Ray cluster.
        ray_address: Address of a running Ray cluster, e.g. auto. By default, one is started on this
            machine.
        tensorboard: Write the losses and scores of every training for TensorBoard.
        algorithm: Your own algorithm to add to the comparison: path/to/file.py:ClassName. Repeat
            the option for several algorithms.
    """
    from networld_algos.bench import suite_paths
    from networld_algos.bench.presets import get_suite, load_suite
    from networld_algos.bench.runner import check_options
    from networld_algos.bench.suite import Entry
    from networld_algos.cli.progress import run_with_progress
    from networld_algos.plugin import add_algorithm, is_plugin

    added = tuple(Entry(name) for name in map(add_algorithm, algorithm))
    chosen = load_suite(suite) if is_plugin(suite) else get_suite(suite)
    chosen = replace(chosen, entries=(*chosen.entries, *added))
    if dry_run:
        check_options(chosen, jobs, only, backend, ray_address, tensorboard)
        _print_plan(chosen.first_seeds(seeds), results, jobs, only)
        return 0
    first = () if seeds is None else (str(seeds),)
    options = {"only": only, "algorithm": algorithm, "seeds": first}
    if backend != "local":
        options |= {"backend": (backend,), "ray-address": (ray_address,) if ray_address else ()}
    command = ["bench", "run", suite, "--jobs", str(jobs), "--results", str(results)]
    command += [
        text for name, values in options.items() for v in values for text in (f"--{name}", v)
    ]
    command += ["--tensorboard"] * tensorboard
    outcomes = run_with_progress(
        chosen,
        results,
        jobs,
        only=only,
        seeds=seeds,
        backend=backend,
        ray_address=ray_address,
        tensorboard=tensorboard,
        command=command,
    )
    failed = [outcome for outcome in outcomes if outcome.error]
    folder = suite_paths(results, chosen).root
    console.print(
        f"{len(outcomes) - len(failed)} runs done, {len(failed)} failed; results in {folder}"
    )
    for outcome in failed:
        console.print("[red]failed[/]", escape(f"{outcome.run.title}: {outcome.error}"))
    if not failed:
        console.print(f"next: networld report {folder}")
    return 1 if failed else 0


def _print_plan(suite: Suite, results: Path, jobs: int, only: Sequence[str]) -> None:
    """Print every run still to be done with its estimated time, and the total of each part."""
    from networld_algos.bench import suite_paths, unfinished
    from networld_algos.bench.estimate import known_rates, run_seconds
    from networld_algos.results.rows import read_rows

    paths = suite_paths(results, suite)
    rates = known_rates(read_rows(paths.root)) if paths.root.is_dir() else {}
    parts: dict[str, list[float]] = {}
    for run in unfinished(suite, paths, only):
        seconds = run_seconds(run, rates)
        parts.setdefault(run.experiment, []).append(seconds)
        console.print(escape(f"{seconds:7.0f} s  {run.title}"))
    for part, each in parts.items():
        console.print(f"{part}: {len(each)} runs, {sum(each) / 60:.0f} min on one core")
    total = sum(map(sum, parts.values()))
    count = sum(map(len, parts.values()))
    wall = max(total / max(1, jobs), max((max(each) for each in parts.values()), default=0.0))
    console.print(f"{count} runs, about {time_span(wall)} with {jobs} jobs (estimated for a CPU)")


def bench_list() -> int:
    """List the suites that come with the package."""
    from networld_algos.bench.estimate import run_seconds
    from networld_algos.bench.presets import SUITES
    from networld_algos.bench.unroll import unroll

    table = Table()
    for heading in ("suite", "data", "parts", "algorithms", "runs", "hours on one core"):
        table.add_column(heading)
    for suite in SUITES.values():
        runs = unroll(suite)
        table.add_row(
            suite.name,
            f"{', '.join(suite.tasks)}: {', '.join(suite.qualities)}",
            ", ".join(suite.parts),
            ", ".join(dict.fromkeys(entry.algorithm for entry in suite.entries)),
            str(len(runs)),
            f"{sum(map(run_seconds, runs)) / 3600:.1f}",
        )
    console.print(table)
    return 0
