"""Time of an update of NetWorld in this version against another commit, on real data.

    python benchmarks/update_pair.py --against COMMIT [--turns 3] [--updates 40] [--json FILE]

Both versions take turns in processes of their own, on one thread, with the settings that each has
by default, on 100 episodes of each task's expert data. The median of an update counts in each
turn, and the best turn of each version. A batch is drawn before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
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
data = load_episodes(sys.argv[1]).take(np.arange(100))
model = make("networld", data.spec)
model.prepare(data, 1000)
model.train()
sampler, rng = make_samplers(model, [data])[0], np.random.default_rng(0)
generator, times = torch.Generator().manual_seed(0), []
for _ in range(int(sys.argv[2]) + 10):
    batch = sampler.sample(rng)
    start = time.perf_counter()
    model.update(batch, generator)
    times.append(time.perf_counter() - start)
print(1e3 * float(np.median(times[10:])), machine(), sep="\\n")
"""


def milliseconds(source: Path, task: str, updates: int) -> tuple[float, str]:
    """Median time of an update of the version in ``source``, and the machine."""
    command = [sys.executable, "-", f"networld/{task}/expert-v0", str(updates)]
    env = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, input=CHILD, env=env, cwd=source, capture_output=True, text=True, check=True
    )
    value, name = done.stdout.strip().splitlines()[-2:]
    return float(value), name


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
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = {"before": commit(given.against), "now": commit("HEAD")}
    best: dict[tuple[str, str], float] = {}
    machine = ""
    with tempfile.TemporaryDirectory() as folder:
        for which, name in names.items():
            source = Path(folder) / which
            source.mkdir()
            packages = ["networld_algos", "networld_envs"]
            archive = subprocess.run(
                ["git", "archive", name, *packages], cwd=ROOT, capture_output=True, check=True
            )
            subprocess.run(["tar", "x", "-C", str(source)], input=archive.stdout, check=True)
        for _ in range(given.turns):
            for task in TASKS:
                for which in names:
                    took, machine = milliseconds(Path(folder) / which, task, given.updates)
                    best[task, which] = min(took, best.get((task, which), took))
    print(f"{machine}\n\n| ms per update | {names['before']} | {names['now']} | ratio |")
    print("|---|---:|---:|---:|")
    rows = []
    for task in TASKS:
        before, now = best[task, "before"], best[task, "now"]
        rows.append({"task": task, "before_ms": round(before, 2), "now_ms": round(now, 2)})
        print(f"| {task} | {before:.1f} | {now:.1f} | {now / before:.2f} |")
    if given.json is not None:
        found = {"commits": names, "machine": machine, "rows": rows}
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
