"""Learning parity: our algorithms and d3rlpy's, trained on the same data, reach the same returns.

    python benchmarks/parity.py [--out benchmarks/results/parity] [--seeds 10]

This needs ``pip install networld[interop]``. There are two single-agent Gymnasium tasks. The script
collects their data with a controller that takes random actions in a share of the steps; the share
differs between episodes.

=================  =========================  ===========================  ======================
task               algorithms                 controller                   share at random
=================  =========================  ===========================  ======================
``Pendulum-v1``    CQL, IQL                   energy swing-up, then PD     0 to 1
``CartPole-v1``    DiscreteCQL                sign of a linear feedback    0.8 to 1
=================  =========================  ===========================  ======================

Both libraries get the same episodes, the same standardised observations, rewards over the same
standard deviation, actions in [-1, 1], and the same networks, optimisers and hyperparameters
(`SETTINGS`). Some differences cannot be configured. d3rlpy drops the last step of a truncated
episode. Its IQL actor starts from another standard deviation and is updated after V and Q, not
between them. Its CQL updates the entropy weight before the actor, not after it. Its DiscreteCQL
copies the target critic at intervals; here the target instead follows at the same rate as ours,
through d3rlpy's own ``soft_sync`` after each update.

A run is one (task, algorithm, library, seed): train, then act greedily in the same episodes. Each
run is one line of ``rows.jsonl``. If the script is started again, it does the missing runs.
``table.md`` is made from the rows.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from networld_algos import make
from networld_algos.data.episodes import Episodes
from networld_algos.files import write_text
from networld_algos.ma_cql.config import PAPER
from networld_algos.results.stats import t_interval
from networld_algos.training.cpu import configure_cpu
from networld_algos.training.train import train
from networld_envs.spec import TaskSpec

Floats = NDArray[Any]
Policy = Callable[[Floats], Floats]  # observations (E, O) to actions (E,) or (E, A)

SETTINGS: dict[str, Any] = {
    "network": "mlp",
    "hidden": 64,
    "layers": 2,
    "batch_size": 64,
    "learning_rate": 1e-3,
}
PLAIN = {"mean_field": False, "features": "symlog", "centre_rewards": False}
DISCOUNT, POLYAK = 0.99, 0.005
CQL_WEIGHT = {"Pendulum-v1": 5.0, "CartPole-v1": 1.0}
IQL_BETA = 3.0
LIBRARIES = ("networld", "d3rlpy")
FIRST_EVALUATION_SEED = 100_000


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    Attributes:
        task: Gymnasium id.
        algorithm: Name in d3rlpy.
        ours: Name in NetWorld.
        episodes: Episodes of data.
        updates: Gradient steps.
    """

    task: str
    algorithm: str
    ours: str
    episodes: int
    updates: int


COMPARISONS = (
    Comparison("CartPole-v1", "DiscreteCQL", "ma-cql", 50, 3_000),
    Comparison("Pendulum-v1", "IQL", "ma-iql", 100, 10_000),
    Comparison("Pendulum-v1", "CQL", "ma-cql", 100, 5_000),
)


def controller(task: str, obs: Floats) -> Floats:
    """The undisturbed behaviour policy, ``(E, O)`` to ``(E,)`` choices or ``(E, 1)`` torques."""
    if task == "CartPole-v1":
        return (obs @ np.array([0.1, 0.3, 1.0, 0.5]) > 0).astype(np.int64)
    cos, sin, speed = obs.T
    upright = cos > 0.9
    push = np.sign(speed * (10.0 * (1.0 - cos) - 0.5 * speed**2))  # toward the energy at rest
    hold = -(8.0 * sin + 2.0 * speed)
    return np.clip(np.where(upright, hold, 2.0 * push), -2.0, 2.0).astype(np.float32)[:, None]


def roll(
    task: str, policy: Policy, seeds: list[int]
) -> tuple[list[Floats], list[Floats], list[Floats], list[bool]]:
    """One episode per seed: observations ``(T+1, O)``, actions, rewards ``(T,)``, terminated."""
    envs = [gymnasium.make(task) for _ in seeds]
    obs = [[env.reset(seed=seed)[0]] for env, seed in zip(envs, seeds, strict=True)]
    actions: list[list[Any]] = [[] for _ in seeds]
    rewards: list[list[float]] = [[] for _ in seeds]
    ended = [False] * len(seeds)
    alive = list(range(len(seeds)))
    while alive:
        chosen = policy(np.stack([o[-1] for o in obs]).astype(np.float32))
        for k in list(alive):
            action = chosen[k] if chosen.ndim == 2 else int(chosen[k])
            seen, reward, terminated, truncated, _ = envs[k].step(action)
            obs[k].append(seen)
            actions[k].append(action)
            rewards[k].append(float(reward))
            if terminated or truncated:
                ended[k] = bool(terminated)
                alive.remove(k)
    for env in envs:
        env.close()
    return [np.stack(o) for o in obs], [np.stack(a) for a in actions], _stacked(rewards), ended


def _stacked(lists: list[list[float]]) -> list[Floats]:
    return [np.array(values, np.float32) for values in lists]


