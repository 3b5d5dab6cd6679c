"""Updates per second of every algorithm on one core, compared with d3rlpy if installed.

    python benchmarks/training.py [--turns 5] [--seconds 1] [--json FILE]

Two tables. *Same size*: one agent without neighbours, observations of 17 columns and 6 action
columns (or 41 choices), batch 256 and two hidden layers of 256 (the Decision Transformer: 64
sequences of 20 steps, 3 layers of 128, one head) - the sizes at which d3rlpy's CQL, DiscreteCQL,
IQL, DecisionTransformer and DiscreteDecisionTransformer run beside ours. *Defaults*: every
algorithm at its own defaults on teams of 19 agents, and NetWorld with plans at the size of the
design's aim of 25 ms, H = 8 and 32 sequences: with the default forecast, and with a minimal one.

An update takes a batch that was drawn beforehand, and ends when the metrics are numbers. The rows
take turns, and the best turn counts. Times are CPU times of this process. All rows use the matrix
products that are faster on the machine, or those that NETWORLD_ONEDNN names, see
`networld_algos.training.cpu`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from networld_algos import ALGORITHMS, make
from networld_algos.data.batch import Batch, WindowSampler
from networld_algos.data.episodes import Episodes
from networld_algos.ma_cql import config as ma_cql
from networld_algos.ma_dt import config as ma_dt
from networld_algos.training.cpu import configure_cpu
from networld_envs.spec import ActionKind, TaskSpec

OBS, COLUMNS, CHOICES, STEPS = 17, 6, 41, 50
KINDS: tuple[ActionKind, ...] = ("box", "ordered")
BATCH, SEQUENCES, CONTEXT = 256, 64, 20
SAME_SIZE: dict[str, dict[str, Any]] = {
    "ma-cql": {"batch_size": BATCH, "network": "mlp", **ma_cql.PAPER},
    "ma-iql": {"batch_size": BATCH, "network": "mlp"},
    "ma-dt": {**ma_dt.PAPER, "batch_size": SEQUENCES, "sequences": SEQUENCES},
}
AIM: dict[str, Any] = {
    "planner": "diffusion",
    "horizon": 8,
    "sequences": 32,
    "mults": (1, 2, 4),
    "latent": 32,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "networld, plans, H 8, 32 sequences": ("networld", AIM),
    "the same, 4 windows, 32 forecasts": (
        "networld",
        {**AIM, "batch_size": 4, "transitions": 32},
    ),
}
Update = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        table: ``"same size"`` or ``"defaults"``.
        name: Name of the algorithm.
        actions: Kind of action.
        update: Does one update.
        pair: Equal for our row and the row of d3rlpy compared with it; "" if there is none.
    """

    table: str
    name: str
    actions: str
    update: Update
    pair: str = ""


def synthetic(kind: ActionKind, agents: int, episodes: int) -> Episodes:
    """Random numbers of the shape of a dataset."""
    rng = np.random.default_rng(0)
    box = kind == "box"
    columns, high = (COLUMNS, 1.0) if box else (1, CHOICES - 1.0)
    low = (-1.0 if box else 0.0,) * columns
    slots = min(6, agents)
    spec = TaskSpec("any", agents, OBS, kind, columns, low, (high,) * columns, slots)
    shape = (episodes, STEPS, agents)
    truncated = np.zeros((episodes, STEPS), bool)
    truncated[:, -1] = True
    own = np.arange(agents)[:, None]
    ring = (own + 1 + np.arange(slots)) % agents
    ring[ring == own] = -1  # an agent alone has no neighbour
    return Episodes(
        spec=spec,
        obs=rng.normal(size=(episodes, STEPS + 1, agents, OBS)).astype(np.float32),
        actions=rng.uniform(-1, 1, (*shape, columns)).astype(np.float32)
        if box
        else rng.integers(CHOICES, size=shape),
        rewards=rng.normal(size=shape).astype(np.float32),
        terminated=np.zeros_like(truncated),
        truncated=truncated,
        neighbours=np.tile(ring.astype(np.int32), (episodes, 1, 1)),
        lengths=np.full(episodes, STEPS),
    )


def batches(algorithm: Any, data: Episodes) -> list[Batch]:
    """A few batches that are used in turn."""
    sampler = WindowSampler(data, algorithm.window, algorithm.batch_size)
    return [sampler.sample(np.random.default_rng(k)) for k in range(4)]


def ours(name: str, data: Episodes, config: dict[str, Any]) -> tuple[Update, list[Batch]]:
    """An update of one of our algorithms."""
    algorithm = make(name, data.spec, config)
    algorithm.prepare(data, 1_000_000)
    ready, generator = batches(algorithm, data), torch.Generator().manual_seed(0)
    turn = iter(range(10**9))
    return lambda: algorithm.update(ready[next(turn) % len(ready)], generator), ready


def transitions(batch: Batch) -> Any:
    """A batch of single steps of one agent in d3rlpy's format."""
    from d3rlpy.torch_utility import TorchMiniBatch

    column = torch.zeros(len(batch.obs), 1)
    actions = batch.actions[:, 0, 0]
    return TorchMiniBatch(
        observations=batch.obs[:, 0, 0],
        actions=actions if actions.ndim == 2 else actions.unsqueeze(-1),
        rewards=batch.rewards[:, 0],
        next_observations=batch.obs[:, 1, 0],
        next_actions=column,
        returns_to_go=column,
        terminals=column,
        intervals=column + 1,
        device="cpu",
    )


