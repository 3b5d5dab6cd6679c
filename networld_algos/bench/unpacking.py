"""Merge an archive of `networld_algos.bench.archive` with the results that are here.

An archive comes from elsewhere, so everything in it is checked before anything is written. Only
names that a suite's files have are accepted, and every file must have the content that its manifest
says and be what its name says. Then each file is moved into place whole, the index of a checkpoint
after its tensors, so that a process that is killed leaves what was there or what is new.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from networld_algos.bench.archive import (
    CHECKPOINTS,
    FORMAT,
    MANIFEST,
    Saved,
    is_result,
    read_saved,
    result_key,
    saved_trainings,
)
from networld_algos.bench.paths import FINISHED, Paths
from networld_algos.data.identity import SHOWN
from networld_algos.files import DamagedFileError, reading, write_bytes
from networld_algos.results.folder import (
    COMMANDS,
    FAILURE_SUFFIX,
    RATES,
    add_commands,
    read_display,
    read_failures,
    write_display,
)
from networld_algos.results.rows import has_rows, read_rows
from networld_algos.training import checkpoint
from networld_algos.training.run import BEST
from networld_algos.training.tuning.choices import read_choices, write_choices

SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TENSORS = r"(model|optimizers)-[0-9a-f]{16}\.safetensors"
IN_CHECKPOINTS = re.compile(
    rf"{CHECKPOINTS}/[A-Za-z0-9][A-Za-z0-9.-]*-[0-9a-f]{{8}}/"
    rf"({FINISHED}|({BEST}/)?({re.escape(checkpoint.INDEX)}|{TENSORS}))"
)
"""Names of the files of a training."""
REMEDY = "pack the suite again, or copy the archive again"
MOST_MANIFEST = 2**26
"""Bytes of the largest manifest that is read."""


@dataclass
class Unpacked:
    """What `unpack` did.

    Attributes:
        folder: The suite's folder.
        rows: Keys of the runs whose rows are new here.
        trainings: Keys of the trainings and models that are new here, or further than those here.
        kept: Keys of the runs whose files here stay, because they are as far or further.
        left_out: Keys of the trainings and models that are not in the archive for lack of room.
    """

    folder: Path
    rows: list[str] = field(default_factory=list)
    trainings: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def unpack(archive: Path, results: Path) -> Unpacked:
    """Merge an archive with the results of the same suite.

    Rows that are here stay. Of two checkpoints of a training, the one with more updates stays. The
    failure of a run that has rows is dropped.

    Args:
        archive: From `networld_algos.bench.archive.pack`.
        results: Folder of results; the suite has or gets a subfolder.

    Raises:
        FileNotFoundError: If there is no archive.
        ValueError: If the archive is damaged or holds anything but the files of one suite, if its
            data had another content than that of the results here, or if another process is
            running the suite. Nothing is changed then.
    """
    if not archive.is_file():
        raise FileNotFoundError(f"no archive {archive}; make one with networld bench pack")
    results.mkdir(parents=True, exist_ok=True)
    with _opened(archive) as (file, manifest):
        suite, facts = manifest["suite"], manifest["files"]
        _check_room(archive, results, sum(fact["size"] for fact in facts.values()))
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=results) as temporary:
            staged = Path(temporary)
            with reading(archive, REMEDY):
                _extract(file, facts, staged)
                trainings = _check_content(staged, suite)
            paths = Paths(results / suite)
            with paths.sole_user():
                _refuse_other_data(archive, staged, trainings, paths.root)
                found = Unpacked(paths.root, left_out=list(manifest["left_out"]))
                _merge_trainings(trainings, paths, found)
                _merge_results(staged, paths.root, found)
    return found


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """The archive and its manifest, whose names and form are checked."""
    with reading(archive, REMEDY):
        file = zipfile.ZipFile(archive)
    with file:
        with reading(archive, REMEDY):
            manifest = json.loads(_read(file, MANIFEST, MOST_MANIFEST))
        version = manifest.get("format") if isinstance(manifest, dict) else None
        if version != FORMAT or isinstance(version, bool):
            raise DamagedFileError(
                f"{archive} has format {repr(version)[:20]}, but this version reads {FORMAT}; "
                "unpack it with the version of networld that packed it"
            )
        with reading(archive, REMEDY):
            _check_manifest(manifest, [entry.filename for entry in file.infolist()])
        yield file, manifest


def _check_manifest(manifest: dict[str, Any], names: list[str]) -> None:
    suite, facts, left_out = (manifest.get(key) for key in ("suite", "files", "left_out"))
    if not isinstance(suite, str) or not SUITE.fullmatch(suite):
        raise ValueError(f"it is of a suite of an impossible name, {str(suite)[:40]!r}")
    if not isinstance(facts, dict) or not isinstance(left_out, list):
        raise ValueError("its manifest lacks the list of files")
    if not all(isinstance(key, str) for key in left_out):
        raise ValueError("its manifest does not say what was left out")
    if sorted(names) != sorted([MANIFEST, *facts]):
        raise ValueError("it does not hold the files that its manifest lists")
    for name, fact in facts.items():
        if not (is_result(name) or IN_CHECKPOINTS.fullmatch(name)):
            raise ValueError(f"it holds {name[:80]!r}, which is no file of a suite")
        if not isinstance(fact, dict) or not isinstance(size := fact.get("size"), int) or size < 0:
            raise ValueError(f"its manifest does not say how large {name} is")


def _check_room(archive: Path, results: Path, size: int) -> None:
    free = shutil.disk_usage(results).free
    if size > free:
        raise ValueError(
            f"{archive} holds {size / 1e6:.0f} MB, but {results} has room for {free / 1e6:.0f} MB"
        )


def _read(file: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A file of the archive, of which no more than ``most`` bytes are unpacked."""
    with file.open(name) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{name} is larger than it should be")
    return data


