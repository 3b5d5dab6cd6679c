"""Speed of the environments on one core: agent-steps per second, observations and rewards included.

    python benchmarks/throughput.py [--seconds 1] [--json FILE]

Three tables: the PettingZoo API and the Gymnasium vector environment of every task, beside MPE2's
``simple_spread_v3`` with 19 agents when ``mpe2`` is installed; cost per agent from tens of agents
to a thousand; and the error of hearing only the strongest base stations in CBF. Actions are drawn
beforehand; resets are part of the time. Set ``OMP_NUM_THREADS=1`` for figures per core.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import networld_envs
from networld_envs import cbf, cbf_links
from networld_envs.physics import radio

TASKS = ("cbf", "rb", "ns")
BATCHES = (64, 256)
MAX_CYCLES = 50
REPEATS = 3
PREPARED = 8  # actions drawn beforehand, used in turn
SIZES: dict[str, tuple[dict[str, Any], ...]] = {
    "cbf": tuple({"rings": rings, "max_links": 32} for rings in (2, 4, 9, 18)),
    "rb": tuple({"preset": name} for name in ("default", "nodes96", "nodes1000")),
    "ns": tuple({"rings": rings} for rings in (2, 9, 18)),
}


def steps_per_second(step: Callable[[], None], seconds: float) -> float:
    """Calls of ``step`` per second: the best of `REPEATS` runs of ``seconds``, after a warm-up."""
    for _ in range(3):
        step()
    best = 0.0
    for _ in range(REPEATS):
        count, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            step()
            count += 1
        best = max(best, count / elapsed)
    return best


def parallel_rate(env: Any, seconds: float) -> float:
    """Agent-steps per second of a PettingZoo parallel environment."""
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

    return steps_per_second(step, seconds) * len(agents)


def vector_rate(task: str, num_envs: int, seconds: float, **kwargs: Any) -> tuple[int, float]:
    """Agents of one environment, and agent-steps per second of the vector environment."""
    env = networld_envs.make_vec(task, num_envs, max_cycles=MAX_CYCLES, **kwargs)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(PREPARED)]
    turn = 0

    def step() -> None:
        nonlocal turn
        turn = (turn + 1) % PREPARED
        env.step(actions[turn])

    agents = env.simulator.spec.num_agents
    return agents, steps_per_second(step, seconds) * num_envs * agents


def mpe2_rate(seconds: float, agents: int = 19) -> float | None:
    """Agent-steps per second of MPE2's ``simple_spread_v3``; None if it is not installed."""
    try:
        module = importlib.import_module("mpe2.simple_spread_v3")
    except ImportError:
        return None
    return parallel_rate(module.parallel_env(N=agents, max_cycles=MAX_CYCLES), seconds)


def truncation_error(rings: int, links: int, seeds: int = 4) -> dict[str, float]:
    """How hearing ``links`` base stations one by one changes the rates of MRT, bit/s/Hz.

    The same channels, once complete and once as ``max_links`` would have them: the strongest of
    the candidates kept, the others at their mean power, those beyond the candidates at the mean
    over shadowing.
    """
    params = cbf.Params(rings=rings)
    k = params.num_agents
    state = cbf.reset(params, [np.random.default_rng(seed) for seed in range(seeds)])
    cells = cbf_links.candidates(cbf.Params(rings=rings, max_links=links)).cells
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


def measure(seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """All rows, each with the name of its table."""
    peer = mpe2_rate(seconds)
    if peer is not None:
        yield "speed", {"environment": "MPE2 simple_spread_v3", "api": "PettingZoo", "rate": peer}
    for task in TASKS:
        rate = parallel_rate(networld_envs.make(task, max_cycles=MAX_CYCLES), seconds)
        row: dict[str, Any] = {"environment": task, "api": "PettingZoo", "rate": rate}
        yield "speed", row | ({} if peer is None else {"times_peer": rate / peer})
        for num_envs in BATCHES:
            _, rate = vector_rate(task, num_envs, seconds)
            yield "speed", {"environment": task, "api": f"VectorEnv E={num_envs}", "rate": rate}
    for task, sizes in SIZES.items():
        first = None
        for kwargs in sizes:
            agents, rate = vector_rate(task, 1, seconds, **kwargs)
            first = first or 1e6 / rate
            row = {"environment": task, "agents": agents, "us_per_agent_step": 1e6 / rate}
            yield "scale", row | {"times_smallest": 1e6 / rate / first}
    for links in (8, 16, 32, 64):
        yield "truncation", truncation_error(9, links, seeds=2)


def show(value: Any) -> str:
    """A number with three significant digits and thousands separated, or the text itself."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return str(value)


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description="Agent-steps per second of every task.")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one measurement")
    parser.add_argument("--json", type=Path, default=None, help="write the rows here as well")
    args = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {}
    header: list[str] = []
    for table, row in measure(args.seconds):
        if table not in rows:
            print(f"\n### {table}")
            header = list(row) + (["times_peer"] if table == "speed" else [])
            print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
        rows.setdefault(table, []).append(row)
        cells = [show(value) for value in row.values()] + [""] * (len(header) - len(row))
        print("| " + " | ".join(cells) + " |", flush=True)
    if args.json is not None:
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        args.json.write_text(json.dumps({"versions": versions, **rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
