"""A suite does not go on with other data than it began with.

The key of a run (`networld_algos.bench.runs.Run.key`) holds the ids of its datasets and not their
hashes, so that results of built-in suites keep their names. The hashes are in the rows and in the
checkpoints, and are compared here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from networld_algos.bench.paths import Paths
from networld_algos.bench.runs import Run
from networld_algos.data.identity import recorded_hashes, refuse_other_data
from networld_algos.training import checkpoint
from networld_envs import store

REMEDY = (
    "means would mix both. Choose another folder with --results, put the old data back, or move "
    "this suite's folder away to repeat all of its runs"
)


def refuse_replaced_data(runs: Iterable[Run], paths: Paths) -> None:
    """Raise if a local dataset is not the one that earlier runs of the suite used.

    Results that were written before rows had hashes do not say, and are not compared.

    Args:
        runs: All runs of the suite.
        paths: Where its files are.

    Raises:
        ValueError: Names the file, the dataset and both hashes.
        networld_envs.store.DatasetError: If a dataset may not be used.
    """
    runs = list(runs)
    ids = sorted({i for run in runs for i in run.dataset_ids})
    now = recorded_hashes(i for i in ids if store.is_local(i))
    for run in runs:
        for path, before in _earlier(run, paths):
            refuse_other_data(before, now, str(path), REMEDY)


def _earlier(run: Run, paths: Paths) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Files of a run and the hashes in them."""
    rows = paths.rows(run)
    folder = paths.checkpoint(run.key)
    try:
        if rows.is_file():
            with rows.open(encoding="utf-8") as file:
                yield rows, json.loads(file.readline()).get("data_hashes", {})
        if checkpoint.exists(folder):
            yield folder, checkpoint.read_extra(folder).get("data_hashes", {})
    except (ValueError, AttributeError):
        return  # a damaged file is named by whoever needs what is in it