def _extract(file: zipfile.ZipFile, facts: dict[str, Any], staged: Path) -> None:
    for name, fact in facts.items():
        data = _read(file, name, fact["size"])
        if hashlib.sha256(data).hexdigest() != fact.get("sha256"):
            raise ValueError(f"the content of {name} does not match its hash")
        write_bytes(staged / name, data)


def _check_content(staged: Path, suite: str) -> list[Saved]:
    """Raise unless all files are what their names say and of this suite; returns the trainings."""
    suites = {failure.suite for failure in read_failures(staged)}
    for path in staged.glob("*.jsonl"):
        suites |= {row.suite for row in read_rows(path)}
    if foreign := sorted(suites - {suite}):
        raise ValueError(f"it is of suite {suite!r}, but holds results of {foreign[0]!r}")
    read_display(staged)
    if (staged / COMMANDS).is_file():
        (staged / COMMANDS).read_text(encoding="utf-8")
    if (staged / RATES).is_file():
        read_choices(staged / RATES)
    home = staged / CHECKPOINTS
    found = [read_saved(path) for path in sorted(home.iterdir())] if home.is_dir() else []
    there = {f"{CHECKPOINTS}/{p.relative_to(home).as_posix()}" for p in home.rglob("*.*")}
    if extra := sorted(there - {name for saved in found for name in saved.files}):
        raise ValueError(f"it holds {extra[0]!r}, which its checkpoint does not name")
    return found


def _refuse_other_data(archive: Path, staged: Path, trainings: list[Saved], root: Path) -> None:
    """Raise if a dataset had one content here and another where the archive comes from."""

    def hashes(folder: Path, saved: list[Saved]) -> Iterator[tuple[str, str]]:
        for path in folder.glob("*.jsonl"):
            if has_rows(path):
                for row in read_rows(path):
                    yield from row.data_hashes.items()
        for training in saved:
            yield from training.data_hashes.items()

    here = dict(hashes(root, list(saved_trainings(root))))
    for dataset_id, sha256 in hashes(staged, trainings):
        if here.get(dataset_id, sha256) != sha256:
            raise ValueError(
                f"{archive} has results from dataset {dataset_id!r} of content {sha256[:SHOWN]}, "
                f"but the results in {root} are from content {here[dataset_id][:SHOWN]}; means "
                "would mix both. Unpack into another folder with --results"
            )


def _merge_trainings(trainings: list[Saved], paths: Paths, found: Unpacked) -> None:
    for new in trainings:
        folder = paths.checkpoint(new.key)
        done = not new.finished and has_rows(paths.root / f"{new.key}.jsonl")
        if done or (checkpoint.exists(folder) and read_saved(folder).progress >= new.progress):
            found.kept.append(new.key)
            continue
        names = sorted(new.files, key=lambda name: (_order(name), name))
        for name in names:
            target = paths.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            new.files[name].replace(target)
        present = {paths.root / name for name in names}
        for old in folder.rglob("*.*"):  # of the checkpoint that was here
            if old.is_file() and old not in present:
                old.unlink()
        found.trainings.append(new.key)


def _order(name: str) -> int:
    """Tensors first, then the index that names them, then the word that all is finished."""
    return 2 if name.endswith(FINISHED) else int(name.endswith(checkpoint.INDEX))


def _merge_results(staged: Path, root: Path, found: Unpacked) -> None:
    for path in sorted(staged.glob("*.jsonl")):
        target = root / path.name
        if has_rows(target):
            found.kept.append(result_key(path.name))
            continue
        path.replace(target)
        found.rows.append(result_key(path.name))
    for path in sorted(staged.glob(f"*{FAILURE_SUFFIX}")):
        if not (root / path.name).exists():
            path.replace(root / path.name)
    for failure in root.glob(f"*{FAILURE_SUFFIX}"):
        if has_rows(root / f"{result_key(failure.name)}.jsonl"):
            failure.unlink()
    if (staged / COMMANDS).is_file():
        add_commands(root, (staged / COMMANDS).read_text(encoding="utf-8").splitlines())
    if (staged / RATES).is_file():
        _merge_rates(staged / RATES, root / RATES)
    if (display := read_display(staged)) is not None:
        here = read_display(root)
        write_display(root, display if here is None else here.merged(display))


def _merge_rates(new: Path, here: Path) -> None:
    """Add rates of algorithms and data that have none here; the others decide budgets here."""
    if not here.exists():
        new.replace(here)
        return
    merged = read_choices(here)
    for algorithm, tables in read_choices(new).items():
        merged[algorithm] = {**tables, **merged.get(algorithm, {})}
    write_choices(here, merged)
