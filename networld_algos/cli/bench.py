"""``networld bench``: run, list, pack and unpack suites; check submissions of results."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional

from networld_algos.cli.tables import AsJson, Column, Listing, show
from networld_algos.cli.terminal import command_text, console, say_error, time_span
from networld_algos.results.text import count, suggestion

if TYPE_CHECKING:
    from networld_algos.bench.submission.against import Against
    from networld_algos.bench.suite import Suite
    from networld_algos.results.rows import Row

TRY_AGAIN = 75
"""Exit status if the time limit left runs, as EX_TEMPFAIL of sysexits.h."""
RESULTS = "--results"


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
    from networld_algos.bench.presets import SUITES, load_suite
    from networld_algos.bench.runner import check_options
    from networld_algos.bench.submission.against import against
    from networld_algos.bench.submission.committed import copy_committed
    from networld_algos.bench.suite import Entry
    from networld_algos.bench.tuned import settled
    from networld_algos.cli.progress import run_with_progress, show_plan
    from networld_algos.plugin import add_algorithm, is_plugin

    if as_json and not dry_run:
        raise ValueError("--json needs --dry-run: the results of a suite are in its folder")
    if not is_plugin(suite) and suite not in SUITES:
        raise ValueError(
            f"unknown suite {suite!r}{suggestion(suite, SUITES)}\n"
            f"valid suites: {', '.join(SUITES)}, or your own: path/to/file.py"
        )
    if not against_committed and (committed is not None or budget is not None):
        raise ValueError("--committed and --budget need --against-committed")
    added = tuple(map(add_algorithm, algorithm))
    chosen = load_suite(suite) if is_plugin(suite) else SUITES[suite]
    versus = None
    if against_committed:
        root = suite_paths(results, chosen).root
        say = say_error if as_json else console.print
        versus = against(
            chosen, added, root, committed, budget, settings, write=not dry_run, say=say
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
    if versus is not None and not as_json:
        _say_against(versus)
    fewer = chosen.first_seeds(seeds)
    if dry_run:
        where = expected_device(device, backend)
        show_plan(fewer, results, jobs, only, as_json, where, not against_committed)
        return 0
    if versus is not None:
        copy_committed(versus.committed, suite_paths(results, chosen).root)
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
            f"time limit reached, {count(left, 'run')} left; give the same command again, "
            f"or carry them to another machine: "
            f"{command_text('networld', 'bench', 'pack', folder, '--out', f'{chosen.name}.zip')}"
        )
    elif not failed:
        scored = {outcome.run.label for outcome in outcomes}
        focus = [text for name in added[:1] if name in scored for text in ("--focus", name)]
        console.print(f"next: {command_text('networld', 'report', folder, *focus)}")
    return 1 if failed else TRY_AGAIN if left else 0


def _say_against(found: Against) -> None:
    """Print what own algorithms are compared with, and which parts they join."""
    console.print(f"compared with the committed rows in {found.committed.folder}")
    for mark in found.committed.marks:
        console.print(f"note on them: {mark}", style="yellow")
    for part, words in found.parts.items():
        console.print(f"joins {part}: {words}")
    for part, why in found.left_out.items():
        console.print(f"does not join {part}: {why}")


def bench_pack(folder: Positional[Path], out: Path, max_size: float | None = None) -> int:
    """Pack a suite's rows and unfinished trainings into one archive, to continue elsewhere.

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
    console.print(f"next: {_resuming(found.folder, results)}")
    return 0


def _resuming(folder: Path, results: Path) -> str:
    """The last command that ran a suite, for results in this folder; others have other keys."""
    from networld_algos.results.folder import read_commands

    run = ["networld", "bench", "run"]
    found = [*run, folder.name]
    for line in read_commands(folder):
        with suppress(ValueError):  # quotes that do not match
            words = shlex.split(line)
            found = words if words[:3] == run else found
    if RESULTS in found:
        del found[found.index(RESULTS) : found.index(RESULTS) + 2]
    return command_text(*found, RESULTS, results)


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


def _suite(suite: str) -> Suite:
    """A suite by name or file."""
    from networld_algos.bench.presets import get_suite, load_suite
    from networld_algos.plugin import is_plugin

    return load_suite(suite) if is_plugin(suite) else get_suite(suite)


def _committed_rows(suite: Suite, committed: Path | None) -> list[Row]:
    """The committed rows of a suite; none if no folder is given and the package has none."""
    from networld_algos.bench.submission.committed import find_committed
    from networld_algos.results.rows import read_rows

    try:
        folder = find_committed(suite.name, committed)
    except ValueError:
        if committed is not None:
            raise
        return []
    return read_rows(folder)


def bench_check(folder: Positional[Path], suite: str = "cpu", committed: Path | None = None) -> int:
    """Accept or refuse a submission: a folder of one algorithm's rows, with submission.toml.

    The exit status is 0 if it is accepted, and 1 if it has faults.

    Args:
        folder: The submission, e.g. benchmarks/submissions/mine. Subfolders are not read.
        suite: The suite: a name, or path/to/file.py that defines SUITE.
        committed: Folder of the committed results of the suite, where the package has none.
    """
    from networld_algos.bench.submission.checking import check_submission

    chosen = _suite(suite)
    rows = _committed_rows(chosen, committed)
    found = check_submission(folder, chosen, rows)
    for fault in found.faults:
        console.print(str(fault))
    if not rows:
        console.print(
            "no committed rows: versions, epochs and minutes were not compared with theirs; give "
            "their folder with --committed",
            style="yellow",
        )
    if found.faults:
        console.print(f"refused: {count(len(found.faults), 'fault')}", style="red")
        return 1
    parts = ", ".join(dict.fromkeys(row.experiment for row in found.rows))
    console.print(f"accepted: {count(len(found.rows), 'row')} of {found.label} in {parts}")
    return 0


def bench_leaderboard(
    suite: str = "cpu",
    submissions: Path = Path("benchmarks/submissions"),
    committed: Path | None = None,
    out: Path = Path("docs/leaderboard.md"),
) -> int:
    """Write the leaderboard from submissions and the committed rows.

    Args:
        suite: The suite: a name, or path/to/file.py that defines SUITE.
        submissions: Folder with one subfolder for each submission. Faulty ones are not ranked.
        committed: Folder of the committed results; by default benchmarks/results/SUITE.
        out: The page, in Markdown.
    """
    from networld_algos.bench.submission.committed import find_committed
    from networld_algos.bench.submission.leaderboard import leaderboard
    from networld_algos.files import write_text

    chosen = _suite(suite)
    folder = find_committed(chosen.name, committed)
    write_text(out, leaderboard(chosen, folder, submissions))
    console.print(f"wrote {out}")
    return 0


VERBS = {
    "run": bench_run,
    "list": bench_list,
    "pack": bench_pack,
    "unpack": bench_unpack,
    "check": bench_check,
    "leaderboard": bench_leaderboard,
}
