"""``networld bench``: run, list, pack and unpack suites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional

from networld_algos.cli.tables import AsJson, Column, Listing, show
from networld_algos.cli.terminal import command_text, console, time_span
from networld_algos.results.text import count, suggestion

if TYPE_CHECKING:
    from networld_algos.bench.suite import Suite

TRY_AGAIN = 75
"""Exit status if the time limit left runs, as EX_TEMPFAIL of sysexits.h."""


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
    device: Literal["cpu", "cuda", "auto"] = "cpu",
    runs_per_gpu: int | None = None,
    time_limit: float | None = None,
    settings: Path | None = None,
    as_json: AsJson = False,
) -> int:
    """Run a suite. A stopped suite resumes where it left off.

    Args:
        suite: A suite of `networld bench list`, or your own: path/to/file.py that defines SUITE.
        jobs: Number of parallel processes, with one thread each. They share the GPUs, if any.
        results: Folder for the results; the suite gets a subfolder.
        only: Run only this part: comparison, fewshot, deployments, ablation, robustness or cost.
            Runs that it starts from are included. Repeat the option for several parts.
        seeds: Run only this many training seeds of every part. Run the others later without it.
        dry_run: Only print the runs and their estimated time.
        backend: Run in processes on this machine, or as tasks of a Ray cluster.
        ray_address: Address of a running Ray cluster, e.g. auto. By default, one is started on this
            machine.
        tensorboard: Write the losses and scores of every training for TensorBoard.
        algorithm: Your own algorithm to add to the comparison: path/to/file.py:ClassName. Repeat
            the option for several algorithms.
        device: Where models train and act: cpu, cuda, or auto (a GPU if there is one).
        runs_per_gpu: With --backend ray, how many runs share a GPU; 8 by default.
        time_limit: After this many minutes, save and stop, with exit status 75 if runs are left.
            The same command goes on later; `networld bench pack` carries the results to another
            machine.
        settings: File of settings that `networld tune` wrote, for the comparison and the ablations.
        as_json: With --dry-run, print JSON.
    """
    from networld_algos.bench import suite_paths
    from networld_algos.bench.backends import RUNS_PER_GPU, expected_device
    from networld_algos.bench.presets import SUITES, load_suite
    from networld_algos.bench.runner import check_options
    from networld_algos.bench.suite import Entry
    from networld_algos.bench.tuned import settled
    from networld_algos.cli.progress import run_with_progress
    from networld_algos.plugin import add_algorithm, is_plugin

    if as_json and not dry_run:
        raise ValueError("--json needs --dry-run: the results of a suite are in its folder")
    if not is_plugin(suite) and suite not in SUITES:
        raise ValueError(
            f"unknown suite {suite!r}{suggestion(suite, SUITES)}\n"
            f"valid suites: {', '.join(SUITES)}, or your own: path/to/file.py"
        )
    added = tuple(Entry(name) for name in map(add_algorithm, algorithm))
    chosen = load_suite(suite) if is_plugin(suite) else SUITES[suite]
    chosen = replace(chosen, entries=(*chosen.entries, *added))
    if settings is not None:
        chosen = settled(chosen, settings)
    limit_s = None if time_limit is None else 60 * time_limit
    share = RUNS_PER_GPU if runs_per_gpu is None else runs_per_gpu
    check_options(  # before any bar
        chosen, jobs, only, backend, ray_address, tensorboard, device, share, limit_s
    )
    fewer = chosen.first_seeds(seeds)
    if dry_run:
        _show_plan(fewer, results, jobs, only, as_json, expected_device(device, backend))
        return 0
    first = () if seeds is None else (str(seeds),)
    options = {"only": only, "algorithm": algorithm, "seeds": first}
    if settings is not None:
        options["settings"] = (str(settings),)
    if device != "cpu":
        options["device"] = (device,)
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
        device=device,
        runs_per_gpu=share,
        time_limit_s=limit_s,
    )
    failed = [outcome for outcome in outcomes if outcome.error]
    left = sum(outcome.stopped for outcome in outcomes)
    folder = suite_paths(results, chosen).root
    done = count(len(outcomes) - len(failed) - left, "run")
    console.print(f"{done} done, {len(failed)} failed; results in {folder}")
    for outcome in failed:
        console.print(f"failed {outcome.run.title}: {outcome.error}", style="red")
    if left:
        console.print(
            f"time limit reached, {count(left, 'run')} left; give the same command again to go on, "
            f"or carry them to another machine: "
            f"{command_text('networld', 'bench', 'pack', folder, '--out', f'{chosen.name}.zip')}"
        )
    elif not failed:
        console.print(f"next: {command_text('networld', 'report', folder)}")
    return 1 if failed else TRY_AGAIN if left else 0


def _show_plan(
    suite: Suite, results: Path, jobs: int, only: Sequence[str], as_json: bool, device: str
) -> None:
    """Print every run still to be done with its estimated time, and the total of each part."""
    from networld_algos.bench import suite_paths, unfinished
    from networld_algos.bench.estimate import Pace
    from networld_algos.bench.unroll import unroll
    from networld_algos.results.rows import read_rows
    from networld_algos.training.cpu import machine

    paths = suite_paths(results, suite)
    pace = Pace(jobs, device=device)
    if paths.root.is_dir():
        pace.learn(unroll(suite), read_rows(paths.root), machine())
    todo = unfinished(suite, paths, only)
    rows = [
        {"run": run.title, "part": run.experiment, "seconds": pace.seconds(run)} for run in todo
    ]
    wall = pace.wall_seconds(todo)
    about = {"suite": suite.name, "jobs": jobs, "wall_seconds": wall, "measured": pace.is_measured}
    if as_json:
        columns = [Column("run"), Column("part"), Column("seconds")]
        show(Listing("runs", columns, rows), as_json=True, **about)
        return
    parts: dict[str, list[float]] = {}
    for row in rows:
        parts.setdefault(row["part"], []).append(row["seconds"])
        console.print(f"{time_span(row['seconds']):>9}  {row['run']}")
    for part, each in parts.items():
        where = "on one core" if device == "cpu" else "one after another"
        console.print(f"{part}: {count(len(each), 'run')}, {time_span(sum(each))} {where}")
    source = (
        "corrected with the runs that this machine has done"
        if pace.is_measured
        else "not measured on this machine yet, so it may be several times as long; "
        "the bar of the suite corrects it after the first runs"
    )
    console.print(
        f"{count(len(rows), 'run')}, about {time_span(wall)} with {count(jobs, 'job')} ({source})"
    )


def bench_pack(folder: Positional[Path], out: Path, max_size: float | None = None) -> int:
    """Pack a suite's rows and unfinished trainings into one archive, to go on elsewhere.

    Args:
        folder: Folder of the suite, e.g. results/paper.
        out: The archive, e.g. paper.zip.
        max_size: Largest size in MB. Trainings and models that do not fit are left out.
    """
    from networld_algos.bench.archive import pack

    if max_size is not None and not max_size > 0:
        raise ValueError(f"--max-size must be positive, got {max_size:g}")
    found = pack(folder, out, None if max_size is None else round(1e6 * max_size))
    console.print(
        f"{found.archive}: {found.size / 1e6:.2f} MB with the rows of {count(found.rows, 'run')}, "
        f"{count(len(found.trainings), 'unfinished training')} and "
        f"{count(len(found.models), 'finished model')}"
    )
    _print_left_out(found.left_out)
    console.print(f"next, elsewhere: {command_text('networld', 'bench', 'unpack', found.archive)}")
    return 0


def bench_unpack(archive: Positional[Path], results: Path = Path("results")) -> int:
    """Merge an archive of `networld bench pack` with the results that are here.

    Args:
        archive: The archive.
        results: Folder for the results; the suite has or gets a subfolder.
    """
    from networld_algos.bench.unpacking import unpack

    found = unpack(archive, results)
    console.print(
        f"{found.folder}: new are the rows of {count(len(found.rows), 'run')} and "
        f"{count(len(found.trainings), 'training')}; {count(len(found.kept), 'file')} of the "
        "archive not used, because what is here is as far or further"
    )
    _print_left_out(found.left_out)
    suite = command_text("networld", "bench", "run", found.folder.name, "--results", results)
    console.print(f"next: {suite}")
    return 0


def _print_left_out(keys: Sequence[str]) -> None:
    if keys:
        named = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
        console.print(
            f"not in the archive, for lack of room: {count(len(keys), 'training')} ({named}). "
            "Unfinished ones start again elsewhere, and models are trained again if a run needs "
            "them",
            style="yellow",
        )


def bench_list(as_json: AsJson = False) -> int:
    """List the suites that come with the package.

    Args:
        as_json: Print JSON instead of a table.
    """
    from networld_algos.bench.estimate import GPU_RUNS, gpu_seconds, run_seconds
    from networld_algos.bench.presets import SUITES
    from networld_algos.bench.unroll import unroll

    rows = []
    for suite in SUITES.values():
        runs = unroll(suite)
        rows.append(
            {
                "suite": suite.name,
                "tasks": suite.tasks,
                "qualities": suite.qualities,
                "parts": suite.parts,
                "algorithms": tuple(dict.fromkeys(e.algorithm for e in suite.entries)),
                "runs": len(runs),
                "seconds_on_one_core": sum(map(run_seconds, runs)),
                "gpu_hours": sum(map(gpu_seconds, runs)) / 3600,
            }
        )
    columns = (
        Column("suite"),
        Column("tasks"),
        Column("qualities", "data", prose=True),
        Column("parts", prose=True),
        Column("algorithms", prose=True),
        Column("runs", right=True),
        Column("seconds_on_one_core", "on one core", time_span, right=True),
        Column("gpu_hours", "GPU-hours", "{:.1f}".format, right=True),
    )
    if not as_json:
        console.print(
            "Times are estimates. A GPU-hour is one hour of one modern GPU that "
            f"{GPU_RUNS} runs share."
        )
    show(Listing("suites", columns, rows), as_json=as_json)
    return 0


VERBS = {"run": bench_run, "list": bench_list, "pack": bench_pack, "unpack": bench_unpack}
