"""All runs of a suite as one data frame: a line for each run, with its score and its cost."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from networld_algos.files import write_bytes, write_text
from networld_algos.report import plain, scoring, summary
from networld_algos.report.export.csv_table import csv_text
from networld_algos.results.folder import read_suite
from networld_algos.results.networks import failed_share, median_score, relative_scores
from networld_algos.results.rows import STATION_MS, Row
from networld_algos.results.stats import Floats

if TYPE_CHECKING:
    import pandas  # pyright: ignore[reportMissingImports]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: the last checkpoint of one training, on test networks.

    Attributes:
        suite: Name of the suite.
        experiment: What the run is part of, see `networld_algos.results.rows.EXPERIMENTS`.
        task: Name of the task.
        data: Quality of the training data, e.g. ``"expert"``; None for a reference policy.
        dataset: Id of the training data.
        kind: ``"learned"`` or ``"reference"``.
        algorithm: Name of the algorithm or policy.
        label: Name in figures.
        seed: Training seed; -1 for a reference.
        fraction: Share of the target task's data.
        episodes: Training episodes of the target task.
        factor: What the experiment varies besides the method; None if nothing.
        level: Value of the factor.
        score: Normalised score, mean over networks; None if random or expert is missing.
        median: Median over networks of the scores relative to random and expert on each, see
            `networld_algos.results.networks.relative`.
        failed_share: Share of networks with such a score below
            `networld_algos.results.networks.FAILED_BELOW`.
        reward: Average reward per agent and step, mean over networks.
        networks: Number of test networks.
        updates: Gradient steps.
        minutes: Minutes of training, see `train_seconds` of the rows.
        epochs: Transitions seen over transitions in the data.
        ms: Median time of one decision of the whole batch, in milliseconds.
        station_ms: Time of one decision of one station alone, in milliseconds.
        bytes: Bytes sent per agent and step.
        device: Device of the model; None where it was not recorded, which means a CPU.
        version: Version of the package.
    """

    suite: str
    experiment: str
    task: str
    data: str | None
    dataset: str | None
    kind: str
    algorithm: str
    label: str
    seed: int
    fraction: float | None
    episodes: int | None
    factor: str | None
    level: float | None
    score: float | None
    median: float | None
    failed_share: float | None
    reward: float
    networks: int
    updates: int | None
    minutes: float | None
    epochs: float | None
    ms: float | None
    station_ms: float | None
    bytes: float | None
    device: str | None
    version: str


COLUMNS = {f.name: str(f.type).removesuffix(" | None") for f in fields(Run)}
"""Column -> ``"str"``, ``"int"`` or ``"float"``, in order."""


def runs(rows: Sequence[Row]) -> list[Run]:
    """Every finished run, in the order of the rows.

    Raises:
        ValueError: If the rows are of several suites, or two final rows claim one run.
    """
    scoring.one_suite(rows)
    ends = scoring.ends(rows)
    last = [r for r in rows if r.is_final]
    scoring.check_unique([r for r in last if r.kind == "learned"])
    return [_run(row, scoring.scale_of(ends, row)) for row in last]


def _run(row: Row, ends: tuple[Floats, Floats] | None) -> Run:
    scores = None if ends is None else relative_scores([row.episode_returns], *ends)[0]
    station = row.extra.get(STATION_MS)
    return Run(
        suite=row.suite,
        experiment=row.experiment,
        task=row.task,
        data=summary.quality(scoring.panel_of(row)) or None,
        dataset=row.dataset,
        kind=row.kind,
        algorithm=row.algorithm,
        label=row.label,
        seed=row.seed,
        fraction=row.fraction,
        episodes=row.episodes,
        factor=row.factor,
        level=row.level,
        score=None if scores is None else float(scores.mean()),
        median=None if scores is None else median_score([scores]),
        failed_share=None if scores is None else failed_share([scores]),
        reward=row.mean_return,
        networks=len(row.episode_returns),
        updates=row.updates,
        minutes=None if row.train_seconds is None else row.train_seconds / 60.0,
        epochs=row.epochs,
        ms=row.latency_p50_ms,
        station_ms=station if station is not None and np.isfinite(station) else None,
        bytes=row.bytes_per_step,
        device=row.device,
        version=row.version,
    )


def data_frame(results: str | os.PathLike[str] | Sequence[Row]) -> pandas.DataFrame:
    """All runs of a suite as a pandas DataFrame; the columns are the attributes of `Run`.

    Args:
        results: A suite's folder, e.g. ``"benchmarks/results/cpu"``, or its rows.

    Raises:
        ImportError: If pandas is not installed.
        ValueError: If there are no rows, rows of several suites, or two final rows of one run.
    """
    if find_spec("pandas") is None:
        raise ImportError(
            "a data frame needs pandas: `pip install pandas`; without it, use "
            "`networld report RESULTS --export DIR`, which writes the same to DIR/runs.csv"
        )
    rows = (
        read_suite(Path(results)).rows if isinstance(results, str | os.PathLike) else list(results)
    )
    kinds = {"str": "object", "int": "Int64", "float": "float64"}
    frame = import_module("pandas").DataFrame(
        [vars(run) for run in runs(plain.plain_rows(rows))], columns=list(COLUMNS)
    )
    return frame.astype({name: kinds[kind] for name, kind in COLUMNS.items()})


def write_frame(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write ``runs.csv``, and ``runs.parquet`` if pyarrow is installed.

    A text that a spreadsheet would read as a formula starts with an apostrophe in the CSV, and only
    there.
    """
    found = [vars(run) for run in runs(rows)]
    lines = [[run[name] for name in COLUMNS] for run in found]
    written = [write_text(folder / "runs.csv", csv_text(list(COLUMNS), lines))]
    if find_spec("pyarrow") is not None:
        written.append(write_bytes(folder / "runs.parquet", _parquet(found)))
    return written


def _parquet(found: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    kinds = {"str": pyarrow.string(), "int": pyarrow.int64(), "float": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(found), schema=schema), buffer)
    return buffer.getvalue()
