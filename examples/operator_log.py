"""Logs of a small network as an operator has them: a CSV that is not quite in order.

    python examples/operator_log.py --out march --days 20
    python examples/operator_log.py --out may --days 5 --first-day 61 --load 0.34

A simulation of resource-block scheduling stands for the network: ten cells in five groups on a
ring. Two schedulers took turns. The files are ``cells.csv`` and ``neighbours.csv``. What is wrong
with the table is what is wrong with real ones: semicolons and decimal commas, names and units of
its own, time stamps that jitter, single rows that are lost, an outage, rows that are there twice,
measurements of a probe that is no cell, and actions and costs that are written one row late.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from networld_envs import make_params
from networld_envs.policies.rollout import Behaviour, rollout

NETWORK = {"topology": "ring", "num_clusters": 5, "nodes_per_cluster": 2}
CELLS = [f"cell-{group}{half}" for group in "ABCDE" for half in "12"]
SCHEDULERS = (Behaviour("backlog", 0.2), Behaviour("cap", 0.1))
STEPS = 100  # per day, one each second
START = datetime(2026, 3, 1, 6)
HEADER = (
    "day;time;cell;offered;backlog;granted;sent;group_backlog;group_load;success_percent;asked;cost"
)


def decimal(value: float) -> str:
    """A number with a decimal comma."""
    return f"{value:.6g}".replace(".", ",")


def rows_of(day: int, load: float, rng: np.random.Generator) -> Iterator[list[str]]:
    """The rows of one day, in the order in which they arrived."""
    params = make_params("rb", load=load, **NETWORK)
    done = rollout("rb", params, SCHEDULERS[day % 2], [60_000_000 + day], STEPS)
    outage = rng.integers(30, STEPS - 30) if day % 5 == 4 else None  # every fifth day
    for step, observations in enumerate(done.obs[0]):
        if outage is not None and outage <= step < outage + 8:
            continue
        time = START + timedelta(days=day, seconds=step + float(rng.uniform(-0.05, 0.05)))
        stamp = time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        for number, cell in enumerate(CELLS):
            arrivals, queue, grant, served, backlog, group, success, asked = observations[number]
            cost = -done.rewards[0, step - 1, number] if step else None
            row = [str(day), stamp, cell, *map(decimal, (arrivals, queue, grant, served, backlog))]
            row += [decimal(group), decimal(100 * success), decimal(asked)]
            row.append("NA" if cost is None else decimal(cost))
            if 0 < step < STEPS and rng.random() < 0.0005:
                continue  # lost
            yield row
            if rng.random() < 0.002:
                yield row  # sent again
        if step % 10 == 0:
            yield [str(day), stamp, "probe-1", *["NA"] * 9]


def write_logs(
    folder: Path, days: int, first_day: int = 0, load: float = 0.17, seed: int = 0
) -> Path:
    """Write both files.

    Args:
        folder: Where to write; it is created if needed.
        days: Number of days.
        first_day: Number of the first day; it chooses the traffic.
        load: Mean traffic of a group, as a share of the resource blocks.
        seed: Seed of the disorder.

    Returns:
        The path of ``cells.csv``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    path = folder / "cells.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(HEADER.split(";"))
        for day in range(first_day, first_day + days):
            writer.writerows(rows_of(day, load, rng))
    table = rollout("rb", make_params("rb", **NETWORK), SCHEDULERS[0], [0], 1).neighbours[0]
    with (folder / "neighbours.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["cell", "hears"])
        writer.writerows([CELLS[i], CELLS[j]] for i, row in enumerate(table) for j in row if j >= 0)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--first-day", type=int, default=0)
    parser.add_argument("--load", type=float, default=0.17)
    options = parser.parse_args()
    print("wrote", write_logs(options.out, options.days, options.first_day, options.load))
