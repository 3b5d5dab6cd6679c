"""The contract of an offline multi-agent algorithm.

An algorithm holds networks, statistics and optimisers. It holds no environment, logger, file or
loop: `networld_algos.training.train` trains it, and `networld_algos.training.evaluate` lets it act.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networld_algos.data.batch import Batch
from networld_algos.data.behaviour import FEWEST, episode_weights
from networld_algos.data.episodes import Episodes
from networld_algos.results.display import MethodLook
from networld_envs.spec import TaskSpec

Carry = dict[str, Any]
"""Explicit history of an acting team. It always has ``"task"``; tensors have leading axes (E, N).

``"delay"``, if present, is the number of steps that messages take to arrive.
`networld_algos.nn.messages.collect` applies it, so an algorithm that takes its messages from there
works with late ones. ``"inbox"``, if present, holds the messages themselves: the neighbours of a
deployed station are elsewhere. An algorithm passes on carry entries it does not know.
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
        """Whether the value lies in its range; NaN never does."""
        return self.low <= self.value <= self.high

    @property
    def healthy_range(self) -> str:
        """The range in words; empty if any number is healthy."""
        if math.isinf(self.high):
            return "" if math.isinf(self.low) else f"at least {self.low:g}"
        if math.isinf(self.low):
            return f"at most {self.high:g}"
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Range:
    """Numbers that a search may give to a setting, see `Algorithm.search`.

    Attributes:
        low: Smallest value.
        high: Largest value. If both are whole numbers, only whole numbers are tried.
        log: Draw evenly on a logarithmic scale.

    Raises:
        ValueError: If ``low`` is not below ``high``, or a logarithmic range does not start above 0.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range must start above 0, got {self.low}")

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Algorithm(nn.Module, ABC):
    """Base class of all algorithms: agents share parameters and act on local information.

    Args:
        specs: The tasks to learn. Most algorithms take one; NetWorld takes any number.
        config: The algorithm's frozen dataclass of settings.
        seed: Seeds the initial weights and nothing else.

    Attributes:
        name: Key in `networld_algos.ALGORITHMS`.
        look: Title, colour and marker in reports; subclasses do not inherit it. An algorithm
            without a look is shown under its name, in an unused colour.
        presets: Name -> fields of the config that differ from ``"default"``, which always exists.
        budget: Number of updates in the suite `cpu` where no rate is known (`Entry.rates`), before
            it is multiplied by the pace of a task.
        pace: Task -> factor on the budget, for tasks on which an update costs this algorithm much
            less than on others.
        update_s: See `update_seconds`; enough where an update takes the same on every task.
        evaluation_s: See `evaluation_seconds`.
        decision_fields: Fields of the config that are used only to act; `reconfigure` can change
            them after training.
        adapt_fields: Fields that are used only from `adapt` on; they can be set on a trained model.
        search: Field of the config -> what ``networld tune`` tries for it: a `Range`, or a tuple of
            choices, each a number, a text, a truth value or None.
        counters: Integers that are part of the training state, such as the updates done.
        window: Steps ``T`` of the windows that `update` takes.
        batch_size: Windows ``B`` that `update` takes.
    """

    name: ClassVar[str]
    look: ClassVar[MethodLook | None] = None
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    budget: ClassVar[int] = 2_000
    pace: ClassVar[Mapping[str, float]] = {}
    update_s: ClassVar[float] = 0.03
    evaluation_s: ClassVar[float] = 0.4
    decision_fields: ClassVar[tuple[str, ...]] = ()
    adapt_fields: ClassVar[tuple[str, ...]] = ()
    search: ClassVar[Mapping[str, Range | tuple[Any, ...]]] = {}

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
        """Counters and the names of prepared tasks as bytes, so that state_dict contains them."""
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
            prepared: Also require that `prepare` has been called for it.

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
        """The spec of the only task, for algorithms that learn one.

        Raises:
            ValueError: If there are several.
        """
        if len(self.specs) != 1:
            raise ValueError(f"{self.name} learns one task, got {sorted(self.specs)}")
        return next(iter(self.specs.values()))

    def start(self, episodes: Episodes, total_updates: int) -> None:
        """Check the task and store the length of training; every `prepare` calls this first.

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

    def begin_stage(self, total_updates: int) -> None:
        """Start the schedules again: the next update is the first of ``total_updates``.

        Weights, statistics, averages and the moments of the optimisers stay. Override this if your
        schedules depend on more than the counters.

        Raises:
            ValueError: If ``total_updates`` is below 1.
        """
        if total_updates < 1:
            raise ValueError(f"total_updates must be at least 1, got {total_updates}")
        starts = {name: 0 for name in ("updates", "stage_start") if name in self.counters}
        self.counters.update(starts, total_updates=total_updates)

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
        """Rough cost of an update in seconds on one core, to order runs and estimate the time left.

        Args:
            config: The algorithm's dataclass of settings.
            spec: The task.
        """
        del config, spec
        return cls.update_s

    @classmethod
    def evaluation_seconds(cls, config: Any) -> float:
        """Rough cost in seconds on one core of 16 episodes with 50 steps and about 20 agents."""
        del config
        return cls.evaluation_s

    def rows_per_update(self, spec: TaskSpec) -> tuple[int, int]:
        """What an update learns from: the number of agents' segments, and their steps.

        The number of transitions seen follows from it, see `networld_algos.training.epochs`. By
        default these are all agents of all windows, with all steps. Override this if `update` uses
        fewer.

        Args:
            spec: The task.
        """
        return self.batch_size * spec.num_agents, self.window

    @property
    @abstractmethod
    def window(self) -> int:
        """Steps ``T`` of the windows that `update` takes."""

    @property
    def batch_size(self) -> int:
        """Windows ``B`` that `update` takes; by default those of the config."""
        return self.config.batch_size

    @abstractmethod
    def prepare(self, episodes: Episodes, total_updates: int) -> None:
        """Look at one task's training data once, before the first update on it.

        Sets normalisation statistics, bin ranges and learning-rate schedules, all of which are part
        of ``state_dict``. Called once for each task.
        """

    def episode_weights(self, episodes: Episodes) -> NDArray[np.float64] | None:
        """How often ``(K,)`` training draws windows of each episode; None draws all alike.

        By default this is `networld_algos.data.behaviour.episode_weights` with the config's
        ``episode_beta``, if it has one above 0 and there are at least `FEWEST` episodes.
        """
        beta = getattr(self.config, "episode_beta", 0.0)
        return episode_weights(episodes, beta) if beta and len(episodes) >= FEWEST else None

    @abstractmethod
    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Take one gradient step on ``batch`` and return metrics.

        Args:
            batch: Windows of one task.
            generator: Source of all randomness.
        """

    def validation_loss(self, batch: Batch, generator: torch.Generator) -> float:
        """Loss on held-out data of the weights that act, for early stopping.

        Args:
            batch: Windows as for `update`.
            generator: Source of all randomness; equal seeds make losses comparable.

        Raises:
            ValueError: If the algorithm has no validation loss; it then trains without early
                stopping.
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
            ``(E, N, M)``, or None if the algorithm does not communicate.
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
        """The optimisers by name, so that a run can be saved and resumed exactly."""

    def adapt(self, spec: TaskSpec) -> None:
        """Add a task to a trained model; call `prepare` with its episodes next.

        Raises:
            ValueError: If the algorithm cannot adapt or already knows the task.
        """
        raise ValueError(
            f"{self.name} cannot adapt to task {spec.task!r}; train a new model for it"
        )

    def health(self, episodes: Episodes) -> dict[str, Diagnostic]:
        """Diagnostics by name, measured on held-out data; empty if an algorithm has none."""
        del episodes
        return {}
