"""What a learner needs to know of a task: sizes and bounds, no physics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

ActionKind = Literal["box", "discrete", "ordered"]


@dataclass(frozen=True)
class TaskSpec:
    """Sizes and bounds of one task, the same for each of its homogeneous agents.

    Attributes:
        task: Name of the task, e.g. ``"cbf"``.
        num_agents: Agents in the environment that made the data. A model may act for more or fewer.
        obs_dim: Length ``O`` of one agent's observation.
        action_kind: ``"box"`` (real vector), ``"discrete"`` (unordered choices) or ``"ordered"``
            (integers whose distance means something, such as a number of resource blocks).
        action_dim: Columns ``A`` of one agent's action; 1 for ``"discrete"`` and ``"ordered"``.
        action_low: Smallest legal value of each column.
        action_high: Largest legal value of each column (``n - 1`` for ``n`` choices).
        neighbour_slots: Width ``D`` of the neighbour table.
        last_action: Columns of the observation that show the agent's own last action.
        mirrored_obs: Columns of the observation that change sign when the whole network is
            reflected, where a reflected network is as likely as the network; empty without such
            a symmetry.
        mirrored_action: Columns of the action that do.
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
        for field, width in (
            ("last_action", self.obs_dim),
            ("mirrored_obs", self.obs_dim),
            ("mirrored_action", self.action_dim),
        ):
            if any(not 0 <= column < width for column in getattr(self, field)):
                raise ValueError(f"{field} must be in 0 .. {width - 1}: {getattr(self, field)}")
        if self.mirrored_action and self.action_kind != "box":
            raise ValueError(f"mirrored_action needs a box action, not {self.action_kind!r}")

    @property
    def num_choices(self) -> int:
        """Number of choices of a discrete or ordered action.

        Raises:
            ValueError: For a ``"box"`` action.
        """
        if self.action_kind == "box":
            raise ValueError(f"task {self.task!r} has a continuous action")
        return int(self.action_high[0]) + 1

    def mismatch(self, other: TaskSpec) -> str | None:
        """First field in which a model of this spec does not fit ``other``, None if it does.

        Numbers of agents and neighbour slots may differ: parameters are shared.
        """
        for field in ("obs_dim", "action_kind", "action_dim", "action_low", "action_high"):
            if getattr(self, field) != getattr(other, field):
                return field
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TaskSpec:
        """Inverse of `to_dict`, also after a round trip through JSON."""
        names = ("action_low", "action_high", "last_action", "mirrored_obs", "mirrored_action")
        tuples = {k: tuple(values[k]) for k in names if k in values}
        return cls(**{**values, **tuples})
