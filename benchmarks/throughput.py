"""Speed of the environments on one core, in agent-steps per second with observations and rewards.

    python benchmarks/throughput.py [--seconds 1] [--json FILE]

There are four tables: the PettingZoo API and the Gymnasium vector environment of every task,
compared with MPE2's ``simple_spread_v3`` with 19 agents if ``mpe2`` is installed; cost per agent
from tens of agents to a thousand; the targets for these figures; and the error from hearing only
the strongest base stations in CBF. Actions are drawn beforehand. Times include resets.

Times are CPU times of this process, and the rows of a table take turns, which reduces the influence
of other programs. Set ``OMP_NUM_THREADS=1`` for figures per core.

If compiled loops are used (`networld_envs.compiled`), the first table also has a row without them.
``NETWORLD_COMPILED=0`` measures everything without them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

import networld_envs
from networld_envs import cbf, compiled
from networld_envs.cbf import network
from networld_envs.physics import radio

TASKS = ("cbf", "rb", "ns")
BATCHES = (64, 256)
MAX_CYCLES = 50
TURNS = 5
PEER = "MPE2 simple_spread_v3"
PREPARED = 8  # actions drawn beforehand, used in turn
AIMS = {
    "vector_rate": 400e3,  # CBF, agent-steps per second, at least
    "times_smallest": 1.5,  # cost per agent of every size, at most
}
TIMES_PEER = {"cbf": 50.0, "rb": 50.0, "ns": 30.0}  # through PettingZoo, compiled, at least
SIZES: dict[str, tuple[dict[str, Any], ...]] = {
    "cbf": tuple({"rings": rings, "max_links": 32} for rings in (2, 4, 9, 18)),
    "rb": tuple({"preset": name} for name in ("default", "nodes96", "nodes1000")),
    "ns": tuple({"rings": rings} for rings in (2, 9, 18)),
}


Step = Callable[[], None]


def steps_per_second(steps: Sequence[Step], seconds: float) -> list[float]:
    """Calls of each of ``steps`` per second of CPU time, the best of `TURNS` turns.

    Args:
        steps: Functions to time; they take turns.
        seconds: Total time of all turns of one function, after a warm-up.
    """
    best = [0.0] * len(steps)
    for step in steps:
        for _ in range(3):
            step()
    for _ in range(TURNS):
        for i, step in enumerate(steps):
            count, start = 0, time.process_time()
            while (elapsed := time.process_time() - start) < seconds / TURNS:
                for _ in range(PREPARED):
                    step()
                count += PREPARED
            best[i] = max(best[i], count / elapsed)
    return best


def parallel_step(env: Any) -> tuple[Step, int]:
    """A step of a PettingZoo parallel environment, and its number of agents."""
    env.reset(seed=0)
    agents = list(env.possible_agents)
    for i, agent in enumerate(agents):
        env.action_space(agent).seed(i)
    actions = [{a: env.action_space(a).sample() for a in agents} for _ in range(PREPARED)]
    turn = 0

    def step() -> None:
        nonlocal turn
        turn = (turn + 1) % PREPARED
        env.step(actions[turn])
        if not env.agents:
            env.reset()

    return step, len(agents)


def vector_step(task: str, num_envs: int, **kwargs: Any) -> tuple[Step, int]:
    """A step of a vector environment, and the number of agents in one network."""
    env = networld_envs.make_vec(task, num_envs, max_cycles=MAX_CYCLES, **kwargs)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(PREPARED)]
    turn = 0

    def step() -> None:
        nonlocal turn
        turn = (turn + 1) % PREPARED
        env.step(actions[turn])

    return step, env.simulator.spec.num_agents


@contextmanager
def numpy_only() -> Iterator[None]:
    """Environments whose first step is in this context run without compiled loops."""
    before = os.environ.get(compiled.VARIABLE)
    os.environ[compiled.VARIABLE] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[compiled.VARIABLE]
        else:
            os.environ[compiled.VARIABLE] = before


def mpe2_step(agents: int = 19) -> tuple[Step, int] | None:
    """A step of MPE2's ``simple_spread_v3``; None if it is not installed."""
    try:
        module = importlib.import_module("mpe2.simple_spread_v3")
    except ImportError:
        return None
    return parallel_step(module.parallel_env(N=agents, max_cycles=MAX_CYCLES))


def through_each_api(task: str) -> Iterator[tuple[dict[str, Any], Step, int]]:
    """A task through each interface: name, step function, and agent-steps per step."""
    step, agents = parallel_step(networld_envs.make(task, max_cycles=MAX_CYCLES))
    yield {"environment": task, "api": "PettingZoo"}, step, agents
    for num_envs in BATCHES:
        step, agents = vector_step(task, num_envs)
        yield {"environment": task, "api": f"VectorEnv E={num_envs}"}, step, agents * num_envs


def speed(seconds: float) -> list[dict[str, Any]]:
    """Agent-steps per second of every task through both interfaces, and of MPE2."""
    measured: list[tuple[dict[str, Any], Step, int]] = []
    peer = mpe2_step()
    if peer is not None:
        row = {"environment": PEER, "api": "PettingZoo", "loops": "NumPy"}
        measured.append((row, *peer))
    for task in TASKS:
        uses = compiled.loops(networld_envs.TASKS[task], networld_envs.make_params(task)).compiled
        for loops in ("numba", "NumPy") if uses else ("NumPy",):
            with numpy_only() if loops == "NumPy" else nullcontext():
                for row, step, agents in through_each_api(task):
                    step()  # the first step selects the loops
                    measured.append((row | {"loops": loops}, step, agents))
    rates = steps_per_second([step for _, step, _ in measured], seconds)
    rows = [
        row | {"rate": rate * agents}
        for rate, (row, _, agents) in zip(rates, measured, strict=True)
    ]
    if peer is not None:
        for row in rows:
            if row["api"] == "PettingZoo":
                row["times_peer"] = row["rate"] / rows[0]["rate"]
    return rows


