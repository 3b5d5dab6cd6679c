"""Writes an example of a table, its mapping and its list of neighbours; a simulation fills it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from networld_envs.files import replace_text
from networld_envs.policies.base import policy_actions
from networld_envs.simulator import Simulator, added_tasks, make_params, task_module
from networld_envs.spec import Column, TaskSpec
from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.tables.mapping import column_names

EPISODES, STEPS = 4, 4  # as few episodes as a model can be judged by
SEED = 0
MAPPING, LOGS, NEIGHBOURS = "mapping.toml", "logs.csv", "neighbours.csv"


def write_template(task: str, preset: str, folder: Path, force: bool = False) -> list[Path]:
    """Write ``mapping.toml``, ``logs.csv`` and ``neighbours.csv``.

    They can be imported as they are. The table holds a few steps of the task's own network, with
    random actions.

    Args:
        task: Name of the task.
        preset: Name of a preset of its parameters.
        folder: Where to write; it is created if needed.
        force: Replace files of these names.

    Returns:
        The three files.

    Raises:
        DatasetError: If a file exists and ``force`` is not given.
    """
    params = make_params(task, preset)
    files = [folder / name for name in (MAPPING, LOGS, NEIGHBOURS)]
    for file in files:
        if file.exists() and not force:
            raise DatasetError(f"{file} already exists; choose another folder, or use --force")
    simulator = Simulator(task, params)
    texts = (_mapping(task, preset, simulator.spec), *_tables(simulator))
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in zip(files, texts, strict=True):
        replace_text(file, text)
    return files


def _tables(simulator: Simulator) -> tuple[str, str]:
    """The text of the logs and of the neighbours."""
    spec, agents = simulator.spec, simulator.agents
    rngs = [np.random.default_rng(SEED)]
    simulator.seed(SEED)
    obs = simulator.reset()
    rows = [_header(spec)]
    for number in range(EPISODES):
        for step in range(STEPS + 1):
            time = number * (STEPS + 1) + step
            last = step == STEPS
            seen, done, paid = obs[0], None, None
            actions = _random(simulator, obs, rngs, time)
            made = simulator.step(actions)
            if not last:  # the last row of an episode is only an observation
                done, paid = actions[0].reshape(len(agents), -1), made.rewards[0]
            obs = made.obs
            for i, agent in enumerate(agents):
                end = ["" for _ in range(spec.action_dim + 1)]
                if done is not None and paid is not None:
                    end = [*_numbers(done[i]), *_numbers(paid[i : i + 1])]
                rows.append([str(number), str(time), agent, *_numbers(seen[i]), *end])
    pairs = [["agent", "neighbour"]]
    for i, row in enumerate(simulator.neighbours[0].tolist()):
        pairs += [[agents[i], agents[j]] for j in row if j >= 0]
    return _text(rows), _text(pairs)


def _random(
    simulator: Simulator, obs: NDArray[np.float32], rngs: list[np.random.Generator], step: int
) -> NDArray[Any]:
    """Actions of the task's policy ``random``, or uniform ones if it has none."""
    policy = getattr(simulator.task, "POLICIES", {}).get("random")
    if policy is not None:
        return policy_actions(policy, simulator, obs, rngs, step)
    space, shape = simulator.action_space, (1, simulator.spec.num_agents)
    if isinstance(space, spaces.Discrete):
        return space.start + rngs[0].integers(int(space.n), size=shape)
    low, high = np.maximum(space.low, -1.0), np.minimum(space.high, 1.0)
    return rngs[0].uniform(low, high, (*shape, *low.shape)).astype(np.float32)


def _numbers(values: NDArray[Any]) -> Iterator[str]:
    """The shortest text from which each number is read back."""
    return (np.format_float_positional(v, trim="-") if v % 1 else f"{v:.0f}" for v in values)


def _text(rows: list[list[str]]) -> str:
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(rows)
    return made.getvalue()


def _header(spec: TaskSpec) -> list[str]:
    obs, actions = (column_names(spec, name) for name in ("observations", "actions"))
    return ["episode", "time", "agent", *obs, *map(_logged, actions), "reward"]


def _logged(action: str) -> str:
    """Column of an action in the table: observations may have columns of the same name."""
    return f"action.{action}"


def _mapping(task: str, preset: str, spec: TaskSpec) -> str:
    title = getattr(getattr(task_module(task), "ABOUT", None), "title", task)
    reward = spec.reward_column or Column("reward")
    lines = [
        f"# Mapping of {LOGS} to task {task} ({title}), preset {preset}. Import with:",
        f"#   networld dataset import {LOGS} --mapping {MAPPING} "
        + f"--task {added_tasks().get(task, task)}"
        + f" --preset {preset}" * (preset != "default")
        + f" --id networld/{task}/mine-v0",
        "# Each row is one agent at one time: what it observes, the action that it takes then, and",
        "# the reward for that action. The last row of an episode is only an observation.",
        "",
        "[csv]                    # leave out for Parquet",
        'delimiter = ","',
        'decimal = "."            # or ","',
        'missing = ["", "NA", "NaN"]',
        "",
        "[time]",
        'column = "time"',
        'format = "number"        # or "timestamp", for dates; step is then in seconds',
        "step = 1",
        "tolerance = 0.1          # of a step",
        'irregular = "refuse"     # or "resample": each step takes the last row before it',
        "",
        "[agent]",
        'column = "agent"',
        '# keep = ["a", "b"]      # leave out all others',
        "",
        "[episode]                # leave out if the file is one episode",
        'column = "episode"       # or steps = 500: cut the log after so many steps',
        "",
        "[rows]",
        'gaps = "refuse"          # or "split": cut the episode where a step is incomplete',
        "hold = 0                 # steps for which a missing observation repeats the last one",
        'duplicates = "refuse"    # or "equal": drop exact copies; or "last": keep the last row',
        "",
        "# task's column = column of the table, or a table of:",
        "#   column; and unit (converted if it only has another prefix), or scale and offset:",
        "#     value = scale * cell + offset",
        "#   constant, for what was not measured",
        '#   row = "next", for an action or a reward that is written one row later',
        "[observations]",
        *_columns(column_names(spec, "observations"), spec.obs_columns),
        "",
        "[actions]",
        *_columns(column_names(spec, "actions"), spec.action_columns, _logged),
        "",
        "[reward]                 # or only task = true: the task's own, where it can compute it",
        f'column = "reward"        # {_about(reward)}',
        "",
        "[neighbours]",
        f'file = "{NEIGHBOURS}"  # one row per pair: agent hears neighbour',
        'agent = "agent"',
        'neighbour = "neighbour"',
        "symmetric = false        # true: each row counts in both directions",
        '# episode = "episode"    # if the neighbours differ between episodes',
        "",
    ]
    return "\n".join(lines)


def _columns(names: tuple[str, ...], columns: tuple[Column, ...], logged: Any = str) -> list[str]:
    """One line for each column, with its unit and range."""
    width = max(len(_key(name)) for name in names)
    wide = max(len(json.dumps(logged(name))) for name in names)
    known = columns or tuple(Column(name) for name in names)
    return [
        f"{_key(name):{width}s} = {json.dumps(logged(name)):{wide}s}  # {_about(column)}"
        for name, column in zip(names, known, strict=True)
    ]


def _key(name: str) -> str:
    """A key of TOML, in quotes where it needs them."""
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else json.dumps(name)


def _about(column: Column) -> str:
    return f"{column.unit}, {column.range}" if column.unit else column.range
