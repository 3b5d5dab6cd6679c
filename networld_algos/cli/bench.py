"""``networld bench``: run, list, pack and unpack suites; check submissions of results."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional

from networld_algos.cli.bench_archive import bench_pack, bench_unpack
from networld_algos.cli.bench_submission import bench_check, bench_leaderboard
from networld_algos.cli.tables import AsJson, Column, Listing, show
from networld_algos.cli.terminal import command_text, console, say_error, time_span
from networld_algos.results.text import count

if TYPE_CHECKING:
    from networld_algos.bench.parts import Entry
    from networld_algos.bench.submission.against import Against
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
    log: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    device: Literal["cpu", "cuda", "auto"] = "cpu",
    runs_per_gpu: int | None = None,
    time_limit: float | None = None,
    settings: Path | None = None,
    against_committed: bool = False,
    committed: Path | None = None,
    budget: Literal["updates", "minutes"] | None = None,
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
        log: Write the losses and scores of every training: csv, tensorboard, wandb, or your own:
            path/to/file.py:ClassName. Repeat the option for several.
        algorithm: Your own algorithm to add to the comparison: path/to/file.py:ClassName. Repeat
            the option for several algorithms.
        device: Where models train and act: cpu, cuda, or auto (a GPU if there is one).
        runs_per_gpu: With --backend ray, how many runs share a GPU; 8 by default.
        time_limit: After this many minutes, save and stop, with exit status 75 if runs are left.
            The same command resumes it later; `networld bench pack` carries the results to another
            machine.
        settings: File of settings that `networld tune` wrote, for the comparison and the ablations.
        against_committed: Train only your own algorithms, in every part of the suite that they can
            join, and take the rows of all others from the committed results.
        committed: Folder of the committed results of the suite, where the package has none.
        budget: With --against-committed, how long your algorithms train: for the suite's own number
            of updates, or for as many minutes as its methods, as measured on this machine. By
            default minutes, if the suite sets them.
        as_json: With --dry-run, print JSON.
    """
    from networld_algos.bench import suite_paths
    from networld_algos.bench.backends import RUNS_PER_GPU, expected_device
    from networld_algos.bench.estimate import entry_rates
    from networld_algos.bench.machine_speed import with_share
    from networld_algos.bench.presets import find_suite
    from networld_algos.bench.runner import check_options
    from networld_algos.bench.submission.against import against
    from networld_algos.bench.submission.committed import copy_committed
    from networld_algos.bench.suite import Entry
    from networld_algos.bench.tuned import settled
    from networld_algos.cli.progress import run_with_progress, show_plan
    from networld_algos.plugin import add_algorithm

    if as_json and not dry_run:
        raise ValueError("--json needs --dry-run: the results of a suite are in its folder")
    if not against_committed and (committed is not None or budget is not None):
        raise ValueError("--committed and --budget need --against-committed")
    added = tuple(map(add_algorithm, algorithm))  # a suite may name them
    original = chosen = find_suite(suite)
    versus = None
    paths = suite_paths(results, chosen)
    # Below, files of the folder are written, which another process may be using.
    is_there = not dry_run and paths.root.is_dir()
    with paths.sole_user() if is_there else nullcontext():
        if against_committed:
            say = say_error if as_json else console.print
            versus = against(
                chosen, added, paths.root, committed, budget, settings, write=not dry_run, say=say
            )
            chosen = versus.suite
        else:
            chosen = replace(chosen, entries=(*chosen.entries, *map(Entry, added)))
            if settings is not None:
                chosen = settled(chosen, settings)
        limit_s = None if time_limit is None else 60 * time_limit
        share = RUNS_PER_GPU if runs_per_gpu is None else runs_per_gpu
        check_options(  # before any bar
            chosen, jobs, only, backend, ray_address, log, device, share, limit_s
        )
        if versus is None:
            may_measure = not dry_run and device == "cpu" and backend == "local"
            chosen = with_share(chosen, _share_here(original, paths.root, may_measure))
            if chosen.updates < original.updates and not as_json:
                console.print(
                    f"this machine is slow: {chosen.updates} updates per training instead of "
                    f"{original.updates}, so that the suite ends within minutes"
                )
        elif not as_json:
            _say_against(versus)
        fewer = chosen.first_seeds(seeds)
        rates = None
        if versus is not None and device == "cpu":
            rates = entry_rates(chosen)
        if dry_run:
            where = expected_device(device, backend)
            show_plan(fewer, results, jobs, only, as_json, where, not against_committed, rates)
            return 0
        if versus is not None:
            copy_committed(versus.committed, paths.root)
    first = () if seeds is None else (str(seeds),)
    options = {"only": only, "algorithm": algorithm, "seeds": first, "log": log}
    if settings is not None:
        options["settings"] = (str(settings),)
    if committed is not None:
        options["committed"] = (str(committed),)
    if budget is not None:
        options["budget"] = (budget,)
    if device != "cpu":
        options["device"] = (device,)
    if backend != "local":
        options |= {"backend": (backend,), "ray-address": (ray_address,) if ray_address else ()}
    command = ["bench", "run", suite, "--jobs", str(jobs), "--results", str(results)]
    command += [
        text for name, values in options.items() for v in values for text in (f"--{name}", v)
    ]
    command += ["--against-committed"] * against_committed
    started = time.monotonic()
    outcomes = run_with_progress(
        chosen,
        results,
        jobs,
        only=only,
        seeds=seeds,
        backend=backend,
        ray_address=ray_address,
        log=log,
        command=command,
        device=device,
        runs_per_gpu=share,
        time_limit_s=limit_s,
        references=not against_committed,
        rates=rates,
    )
    failed = [outcome for outcome in outcomes if outcome.error]
    left = sum(outcome.stopped for outcome in outcomes)
    folder = paths.root
    done = count(len(outcomes) - len(failed) - left, "run")
    took = time_span(time.monotonic() - started)
    console.print(f"{done} done, {len(failed)} failed, in {took}; results in {folder}")
    for outcome in failed:
        console.print(f"failed {outcome.run.title}: {outcome.error}", style="red")
    if left:
        console.print(
            f"time limit reached, {count(left, 'run')} left; give the same command again, "
            f"or carry them to another machine: "
            f"{command_text('networld', 'bench', 'pack', folder, '--out', f'{chosen.name}.zip')}"
        )
    elif not failed:
        scored = {outcome.run.label for outcome in outcomes}
        focus = [text for name in added[:1] if name in scored for text in ("--focus", name)]
        console.print(f"next: {command_text('networld', 'report', folder, *focus)}")
    return 1 if failed else TRY_AGAIN if left else 0


def _share_here(suite: Suite, root: Path, may_measure: bool) -> float:
    """The share of the suite's updates that suits this machine, see `share_here`."""
    from networld_algos.bench.machine_speed import measured_rate, share_here
    from networld_algos.cli.train.resuming import obtain_dataset
    from networld_algos.results.folder import RATES

    def measure(entry: Entry, task: str, quality: str) -> float:
        obtain_dataset(f"networld/{task}/{quality}-v0")
        return measured_rate(entry, task, quality)

    return share_here(suite, root / RATES, measure if may_measure else None)


def _say_against(found: Against) -> None:
    """Print what own algorithms are compared with, and which parts they join."""
    console.print(f"compared with the committed rows in {found.committed.folder}")
    for mark in found.committed.marks:
        console.print(f"note on them: {mark}", style="yellow")
    for part, words in found.parts.items():
        console.print(f"joins {part}: {words}")
    for part, why in found.left_out.items():
        console.print(f"does not join {part}: {why}")


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


VERBS = {
    "run": bench_run,
    "list": bench_list,
    "pack": bench_pack,
    "unpack": bench_unpack,
    "check": bench_check,
    "leaderboard": bench_leaderboard,
}