def trajectories(batch: Batch) -> Any:
    """A batch of sequences of one agent in d3rlpy's format."""
    from d3rlpy.torch_utility import TorchTrajectoryMiniBatch

    actions = batch.actions[:, :, 0]
    return TorchTrajectoryMiniBatch(
        observations=batch.obs[:, :-1, 0].contiguous(),
        actions=actions if actions.ndim == 3 else actions.unsqueeze(-1),
        rewards=batch.rewards,
        returns_to_go=batch.returns_to_go,
        terminals=torch.zeros_like(batch.rewards),
        timesteps=batch.timesteps,
        masks=batch.mask.float(),
        device="cpu",
    )


def peer(name: str, kind: ActionKind, ready: list[Batch]) -> tuple[str, Update] | None:
    """d3rlpy's algorithm of the same losses and sizes on the same batches, if it has one."""
    import d3rlpy

    algos = d3rlpy.algos
    sizes: dict[str, Any] = {
        "context_size": CONTEXT,
        "max_timestep": 256,
        "num_layers": 3,
        "num_heads": 1,
        "encoder_factory": d3rlpy.models.VectorEncoderFactory([128]),
    }
    made = {
        ("ma-cql", "box"): lambda: algos.CQLConfig(alpha_learning_rate=0.0, alpha_threshold=0.0),
        ("ma-cql", "ordered"): lambda: algos.DiscreteCQLConfig(),
        ("ma-iql", "box"): lambda: algos.IQLConfig(),
        ("ma-dt", "box"): lambda: algos.DecisionTransformerConfig(**sizes),
        ("ma-dt", "ordered"): lambda: algos.DiscreteDecisionTransformerConfig(**sizes),
    }.get((name, kind))
    if made is None:
        return None
    config = made()
    algorithm = config.create("cpu")
    algorithm.create_impl((OBS,), COLUMNS if kind == "box" else CHOICES)
    converted = [(trajectories if name == "ma-dt" else transitions)(b) for b in ready]
    turn = iter(range(1, 10**9))

    def update() -> object:
        step = next(turn)
        return algorithm.impl.update(converted[step % len(converted)], step)

    return f"d3rlpy {type(algorithm).__name__}", update


def rows(table: str) -> list[Row]:
    """The rows of one table. In "same size", d3rlpy's follow ours."""
    if table == "defaults":
        every = {**{name: (name, {}) for name in ALGORITHMS}, **VARIANTS}
        return [
            Row(table, label, kind, ours(name, synthetic(kind, 19, episodes=40), config)[0])
            for label, (name, config) in every.items()
            for kind in KINDS
        ]
    found: list[Row] = []
    for name in SAME_SIZE:
        for kind in KINDS:
            config = {"mean_field": False, "features": "symlog", **SAME_SIZE[name]}
            update, ready = ours(name, synthetic(kind, agents=1, episodes=200), config)
            found.append(Row(table, name, kind, update, f"{name} {kind}"))
            if importlib.util.find_spec("d3rlpy") is not None and (
                other := peer(name, kind, ready)
            ):
                found.append(Row(table, other[0], kind, other[1], f"{name} {kind}"))
    return found


def rates(found: list[Row], turns: int, seconds: float) -> list[float]:
    """Updates per second of CPU time. Rows take turns, and the best turn counts."""
    best = [0.0] * len(found)
    for turn in range(turns + 1):  # the first warms up
        for i, row in enumerate(found):
            start, count = time.process_time(), 0
            while (spent := time.process_time() - start) < seconds or count < 2:
                row.update()
                count += 1
            if turn:
                best[i] = max(best[i], count / spent)
    return best


def write_json(path: Path, rows: list[dict[str, Any]], products: str) -> None:
    """Write rows with the machine; ``products`` is the result of `configure_cpu`."""
    about = {"torch": torch.__version__, "machine": platform.machine(), "products": products}
    path.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one turn of one row")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    products = configure_cpu()
    lines: list[dict[str, Any]] = []
    for table in ("same size", "defaults"):
        found = rows(table)
        speed = rates(found, given.turns, given.seconds)
        first = {row.pair: v for row, v in zip(reversed(found), reversed(speed), strict=True)}
        print(f"\n{table.capitalize()}\n\n| algorithm | actions | updates/s | ours / theirs |")
        print("|---|---|---:|---:|")
        for row, value in zip(found, speed, strict=True):
            ratio = first[row.pair] / value if row.name.startswith("d3rlpy") else None
            print(
                f"| {row.name} | {row.actions} | {value:.1f} | "
                f"{'' if ratio is None else f'{ratio:.2f}'} |"
            )
            lines.append(
                {
                    "table": table,
                    "algorithm": row.name,
                    "actions": row.actions,
                    "updates_per_s": value,
                    "ours_over_theirs": ratio,
                }
            )
    if given.json is not None:
        write_json(given.json, lines, products)


if __name__ == "__main__":
    main()