def collect(task: str, episodes: int) -> Episodes:
    """The data of a task as episodes of one agent without neighbours."""
    rng = np.random.default_rng(0)
    spread = np.linspace(0.8 if task == "CartPole-v1" else 0.0, 1.0, episodes)
    box = task == "Pendulum-v1"

    def behaviour(obs: Floats) -> Floats:
        wanted = controller(task, obs)
        other = rng.uniform(-2, 2, wanted.shape) if box else rng.integers(2, size=wanted.shape)
        swap = rng.random(len(obs)) < spread
        return np.where(swap[:, None] if box else swap, other, wanted).astype(wanted.dtype)

    obs, actions, rewards, ended = roll(task, behaviour, list(range(episodes)))
    lengths = np.array([len(r) for r in rewards], np.int64)
    shape = (episodes, int(lengths.max()))
    high = (2.0,) if box else (1.0,)
    spec = TaskSpec(
        task,
        1,
        obs[0].shape[1],
        "box" if box else "discrete",
        1,
        (-2.0,) if box else (0.0,),
        high,
        1,
    )
    data = Episodes(
        spec=spec,
        obs=np.zeros((shape[0], shape[1] + 1, 1, spec.obs_dim), np.float32),
        actions=np.zeros((*shape, 1, 1), np.float32) if box else np.zeros((*shape, 1), np.int64),
        rewards=np.zeros((*shape, 1), np.float32),
        terminated=np.zeros(shape, np.bool_),
        truncated=np.zeros(shape, np.bool_),
        neighbours=np.full((episodes, 1, 1), -1, np.int32),
        lengths=lengths,
    )
    for k, length in enumerate(lengths):
        data.obs[k, : length + 1, 0] = obs[k]
        data.actions[k, :length, 0] = actions[k]
        data.rewards[k, :length, 0] = rewards[k]
        data.terminated[k, length - 1] = ended[k]
        data.truncated[k, length - 1] = not ended[k]
    return data


def ours(case: Comparison, data: Episodes, seed: int) -> Policy:
    """Train NetWorld's algorithm; the policy acts greedily."""
    config = {**SETTINGS, **PLAIN, "discount": DISCOUNT, "polyak": POLYAK}
    if case.ours == "ma-cql":
        weight = CQL_WEIGHT[case.task]
        config |= {"conservative_weight": weight, "actor_learning_rate": SETTINGS["learning_rate"]}
        config |= PAPER  # d3rlpy has neither a margin nor cloning
    if case.ours == "ma-iql":
        config["beta"] = IQL_BETA
    algorithm = make(case.ours, data.spec, config, seed=seed)
    algorithm.prepare(data, case.updates)
    train(algorithm, [data], case.updates, seed)
    algorithm.eval()
    carry, generator = algorithm.initial_carry(1, data.spec.task), torch.Generator()

    def act(obs: Floats) -> Floats:
        rows = torch.from_numpy(obs)[:, None]  # (E, 1, O)
        alone = torch.full((len(obs), 1, 1), -1)
        return algorithm.act(rows, alone, carry, generator)[0][:, 0].numpy()

    return act


def theirs(case: Comparison, data: Episodes, seed: int) -> Policy:
    """Train d3rlpy's algorithm on the same inputs; the policy acts greedily."""
    import d3rlpy
    from d3rlpy.optimizers import AdamFactory
    from d3rlpy.optimizers.lr_schedulers import CosineAnnealingLRFactory
    from d3rlpy.torch_utility import soft_sync

    algos = d3rlpy.algos
    prepared: Any = make(case.ours, data.spec, {**SETTINGS, **PLAIN})
    prepared.prepare(data, case.updates)  # the statistics of inputs and rewards
    features = prepared.inputs
    box, mask = data.spec.action_kind == "box", data.step_mask

    def seen(obs: Floats) -> Floats:
        return features.features(torch.from_numpy(np.ascontiguousarray(obs))).numpy()

    dataset = d3rlpy.dataset.MDPDataset(
        observations=seen(data.obs[:, :-1, 0][mask]),
        actions=data.actions[mask][:, 0] / 2.0 if box else data.actions[mask],
        rewards=prepared.reward_scale(torch.from_numpy(data.rewards[mask])).numpy().reshape(-1, 1),
        terminals=data.terminated[mask].astype(np.float32),
        timeouts=data.truncated[mask].astype(np.float32),
        action_size=1 if box else data.spec.num_choices,
    )
    rate = SETTINGS["learning_rate"]
    encoder = d3rlpy.models.VectorEncoderFactory([SETTINGS["hidden"]] * SETTINGS["layers"])
    common: dict[str, Any] = {"batch_size": SETTINGS["batch_size"], "gamma": DISCOUNT}
    if case.algorithm == "DiscreteCQL":
        config = algos.DiscreteCQLConfig(
            learning_rate=rate,
            encoder_factory=encoder,
            alpha=CQL_WEIGHT[case.task],
            target_update_interval=10**9,
            **common,
        )
    else:
        common |= {
            "actor_learning_rate": rate,
            "critic_learning_rate": rate,
            "actor_encoder_factory": encoder,
            "critic_encoder_factory": encoder,
            "tau": POLYAK,
        }
        if case.algorithm == "IQL":
            decay = AdamFactory(lr_scheduler_factory=CosineAnnealingLRFactory(T_max=case.updates))
            config = algos.IQLConfig(
                weight_temp=IQL_BETA,
                value_encoder_factory=encoder,
                actor_optim_factory=decay,
                **common,
            )
        else:
            config = algos.CQLConfig(
                temp_learning_rate=rate,
                alpha_learning_rate=0.0,
                alpha_threshold=0.0,
                conservative_weight=CQL_WEIGHT[case.task],
                **common,
            )

    def follow(algorithm: Any, epoch: int, update: int) -> None:
        del epoch, update
        if case.algorithm == "DiscreteCQL":
            modules = algorithm.impl.modules
            soft_sync(modules.targ_q_funcs, modules.q_funcs, POLYAK)

    d3rlpy.seed(seed)
    algorithm = config.create("cpu")
    algorithm.fit(
        dataset,
        n_steps=case.updates,
        n_steps_per_epoch=case.updates,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
        callback=follow,
    )

    def act(obs: Floats) -> Floats:
        actions = algorithm.predict(seen(obs))
        return 2.0 * actions if box else actions

    return act


