"""Time of one decision of NetWorld on one core, compared with other libraries if installed.

    python benchmarks/planning.py [--turns 10] [--json FILE]

A decision is `NetWorld.act`: encode, exchange messages, plan, recover the actions, for all agents
of all environments at once. The noise model has the size of the quoted constants: H = 8, 32
channels, multipliers (1, 2, 4), latents of 32. Rows are solvers (5 and 50 steps), guidance and
noise models. Columns are a single agent, a team of 19, and 64 teams. Further rows are MA-DT and
MA-DD at their defaults, NetWorld at its defaults on CBF's data, whose observations list other
users, and one agent of the Decision Transformer of d3rlpy or transformers with context 20.

Rows take turns, and the best turn counts; slow rows get fewer turns. Times are CPU times of this
process in milliseconds. Weights are untrained, which does not change the times. The matrix products
are the faster ones, as everywhere, see `networld_algos.training.cpu`; the file names them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from training import CONTEXT, OBS, synthetic, write_json

from networld_algos import load_episodes, make
from networld_algos.ma_dt.config import PAPER
from networld_algos.networld.config import DIFFUSION
from networld_algos.training.cpu import configure_cpu

TEAMS = {"1 agent": (1, 1), "19 agents": (1, 19), "64 x 19": (64, 19)}  # environments, agents
SIZE: dict[str, Any] = {"horizon": 8, "dim": 32, "mults": (1, 2, 4), "latent": 32}
QUOTED = (
    ("CleanDiffuser, 19 agents, H 8, 5 DDIM steps, guided", 113.0),
    ("aim, 19 agents, H 8, 5 steps, guided", 45.0),
    ("aim, one agent", 20.0),
)
"""Constants of the design, of two such cores and one thread; not measured here."""

LONG_MS = 300.0

Decide = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What decides.
        columns: A decision for each of `TEAMS`; None if it is not timed.
    """

    name: str
    columns: tuple[Decide | None, ...]


def decision(name: str, config: dict[str, Any], envs: int, agents: int) -> Decide:
    """A decision of one of our algorithms for ``envs`` teams."""
    data = synthetic("box", agents, episodes=20)
    algorithm = make(name, data.spec, config)
    algorithm.prepare(data, 100)
    algorithm.eval()
    generator = torch.Generator().manual_seed(0)
    obs = torch.randn(envs, agents, OBS, generator=generator)
    table = torch.from_numpy(np.resize(data.neighbours, (envs, *data.neighbours.shape[1:]))).long()
    carry = algorithm.initial_carry(envs, data.spec.task)
    for _ in range(CONTEXT if name == "ma-dt" else 1):  # a history of usual length
        _, carry = algorithm.act(obs, table, carry, generator)
    return lambda: algorithm.act(obs, table, carry, generator)


def cbf_decision(envs: int, agents: int) -> Decide:
    """A decision of NetWorld at its defaults for ``envs`` teams of CBF, or one agent alone."""
    data = load_episodes("networld/cbf/expert-v0", "cbf", episodes=envs)
    algorithm = make("networld", data.spec)
    algorithm.prepare(data, 100)
    algorithm.eval()
    generator = torch.Generator().manual_seed(0)
    obs = torch.from_numpy(np.array(data.obs[:, 0, :agents]))
    table = torch.from_numpy(data.neighbours[:, :agents].astype(np.int64))
    if agents == 1:
        table = torch.full_like(table, -1)  # its neighbours are not in this process
    carry = algorithm.initial_carry(envs, "cbf")
    return lambda: algorithm.act(obs, table, carry, generator)


def settings() -> dict[str, dict[str, Any]]:
    """Planners to compare: name and what differs from `SIZE`."""
    found: dict[str, dict[str, Any]] = {}
    for denoiser in ("unet", "mlp"):
        for guidance in ("none", "gradient", "select"):
            # A deterministic plan has nothing to select from.
            more = {**DIFFUSION, "denoiser": denoiser, "guidance": guidance, "temperature": 0.7}
            found[f"{denoiser}, 5 DDIM steps, {guidance}"] = {**more, "steps": 5, "solver": "ddim"}
    unet = {**DIFFUSION, "denoiser": "unet", "temperature": 0.7}
    for guidance in ("none", "gradient"):
        more = {**unet, "guidance": guidance}
        found[f"unet, 5 DPM-Solver++ steps, {guidance}"] = {
            **more, "steps": 5, "solver": "dpm-solver++",
        }  # fmt: skip
        found[f"unet, 50 DDPM steps, {guidance}"] = {**more, "steps": 50, "solver": "ddpm"}
    found["forecast alone, no solver"] = {}
    return found


