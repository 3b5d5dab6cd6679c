"""Whether a folder of rows may stand on the leaderboard, and every reason why not.

A submission is a folder with `networld_algos.bench.submission.metadata.METADATA` and the rows of
one algorithm in one suite. It is complete, its models were trained on the catalogue's data within
the budgets of the suite, and their final scores are on the suite's test networks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networld_algos.bench.submission.budgets import (
    Expected,
    Slot,
    expected_slots,
    slot_of,
    trained_on,
)
from networld_algos.bench.submission.faults import Fault, Faults, Line
from networld_algos.bench.submission.metadata import (
    METADATA,
    Metadata,
    MetadataError,
    read_metadata,
)
from networld_algos.bench.submission.plausible import check_numbers
from networld_algos.bench.suite import Suite
from networld_algos.data.identity import SHOWN
from networld_algos.registry import BUILT_IN
from networld_algos.results.rows import FEW, SCRATCH, Row
from networld_algos.results.text import count, one_line
from networld_envs.store.recipes import catalog
from networld_envs.version import __version__


@dataclass(frozen=True)
class Submission:
    """A folder of rows, and what is wrong with it.

    Attributes:
        folder: The folder.
        metadata: Who made it; None if the file is missing or wrong.
        rows: All rows that could be read.
        label: Name of the algorithm in the rows.
        faults: Why it is refused; none if it is accepted.
    """

    folder: Path
    metadata: Metadata | None
    rows: Sequence[Row]
    label: str
    faults: tuple[Fault, ...]


def check_submission(folder: Path, suite: Suite, committed: Iterable[Row] = ()) -> Submission:
    """Check a submission.

    Args:
        folder: Folder of the submission. Its subfolders are not read.
        suite: The suite whose rows it has.
        committed: The committed rows of the suite. Without them, the version is that of this
            package, the budgets are those that the suite sets, and neither scores nor the speed of
            trainings are checked.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; give the folder of a submission")
    committed = [row for row in committed if row.is_final or row.kind == "reference"]
    faults = Faults()
    metadata = None
    try:
        metadata = read_metadata(folder)
    except MetadataError as error:
        for number, text in error.faults:
            faults.add(folder / METADATA, text, *([number] if number else []))
    lines = _read(folder, faults)
    label = _label(lines, faults)
    own = [line for line in lines if line.row.algorithm == label]
    slots = expected_slots(suite)
    _check_each(own, label, suite, committed, faults)
    _check_data(own, slots, committed, faults)
    _check_duplicates(own, faults)
    _check_completeness(folder, own, label, suite, slots, faults)
    check_numbers(own, suite, slots, committed, faults)
    return Submission(folder, metadata, [line.row for line in own], label, faults.all())


def _read(folder: Path, faults: Faults) -> list[Line]:
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        faults.add(folder, "no rows (*.jsonl)")
    lines = []
    for file in files:
        try:
            texts = file.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            faults.add(file, f"cannot be read: {error}")
            continue
        if not any(map(str.strip, texts)):
            faults.add(file, "no rows in this file")
        for number, text in enumerate(texts, start=1):
            if not text.strip():
                continue
            try:
                lines.append(Line(file, number, Row.from_dict(_object(text))))
            except Exception as error:  # whatever a damaged line makes JSON or a row raise
                faults.add(file, f"not a row: {one_line(str(error)[:300])}", number)
    return lines


def _object(text: str) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"a row is a JSON object, got {type(values).__name__}")
    return values


def _label(lines: Sequence[Line], faults: Faults) -> str:
    """The one algorithm of a submission; "" if there is none."""
    own: dict[str, Line] = {}
    for line in lines:
        name = line.row.algorithm
        if line.row.kind == "reference":
            text = f"a row of reference policy {name!r}: give only the rows of your algorithm"
            faults.add_to(line, text)
        elif name in BUILT_IN:
            text = f"a row of the package's {name!r}: give only the rows of your algorithm"
            faults.add_to(line, text)
        else:
            first = next(iter(own), name)
            own.setdefault(name, line)
            if name != first:
                text = f"algorithm {name!r} after {first!r}: a submission has one algorithm"
                faults.add_to(line, text)
    return next(iter(own), "")


def _check_each(
    lines: Sequence[Line], label: str, suite: Suite, committed: Sequence[Row], faults: Faults
) -> None:
    """What a row says for itself: suite, label, version, networks, costs."""
    comparison = [row for row in committed if row.experiment == "comparison"]
    versions = {row.version for row in comparison} or {__version__}
    for line in lines:
        for text in _row_faults(line.row, label, suite, versions):
            faults.add_to(line, text)


def _row_faults(row: Row, label: str, suite: Suite, versions: set[str]) -> list[str]:
    found = []
    if row.suite != suite.name:
        found.append(f"suite {row.suite!r}, not {suite.name!r}")
    labels = {label, label + SCRATCH} if row.experiment in FEW else {label}
    if row.label not in labels:
        found.append(f"label {row.label!r}; it must be {' or '.join(map(repr, sorted(labels)))}")
    if row.version not in versions:
        found.append(f"version {row.version!r}, not {' or '.join(sorted(versions))}")
    if (row.git_commit or "").endswith("-dirty"):
        found.append(f"commit {row.git_commit!r}: the package had changes that nobody else has")
    networks = {"test": suite.eval_episodes, "validation": suite.curve_episodes}
    if len(row.episode_returns) != networks[row.eval_seed_set]:
        found.append(
            f"scored on {count(len(row.episode_returns), f'{row.eval_seed_set} network')}, not "
            f"{networks[row.eval_seed_set]}"
        )
    if row.eval_seed_set == "test" and not row.is_last and suite.curve_episodes:
        found.append("scored on test networks during training")
    if row.experiment == "comparison":
        found += [
            f"{name} is not recorded"
            for name in ("updates", "train_seconds", "epochs")
            if getattr(row, name) is None
        ]
    return found


