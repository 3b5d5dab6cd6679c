"""``networld report``: figures and a page from the rows of a suite."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from networld_algos.cli.tables import AsJson
from networld_algos.cli.terminal import Elapsed, Percent, Words, console, make_bar, say_error


def data_rewards() -> dict[str, float]:
    """Dataset -> average reward per agent and step in it, for the datasets of the catalogue.

    They are passed to the report, which must not load an environment.
    """
    from networld_envs.store.fingerprint import fingerprints
    from networld_envs.store.recipes import catalog

    recipes = catalog()
    return {
        name: values["mean_reward"] for name, values in fingerprints().items() if name in recipes
    }


def report(
    results: Positional[Path],
    out: Path | None = None,
    title: str | None = None,
    focus: str | None = None,
    export: Path | None = None,
    as_json: AsJson = False,
) -> int:
    """Make figures and one self-contained HTML page from the results of a suite.

    Args:
        results: Folder of one suite's results, e.g. results/demo, or a .jsonl file of result rows.
        out: Folder for the report. By default, the subfolder "report" of the results.
        title: Heading of the page. By default, the name of the focus method.
        focus: The focus method, e.g. "ma-iql": first in tables, on top in figures, and the
            one that all others are compared with. By default networld if it is there, otherwise
            the best method of your own, otherwise the best.
        export: Folder for a paper: every table as CSV and LaTeX, every figure as PDF, and all runs
            as one data frame, runs.csv (and runs.parquet if pyarrow is installed).
        as_json: Print the tables of the page as JSON, which are also written as tables.json.
    """
    from networld_algos.report.facts import notices
    from networld_algos.report.page import write_report
    from networld_algos.results.folder import read_suite

    found = read_suite(results)
    display = found.display
    if display is None:  # results without display.json; only then does a report load torch
        from networld_algos.bench.looks import current_display

        display = current_display()
    folder = results if results.is_dir() else results.parent
    with make_bar(Words(), Percent(), Elapsed(), transient=True) as bar:
        line = bar.add_task("reading data", total=None)

        def on_progress(done: int, total: int, name: str) -> None:
            bar.update(line, completed=done, total=total, description=f"drawing {name}")

        page = write_report(
            found.rows,
            out or folder / "report",
            title,
            failures=found.failures,
            commands=found.commands,
            notes=found.notes,
            data_rewards=data_rewards(),
            display=display,
            focus=focus,
            export=export,
            on_progress=on_progress,
        )
    for notice in [*found.notes, *notices(found.rows, display)]:
        if as_json:
            say_error(f"note: {notice}")
        else:
            console.print(f"note: {notice}", style="yellow")
    if as_json:
        print((page.parent / "tables.json").read_text(encoding="utf-8"), end="")
        return 0
    console.print(
        f"wrote {page}, tables.md and tables.json beside it and figures in "
        f"{page.parent / 'figures'}"
    )
    if export is not None:
        console.print(f"wrote {export}: the folders tables and figures, and all runs in runs.csv")
    return 0