def peers() -> list[Row]:
    """Decision Transformers of other libraries, one agent, a full context."""
    found: list[Row] = []
    rng = np.random.default_rng(0)
    if importlib.util.find_spec("d3rlpy") is not None:
        import d3rlpy

        config = d3rlpy.algos.DecisionTransformerConfig(
            context_size=CONTEXT, encoder_factory=d3rlpy.models.VectorEncoderFactory([128])
        )
        learner = config.create("cpu")
        learner.create_impl((OBS,), 6)
        actor = learner.as_stateful_wrapper(target_return=0.0)
        seen = rng.normal(size=OBS).astype(np.float32)
        for _ in range(CONTEXT):
            actor.predict(seen, 0.0)
        found.append(
            Row("d3rlpy DecisionTransformer", (lambda: actor.predict(seen, 0.0), None, None))
        )
    if importlib.util.find_spec("transformers") is not None:
        import transformers

        sizes = transformers.DecisionTransformerConfig(state_dim=OBS, act_dim=6, hidden_size=128)
        model = transformers.DecisionTransformerModel(sizes).eval()
        states, column = torch.randn(1, CONTEXT, OBS), torch.zeros(1, CONTEXT, 1)
        times = torch.arange(CONTEXT)[None]

        def decide() -> object:
            with torch.no_grad():
                return model(
                    states=states,
                    actions=column.expand(-1, -1, 6),
                    rewards=column,
                    returns_to_go=column,
                    timesteps=times,
                )

        found.append(Row("transformers DecisionTransformer", (decide, None, None)))
    return found


def rows() -> list[Row]:
    """All lines."""
    configs = {name: ("networld", {**SIZE, **more}) for name, more in settings().items()}
    configs["networld, its defaults"] = ("networld", {})
    configs |= {"ma-dd, its defaults": ("ma-dd", {}), "ma-dt, its defaults": ("ma-dt", {})}
    configs["ma-dt, as published"] = ("ma-dt", dict(PAPER))
    found = [
        Row(name, tuple(decision(*config, *team) for team in TEAMS.values()))
        for name, config in configs.items()
    ]
    on_cbf = Row(
        "networld, its defaults, CBF", tuple(cbf_decision(*team) for team in TEAMS.values())
    )
    return [*found, on_cbf, *peers()]


def best_times(found: list[Row], turns: int, seconds: float) -> list[list[float | None]]:
    """CPU milliseconds of each row and column: the best of all turns.

    A cell is timed for ``seconds`` per turn, at least once. After the first turn, cells above
    `LONG_MS` are left out.
    """
    best: list[list[float | None]] = [[None] * len(TEAMS) for _ in found]
    for turn in range(turns + 1):  # the first warms up
        for i, row in enumerate(found):
            for j, decide in enumerate(row.columns):
                if decide is None or (best[i][j] or 0.0) > LONG_MS:
                    continue
                spent = 0.0
                while spent < seconds:
                    start = time.process_time()
                    decide()
                    took = time.process_time() - start
                    spent += took
                    known = best[i][j]
                    if not turn and took < LONG_MS / 1e3:
                        break
                    if known is None or 1e3 * took < known:
                        best[i][j] = 1e3 * took
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.1, help="of one turn of one cell")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    products = configure_cpu()
    found = rows()
    times = best_times(found, given.turns, given.seconds)
    print(f"| decision, ms | {' | '.join(TEAMS)} |\n|---|{'---:|' * len(TEAMS)}")
    for row, values in zip(found, times, strict=True):
        texts = ["" if value is None else f"{value:.1f}" for value in values]
        print(f"| {row.name} | {' | '.join(texts)} |")
    print("\nQuoted, not measured here:\n")
    for name, value in QUOTED:
        print(f"* {name}: {value:g} ms")
    if given.json is not None:
        lines = [
            {"name": row.name, **dict(zip(TEAMS, values, strict=True))}
            for row, values in zip(found, times, strict=True)
        ]
        write_json(given.json, lines, products)


if __name__ == "__main__":
    main()
