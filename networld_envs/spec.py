"""What a task says about itself: sizes, columns, policies and facts; no physics.

`TaskSpec` is for learners. `Column` names one number of an observation, action or reward. `Policy`
is a reference policy, and `Stream` lists the random streams that policies draw from. `About` holds
what drawings, suites and reports need to know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum, unique
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

ActionKind = Literal["box", "discrete", "ordered"]


@dataclass(frozen=True)
class Column:
    """One number of an observation, an action or a reward.

    Attributes:
        name: Unique among its array's columns, e.g. ``"queue"`` or ``"allocation_hz.video"``.
        unit: E.g. ``"packets"`` or ``"dB/10"``; empty for a pure number.
        low: Smallest value, None where there is no bound.
        high: Largest value, None where there is no bound.
    """

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def range(self) -> str:
        """The bounds as text, e.g. ``"[0, 50]"`` or ``"[0, inf)"``."""
        left = "(-inf" if self.low is None else f"[{self.low:g}"
        return f"{left}, inf)" if self.high is None else f"{left}, {self.high:g}]"


def columns(
    names: Sequence[str | tuple[str, str]], low: Any = None, high: Any = None
) -> tuple[Column, ...]:
    """Columns from names, or (name, unit) pairs, and the bounds of a space.

    Args:
        names: One entry per column.
        low: Smallest values, one per column; None for no bounds.
        high: Largest values, likewise. The largest finite float32, which stands for infinity in
            the tasks' spaces, counts as no bound.

    Raises:
        ValueError: If the number of bounds is not that of the names, or a name appears twice.
    """
    pairs = [(name, "") if isinstance(name, str) else name for name in names]
    endless = float(np.finfo(np.float32).max)

    def bound(values: Any) -> list[float | None]:
        if values is None:
            return [None] * len(pairs)
        given = [float(v) for v in values]
        return [v if abs(v) < endless else None for v in given]

    lows, highs = bound(low), bound(high)
    if not len(lows) == len(highs) == len(pairs):
        raise ValueError(
            f"{len(pairs)} columns need {len(pairs)} bounds, got low {len(lows)}, high {len(highs)}"
        )
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError(f"column names must differ, got {[name for name, _ in pairs]}")
    return tuple(Column(*pair, *ends) for pair, *ends in zip(pairs, lows, highs, strict=True))


@dataclass(frozen=True)
class TaskSpec:
    """Sizes and bounds of one task, the same for each of its homogeneous agents.

    Attributes:
        task: Name of the task, e.g. ``"cbf"``.
        num_agents: Agents in the environment that made the data; a model can act for more or fewer.
        obs_dim: Length ``O`` of one agent's observation.
        action_kind: ``"box"`` (real vector), ``"discrete"`` (unordered choices) or ``"ordered"``
            (integers whose distance means something, such as a number of resource blocks).
        action_dim: Columns ``A`` of one agent's action; 1 for ``"discrete"`` and ``"ordered"``.
        action_low: Smallest legal value of each column.
        action_high: Largest legal value of each column (``n - 1`` for ``n`` choices).
        neighbour_slots: Width ``D`` of the neighbour table.
        last_action: Columns of the observation that show the agent's own last action.
        mirrored_obs: Columns of the observation that change sign when the whole network is
            reflected. Empty unless a reflected network is as likely as the original.
        mirrored_action: Columns of the action that change sign then.
        obs_columns: Name, unit and range of each column of the observation; empty if the task does
            not name them.
        action_columns: The same for the action.
        reward_column: The same for an agent's reward; None if the task does not name it.
    """

    task: str
    num_agents: int
    obs_dim: int
    action_kind: ActionKind
    action_dim: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    neighbour_slots: int
    last_action: tuple[int, ...] = ()
    mirrored_obs: tuple[int, ...] = ()
    mirrored_action: tuple[int, ...] = ()
    obs_columns: tuple[Column, ...] = ()
    action_columns: tuple[Column, ...] = ()
    reward_column: Column | None = None

    def __post_init__(self) -> None:
        if self.action_kind not in ("box", "discrete", "ordered"):
            raise ValueError(
                f"action_kind must be 'box', 'discrete' or 'ordered', got {self.action_kind!r}"
            )
        if not len(self.action_low) == len(self.action_high) == self.action_dim:
            raise ValueError(
                f"action_low and action_high must have action_dim={self.action_dim} entries, "
                f"got {len(self.action_low)} and {len(self.action_high)}"
            )
        for name, width in (
            ("last_action", self.obs_dim),
            ("mirrored_obs", self.obs_dim),
            ("mirrored_action", self.action_dim),
        ):
            if any(not 0 <= column < width for column in getattr(self, name)):
                raise ValueError(f"{name} must be in 0 .. {width - 1}, got {getattr(self, name)}")
        for name, width in (("obs_columns", self.obs_dim), ("action_columns", self.action_dim)):
            if len(getattr(self, name)) not in (0, width):
                raise ValueError(
                    f"{name} must name none or all of {width} columns, got "
                    f"{len(getattr(self, name))}"
                )
        if self.mirrored_action and self.action_kind != "box":
            raise ValueError(f"mirrored_action needs a box action, got {self.action_kind!r}")

    @property
    def num_choices(self) -> int:
        """Number of choices of a discrete or ordered action.

        Raises:
            ValueError: For a ``"box"`` action.
        """
        if self.action_kind == "box":
            raise ValueError(f"task {self.task!r} has a continuous action, which has no choices")
        return int(self.action_high[0]) + 1

    def column_name(self, field: str, index: int) -> str:
        """A column as text, for tables and errors: its number, and its name if it has one.

        Args:
            field: ``"observations"`` or ``"actions"``.
            index: Number of the column.
        """
        named = self.obs_columns if field == "observations" else self.action_columns
        return f"{index} ({named[index].name})" if index < len(named) else str(index)

    def mismatch(self, other: TaskSpec) -> str | None:
        """The first field in which a model of this spec does not fit ``other``; None if it fits.

        Numbers of agents and neighbour slots may differ, because agents share parameters.
        """
        for name in ("obs_dim", "action_kind", "action_dim", "action_low", "action_high"):
            if getattr(self, name) != getattr(other, name):
                return name
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TaskSpec:
        """Inverse of `to_dict`, also after a round trip through JSON."""
        names = ("action_low", "action_high", "last_action", "mirrored_obs", "mirrored_action")
        tuples: dict[str, Any] = {k: tuple(values[k]) for k in names if k in values}
        for k in ("obs_columns", "action_columns"):
            tuples[k] = tuple(Column(**column) for column in values.get(k, ()))
        reward = values.get("reward_column")
        tuples["reward_column"] = None if reward is None else Column(**reward)
        return cls(**{**values, **tuples})


@unique
class Stream(IntEnum):
    """Random streams beside an environment's own, one for each use.

    An environment with seed ``s`` draws from ``default_rng(s)``. Whoever acts in it draws from
    ``default_rng([s, stream])``, so a policy's random numbers do not change the network's. Datasets
    and reference scores depend on these values.
    """

    BEHAVIOUR = 0xBE4A
    """Actions of a rollout: datasets and reference scores."""
    ANIMATION = 0xA417
    """Actions of the policies in an animation."""
    OTHERS = 0x07E5
    """Actions of the other agents beside a single agent."""


Role = Literal["random", "static", "heuristic", "expert", "genie"]
Local = Callable[
    [Any, NDArray[np.float32], NDArray[np.int32], Sequence[np.random.Generator], int], NDArray[Any]
]
Privileged = Callable[[Any, Any, Sequence[np.random.Generator], int], NDArray[Any]]


@dataclass(frozen=True)
class Policy:
    """A reference policy of one task; exactly one of ``local`` and ``privileged`` is given.

    Attributes:
        name: Key in the task's ``POLICIES``.
        role: ``"random"``, ``"static"``, ``"heuristic"``, ``"expert"`` or ``"genie"``.
        summary: One line for tables and plots.
        local: ``(params, obs, neighbours, rngs, step) -> actions``. Agent i's action may depend
            only on its own row of ``obs`` ``(E, N, O)``, the rows of its 1-hop ``neighbours``
            ``(E, N, D)``, its own generator ``rngs[e]`` and the ``step`` since reset.
        needs: Whether it can act with given parameters.
        privileged: ``(params, state, rngs, step) -> actions`` with global or future knowledge: an
            upper reference, never a source of expert data.
    """

    name: str
    role: Role
    summary: str
    local: Local | None = None
    privileged: Privileged | None = None
    needs: Callable[[Any], bool] = lambda params: True

    def __post_init__(self) -> None:
        for name in ("name", "role", "summary"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"Policy.{name} must be text, got {getattr(self, name)!r}")
        if self.role not in get_args(Role):
            raise ValueError(f"Policy.role must be one of {get_args(Role)}, got {self.role!r}")
        for name in ("local", "privileged", "needs"):
            if not callable(function := getattr(self, name)) and function is not None:
                raise TypeError(f"Policy.{name} must be a function, got {function!r}")
        if (self.local is None) == (self.privileged is None):
            raise ValueError(f"policy {self.name!r} must have either local or privileged, not both")
        if (self.privileged is not None) != (self.role == "genie"):
            raise ValueError(
                f"policy {self.name!r} must be privileged if its role is 'genie', and only then, "
                f"got role {self.role!r}"
            )


@dataclass(frozen=True)
class LogFacts:
    """What holds in every log of a task, whatever the network and the policy.

    The import of logs checks these facts (`networld_envs.store.importing.consistency`), and
    ``TaskSpec.last_action`` and the range of ``TaskSpec.reward_column``. Columns are named as in
    ``TaskSpec.obs_columns``. A column that a preset does not have is left out.

    Attributes:
        shown_action: ``(params, actions) -> {column: values}``. Columns of the next observation
            that the action alone determines. ``actions`` are ``(T, N)`` or ``(T, N, A)``, values
            ``(T, N)``.
        at_most: Pairs of columns; in every observation the first is at most the second.
        reward_rises_with: Column of the next observation -> 1 if the reward rises with it, -1 if
            it falls.
        reward: ``(params, columns, actions) -> (T, N)``. The task's own reward, computed from an
            episode's columns of the observation, each ``(T+1, N)``; NaN where they contradict each
            other. ``columns["x"]`` of a column that the preset does not have raises ``KeyError``;
            raise ``ValueError`` if the reward needs what is not observed. None if it always does.
        reward_shown: Whether those columns show the result of the step that the reward is for, so
            that they agree best with the reward of that step.
        symmetric_neighbours: Whether j is a neighbour of i whenever i is one of j.
        limited_neighbours: Whether an agent has at most ``TaskSpec.neighbour_slots`` neighbours,
            however large the network is.
        neighbour_columns: Regular expressions for columns that are constant without neighbours. A
            group, if there is one, holds the number of the neighbour, counted from 0.
        unlisted_columns: Columns about agents that are not neighbours; constant where there are
            none.
    """

    shown_action: Callable[[Any, NDArray[Any]], Mapping[str, NDArray[Any]]] | None = None
    at_most: Sequence[tuple[str, str]] = ()
    reward_rises_with: Mapping[str, int] = field(default_factory=dict)
    reward: Callable[[Any, Mapping[str, NDArray[Any]], NDArray[Any]], NDArray[Any]] | None = None
    reward_shown: bool = False
    symmetric_neighbours: bool = False
    limited_neighbours: bool = False
    neighbour_columns: Sequence[str] = ()
    unlisted_columns: Sequence[str] = ()


@dataclass(frozen=True)
class About:
    """Facts about a task that drawings, reference scores, suites and reports need.

    A task module holds one as ``ABOUT``. Every field has a default, so that a user-defined task
    states only what it knows.

    Attributes:
        title: What the task is, e.g. ``"network slicing"``.
        reward_label: Axis label of its average reward, with the unit.
        reward_range: Ends of the scale on which drawings show an agent's reward at the default
            preset; None takes them from the rewards at hand.
        recorded: Preset -> parameters that differ from it when its reference policies are scored.
            The scores of these presets are committed.
        published: Preset -> policy -> (metric or ``"reward"``, published value), for comparison.
        agent_counts: Number of agents -> preset and parameters that give this number, for the
            robustness part of suites. If empty, the part is left out.
        deployments: Preset -> what differs from the default, in words. Suites carry trained models
            over to these presets.
        drifts: Parameter -> values to which traffic or channel may drift, for the robustness part
            of suites. The value of the default preset is one of them.
        pace: Data quality, or ``""`` for any -> factor by which the suite `cpu` multiplies an
            algorithm's own number of updates, where no rate is known.
        compiled: Module with compiled loops of the task's steps, see `networld_envs.compiled`.
        logs: What holds in every log of the task, for the check of imported logs.
        entities: Regular expressions for columns of observations and actions that belong to one of
            several entities whose order means nothing; the only group is the number of the entity.
            Algorithms share weights among them, or renumber them in training. Leave out entities
            that differ in kind.
        fallback: Local policy that decides by an agent's own observation alone and does no harm.
            A deployed station takes its action when the model has none. Without a name, or if the
            policy cannot act with the parameters, a station repeats its last action.
    """

    title: str
    reward_label: str = "Average reward"
    reward_range: tuple[float, float] | None = None
    recorded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, tuple[str, float]]] = field(default_factory=dict)
    agent_counts: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    deployments: Mapping[str, str] = field(default_factory=dict)
    drifts: Mapping[str, Sequence[float]] = field(default_factory=dict)
    pace: Mapping[str, float] = field(default_factory=dict)
    compiled: str = ""
    logs: LogFacts = field(default_factory=LogFacts)
    entities: Sequence[str] = ()
    fallback: str = ""
