"""Measure again how many updates per minute the chosen settings of a suite allow.

    python benchmarks/rates.py [--suite cpu] [--rounds 3] [--file networld_algos/bench/tuned.toml]

`networld tune` measures the rates beside its trials, where other processes may slow the processor
down. Run this on a quiet machine before a suite is started, because the rates decide its budgets
(`networld_algos.bench.suite.Suite.minutes`). Methods take turns, and the median of the rounds is
written to the file. It changes nothing else there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from networld_algos.bench.presets import get_suite
from networld_algos.bench.submission.joining import measured_rate
from networld_algos.bench.tuned import COMMITTED, main_entry
from networld_algos.training.tuning.choices import RATE, read_choices, write_choices


def main() -> None:
    """Measure all methods of the suite on all of its data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file", type=Path, default=COMMITTED)
    options = parser.parse_args()
    suite, choices = get_suite(options.suite), read_choices(options.file)
    algorithms = dict.fromkeys(entry.algorithm for entry in suite.entries)
    entries = [main_entry(suite.entries, algorithm) for algorithm in algorithms]
    places = [(entry, t, q) for q in suite.qualities for t in suite.tasks for entry in entries]
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds):
        for entry, task, quality in places:
            rate = measured_rate(entry, task, quality)
            found.setdefault((entry.algorithm, f"{task}/{quality}"), []).append(rate)
            print(f"round {number}: {entry.algorithm} on {task}/{quality}: {rate:.0f}", flush=True)
    for (algorithm, data), rates in found.items():
        fields = choices.setdefault(algorithm, {}).setdefault(data, {})
        fields[RATE] = round(float(np.median(rates)), 1)
    write_choices(options.file, choices)


if __name__ == "__main__":
    main()
