"""Alarms of the monitor in simulated deployments: false ones, and those of real shifts.

    python benchmarks/drift.py --out benchmarks/results/drift/drift.json
    python benchmarks/drift.py --show benchmarks/results/drift/drift.json   # only the tables

For each task, the expert data of the catalogue is the training data. It was made with seeds that
are not used here. Three policies then act in new networks: the behaviour policy of the data, BC and
MA-IQL, which are trained briefly. A window is a number of episodes. The windows of a deployment do
not overlap, and one report is made of each. ``own logs`` compares not with the training data but
with other episodes of the same policy in the unchanged network. The columns of the table are the
shares of windows with an alarm, and the share in which the usual rule of thumb (a stability index
above 0.25 in some column) would have raised one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from networld_algos import load_episodes, make, train
from networld_algos.base import Algorithm
from networld_algos.data.episodes import Episodes
from networld_algos.deploy.monitor import Monitor, Reference, disagreements
from networld_algos.deploy.monitor.limits import USUAL_INDEX
from networld_algos.files import write_text
from networld_envs import make_params, make_vec
from networld_envs.policies.rollout import Behaviour, rollout

SHIFTS: dict[str, dict[str, dict[str, Any]]] = {
    "cbf": {
        "cells of 250 m": {"inter_site_m": 250.0, "max_distance_m": 125.0},
        "shadowing 6 dB": {"shadowing_db": 6.0},
    },
    "rb": {
        "ring": {"preset": "ring6"},
        "double load": {"load": 0.34},
        "load 10% higher": {"load": 0.187},
    },
    "ns": {
        "hotspots": {"preset": "hotspots"},
        "load 10% higher": {"load": 0.88},
    },
}
SIZES = (1, 4, 16)
STEPS = 50
SEED = 40_000_000  # beyond all datasets, and beyond the networks of the benchmark
FALSE_WINDOWS, TRUE_WINDOWS = 200, 50  # at most, of each size


def acted(
    task: str, actor: str | Algorithm, seeds: Sequence[int], params: dict[str, Any]
) -> Episodes:
    """Episodes of a policy: of a model, or of the behaviour policy of the expert data."""
    preset = params.get("preset", "default")
    made = make_params(task, preset, **{k: v for k, v in params.items() if k != "preset"})
    if isinstance(actor, str):
        done = rollout(task, made, Behaviour("expert", 0.05), seeds, STEPS)
        obs, actions, rewards, table = done.obs, done.actions, done.rewards, done.neighbours
        spec = make_vec(task, 1, **params).simulator.spec
    else:
        envs = make_vec(task, len(seeds), max_cycles=STEPS, **params)
        spec = envs.simulator.spec
        first, info = envs.reset(seed=list(seeds))
        table = info["neighbours"].copy()
        tables = torch.from_numpy(table.astype(np.int64))
        generator = torch.Generator().manual_seed(0)
        carry = actor.initial_carry(len(seeds), task)
        seen, chosen, gained = [first], [], []
        actor.eval()
        for _ in range(STEPS):
            act, carry = actor.act(torch.from_numpy(seen[-1]), tables, carry, generator)
            after, _, _, _, info = envs.step(act.numpy())
            seen.append(after)
            chosen.append(act.numpy())
            gained.append(info["agent_rewards"])
        obs, actions, rewards = (np.stack(x, axis=1) for x in (seen, chosen, gained))
    ends = np.zeros(actions.shape[:2], bool)
    return Episodes(
        spec=replace(spec, neighbour_slots=table.shape[-1]),
        obs=obs,
        actions=actions,
        rewards=rewards,
        terminated=ends,
        truncated=ends.copy(),
        neighbours=table,
        lengths=np.full(len(seeds), STEPS),
    )


def alarms(
    reference: Reference,
    data: Episodes,
    differ: list[np.ndarray],
    size: int,
    windows: int,
    view: str = "network",
) -> dict[str, Any]:
    """Shares of windows with an alarm."""
    rng = np.random.default_rng(size)
    found: dict[str, list[bool]] = {"columns": [], "support": [], "disagreement": [], "any": []}
    found["rule of thumb"] = []
    moved: dict[str, int] = {}
    count = min(windows, len(data) // size)
    for window in range(count):
        monitor = Monitor(reference, view="station" if view == "station" else "network")
        at = range(window * size, (window + 1) * size)
        agent = int(rng.integers(data.spec.num_agents))
        agents = slice(agent, agent + 1) if view == "station" else slice(None)
        for k in at:
            monitor.start_episode()
            monitor.update(
                data.obs[k, :STEPS, agents],
                data.actions[k, :, agents],
                disagreement=differ[k][:, agents] if differ else None,
            )
        report = monitor.report()
        found["columns"].append(any(c.alarm for c in report.columns))
        found["support"].append(bool(report.support and report.support.alarm))
        found["disagreement"].append(bool(report.disagreement and report.disagreement.alarm))
        found["any"].append(bool(report.alarms))
        found["rule of thumb"].append(max(c.psi for c in report.columns) > USUAL_INDEX)
        most = max(report.columns, key=lambda c: c.psi / (c.limit or 1.0))
        moved[most.name] = moved.get(most.name, 0) + most.alarm
    shares: dict[str, Any] = {name: float(np.mean(values)) for name, values in found.items()}
    if not differ:
        shares["disagreement"] = None
    shares["most_moved"] = max(moved, key=lambda name: moved[name]) if any(moved.values()) else None
    return {"view": view, "episodes": size, "windows": count, **shares}


def measure(task: str, updates: int, count: int) -> list[dict[str, Any]]:
    """All rows of a task."""
    data = load_episodes(f"networld/{task}/expert-v0")
    fitted, heldout = data.split(0.1, seed=0)
    assert heldout is not None
    models: dict[str, Algorithm] = {}
    for name in ("bc", "ma-iql"):
        models[name] = make(name, [data.spec], seed=0)
        models[name].prepare(fitted, updates)
        train(models[name], [fitted], updates, seed=0)
    rows: list[dict[str, Any]] = []
    plain = Reference.of_episodes(fitted)
    with_critics = Reference.of_episodes(fitted, disagreements(models["ma-iql"], heldout))

    def add(deployment: str, actor: str, reference: Reference, own: bool, windows: int) -> None:
        begin = time.time()
        params = SHIFTS[task].get(deployment, {})
        many = count if deployment == "as trained" else count // 4
        of = range(SEED + count, SEED + count + many)
        done = acted(task, models.get(actor, actor), of, params)
        differ = disagreements(models[actor], done) if actor == "ma-iql" else []
        views = ("network", "station") if actor == "behaviour" else ("network",)
        for view in views:
            for size in SIZES:
                found = alarms(reference, done, differ, size, windows, view)
                about = {"task": task, "deployment": deployment, "policy": actor}
                about["reference"] = "own logs" if own else "training data"
                rows.append({**about, **found})
        print(f"{task} {deployment} {actor}: {time.time() - begin:.0f} s", flush=True)

    add("as trained", "behaviour", plain, False, FALSE_WINDOWS)
    add("as trained", "bc", plain, False, FALSE_WINDOWS)
    add("as trained", "ma-iql", with_critics, False, FALSE_WINDOWS)
    logs = acted(task, models["ma-iql"], range(SEED, SEED + 400), {})
    own = Reference.of_episodes(logs, disagreements(models["ma-iql"], logs))
    add("as trained", "ma-iql", own, True, FALSE_WINDOWS)
    for deployment in SHIFTS[task]:
        add(deployment, "behaviour", plain, False, TRUE_WINDOWS)
        add(deployment, "ma-iql", own, True, TRUE_WINDOWS)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    names = ("columns", "support", "disagreement", "any", "rule of thumb")
    head = [
        "task",
        "deployment",
        "policy",
        "compared with",
        "view",
        "episodes",
        *names,
        "most moved",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        shares = ["-" if row[n] is None else f"{100 * row[n]:.0f}%" for n in names]
        about = [row[n] for n in ("task", "deployment", "policy", "reference", "view", "episodes")]
        lines.append(f"| {' | '.join(map(str, [*about, *shares, row['most_moved'] or '-']))} |")
    return "\n".join(lines) + "\n"


def summary(rows: list[dict[str, Any]]) -> str:
    """Shares of windows with any alarm, one line per deployment and policy."""
    head = [
        "task",
        "deployment",
        "policy",
        "compared with",
        *(f"{n}" for n in SIZES),
        "station, 16",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    found: dict[tuple[str, ...], dict[tuple[str, int], float]] = {}
    for row in rows:
        key = tuple(row[n] for n in ("task", "deployment", "policy", "reference"))
        found.setdefault(key, {})[row["view"], row["episodes"]] = row["any"]
    for key, shares in found.items():
        cells = [shares.get(("network", n)) for n in SIZES] + [shares.get(("station", SIZES[-1]))]
        texts = ["" if share is None else f"{100 * share:.0f}%" for share in cells]
        lines.append("| " + " | ".join((*key, *texts)) + " |")
    null = [
        row
        for row in rows
        if row["deployment"] == "as trained"
        and (row["policy"] == "behaviour" or row["reference"] == "own logs")
    ]
    windows = sum(row["windows"] for row in null)
    means = {
        name: sum(row["windows"] * (row[name] or 0.0) for row in null) / windows
        for name in ("columns", "support", "any", "rule of thumb")
    }
    lines += [
        "",
        f"False alarms in {windows:,} windows of unchanged networks: columns "
        f"{100 * means['columns']:.1f}%, support {100 * means['support']:.1f}%, any "
        f"{100 * means['any']:.1f}%. The rule of thumb would have raised "
        f"{100 * means['rule of thumb']:.0f}%.",
    ]
    return "\n".join(lines) + "\n"


def write_tables(rows: list[dict[str, Any]], path: Path) -> None:
    """Write both tables beside the file of rows."""
    write_text(path.with_suffix(".md"), table(rows))
    write_text(path.with_name("summary.md"), summary(rows))


def main() -> None:
    """Measure and write the rows, or print them as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, help="write the rows, and the table beside them")
    parser.add_argument("--show", type=Path, help="write the tables beside such a file again")
    parser.add_argument("--tasks", nargs="+", default=list(SHIFTS))
    parser.add_argument("--updates", type=int, default=1_500, help="updates of BC and MA-IQL")
    parser.add_argument("--episodes", type=int, default=1_024, help="of the unchanged network")
    options = parser.parse_args()
    if options.show:
        write_tables(json.loads(options.show.read_text())["rows"], options.show)
        return
    torch.set_num_threads(1)
    rows = [r for task in options.tasks for r in measure(task, options.updates, options.episodes)]
    if options.out:
        about = {"updates": options.updates, "episodes": options.episodes, "seed": SEED}
        write_text(options.out, json.dumps({**about, "rows": rows}, indent=1) + "\n")
        write_tables(rows, options.out)
    print(summary(rows))


if __name__ == "__main__":
    main()
