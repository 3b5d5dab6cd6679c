"""One archive of a suite's rows and unfinished trainings, to carry a suite between machines.

::

    manifest.json                     format, suite, every file with its hash, what was left out
    <run>.jsonl, <run>.failure.json   rows and failures
    commands.txt, display.json, rates.toml
    checkpoints/<run>/...             unfinished trainings, and models that other runs need

`pack` fills the archive in this order and leaves out what would exceed the largest size: first the
rows, which must all fit, then the trainings that have taken the most time, then finished models.
`networld_algos.bench.unpacking` merges an archive with what another machine has.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networld_algos.bench.paths import FINISHED, RESULT, Paths
from networld_algos.results.folder import (
    COMMANDS,
    DISPLAY,
    FAILURE_SUFFIX,
    RATES,
    read_failures,
)
from networld_algos.results.rows import read_rows
from networld_algos.training import checkpoint
from networld_algos.training.run import BEST
from networld_envs.files import replacing

FORMAT = 1
MANIFEST = "manifest.json"
CHECKPOINTS = "checkpoints"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
"""Names of files in a suite's folder; none of them leads to another folder."""
LEVEL = 6  # of the compression
DATE = (1980, 1, 1, 0, 0, 0)  # of every file, so that equal contents give equal archives


@dataclass(frozen=True)
class Packed:
    """What `pack` did.

    Attributes:
        archive: The file.
        size: Its size in bytes.
        rows: Number of runs whose rows it has.
        trainings: Keys of the unfinished trainings in it.
        models: Keys of the finished models in it.
        left_out: Keys of the trainings and models that did not fit.
    """

    archive: Path
    size: int
    rows: int
    trainings: tuple[str, ...]
    models: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Saved:
    """A checkpoint of a suite.

    Attributes:
        key: Key of its run.
        files: Name below the suite's folder -> file.
        updates: Updates done.
        seconds: Time spent in updates.
        finished: Whether the training is finished.
        data_hashes: Dataset id -> content hash of its data.
    """

    key: str
    files: dict[str, Path]
    updates: int
    seconds: float
    finished: bool
    data_hashes: dict[str, str]

    @property
    def progress(self) -> tuple[bool, int]:
        """How far it is: larger is further."""
        return self.finished, self.updates


def pack(folder: Path, out: Path, max_bytes: int | None = None) -> Packed:
    """Write an archive of a suite's rows and unfinished trainings.

    Args:
        folder: The suite's folder, such as ``results/paper``.
        out: The archive; an existing one is replaced.
        max_bytes: Largest size of the archive; None for no limit.

    Raises:
        ValueError: If the folder has no results of a suite, another process is running the suite,
            a file is damaged, or the rows alone exceed ``max_bytes``.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}; give the folder of a suite, e.g. results/paper")
    with Paths(folder).sole_user():
        files = {p.name: p for p in sorted(folder.iterdir()) if p.is_file() and is_result(p.name)}
        done = {result_key(name) for name in files if name.endswith(".jsonl")}
        saved = [c for c in saved_trainings(folder) if c.finished or c.key not in done]
        saved.sort(key=lambda c: (c.finished, -c.seconds, c.key))
        suite = _suite_of(folder, files, bool(saved))
        size = _least_size(suite, [c.key for c in saved]) + _packed_size(files)
        if max_bytes is not None and size > max_bytes:
            raise ValueError(
                f"the rows of {folder} take {size / 1e6:.2f} MB, more than the limit of "
                f"{max_bytes / 1e6:.2f} MB; give a larger one"
            )
        taken: list[Saved] = []
        for found in saved:
            more = _packed_size(found.files)
            if max_bytes is None or size + more <= max_bytes:
                size += more
                taken.append(found)
        for found in taken:
            files |= found.files
        kept = {c.key for c in taken}
        left_out = tuple(c.key for c in saved if c.key not in kept)
        _write(out, suite, files, left_out)
    return Packed(
        archive=out,
        size=out.stat().st_size,
        rows=len(done),
        trainings=tuple(c.key for c in taken if not c.finished),
        models=tuple(c.key for c in taken if c.finished),
        left_out=left_out,
    )


def is_result(name: str) -> bool:
    """Whether a file in a suite's folder is one that an archive carries."""
    return name in (COMMANDS, DISPLAY, RATES) or bool(
        NAME.fullmatch(name) and RESULT.fullmatch(name)
    )


