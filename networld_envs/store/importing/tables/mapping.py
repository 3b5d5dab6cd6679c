r"""The mapping of a table: which column of a log is which column of the task, as a TOML file.

A table has one row per agent and time. The row of time t holds the agent's observation at t, the
action that it took after that observation, and its reward for that action. The last row of an
episode counts only as an observation. ``networld dataset template`` writes a complete mapping::

    [csv]                        # not for Parquet; every key may be left out
    delimiter = ","
    decimal = "."                # or ",": then numbers must not contain points
    encoding = "utf-8"
    missing = ["", "NA", "NaN"]  # cells that hold no value

    [time]
    column = "time"
    step = 0.02                  # time between two steps: seconds if the column holds dates
    format = "number"            # or "timestamp": 2026-01-31 12:00:00.02, with or without zone
    tolerance = 0.1              # how far, in steps, a row may be from its step
    irregular = "refuse"         # or "resample": each step takes the last row before it

    [agent]
    column = "node"
    keep = ["a", "b"]            # optional: other agents are left out

    [episode]                    # optional: without it, the file is one episode
    column = "day"               # or steps = 500: cut after so many steps

    [rows]                       # optional
    gaps = "refuse"              # or "split": cut the episode where a step is incomplete
    hold = 0                     # how many steps a missing observation repeats the last one
    duplicates = "refuse"        # or "equal": drop exact copies; or "last": keep the last row

    [observations]               # every column of the task, by its name
    queue = "backlog"
    grant = { column = "bytes", scale = 0.001, offset = 0.0 }  # grant = scale * bytes + offset
    "allocation_hz.video" = { column = "video", unit = "MHz" }
    cluster_load = { constant = 0.5 }

    [actions]
    request = { column = "asked", row = "next" }  # written one row after the observation

    [reward]
    column = "reward"            # also scale, offset, unit and row; or task = true: the task's own

    [neighbours]
    file = "neighbours.csv"      # one row per pair, next to this file
    agent = "agent"
    neighbour = "neighbour"
    episode = "episode"          # optional: a list per episode
    symmetric = false            # true: each row counts in both directions

A ``unit`` that differs from the task's is converted if it only has another prefix (``MHz`` for
``Hz``), counts bytes for bits, percent for a share, or dB for tens of dB. Otherwise give ``scale``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from networld_envs.spec import TaskSpec

NO_VALUE = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


@dataclass(frozen=True)
class Csv:
    """How a CSV file is written."""

    delimiter: str = ","
    decimal: str = field(default=".", metadata={"choices": (".", ",")})
    encoding: str = "utf-8"
    missing: tuple[str, ...] = NO_VALUE


@dataclass(frozen=True)
class Time:
    """The column of time, and the steps."""

    column: str
    step: float
    format: str = field(default="number", metadata={"choices": ("number", "timestamp")})
    tolerance: float = 0.1
    irregular: str = field(default="refuse", metadata={"choices": ("refuse", "resample")})


@dataclass(frozen=True)
class Agent:
    """The column of agents."""

    column: str
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Episode:
    """The column of episodes, or their length in steps; neither for a single episode."""

    column: str = ""
    steps: int = 0


@dataclass(frozen=True)
class Rows:
    """What to do with rows that are missing or there twice."""

    gaps: str = field(default="refuse", metadata={"choices": ("refuse", "split")})
    hold: int = 0
    duplicates: str = field(default="refuse", metadata={"choices": ("refuse", "equal", "last")})


@dataclass(frozen=True)
class Neighbours:
    """The file of pairs of neighbours."""

    file: str
    agent: str = "agent"
    neighbour: str = "neighbour"
    episode: str = ""
    symmetric: bool = False


@dataclass(frozen=True)
class Source:
    """Where the values of one column of the task come from: ``scale * cell + offset``.

    Attributes:
        column: Column of the table, ``""`` for a constant.
        unit: Unit of the table's column, ``""`` if it is the task's.
        scale: Factor; None for 1, or the factor between the units.
        offset: Added after the factor, in the task's unit.
        constant: Value of every row, for what was not measured.
        row: ``"same"`` if the row of time t holds the value of step t, ``"next"`` if the next does.
    """

    column: str = ""
    unit: str | None = None
    scale: float | None = None
    offset: float = 0.0
    constant: float | None = None
    row: str = field(default="same", metadata={"choices": ("same", "next")})


@dataclass(frozen=True)
class Reward(Source):
    """Where the reward comes from: a column, or with ``task`` the task's own formula."""

    task: bool = False


@dataclass(frozen=True)
class Mapping:
    """A mapping that fits a task.

    Attributes:
        path: The TOML file.
        csv: How CSV files are written.
        time: Column of time.
        agent: Column of agents.
        episode: Column of episodes.
        rows: What to do with missing and doubled rows.
        neighbours: File of neighbours.
        observations: Source of each column of the observation, in the task's order.
        actions: The same for the action.
        reward: Source of the reward.
    """

    path: Path
    csv: Csv
    time: Time
    agent: Agent
    episode: Episode
    rows: Rows
    neighbours: Neighbours
    observations: tuple[Source, ...]
    actions: tuple[Source, ...]
    reward: Reward

    @property
    def sources(self) -> tuple[Source, ...]:
        """Sources of all columns: observations, actions, reward."""
        return (*self.observations, *self.actions, self.reward)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that hold numbers, each once."""
        return tuple(dict.fromkeys(s.column for s in self.sources if s.column))


def column_names(spec: TaskSpec, name: str) -> tuple[str, ...]:
    """Names of a task's columns in a mapping; ``obs_0`` or ``action_0`` where it names none.

    Args:
        spec: The task's.
        name: ``"observations"`` or ``"actions"``.
    """
    if name == "observations":
        return tuple(c.name for c in spec.obs_columns) or tuple(
            f"obs_{i}" for i in range(spec.obs_dim)
        )
    return tuple(c.name for c in spec.action_columns) or tuple(
        f"action_{i}" for i in range(spec.action_dim)
    )
