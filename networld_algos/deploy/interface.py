"""What a station has to know about its model, and what it asks of it. NumPy only.

`TorchEngine` answers with a trained model, `OnnxEngine` with an exported one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


def stream_seed(seed: int, number: int) -> int:
    """Seed, of 64 bits, of a station's own stream of random numbers.

    Args:
        seed: Seed of all stations, at least 0.
        number: Number of the station, at least 0.

    Raises:
        ValueError: If one of them is negative.
    """
    if seed < 0 or number < 0:
        raise ValueError(
            f"seed and number of a station must be at least 0, got seed {seed} and number {number}"
        )
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class Interface:
    """Sizes and bounds of a model's decisions, and the format of its messages.

    Attributes:
        task: Name of the task.
        obs_dim: Length ``O`` of an observation.
        action_kind: ``"box"``, ``"discrete"`` or ``"ordered"``, see `networld_envs.spec.TaskSpec`.
        action_low: Smallest legal value of each column of an action.
        action_high: Largest legal value of each column.
        message_width: Values ``M`` of a message; 0 if the model does not communicate.
        message_max_age: Slots for which a message replaces lost ones.
        model: Identifies weights and task in messages.
    """

    task: str
    obs_dim: int
    action_kind: str
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    message_width: int
    message_max_age: int
    model: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Interface:
        """Inverse of `to_dict`, also after a round trip through JSON."""
        bounds = {name: tuple(values[name]) for name in ("action_low", "action_high")}
        return cls(**{**values, **bounds})

    def legal(self, action: Any) -> NDArray[Any]:
        """An action within the bounds: ``(A,)`` float32, or ``()`` int64.

        Raises:
            ValueError: If it has another shape, or is not finite.
        """
        row = np.asarray(action)
        box = self.action_kind == "box"
        shape = (len(self.action_low),) if box else ()
        if row.shape != shape or row.dtype.kind not in "iuf" or not np.isfinite(row).all():
            raise ValueError(f"an action has shape {shape} and finite values, got {action!r}")
        if box:
            low, high = (np.array(b, np.float32) for b in (self.action_low, self.action_high))
            return np.clip(row.astype(np.float32), low, high)
        rounded = np.rint(row).astype(np.int64)
        return np.clip(rounded, int(self.action_low[0]), int(self.action_high[0]))

    def observation(self, values: Any) -> NDArray[np.float32]:
        """An observation as ``(O,)`` float32; it may hold values that are not finite.

        Raises:
            ValueError: If it has another shape, or does not hold numbers.
        """
        try:
            row = np.asarray(values, dtype=np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"an observation holds numbers, got {values!r}") from error
        if row.shape != (self.obs_dim,):
            raise ValueError(
                f"an observation of task {self.task!r} has shape ({self.obs_dim},), got {row.shape}"
            )
        return row


class Engine(Protocol):
    """A model that decides for one station. It keeps the station's history."""

    interface: Interface

    def reset(self) -> None:
        """Forget the history."""
        ...

    def message(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the station sends ``(M,)``; called only if the model communicates.

        Args:
            observation: ``(O,)``.
        """
        ...

    def decide(
        self,
        observation: NDArray[np.float32],
        held: NDArray[np.float32],
        usable: NDArray[np.float32],
    ) -> NDArray[Any]:
        """The action ``(A,)`` float32 or ``()`` int64, and the next history.

        Args:
            observation: ``(O,)``.
            held: ``(D, M)`` the neighbours' messages, zero where there is none.
            usable: ``(D,)`` float32, 1.0 where there is one.
        """
        ...