def result_key(name: str) -> str:
    """Key of the run of a file of rows or of a failure."""
    found = RESULT.fullmatch(name)
    return found["key"] if found else ""


def saved_trainings(folder: Path) -> Iterator[Saved]:
    """Every checkpoint in a suite's folder, also in one that an archive was extracted to.

    Raises:
        networld_algos.files.DamagedFileError: If one is damaged.
    """
    home = folder / CHECKPOINTS
    for path in sorted(home.iterdir()) if home.is_dir() else []:
        if checkpoint.exists(path):
            yield read_saved(path)


def read_saved(path: Path) -> Saved:
    """The checkpoint in a folder, whose files are checked against their hashes."""
    index = checkpoint.verify(path)
    names = [checkpoint.INDEX, *index["files"].values()]
    if (path / FINISHED).is_file():
        names.append(FINISHED)
    if checkpoint.exists(path / BEST):
        best = checkpoint.verify(path / BEST)
        names += [f"{BEST}/{name}" for name in (checkpoint.INDEX, *best["files"].values())]
    extra = index["extra"]
    return Saved(
        key=path.name,
        files={f"{CHECKPOINTS}/{path.name}/{name}": path / name for name in names},
        updates=int(extra.get("updates", 0)),
        seconds=float(extra.get("seconds", 0.0)),
        finished=(path / FINISHED).is_file(),
        data_hashes=dict(extra.get("data_hashes", {})),
    )


def _suite_of(folder: Path, files: Mapping[str, Path], has_trainings: bool) -> str:
    """Name of the suite: that of the rows and failures, or of the folder without any.

    Raises:
        ValueError: If there is nothing of a suite, or something of several.
    """
    named: dict[str, str] = {}
    for name, path in files.items():
        if name.endswith(".jsonl"):
            named |= dict.fromkeys((row.suite for row in read_rows(path)), name)
    if any(name.endswith(FAILURE_SUFFIX) for name in files):
        named |= {failure.suite: failure.run for failure in read_failures(folder)}
    if len(named) > 1:
        places = ", ".join(f"{suite} in {name}" for suite, name in named.items())
        raise ValueError(f"{folder} holds results of several suites: {places}")
    if not named and not has_trainings:
        raise ValueError(
            f"{folder} holds no rows and no trainings of a suite; give its folder, e.g. "
            "results/paper"
        )
    return next(iter(named), folder.resolve().name)


def _packed_size(files: Mapping[str, Path]) -> int:
    """Bytes that these files take in an archive, with their lines in the manifest."""
    size = 0
    for name, path in files.items():
        data = path.read_bytes()
        size += len(zlib.compress(data, LEVEL)) + 2 * len(name.encode())
        size += 76 + len(json.dumps({name: _facts(data)})) + 16  # headers of ZIP, and rounding up
    return size


def _least_size(suite: str, keys: list[str]) -> int:
    """Bytes of an archive that leaves all of these out."""
    return len(_manifest(suite, {}, keys)) + 2 * len(MANIFEST) + 76 + 64


def _facts(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _manifest(suite: str, files: Mapping[str, Any], left_out: list[str]) -> bytes:
    found = {"format": FORMAT, "suite": suite, "left_out": left_out, "files": dict(files)}
    return json.dumps(found).encode()


def _write(out: Path, suite: str, files: Mapping[str, Path], left_out: tuple[str, ...]) -> None:
    """Write the archive beside its place, then move it there."""
    facts = {name: _facts(path.read_bytes()) for name, path in files.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(out) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive,
    ):
        first = zipfile.ZipInfo(MANIFEST, DATE)
        archive.writestr(first, _manifest(suite, facts, list(left_out)))
        for name, path in files.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
