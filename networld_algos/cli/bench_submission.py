"""``networld bench check`` and ``leaderboard``: submissions of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from networld_algos.cli.terminal import console
from networld_algos.results.text import count

if TYPE_CHECKING:
    from networld_algos.bench.suite import Suite
    from networld_algos.results.rows import Row


def _committed_rows(suite: Suite, committed: Path | None) -> list[Row]:
    """The committed rows of a suite; none if no folder is given and the package has none."""
    from networld_algos.bench.submission.committed import find_committed, read_committed

    try:
        folder = find_committed(suite.name, committed)
    except ValueError:
        if committed is not None:
            raise
        return []
    return list(read_committed(suite.name, folder).rows)


def bench_check(folder: Positional[Path], suite: str = "cpu", committed: Path | None = None) -> int:
    """Accept or refuse a submission: a folder of one algorithm's rows, with submission.toml.

    The exit status is 0 if it is accepted, and 1 if it has faults.

    Args:
        folder: The submission, e.g. benchmarks/submissions/mine. Subfolders are not read.
        suite: The suite: a name, or path/to/file.py that defines SUITE.
        committed: Folder of the committed results of the suite, where the package has none.
    """
    from networld_algos.bench.presets import find_suite
    from networld_algos.bench.submission.checking import check_submission

    chosen = find_suite(suite)
    rows = _committed_rows(chosen, committed)
    found = check_submission(folder, chosen, rows)
    for fault in found.faults:
        console.print(str(fault))
    if not rows:
        console.print(
            "no committed rows: versions, epochs, minutes, speed and scores were not compared with "
            "theirs; give their folder with --committed",
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
    from networld_algos.bench.presets import find_suite
    from networld_algos.bench.submission.committed import find_committed
    from networld_algos.bench.submission.leaderboard import leaderboard
    from networld_algos.files import write_text

    chosen = find_suite(suite)
    folder = find_committed(chosen.name, committed)
    write_text(out, leaderboard(chosen, folder, submissions))
    console.print(f"wrote {out}")
    return 0
