"""Measure again how many updates per minute the chosen settings of a suite allow.

    python benchmarks/rates.py [--suite cpu] [--only LABEL ...] [--data TASK/QUALITY ...]
        [--rounds 3] [--file PATH]

`networld tune` measures the rates beside its trials, where other processes may slow the processor
down. Run this on a quiet machine before a suite is started, because the rates decide its budgets
(`networld_algos.bench.suite.Suite.minutes`). Methods take turns, and the median of the rounds is
written to the file, by default to `networld_algos/bench/tuned.toml`. It changes nothing else there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from networld_algos.bench.machine_speed import measured_rate
from networld_algos.bench.presets import get_suite
from networld_algos.bench.tuned import COMMITTED, main_entry
from networld_algos.training.tuning.choices import RATE, read_choices, write_choices


def main() -> None:
    """Measure all methods of the suite on all of its data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="methods to measure; all by default")
    parser.add_argument("--data", nargs="+", help="such as rb/expert; all by default")
    parser.add_argument("--file", type=Path, default=COMMITTED)
    options = parser.parse_args()
    suite, choices = get_suite(options.suite), read_choices(options.file)
    algorithms = dict.fromkeys(entry.algorithm for entry in suite.entries)
    main_entries = {name: main_entry(suite.entries, name) for name in algorithms}
    entries = main_entries | {entry.label: entry for entry in suite.entries}
    chosen = options.only or entries
    places = [
        (name, task, quality)
        for quality in suite.qualities
        for task in suite.tasks
        for name, entry in entries.items()
        if name in chosen and quality in entry.qualities
        if not options.data or f"{task}/{quality}" in options.data
    ]
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds):
        for name, task, quality in places:
            rate = measured_rate(entries[name], task, quality)
            found.setdefault((name, f"{task}/{quality}"), []).append(rate)
            print(f"round {number}: {name} on {task}/{quality}: {rate:.0f}", flush=True)
    for (name, data), rates in found.items():
        fields = choices.setdefault(name, {}).setdefault(data, {})
        fields[RATE] = round(float(np.median(rates)), 1)
    write_choices(options.file, choices)


if __name__ == "__main__":
    main()
