"""Committed results of a suite, to which a user's own algorithm is compared.

A user trains only the own algorithm; the rows of all others are copied from the committed ones. The
copies are in the subfolder `COMMITTED` of the user's suite, so the committed files never change and
a report of that folder shows both.

Rows can be compared if they score the same networks and if all models were trained on the same
data. `check_committed` refuses committed rows where one of the two is not so. Other differences,
such as the version or the settings of a method, do not make a comparison wrong but have to be
known: they are marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from networld_algos.bench.archive import is_result, result_key
from networld_algos.bench.runs import Run
from networld_algos.bench.suite import Suite
from networld_algos.bench.unroll import unroll
from networld_algos.data.identity import SHOWN
from networld_algos.files import write_bytes, write_text
from networld_algos.results.folder import COMMANDS, COMMITTED, NOTES, RATES, SuiteRows, read_suite
from networld_algos.results.rows import Row, read_rows
from networld_algos.results.text import count
from networld_algos.training.cpu import machine
from networld_algos.training.tuning.choices import data_key
from networld_envs import store
from networld_envs.policies.references import TEST_SEED, reference_rewards
from networld_envs.store.minari_io import own_record
from networld_envs.store.reading.identity import ROUNDING
from networld_envs.store.recipes import catalog
from networld_envs.version import __version__

CHECKOUT = Path(__file__).resolve().parents[3]
"""The checkout, if this package is not installed from a wheel."""
AGAIN = 2
"""Networks on which the random policy is scored again, to see that they are the same."""
TOLERANCE = 1e-3
"""Largest difference of a score made again, as a share of the distance from random to expert."""


@dataclass(frozen=True)
class CommittedRows:
    """Committed results that can be compared with own ones.

    Attributes:
        folder: Where they are.
        rows: All rows.
        commands: The commands that made them.
        marks: What differs from this installation, one sentence each.
    """

    folder: Path
    rows: Sequence[Row]
    commands: Sequence[str]
    marks: tuple[str, ...]


def find_committed(suite: str, folder: Path | None = None) -> Path:
    """Folder of the committed results of a suite.

    Args:
        suite: Name of the suite.
        folder: The folder, or None for that of the checkout from which the package runs.

    Raises:
        ValueError: If there is none; says where to get it.
    """
    found = CHECKOUT / "benchmarks" / "results" / suite if folder is None else folder
    if any(found.glob("*.jsonl")):
        return found
    if folder is not None:
        raise ValueError(f"{folder} has no result rows (*.jsonl); give the folder of one suite")
    if (CHECKOUT / "benchmarks" / "results").is_dir():
        there = sorted(p.name for p in found.parent.iterdir() if any(p.glob("reference-*.jsonl")))
        raise ValueError(
            f"there are no committed results of suite {suite!r}; there are some of "
            f"{', '.join(there) or 'no suite'}. Give a folder with --committed"
        )
    raise ValueError(
        f"an installed package has no committed results. Take the folder benchmarks/results/"
        f"{suite} from the repository or from the source distribution of version {__version__}, "
        f"and give it: --committed path/to/{suite}"
    )


def read_committed(suite: str, folder: Path) -> SuiteRows:
    """Read committed results of a suite.

    Raises:
        ValueError: If they are of another suite.
        networld_algos.files.DamagedFileError: If a file is damaged.
    """
    found = read_suite(folder)
    if others := sorted({row.suite for row in found.rows} - {suite}):
        raise ValueError(f"{folder} has rows of suite {others[0]!r}, not {suite!r}")
    return found


def check_committed(suite: Suite, folder: Path) -> CommittedRows:
    """Read committed results, and compare them with what this installation would make.

    Args:
        suite: The suite as this installation defines it, without the user's algorithm.
        folder: Folder of the committed results.

    Raises:
        ValueError: If they are of another suite, or cannot be compared with results of this
            installation: another number of test networks, other networks, or other data. The
            message names the difference and what to do.
        networld_algos.files.DamagedFileError: If a file is damaged.
    """
    found = read_committed(suite.name, folder)
    _refuse_other_networks(suite, folder, found.rows)
    rounded = _refuse_other_data(suite, folder, found.rows)
    marks = [*_version_marks(found.rows), *_setting_marks(suite, folder), *rounded]
    marks += _machine_marks(found.rows)
    unknown = _labels(r for r in found.rows if r.kind == "learned" and not r.data_hashes)
    if unknown:
        marks.append(
            f"the content of the training data was not recorded, so it may have been another, for "
            f"{unknown}"
        )
    return CommittedRows(folder, found.rows, found.commands, tuple(marks))


def copy_committed(found: CommittedRows, root: Path) -> None:
    """Copy committed results to the subfolder `COMMITTED` of a user's suite.

    Copies of results that are no longer committed are removed; other files stay.

    Raises:
        ValueError: If the user's folder is the committed one.
    """
    refuse_same_folder(found.folder, root)
    target = root / COMMITTED
    target.mkdir(parents=True, exist_ok=True)
    files = {p.name: p for p in sorted(found.folder.iterdir()) if is_result(p.name)}
    for own in (COMMANDS, RATES):
        files.pop(own, None)
    for path in target.iterdir():
        if is_result(path.name) and path.name not in files:
            path.unlink()
    for name, path in files.items():
        write_bytes(target / name, path.read_bytes())
    lines = [
        f"# The rows in {COMMITTED}/ are copies of committed ones, which these commands made:",
        *found.commands,
    ]
    write_text(target / COMMANDS, "".join(f"{line}\n" for line in lines))
    notes = [
        f"Only your own algorithms were trained here. All other rows are copies of the committed "
        f"ones in {found.folder}.",
        *(f"About the committed rows: {mark}." for mark in found.marks),
    ]
    write_text(target / NOTES, "".join(f"{note}\n" for note in notes))


def refuse_same_folder(committed: Path, root: Path) -> None:
    """Raise if results would be written into the folder of the committed ones."""
    ours, theirs = root.resolve(), committed.resolve()
    if ours == theirs or ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise ValueError(
            f"own results would go to {root}, beside the committed ones in {committed}, which must "
            "not change; choose another folder with --results"
        )


def _refuse_other_networks(suite: Suite, folder: Path, rows: Sequence[Row]) -> None:
    """The number of test networks and the rewards of the random policy on them must be equal."""
    parts = ("reference", "comparison")
    tests = [r for r in rows if r.experiment in parts and r.is_final and r.factor is None]
    sizes = {len(r.episode_returns) for r in tests}
    if sizes != {suite.eval_episodes}:
        raise ValueError(
            f"the rows in {folder} score {', '.join(map(str, sorted(sizes)))} test networks, and "
            f"suite {suite.name!r} of this version ({__version__}) scores {suite.eval_episodes}, "
            f"so they cannot be compared. {_remedy(rows)}"
        )
    for task in suite.tasks:
        ends = {r.role: r for r in tests if r.task == task and r.role in ("random", "expert")}
        if set(ends) != {"random", "expert"}:
            raise ValueError(
                f"the rows in {folder} lack the random or the expert policy of task {task!r}, "
                "without which there is no score; take the whole folder"
            )
        random = ends["random"]
        before = np.array(random.episode_returns[:AGAIN])
        seeds = range(TEST_SEED, TEST_SEED + len(before))
        now = reference_rewards(task, random.algorithm, seeds)
        if np.abs(now - before).max() > TOLERANCE * abs(
            ends["expert"].mean_return - random.mean_return
        ):
            raise ValueError(
                f"policy {random.algorithm!r} of task {task!r} has the rewards "
                f"{now.round(4).tolist()} on the first test networks, and "
                f"{before.round(4).tolist()} in {folder}: the networks or the simulator are not "
                f"the same, so scores cannot be compared. {_remedy(rows)}"
            )


def _refuse_other_data(suite: Suite, folder: Path, rows: Sequence[Row]) -> list[str]:
    """Raise if models were trained on other data than this installation has; returns marks."""
    marks = []
    known = catalog()
    used = {dataset_id for run in unroll(suite) for dataset_id in run.dataset_ids}
    before = {i: sha256 for r in rows for i, sha256 in r.data_hashes.items() if i in used}
    for dataset_id, old in before.items():
        now, exact = known[dataset_id].sha256 if dataset_id in known else "", ""
        if store.is_local(dataset_id):
            dataset = store.load(dataset_id)
            now, exact = store.recorded_hash(dataset), own_record(dataset).get(ROUNDING, "")
        if now in ("", old):
            continue
        if exact == old:
            marks.append(
                f"dataset {dataset_id!r} was built here and differs from that of the committed "
                "models by rounding"
            )
            continue
        raise ValueError(
            f"the models of {folder} were trained on dataset {dataset_id!r} of content "
            f"{old[:SHOWN]}, and this installation has content {now[:SHOWN]}: methods that learn "
            f"from different data cannot be compared. `networld dataset verify {dataset_id}` says "
            "whether the local dataset is right; otherwise take the results of this version"
        )
    return marks


def _remedy(rows: Sequence[Row]) -> str:
    """What to do about rows that cannot be compared."""
    if {row.version for row in rows} == {__version__}:
        return (
            "The suite has changed since: take its newer results, or run the whole suite without "
            "--against-committed"
        )
    return (
        f"Take the results of this version, or install version {_versions(rows)}, which made them"
    )


def _version_marks(rows: Sequence[Row]) -> list[str]:
    if {row.version for row in rows} == {__version__}:
        return []
    return [
        f"made by version {_versions(rows)}, and this is {__version__}; the random policy has the "
        "same rewards on the test networks"
    ]


def _machine_marks(rows: Sequence[Row]) -> list[str]:
    """Whether times were measured on another processor than this one."""
    here = machine().rpartition(" products, ")[-1]
    other = {
        name
        for row in rows
        if row.kind == "learned"
        and (name := (row.machine or "an unknown machine").rpartition(" products, ")[-1]) != here
    }
    if not other:
        return []
    return [
        f"their minutes and milliseconds were measured on {' and '.join(sorted(other))}, and yours "
        f"on {here}, so times cannot be compared"
    ]


def _setting_marks(suite: Suite, folder: Path) -> list[str]:
    """Which methods have other settings or budgets than in this installation, or lack runs."""
    runs = {run.key: run for run in unroll(suite) if run.stage != "pretrain"}
    files = {result_key(path.name): path for path in sorted(folder.glob("*.jsonl"))}
    marks = []
    other = [row for key, path in files.items() if key not in runs for row in read_rows(path)]
    if other:
        marks.append(
            "settings, budgets or evaluations differ from those of this version, or the suite no "
            f"longer has the entry, for {_labels(other)}"
        )
    missing = [run for key, run in runs.items() if key not in files]
    if missing:
        marks.append(
            f"{count(len(missing), 'run')} of {len(runs)} of this version's suite "
            f"{'is' if len(missing) == 1 else 'are'} not among them: {_titles(missing)}"
        )
    return marks


def _labels(rows: Iterable[Row]) -> str:
    """Labels by experiment, a few of them in words."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(row.experiment, {})[row.label] = None
    return "; ".join(f"{part}: {_some(list(labels))}" for part, labels in found.items())


def _titles(runs: Sequence[Run]) -> str:
    parts: dict[str, int] = {}
    for run in runs:
        parts[run.experiment] = parts.get(run.experiment, 0) + 1
    return ", ".join(f"{number} of {part}" for part, number in parts.items())


def _some(words: Sequence[str], most: int = 8) -> str:
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")


def _versions(rows: Iterable[Row]) -> str:
    return " and ".join(dict.fromkeys(row.version for row in rows))


def budget_minutes(rows: Iterable[Row], label: str) -> Mapping[str, float]:
    """``"task/quality"`` -> minutes that the trainings of a method took, median over seeds."""
    seconds: dict[str, list[float]] = {}
    for row in rows:
        final = row.experiment == "comparison" and row.label == label and row.is_final
        if final and row.dataset and row.train_seconds:
            key = data_key(row.task, row.dataset)
            seconds.setdefault(key, []).append(row.train_seconds)
    return {key: float(f"{np.median(each) / 60:.3g}") for key, each in seconds.items()}
