"""What the training loop costs beside the updates: sampling, transfer, checks and logging.

    python benchmarks/loop.py [--updates 60] [--tasks cbf rb ns] [--json FILE]

For each algorithm at its defaults, on 200 episodes of each task's expert data, on one thread. The
loop is that of `networld train --log csv`, with a line of the log after each 20 updates. Everything
is CPU time of the process, so other processes matter little; the share is what counts: of the CPU
time of the loop, how much is not spent in `Algorithm.update`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from networld_algos import ALGORITHMS, make
from networld_algos.data.batch import WindowSampler
from networld_algos.data.load import load_episodes
from networld_algos.results.loggers import Log
from networld_algos.training.cpu import configure_cpu, machine
from networld_algos.training.train import train

WARM_UP = 5  # updates


class Clock:
    """CPU seconds inside functions, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def around(self, name, function):
        """``function``, whose time counts under ``name``."""

        def timed(*args, **kwargs):
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.process_time() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + took

        return timed


def measure(algorithm: str, data, updates: int) -> dict[str, float]:
    """Milliseconds of CPU time per update: of the loop, of the update and of parts of the loop."""
    model = make(algorithm, data.spec)
    model.prepare(data, updates + WARM_UP)
    train(model, [data], WARM_UP, 0)
    clock, sample = Clock(), WindowSampler.sample
    model.update = clock.around("update", model.update)
    WindowSampler.sample = clock.around("sampling", sample)
    try:
        with tempfile.TemporaryDirectory() as folder, Log(["csv"], Path(folder)) as log:
            log.start(0, updates + WARM_UP, {})
            start = time.process_time()
            on_update = clock.around("logging", log.losses)
            train(model, [data], updates + WARM_UP, 0, first=WARM_UP, on_update=on_update)
            clock.seconds["loop"] = time.process_time() - start
    finally:
        WindowSampler.sample = sample
    return {name: 1e3 * seconds / updates for name, seconds in clock.seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--tasks", nargs="+", default=["cbf", "rb", "ns"])
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    configure_cpu()
    print(f"{machine()}\n\n| task | algorithm | update ms | sampling ms | logging ms | beside |")
    print("|---|---|---:|---:|---:|---:|")
    rows = []
    for task in given.tasks:
        data = load_episodes(f"networld/{task}/expert-v0").take(np.arange(200))
        for algorithm in given.algorithms:
            found = measure(algorithm, data, given.updates)
            share = 1 - found["update"] / found["loop"]
            rows.append(
                {"task": task, "algorithm": algorithm, "share": round(share, 4)}
                | {f"{name}_ms": round(value, 3) for name, value in found.items()}
            )
            times = " | ".join(f"{found[n]:.2f}" for n in ("update", "sampling", "logging"))
            print(f"| {task} | {algorithm} | {times} | {share:.1%} |", flush=True)
    if given.json is not None:
        found = {"machine": machine(), "updates": given.updates, "rows": rows}
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
