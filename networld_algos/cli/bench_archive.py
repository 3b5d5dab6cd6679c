"""``networld bench pack`` and ``unpack``: carry a suite between machines."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tyro.conf import Positional

from networld_algos.cli.terminal import command_text, console
from networld_algos.results.text import count

RESULTS = "--results"


def bench_pack(folder: Positional[Path], out: Path, max_size: float | None = None) -> int:
    """Pack a suite's rows and unfinished trainings into one archive, to continue elsewhere.

    Args:
        folder: Folder of the suite, e.g. results/paper.
        out: The archive, e.g. paper.zip.
        max_size: Largest size in MB. Trainings and models that do not fit are left out.
    """
    from networld_algos.bench.archive import pack

    if max_size is not None and not (max_size > 0 and math.isfinite(max_size)):
        raise ValueError(f"--max-size must be positive and finite, got {max_size:g}")
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