def run(case: Comparison, data: Episodes, library: str, seed: int, episodes: int) -> dict[str, Any]:
    """One line of the rows."""
    import d3rlpy

    start = time.process_time()
    policy = (ours if library == "networld" else theirs)(case, data, seed)
    spent = time.process_time() - start
    seeds = [FIRST_EVALUATION_SEED + k for k in range(episodes)]
    returns = [float(r.sum()) for r in roll(case.task, policy, seeds)[2]]
    return {
        "task": case.task,
        "algorithm": case.algorithm,
        "library": library,
        "seed": seed,
        "updates": case.updates,
        "data_episodes": case.episodes,
        "data_return": float(data.returns.mean()),
        "settings": {**SETTINGS, "evaluation_episodes": episodes},
        "return": float(np.mean(returns)),
        "train_cpu_s": round(spent, 2),
        "versions": {"torch": torch.__version__, "d3rlpy": d3rlpy.__version__},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean return and 95% t interval over seeds of both, and whether they overlap."""
    lines = [
        "| task | algorithm | data | NetWorld | d3rlpy | overlap | difference |",
        "|---|---|---:|---:|---:|---|---:|",
    ]
    pairs = dict.fromkeys((row["task"], row["algorithm"]) for row in rows)
    for task, algorithm in pairs:
        mine = [row for row in rows if (row["task"], row["algorithm"]) == (task, algorithm)]
        values = {
            name: [row["return"] for row in mine if row["library"] == name] for name in LIBRARIES
        }
        if any(len(found) < 2 for found in values.values()):
            continue
        both = [t_interval(values[name]) for name in LIBRARIES]
        texts = [f"{b.value:.1f} [{b.low:.1f}, {b.high:.1f}]" for b in both]
        overlap = both[0].low <= both[1].high and both[1].low <= both[0].high
        lines.append(
            f"| {task} | {algorithm} | {mine[0]['data_return']:.1f} | {texts[0]} | {texts[1]} | "
            f"{'yes' if overlap else 'no'} | {both[0].value - both[1].value:+.1f} |"
        )
    counts = sorted({row["seed"] for row in rows})
    caption = (
        f"Undiscounted return of the final policy over {len(counts)} training seeds: mean and 95% "
        "t interval. *data* is the mean return of the episodes trained on. Made by "
        "`python benchmarks/parity.py` from `rows.jsonl`."
    )
    return "\n".join([caption, "", *lines]) + "\n"


def read(out: Path) -> list[dict[str, Any]]:
    """Rows that exist already."""
    file = out / "rows.jsonl"
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def compare(
    cases: tuple[Comparison, ...], out: Path, seeds: int, evaluation_episodes: int = 50
) -> list[dict[str, Any]]:
    """Do the missing runs, write rows and table to ``out``, and return the rows."""
    rows = read(out)
    done = {(row["task"], row["algorithm"], row["library"], row["seed"]) for row in rows}
    for case in cases:
        data: Episodes | None = None
        for seed in range(seeds):
            for library in LIBRARIES:
                if (case.task, case.algorithm, library, seed) in done:
                    continue
                data = data or collect(case.task, case.episodes)
                row = run(case, data, library, seed, evaluation_episodes)
                rows.append(row)
                write_text(out / "rows.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
                write_text(out / "table.md", table(rows))
                print(
                    f"{case.task} {case.algorithm} {library} seed {seed}: return "
                    f"{row['return']:.1f} after {row['train_cpu_s']:.0f} s of CPU time",
                    flush=True,
                )
    return rows


def quiet() -> None:
    """Limit d3rlpy's log to warnings."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "parity")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error(f"--seeds must be at least 2 for an interval, got {given.seeds}")
    configure_cpu()
    quiet()
    print(table(compare(COMPARISONS, given.out, given.seeds)))


if __name__ == "__main__":
    main()