def _check_data(
    lines: Sequence[Line],
    slots: Mapping[Slot, Expected],
    committed: Sequence[Row],
    faults: Faults,
) -> None:
    """Every model is trained on the data of its slot, as many of them as the suite takes.

    How many these are is known from the committed rows, or for the catalogue's data. Data of
    deployments have no hash in the catalogue, so that their content is not compared.
    """
    hashes = {i: recipe.sha256 for i, recipe in catalog().items() if recipe.sha256}
    episodes = {
        trained_on(slot): slots[slot].episodes for slot in slots if str(slot[2]) in hashes
    } | {trained_on(slot_of(r)): r.episodes for r in committed if r.episodes is not None}
    for line in lines:
        slot = slot_of(line.row)
        for text in _data_faults(line.row, slots.get(slot), episodes.get(trained_on(slot)), hashes):
            faults.add_to(line, text)


def _data_faults(
    row: Row, slot: Expected | None, episodes: int | None, hashes: Mapping[str, str]
) -> list[str]:
    found = []
    if row.dataset is not None and row.dataset not in row.data_hashes:
        found.append(f"the content hash of its dataset {row.dataset!r} is not recorded")
    for dataset_id, sha256 in row.data_hashes.items():
        content = row.data_rounded.get(dataset_id, sha256)
        if hashes.get(dataset_id, content) not in (sha256, content):
            found.append(
                f"trained on dataset {dataset_id!r} of content {sha256[:SHOWN]}, which is not the "
                f"catalogue's, {hashes[dataset_id][:SHOWN]}"
            )
    if slot is None:  # the check of completeness says so
        return found
    before = frozenset[str]() if row.label.endswith(SCRATCH) else slot.before
    if others := sorted(set(row.data_hashes) - {row.dataset} - before):
        allowed = ", ".join(sorted(before)) or "nothing else"
        found.append(
            f"trained on {', '.join(others)} as well; in {row.experiment}, {row.label!r} may be "
            f"trained on {row.dataset} and {allowed}"
        )
    if episodes is not None and row.episodes != episodes:
        found.append(f"{row.episodes} training episodes; the suite takes {episodes}")
    return found


def _check_duplicates(lines: Sequence[Line], faults: Faults) -> None:
    first: dict[Any, Line] = {}
    for line in lines:
        key = (line.row.run, line.row.updates, line.row.is_last, line.row.eval_seed_set)
        before = first.setdefault(key, line)
        if before is not line:
            faults.add_to(line, f"the same evaluation as {before}")


def _check_completeness(
    folder: Path,
    lines: Sequence[Line],
    label: str,
    suite: Suite,
    slots: Mapping[Slot, Expected],
    faults: Faults,
) -> None:
    """Every final row of the comparison, and of every other part that has any row."""
    seeds = {part: sorted({s[3] for s in slots if s[0] == part}) for part in {s[0] for s in slots}}
    found: dict[str, dict[Slot, Line]] = {"comparison": {}}
    names = {"comparison": ("comparison", label)}
    for line in lines:
        row, slot = line.row, slot_of(line.row)
        if slot not in slots:
            text = _why_unknown(slot, slots, seeds, suite)
            faults.add_to(line, text)
            continue
        group = row.experiment if row.label == label else f"{row.experiment}, {row.label}"
        names.setdefault(group, (row.experiment, row.label))
        done = found.setdefault(group, {})
        if row.is_final:
            done.setdefault(slot, line)
    for group, done in found.items():
        part = names[group][0]
        missing: dict[tuple[Any, ...], list[int]] = {}
        for slot in slots:
            if slot[0] == part and slot not in done:
                missing.setdefault((slot[1], slot[2], *slot[4:]), []).append(slot[3])
        for (_, dataset, fraction, factor, level), absent in missing.items():
            share = f" with {100 * fraction:g}% of the data" if part in FEW else ""
            where = f", {factor} {level:g}" if factor is not None else ""
            faults.add(
                folder,
                f"{group}, {dataset}{share}{where}: no final score on test networks of seed "
                f"{', '.join(map(str, sorted(absent)))}",
            )


def _why_unknown(
    slot: Slot, slots: Mapping[Slot, Expected], seeds: Mapping[str, Sequence[int]], suite: Suite
) -> str:
    """Which value of a row the suite does not have."""
    part, task, dataset, seed, fraction, factor, level = slot
    if part not in seeds:
        there = ", ".join(sorted(seeds))
        return f"experiment {part!r}: an algorithm of your own can be in {there} of {suite.name!r}"
    data = {s[2] for s in slots if s[:2] == (part, task)}
    if dataset not in data:
        known = ", ".join(sorted(map(str, data))) or "none"
        return f"data {dataset!r} of task {task!r} in {part}; it has {known}"
    if seed not in seeds[part]:
        return f"seed {seed}; the seeds of {part} are {', '.join(map(str, seeds[part]))}"
    what = f"{factor} {level}" if factor is not None else "no factor"
    return f"{part} of {task!r} has no runs with share {fraction} of the data and {what}"
