"""Time and memory of `networld dataset import` for a table of a million rows, CSV and Parquet.

    python benchmarks/import_logs.py [--rows 1000000] [--json FILE]

A row is one node of resource-block scheduling at one frame: episode, time, node, eight columns of
the observation, the action and the reward. The table holds the episodes of a rollout, and four
times as many for the last two lines, which show whether memory grows with the table. ``mixed`` is
sorted by time within groups of 64 episodes. Every import runs in a new process and does everything
that the command does: it parses, checks, writes the dataset and computes its hash. Times are wall
times, and the memory is the largest resident size beyond that of a process that has only imported
the modules.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from networld_envs import make_params
from networld_envs.policies.rollout import Behaviour, rollout
from networld_envs.simulator import task_module
from networld_envs.store.importing.tables.template import MAPPING, write_template

STEPS = 50
GROUP = 64
NETWORK = {"topology": "ring"}  # the same neighbours in all episodes
IMPORT = "from networld_envs.store.importing.logs import import_logs"


def table(episodes: int, seed: int, mixed: bool) -> pyarrow.Table:
    """The rows of a rollout."""
    params = make_params("rb", **NETWORK)
    made = rollout("rb", params, Behaviour("random"), range(seed, seed + episodes), STEPS)
    agents, shape = params.num_agents, made.obs.shape[:3]
    number, step, agent = np.indices(shape)
    last = np.full((episodes, 1, agents), np.nan)
    names = [column.name for column in task_module("rb").spec(params).obs_columns]
    columns = {
        "episode": (number + seed).ravel(),
        "time": step.ravel(),
        "agent": np.char.add("node_", agent.astype(str)).ravel(),
        **{name: made.obs[..., i].ravel() for i, name in enumerate(names)},
        "action.request": np.concatenate([made.actions, last], axis=1).ravel(),
        "reward": np.concatenate([made.rewards, last], axis=1).ravel().astype(np.float32),
    }
    found = pyarrow.table({k: pyarrow.array(v, from_pandas=True) for k, v in columns.items()})
    return found.sort_by([("time", "ascending")]) if mixed else found


def write(path: Path, episodes: int, mixed: bool = False) -> int:
    """Write a table, a group of episodes at a time; returns its number of rows."""
    writer, rows = None, 0
    for seed in range(0, episodes, GROUP):
        part = table(min(GROUP, episodes - seed), seed, mixed)
        if writer is None:
            kind = pyarrow.csv.CSVWriter if path.suffix == ".csv" else pyarrow.parquet.ParquetWriter
            writer = kind(str(path), part.schema)
        writer.write_table(part)
        rows += part.num_rows
    assert writer is not None
    writer.close()
    return rows


def measure(code: str, folder: Path) -> tuple[float, float]:
    """Wall time of a statement, s, and largest memory of its process, MB."""
    program = (
        f"import json, resource, time\nfrom pathlib import Path\n{IMPORT}\nstart = time.time()\n"
        f"{code}\nprint(json.dumps([time.time() - start, "
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "MINARI_DATASETS_PATH": str(folder / "minari")},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, size = json.loads(done.stdout.splitlines()[-1])
    return seconds, size / 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    per_episode = make_params("rb", **NETWORK).num_agents * (STEPS + 1)
    episodes = -(-given.rows // per_episode)
    lines = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_template("rb", "ring6", folder)
        mapping = folder / MAPPING
        _, idle = measure("import pyarrow.csv, pyarrow.parquet", folder)
        for name, suffix, times, mixed in (
            ("CSV", ".csv", 1, False),
            ("CSV, mixed", ".csv", 1, True),
            ("Parquet", ".parquet", 1, False),
            ("CSV, four times as long", ".csv", 4, False),
            ("Parquet, four times as long", ".parquet", 4, False),
        ):
            path = folder / f"logs{suffix}"
            rows = write(path, times * episodes, mixed)
            size = path.stat().st_size / 1e6
            seconds, memory = measure(
                f"import_logs(Path({str(path)!r}), 'networld/mine/logs-v0', 'rb', force=True, "
                f"mapping=Path({str(mapping)!r}))",
                folder,
            )
            path.unlink()
            lines.append(
                {
                    "name": name,
                    "rows": rows,
                    "file_mb": round(size, 1),
                    "seconds": round(seconds, 2),
                    "rows_per_second": round(rows / seconds),
                    "memory_mb": round(memory - idle),
                }
            )
            print(
                f"{name:28s} {rows:9,d} rows {size:6.0f} MB {seconds:6.2f} s "
                f"{rows / seconds:9,.0f} rows/s {memory - idle:5.0f} MB of memory",
                flush=True,
            )
    if given.json is not None:
        about = {"pyarrow": pyarrow.__version__, "machine": platform.machine(), "cores": 1}
        given.json.write_text(json.dumps({"about": about, "rows": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
