"""The contract of an offline multi-agent algorithm, and how one is saved and loaded.

An algorithm holds networks, statistics and optimisers. It holds no environment, logger, file or
loop: `networld_algos.training.train` trains it, `networld_algos.training.evaluate` lets it act.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from networld_algos.data.batch import Batch
from networld_algos.data.episodes import Episodes
from networld_algos.results.display import MethodLook
from networld_envs.spec import TaskSpec

Carry = dict[str, Any]
"""History of an acting team, explicit. Always has ``"task"``; tensors have leading axes (E, N).

``"delay"``, where present, is the number of steps that messages take. It is heeded by
`networld_algos.nn.messages.receive`, so an algorithm that takes its messages from there works with
late ones. What an algorithm does not know it hands on.
"""


@dataclass(frozen=True)
class Diagnostic:
    """A number that says whether a trained model is fit for its purpose.

    Attributes:
        value: The number.
        low: Lowest healthy value.
        high: Highest healthy value.
        meaning: What the number says, in words.

    Raises:
        ValueError: If ``low`` is above ``high``.
    """

    value: float
    low: float = -math.inf
    high: float = math.inf
    meaning: str = ""

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low must be at most high, got {self.low} and {self.high}")

    @property
    def is_healthy(self) -> bool:
        """Whether the value lies in its range; one that is not a number does not."""
        return self.low <= self.value <= self.high

    @property
    def healthy_range(self) -> str:
        """The range in words; empty if every number is healthy."""
        if math.isinf(self.high):
            return "" if math.isinf(self.low) else f"at least {self.low:g}"
        if math.isinf(self.low):
            return f"at most {self.high:g}"
        return f"{self.low:g} to {self.high:g}"


class Algorithm(nn.Module, ABC):
    """Base of every algorithm: parameter sharing across agents, decentralised execution.

    Args:
        specs: The tasks it is for. Most algorithms take one; NetWorld takes any number.
        config: The algorithm's own frozen dataclass.
        seed: Seeds the initial weights, and nothing else.

    Attributes:
        name: Key in `networld_algos.ALGORITHMS`.
        look: Title, colour and marker in reports; subclasses do not inherit it. Without one an
            algorithm is shown under its name, in an unused colour.
        presets: Name -> fields of the config that differ from the default, beside ``"default"``.
        budget: Updates of a training in the suite `cpu`, before a task's pace.
        pace: Task -> further factor on the budget, where an update on it costs this algorithm much
            less than elsewhere.
        decision_fields: Fields of the config that are read only when acting; `reconfigure` may
            change them after training.
        adapt_fields: Fields read only by `adapt` and after it; they may be set on a trained model.
        counters: Integers that belong to the training state, such as updates done.
        window: Steps ``T`` of the windows `update` wants.
        batch_size: Windows ``B`` that `update` wants.
    """

    name: ClassVar[str]
    look: ClassVar[MethodLook | None] = None
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    budget: ClassVar[int] = 2_000
    pace: ClassVar[Mapping[str, float]] = {}
    decision_fields: ClassVar[tuple[str, ...]] = ()
    adapt_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, specs: Sequence[TaskSpec], config: Any, seed: int) -> None:
        super().__init__()
        if not specs:
            raise ValueError(f"{type(self).__name__} needs at least one TaskSpec, got none")
        self.specs: dict[str, TaskSpec] = {spec.task: spec for spec in specs}
        self.config = config
        self.seed = seed
        self.counters: dict[str, int] = {"updates": 0, "total_updates": 0}
        self.prepared: set[str] = set()

    def get_extra_state(self) -> Tensor:
        """Counters and the names of prepared tasks as bytes, so that they travel in state_dict."""
        state = {"counters": self.counters, "prepared": sorted(self.prepared)}
        return torch.tensor(list(json.dumps(state, sort_keys=True).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Inverse of `get_extra_state`."""
        values = json.loads(state.cpu().numpy().tobytes())
        self.counters = values["counters"]
        self.prepared = set(values["prepared"])

    def known(self, task: str, *, prepared: bool = False) -> TaskSpec:
        """The spec of ``task``.

        Args:
            task: Name of a task.
            prepared: Also ask that `prepare` has been called for it.

        Raises:
            ValueError: If the algorithm does not know ``task``, or `prepare` was not called.
        """
        if task not in self.specs:
            raise ValueError(
                f"this {self.name} model is for {sorted(self.specs)}, not for task {task!r}"
            )
        if prepared and task not in self.prepared:
            raise ValueError(f"call prepare() with episodes of task {task!r} before update()")
        return self.specs[task]

    def single_spec(self) -> TaskSpec:
        """The only task, for algorithms that learn one task.

        Raises:
            ValueError: If there are several.
        """
        if len(self.specs) != 1:
            raise ValueError(f"{self.name} learns one task, got {sorted(self.specs)}")
        return next(iter(self.specs.values()))

    def start(self, episodes: Episodes, total_updates: int) -> None:
        """First lines of every `prepare`: check the task and note how long training will be.

        Raises:
            ValueError: If the episodes are not of a known task or ``total_updates`` is below 1.
        """
        if total_updates < 1:
            raise ValueError(f"total_updates must be at least 1, got {total_updates}")
        spec, given = self.known(episodes.spec.task), episodes.spec
        if field := spec.mismatch(given):
            raise ValueError(
                f"episodes of task {spec.task!r} have {field}={getattr(given, field)!r}, "
                f"the model was made for {getattr(spec, field)!r}"
            )
        self.counters["total_updates"] = total_updates
        self.prepared.add(spec.task)

    def reconfigure(self, **changes: Any) -> None:
        """Change how a trained model decides, e.g. the number of solver steps.

        Args:
            changes: New values of fields in ``decision_fields``.

        Raises:
            ValueError: If a field is unknown or shapes the networks or their training.
        """
        for key in changes:
            if key not in self.decision_fields:
                known = {field.name for field in fields(self.config)}
                reason = "is fixed at training" if key in known else "is unknown"
                raise ValueError(
                    f"{key!r} {reason}; {self.name} can change {sorted(self.decision_fields)}"
                )
        self.config = replace(self.config, **changes)

    @classmethod
    def update_seconds(cls, config: Any, spec: TaskSpec) -> float:
        """What an update takes, roughly: seconds of one core, to order runs and tell the time left.

        Args:
            config: The algorithm's own dataclass.
            spec: The task.
        """
        del config, spec
        return 0.03

    @classmethod
    def evaluation_seconds(cls, config: Any) -> float:
        """What 16 episodes of 50 steps and about 20 agents take, roughly: seconds of one core."""
        del config
        return 0.4

    @property
    @abstractmethod
    def window(self) -> int:
        """Steps ``T`` of the windows `update` wants."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Windows ``B`` that `update` wants."""

    @abstractmethod
    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Look at one task's training data once, before the first update on it.

        Sets normalisation statistics, bin ranges and learning-rate schedules; all of it is part
        of ``state_dict``. Called once for each task.
        """

    @abstractmethod
    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """One gradient step on ``batch``; returns metrics. All randomness is ``generator``'s."""

    def validation_loss(self, batch: Batch, generator: torch.Generator) -> float:
        """Loss of the weights that act, on data not trained on, for early stopping.

        Args:
            batch: Windows as for `update`.
            generator: Source of all randomness; equal ones make losses comparable.

        Raises:
            ValueError: If the algorithm has none; early stopping then leaves it alone.
        """
        raise ValueError(f"{self.name} has no validation loss")

    def initial_carry(self, num_envs: int, task: str) -> Carry:
        """History at the start of ``num_envs`` episodes of ``task``.

        Raises:
            ValueError: If the algorithm does not know ``task``.
        """
        del num_envs
        self.known(task)
        return {"task": task}

    @abstractmethod
    def message(self, obs: Tensor, carry: Carry) -> Tensor | None:
        """What each agent sends to its 1-hop neighbours before acting.

        Args:
            obs: ``(E, N, O)`` float32.
            carry: History.

        Returns:
            ``(E, N, M)``, or None when the algorithm does not communicate.
        """

    @abstractmethod
    def act(
        self, obs: Tensor, neighbours: Tensor, carry: Carry, generator: torch.Generator
    ) -> tuple[Tensor, Carry]:
        """Choose every agent's action from its own observation and its neighbours' messages.

        Args:
            obs: ``(E, N, O)`` float32.
            neighbours: ``(E, N, D)`` int64, padded with -1.
            carry: From `initial_carry` or the previous call. It is not changed in place.
            generator: Source of all randomness.

        Returns:
            Actions ``(E, N, A)`` float32 or ``(E, N)`` int64, legal for the task, and the next
            carry.
        """

    @abstractmethod
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Named optimisers, so that a run can be saved and resumed exactly."""

    def adapt(self, spec: TaskSpec) -> None:
        """Add a task to a trained model; call `prepare` with its episodes next.

        Raises:
            ValueError: If the algorithm cannot, or knows the task already.
        """
        raise ValueError(
            f"{self.name} cannot adapt to task {spec.task!r}; train a new model for it"
        )

    def health(self, episodes: Episodes) -> dict[str, Diagnostic]:
        """Diagnostics on held-out data by name; empty for algorithms that have none."""
        del episodes
        return {}