def scale(task: str, seconds: float) -> list[dict[str, Any]]:
    """Cost per agent and step of one environment, from its smallest size to a thousand agents."""
    made = [vector_step(task, 1, **kwargs) for kwargs in SIZES[task]]
    rates = steps_per_second([step for step, _ in made], seconds)
    cost = [1e6 / (rate * agents) for rate, (_, agents) in zip(rates, made, strict=True)]
    return [
        {
            "environment": task,
            "agents": agents,
            "us_per_agent_step": us,
            "times_smallest": us / cost[0],
        }
        for us, (_, agents) in zip(cost, made, strict=True)
    ]


def aims(rows: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Each target, the measured value, and whether it is met."""
    for row in rows["speed"]:
        name, api, loops = row["environment"], row["api"], row["loops"]
        if name in TIMES_PEER and "times_peer" in row and loops == "numba":
            found, aim = row["times_peer"], TIMES_PEER[name]
            what = f"{name} through PettingZoo, times MPE2 ({loops})"
        elif name == "cbf" and api != "PettingZoo":
            found, aim, what = (
                row["rate"],
                AIMS["vector_rate"],
                f"cbf {api}, agent-steps/s ({loops})",
            )
        else:
            continue
        yield {"aim": what, "at_least": aim, "found": found, "met": "yes" if found >= aim else "no"}
    for task in SIZES:
        cost = [r["times_smallest"] for r in rows["scale"] if r["environment"] == task]
        found = max(cost[1:])
        aim, what = AIMS["times_smallest"], f"{task} cost per agent, times that of its smallest"
        yield {"aim": what, "at_most": aim, "found": found, "met": "yes" if found <= aim else "no"}


def truncation_error(rings: int, links: int, seeds: int = 4) -> dict[str, float]:
    """Change of MRT's rates, bit/s/Hz, if only ``links`` base stations are heard individually.

    It compares the same channels, complete and as with ``max_links``: the strongest candidates are
    kept, the other candidates contribute their mean power, and the rest their mean over shadowing.
    """
    params = cbf.Params(rings=rings)
    k = params.num_agents
    state = cbf.reset(params, [np.random.default_rng(seed) for seed in range(seeds)])
    cells = network.candidates(cbf.Params(rings=rings, max_links=links)).cells
    near = np.zeros((k, k), bool)
    user, candidate = np.nonzero(cells >= 0)
    near[user, cells[user, candidate]] = True
    station_m = cbf.layout(params, state)[0]
    apart_km = np.linalg.norm(station_m[:, None] - station_m, axis=-1) / 1e3
    loss_db = radio.path_loss_db(
        np.maximum(apart_km, 1e-3), params.path_loss_1km_db, params.path_loss_slope_db
    )
    mean_shadow = np.exp(0.5 * (params.shadowing_db * np.log(10.0) / 10.0) ** 2)
    mean_gain = radio.db_to_linear(params.power_dbm - params.noise_dbm - loss_db) * mean_shadow
    ranked = np.where(np.eye(k, dtype=bool), np.inf, np.where(near, state.gain, -1.0))
    kept = ranked >= np.sort(ranked, axis=-1)[..., -links : -links + 1 or None]
    rest = np.where(near, np.where(kept, 0.0, state.gain), mean_gain).sum(axis=-1)
    power = radio.received_power(state.channel, state.beamformer[:, None])
    own = np.diagonal(power, axis1=1, axis2=2)
    full = radio.rate(own, power.sum(axis=-1) - own + 1.0)
    part = radio.rate(own, np.where(kept, power, 0.0).sum(axis=-1) - own + 1.0 + rest)
    error = np.abs(part - full)
    return {
        "cells": k,
        "links": links,
        "mean_rate": float(full.mean()),
        "mean_rate_truncated": float(part.mean()),
        "mean_error": float(error.mean()),
        "error_p99": float(np.quantile(error, 0.99)),
    }


def show(value: Any) -> str:
    """A number with three significant digits and thousands separators, or the text itself."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return str(value)


def print_table(name: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a Markdown table; rows may lack columns."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    print(f"\n### {name}\n\n| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for row in rows:
        print("| " + " | ".join(show(row.get(key, "")) for key in header) + " |", flush=True)


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description="Agent-steps per second of every task.")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU time of one measurement")
    parser.add_argument("--json", type=Path, default=None, help="write the rows here as well")
    args = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {}
    rows["speed"] = speed(args.seconds)
    print_table("speed", rows["speed"])
    rows["scale"] = [row for task in SIZES for row in scale(task, args.seconds)]
    print_table("scale", rows["scale"])
    rows["aims"] = list(aims(rows))
    print_table("aims", rows["aims"])
    rows["truncation"] = [truncation_error(9, links, seeds=2) for links in (8, 16, 32, 64)]
    print_table("truncation", rows["truncation"])
    if args.json is not None:
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        args.json.write_text(json.dumps({"versions": versions, **rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
