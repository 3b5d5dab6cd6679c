"""``networld bench`` and ``networld report``: suites, and what comes out of them."""

from __future__ import annotations

from pathlib import Path

import tyro
from rich.markup import escape
from rich.table import Table

from networld_algos.terminal import console

Positional = tyro.conf.Positional


def bench_run(
    suite: Positional[str],
    jobs: int = 1,
    results: Path = Path("results"),
    dry_run: bool = False,
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> int:
    """Run a suite; one that was stopped goes on where it was.

    Args:
        suite: smoke or demo; `networld bench list` shows all.
        jobs: Processes side by side, one thread each.
        results: Folder of the results.
        dry_run: Only print what would be run.
        algorithm: Your own algorithm, path/to/file.py:Name, to run beside those of the suite;
            may be given several times.
    """
    from dataclasses import replace

    from networld_algos.bench import suite_paths
    from networld_algos.live import run_with_progress
    from networld_algos.plugin import add_algorithm
    from networld_algos.suites import Entry, get_suite

    chosen = get_suite(suite)
    added = tuple(Entry(name) for name in map(add_algorithm, algorithm))
    chosen = replace(chosen, entries=(*chosen.entries, *added))
    if dry_run:
        todo = [run for run in chosen.runs() if not suite_paths(results, chosen).is_done(run)]
        for run in todo:
            console.print(f"{run.cost:7.0f} s  {run.title}")
        seconds = sum(run.cost for run in todo) / max(1, jobs)
        console.print(f"{len(todo)} runs, about {seconds / 60:.0f} min with {jobs} jobs")
        return 0
    outcomes = run_with_progress(chosen, results, jobs)
    failed = [outcome for outcome in outcomes if outcome.error]
    folder = suite_paths(results, chosen).root
    console.print(
        f"{len(outcomes) - len(failed)} runs done, {len(failed)} failed; rows in {folder}"
    )
    for outcome in failed:
        console.print("[red]failed[/]", escape(f"{outcome.run.title}: {outcome.error}"))
    if not failed:
        console.print(f"next: networld report {folder}")
    return 1 if failed else 0


def bench_list() -> int:
    """List the suites."""
    from networld_algos.suites import SUITES

    table = Table()
    for heading in ("suite", "tasks", "algorithms", "runs"):
        table.add_column(heading)
    for suite in SUITES.values():
        labels = ", ".join(entry.label for entry in suite.entries)
        table.add_row(suite.name, ", ".join(suite.tasks), labels, str(len(suite.runs())))
    console.print(table)
    return 0


def report(results: Positional[Path], out: Path | None = None, title: str = "NetWorld") -> int:
    """Make figures and one self-contained HTML page from result rows.

    Args:
        results: Folder of one suite's rows, e.g. results/demo.
        out: Folder to write to; "report" inside the results by default.
        title: Heading of the page.
    """
    from networld_algos.report import write_report
    from networld_algos.rows import read_failures, read_rows

    rows = read_rows(results)
    if not rows:
        raise ValueError(f"no rows in {results}; `networld bench run SUITE` makes them")
    page = write_report(rows, out or results / "report", title, failures=read_failures(results))
    console.print(f"wrote {page} and figures in {page.parent / 'figures'}")
    return 0
