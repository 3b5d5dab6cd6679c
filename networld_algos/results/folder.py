"""Files in a suite's folder beside the rows: failures, commands, and the looks of methods."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from networld_algos.files import reading, write_text
from networld_algos.results.display import Display
from networld_algos.results.rows import SUPERSEDED, Row, files_below, read_rows

FAILURE_SUFFIX = ".failure.json"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that raised an exception.

    Attributes:
        suite: Name of the suite.
        run: The run in words, e.g. ``"comparison / cbf / ma-cql / seed 2"``.
        error: Type and message of the exception.
        traceback: The formatted traceback.
    """

    suite: str
    run: str
    error: str
    traceback: str


def write_failure(path: str | os.PathLike[str], failure: Failure) -> Path:
    """Record a failed run; ``path`` must end in ``.failure.json``."""
    if not str(path).endswith(FAILURE_SUFFIX):
        raise ValueError(f"a failure record must end in {FAILURE_SUFFIX}, got {str(path)!r}")
    return write_text(path, json.dumps(asdict(failure), indent=1) + "\n")


def read_failures(folder: str | os.PathLike[str]) -> list[Failure]:
    """Every failure record below ``folder``, sorted by file name.

    Raises:
        ValueError: For a file that is not a failure record.
    """
    failures: list[Failure] = []
    for path in files_below(Path(folder), FAILURE_SUFFIX):
        with reading(path, "delete it; running the suite again repeats that run"):
            failure = Failure(**json.loads(path.read_text(encoding="utf-8")))
            if not all(isinstance(text, str) for text in asdict(failure).values()):
                raise ValueError("a failure record has texts only")
            failures.append(failure)
    return failures


COMMANDS = "commands.txt"
"""File in a suite's folder: the commands that wrote to it, one per line."""
DISPLAY = "display.json"
"""File in a suite's folder: the looks of its methods and tasks."""
COMMITTED = "committed"
"""Folder in a suite's folder: copies of committed results that an own algorithm is compared with,
see `networld_algos.bench.submission.committed`."""
NOTES = "notes.txt"
"""File in the folder `COMMITTED`: what a reader of a report must know about the copies."""
RATES = "rates.toml"
"""File in a suite's folder: measured updates per minute, so that every call has equal budgets."""


@dataclass(frozen=True)
class SuiteRows:
    """Content of a suite's folder.

    Attributes:
        rows: Every result row.
        failures: Runs that raised an exception.
        commands: Commands that made the rows.
        display: Looks of methods and tasks; None if there is no file `DISPLAY`.
        notes: What readers must know about copies of committed results, one sentence each.
    """

    rows: list[Row]
    failures: list[Failure]
    commands: list[str]
    display: Display | None
    notes: list[str] = field(default_factory=list)


def read_suite(folder: Path) -> SuiteRows:
    """Rows, failures, commands and looks of one suite.

    Args:
        folder: A suite's folder, or one file of rows.

    Raises:
        FileNotFoundError: If there is nothing at ``folder``.
        ValueError: If it holds no rows or rows of several suites (the message says what to give
            instead), if its models were trained on two contents of one dataset, if it has two
            different results of a reference policy, or if one of its files is damaged (the message
            names the file).
    """
    if not folder.exists():
        raise FileNotFoundError(
            f"no folder {folder}: run a suite first, e.g. `networld bench run demo`, "
            "then `networld report results/demo`"
        )
    if folder.is_file() and folder.suffix != ".jsonl":
        raise ValueError(f"{folder} is neither a suite's folder nor a file of rows (*.jsonl)")
    files = files_below(folder, ".jsonl") if folder.is_dir() else [folder]
    by_file = {file: read_rows(file) for file in files}
    rows = [row for found in by_file.values() for row in found]
    failures = read_failures(folder) if folder.is_dir() else []
    if not rows:
        raise ValueError(_no_rows(folder, failures))
    suites: dict[str, Path] = {}
    for file, found in by_file.items():
        for row in found:
            suites.setdefault(row.suite, file.parent)
    if len(suites) > 1:
        raise ValueError(_several(folder, suites))
    # Copies of committed results were compared with the user's data when they were copied; data
    # that was built again may differ by rounding.
    copied = {file: found for file, found in by_file.items() if file.parent.name == COMMITTED}
    for part in (copied, {file: by_file[file] for file in by_file if file not in copied}):
        _refuse_mixed_data(folder, part)
    rows = _without_equal_references(folder, by_file)
    ((suite, home),) = suites.items()
    commands = _commands(folder, suite)
    if (folder / COMMITTED / COMMANDS).is_file():
        commands = [*commands, *_read_commands(folder / COMMITTED / COMMANDS)]
    notes: list[str] = []
    if (folder / COMMITTED / NOTES).is_file():
        notes = _read_commands(folder / COMMITTED / NOTES)
    display = read_display(folder) if folder.is_dir() else None
    return SuiteRows(rows, failures, commands, display or read_display(home), notes)


