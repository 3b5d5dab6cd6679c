"""Time of an update in this version against another commit, on real data.

    python benchmarks/update_pair.py --against COMMIT [--algorithms networld ma-dt] [--json FILE]

Both versions take turns update by update, in processes of their own, on one thread, with the
settings that each has by default, on 100 episodes of each task's expert data. What counts is the
median CPU time of an update, and the ratio of the medians: whatever else runs on the machine slows
both. A batch is drawn before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("cbf", "rb", "ns")
CHILD = """
import sys, time
import numpy as np, torch
from networld_algos import make
from networld_algos.data.load import load_episodes
from networld_algos.training.cpu import configure_cpu, machine
from networld_algos.training.train import make_samplers
configure_cpu()
data = load_episodes(sys.argv[2]).take(np.arange(100))
model = make(sys.argv[1], data.spec)
model.prepare(data, 1000)
model.train()
sampler, rng = make_samplers(model, [data])[0], np.random.default_rng(0)
generator = torch.Generator().manual_seed(0)
print(machine(), flush=True)
for _ in sys.stdin:
    batch = sampler.sample(rng)
    start = time.process_time()
    model.update(batch, generator)
    print(1e3 * (time.process_time() - start), flush=True)
"""
WARM_UP = 5  # updates


class Version:
    """A process that makes one update when it is asked to."""

    def __init__(self, source: Path, algorithm: str, task: str) -> None:
        command = [sys.executable, "-P", "-c", CHILD, algorithm, f"networld/{task}/expert-v0"]
        env = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=env, cwd=source, text=True, **pipes)
        self.machine = self.process.stdout.readline().strip()
        if not self.machine:
            raise SystemExit(f"the version in {source} does not train {algorithm} on {task}")

    def update(self) -> float:
        """CPU milliseconds of the next update."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def compare(
    sources: dict[str, Path], algorithm: str, task: str, updates: int
) -> tuple[dict[str, float], str]:
    """Median CPU milliseconds of an update by version, and the machine."""
    versions = {name: Version(source, algorithm, task) for name, source in sources.items()}
    times = {name: [] for name in versions}
    for _ in range(updates + WARM_UP):
        for name, version in versions.items():
            times[name].append(version.update())
    for version in versions.values():
        version.end()
    medians = {name: statistics.median(found[WARM_UP:]) for name, found in times.items()}
    return medians, versions["now"].machine


def commit(name: str) -> str:
    """Short hash of a commit."""
    command = ["git", "rev-parse", "--short", name]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--against", required=True, help="the other commit")
    parser.add_argument("--algorithms", nargs="+", default=["networld"])
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = {"before": commit(given.against), "now": commit("HEAD")}
    rows, machine = [], ""
    print(f"| task | algorithm | ms, {names['before']} | ms, {names['now']} | ratio |")
    print("|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        sources = {which: Path(folder) / which for which in names}
        for which, name in names.items():
            sources[which].mkdir()
            packages = ["networld_algos", "networld_envs"]
            archive = subprocess.run(
                ["git", "archive", name, *packages], cwd=ROOT, capture_output=True, check=True
            )
            unpack = ["tar", "x", "-C", str(sources[which])]
            subprocess.run(unpack, input=archive.stdout, check=True)
        for task in TASKS:
            for algorithm in given.algorithms:
                found, machine = compare(sources, algorithm, task, given.updates)
                before, now = found["before"], found["now"]
                times = {"before_ms": round(before, 2), "now_ms": round(now, 2)}
                rows.append({"task": task, "algorithm": algorithm, **times})
                ratio = f"{now / before:.2f}"
                print(f"| {task} | {algorithm} | {before:.1f} | {now:.1f} | {ratio} |", flush=True)
    if given.json is not None:
        found = {"commits": names, "machine": machine, "rows": rows}
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