def _refuse_mixed_data(folder: Path, by_file: dict[Path, list[Row]]) -> None:
    """Raise if a dataset was replaced between runs, because means would mix both contents."""
    seen: dict[str, dict[str, Path]] = {}  # dataset -> hash -> first file with it
    for file, rows in by_file.items():
        for row in rows:
            for dataset_id, sha256 in row.data_hashes.items():
                seen.setdefault(dataset_id, {}).setdefault(sha256, file)
    for dataset_id, files in seen.items():
        if len(files) > 1:
            places = ", ".join(f"{sha[:16]} in {file.name}" for sha, file in files.items())
            raise ValueError(
                f"{folder} holds results from {len(files)} contents of dataset {dataset_id!r}: "
                f"{places}. A report would average them. Keep the files of one content, move the "
                f"others to the subfolder {SUPERSEDED!r}, and run the suite again"
            )


def _without_equal_references(folder: Path, by_file: dict[Path, list[Row]]) -> list[Row]:
    """All rows, without the repetitions of a reference policy's result in further files.

    Suites whose conditions differ score the references anew, and unpacking merges their files.
    """
    seen: dict[object, tuple[Path, Row]] = {}
    kept: list[Row] = []
    for file, rows in by_file.items():
        for row in rows:
            if row.kind == "reference":
                other, first = seen.setdefault((row.run, row.eval_seed_set), (file, row))
                if first.episode_returns != row.episode_returns:
                    raise ValueError(
                        f"{folder} holds two results of the reference policy {row.label!r} on "
                        f"{row.task}, in {other.name} and {file.name}. Keep the one that was made "
                        f"with the other rows, and move the other to the subfolder {SUPERSEDED!r}"
                    )
                if first is not row:
                    continue
            kept.append(row)
    return kept


def record_command(folder: Path, arguments: Sequence[str]) -> None:
    """Add a command to `COMMANDS` in a suite's folder, unless it is already listed.

    Args:
        folder: The suite's folder.
        arguments: Arguments of the command, without the program's name.
    """
    add_commands(folder, [shlex.join(["networld", *arguments])])


def add_commands(folder: Path, commands: Sequence[str]) -> None:
    """Add lines to `COMMANDS` in a suite's folder, without those that are already listed."""
    path = folder / COMMANDS
    lines = read_commands(folder)
    new = [line for line in dict.fromkeys(commands) if line not in lines]
    if new:
        write_text(path, "".join(f"{text}\n" for text in [*lines, *new]))


def read_commands(folder: Path) -> list[str]:
    """The lines of `COMMANDS` in a suite's folder; none if there is no such file."""
    path = folder / COMMANDS
    return _read_commands(path) if path.is_file() else []


def write_display(folder: Path, display: Display) -> Path:
    """Write `DISPLAY`. Looks that only an existing file holds are kept.

    Raises:
        ValueError: If the existing file is damaged.
    """
    older = read_display(folder) or Display()
    return write_text(folder / DISPLAY, display.merged(older).to_json())


def read_display(folder: Path) -> Display | None:
    """Looks of the methods and tasks of a suite; None if there is no file `DISPLAY`.

    Raises:
        ValueError: If the file is damaged; the message names it and says what to do.
    """
    path = folder / DISPLAY
    if not path.is_file():
        return None
    with reading(path, "delete this file; running the suite again writes a new one"):
        return Display.from_json(path.read_text(encoding="utf-8"))


def _commands(folder: Path, suite: str) -> list[str]:
    path = folder / COMMANDS
    if path.is_file():
        return _read_commands(path)
    if folder.is_dir() and folder.name == suite:
        return [
            "# The commands were not recorded. A suite with this name and folder is run by:",
            shlex.join(["networld", "bench", "run", suite, "--results", str(folder.parent)]),
        ]
    return []


def _read_commands(path: Path) -> list[str]:
    with reading(path, "delete this file; running the suite again writes a new one"):
        return path.read_text(encoding="utf-8").splitlines()


def _no_rows(folder: Path, failures: Sequence[Failure]) -> str:
    if failures:
        return (
            f"no result rows in {folder}: all {len(failures)} runs recorded there failed, the "
            f"first ({failures[0].run}) with {failures[0].error}. Fix the cause and run the suite "
            "again; failed runs are repeated"
        )
    if (folder / "checkpoints").is_dir():
        return f"no run of the suite in {folder} is finished yet; run the suite again to resume it"
    return (
        f"no result rows (*.jsonl) in {folder}; `networld bench run SUITE --results DIR` writes "
        "them to DIR/SUITE; give that folder"
    )


def _several(folder: Path, suites: dict[str, Path]) -> str:
    places = ", ".join(f"{suite} in {place}" for suite, place in suites.items())
    text = f"{folder} holds rows of {len(suites)} suites ({places}), but a report covers one"
    if len(set(suites.values())) == len(suites):
        return f"{text}; give its folder, e.g. `networld report {next(iter(suites.values()))}`"
    return f"{text}; move every suite to its own folder"
