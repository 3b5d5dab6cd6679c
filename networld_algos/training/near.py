"""Keep a tuned model near the trained one, so that little data does not make it worse.

A model that is tuned to another deployment on one episode memorises that episode. Two things
prevent it (`docs/tried.md` has the figures):

* **Pull.** After each update, weights move towards those of the trained model by the share
  ``learning rate * strength / episodes`` (L2-SP: Li et al., 2018; decoupled from Adam as in AdamW).
  Running statistics stay as they are. The same pull towards zero is weight decay.
* **Check.** In the end, weights are mixed with those of the trained model, and held-out agents or
  episodes choose the share. The trained model is kept unless a mixture is closer to the recorded
  actions by more than one standard error.

The check judges imitation. For data whose actions are bad on purpose, it errs towards the trained
model. It counts agents as independent, although those of one episode share a network, so its
standard error is rather too small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from networld_algos.base import Algorithm
from networld_algos.data.episodes import Episodes
from networld_algos.data.streams import Stream
from networld_algos.nn.features import RunningStandardiser

STRENGTH = 300.0
"""Default strength; divided by the number of episodes."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the tuned weights that the check compares."""
AGENTS_HELD_OUT = 0.25
"""Share of the agents that the check holds out of a single episode."""
MOST_HELD_OUT = 8
"""Most episodes that the check looks at."""


class Pull:
    """Moves weights towards given values after each update; call `step` with the model.

    Args:
        model: At the start of its training.
        targets: Value of each parameter, by name; others are left alone.
        strength: Share of the way per update, as a multiple of the learning rate.
    """

    def __init__(self, model: Algorithm, targets: Mapping[str, Tensor], strength: float) -> None:
        if not (math.isfinite(strength) and strength >= 0.0):
            raise ValueError(
                f"the strength of a pull must be finite and at least 0, got {strength:g}"
            )
        self.strength = strength
        names = {id(p): name for name, p in model.named_parameters()}
        self._groups: list[tuple[dict[str, Any], list[Tensor], list[Tensor]]] = []
        for optimizer in model.optimizers().values():
            for group in optimizer.param_groups:
                pulled = [p for p in group["params"] if names.get(id(p)) in targets]
                ends = [targets[names[id(p)]].to(p) for p in pulled]
                self._groups.append((group, pulled, ends))

    @torch.no_grad()
    def step(self) -> None:
        """Move the weights once."""
        for group, weights, ends in self._groups:
            share = min(1.0, float(group["lr"]) * self.strength)
            for weight, end in zip(weights, ends, strict=True):
                weight.lerp_(end, share)


def pull_to_start(model: Algorithm, start: Algorithm, trained: Algorithm, strength: float) -> Pull:
    """A pull towards the trained weights; their running statistics no longer change.

    Args:
        model: To be trained; its weights may have changed since ``start``.
        start: From `networld_algos.training.start.start_from`.
        trained: The model it started from. Weights that are not its own, such as those of new
            columns, are not pulled.
        strength: See `Pull`.
    """
    old = trained.state_dict()
    same = {
        name: value.detach().clone()
        for name, value in start.state_dict().items()
        if isinstance(value, Tensor) and name in old and _equal(value, old[name])
    }
    for name, module in model.named_modules():
        if isinstance(module, RunningStandardiser) and f"{name}.mean" in same:
            module.frozen = True
    return Pull(model, same, strength)


def decay(model: Algorithm, strength: float) -> Pull:
    """Weight decay of all matrices (Loshchilov and Hutter, 2019)."""
    zeros = {n: torch.zeros_like(p) for n, p in model.named_parameters() if p.dim() > 1}
    return Pull(model, zeros, strength)


@dataclass(frozen=True)
class HeldOut:
    """What a check compares decisions on.

    Attributes:
        episodes: Episodes with all their agents, since agents need messages.
        agents: The agents that were not trained on.
    """

    episodes: Episodes
    agents: NDArray[np.int64]


def hold_out(
    train: Episodes, heldout: Episodes | None, seed: int
) -> tuple[Episodes, HeldOut | None]:
    """What to train on and what to check on.

    Args:
        train: Episodes to train on.
        heldout: Episodes set aside, or None if there is only one. Then agents are held out of it:
            the others train without their messages.
        seed: Chooses the agents.

    Returns:
        Both parts; the second is None if there are fewer than 4 agents and no episode.
    """
    n = train.spec.num_agents
    if heldout is not None:
        return train, HeldOut(heldout, np.arange(n))
    count = round(AGENTS_HELD_OUT * n)
    if count < 1 or n < 4:
        return train, None
    order = np.random.default_rng([seed, Stream.HOLDOUT]).permutation(n)
    return without_agents(train, order[:count]), HeldOut(train, np.sort(order[:count]))


def without_agents(episodes: Episodes, agents: NDArray[np.int64]) -> Episodes:
    """The same episodes of the other agents only, as if these had sent no messages."""
    n = episodes.spec.num_agents
    kept = np.setdiff1d(np.arange(n), agents)
    place = np.full(n + 1, -1, np.int32)  # the last entry is for an empty slot, -1
    place[kept] = np.arange(len(kept))
    return replace(
        episodes,
        spec=replace(episodes.spec, num_agents=len(kept)),
        obs=episodes.obs[:, :, kept],
        actions=episodes.actions[:, :, kept],
        rewards=episodes.rewards[:, :, kept],
        neighbours=place[episodes.neighbours[:, kept]],
    )


@torch.no_grad()
def imitation_errors(model: Algorithm, heldout: HeldOut, seed: int = 0) -> NDArray[np.float64]:
    """Error of decisions against recorded actions, ``(K, agents)``, mean over steps.

    The model decides in every recorded state. The error is the squared distance in units of the
    actions' deviation, or for unordered choices whether they differ.

    Args:
        model: Any algorithm.
        heldout: What it was not trained on.
        seed: Seed of its randomness.
    """
    data, agents = heldout.episodes, heldout.agents
    device = next(model.parameters()).device
    noise = torch.Generator(device=device).manual_seed(seed)
    table = torch.as_tensor(np.array(data.neighbours), device=device).long()
    carry = model.initial_carry(len(data), data.spec.task)
    scale = np.maximum(data.actions[data.step_mask].reshape(-1, data.spec.action_dim).std(0), 1e-6)
    real = data.step_mask
    total = np.zeros((len(data), len(agents)))
    training = model.training
    model.eval()
    for t in range(data.actions.shape[1]):
        obs = torch.as_tensor(np.array(data.obs[:, t]), device=device)
        chosen, carry = model.act(obs, table, carry, noise)
        told = data.actions[:, t][:, agents].astype(np.float64)
        found = chosen.cpu().numpy()[:, agents].astype(np.float64)
        if data.spec.action_kind == "discrete":
            error = (found != told).astype(np.float64)
        else:
            apart = (found - told).reshape(*told.shape[:2], -1) / scale
            error = np.square(apart).mean(-1)
        total += np.where(real[:, t, None], error, 0.0)
    model.train(training)
    return total / np.maximum(real.sum(1), 1)[:, None]


def mixed(start: Algorithm, tuned: Algorithm, share: float) -> dict[str, Any]:
    """State with ``share`` of the tuned weights and statistics, the rest from ``start``."""
    before, state = start.state_dict(), dict(tuned.state_dict())
    for name, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            state[name] = torch.lerp(before[name].to(value), value, share)
    return state


@torch.no_grad()
def check(start: Algorithm, tuned: Algorithm, heldout: HeldOut) -> float:
    """Replace the tuned weights by the best mixture, in place.

    Args:
        start: The model before its first update.
        tuned: The model after the last one.
        heldout: What neither was tuned on.

    Returns:
        The share of the tuned weights.
    """
    before, best, chosen = imitation_errors(start, heldout).ravel(), 0.0, 0.0
    model = deepcopy(tuned)
    for share in SHARES[1:]:
        model.load_state_dict(mixed(start, tuned, share))
        gain = before - imitation_errors(model, heldout).ravel()
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
        if gain.mean() > max(best, error):
            best, chosen = float(gain.mean()), share
    tuned.load_state_dict(mixed(start, tuned, chosen))
    return chosen


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b.to(a))


class Keeper:
    """Pull and check of one training, for a loop that calls it.

    Args:
        model: To be trained, new or resumed.
        data: Episodes to train on.
        heldout: Episodes set aside, or None.
        seed: Seed of the training.
        weight_decay: Strength of the pull of matrices towards zero.
        strength: Strength of the pull towards the trained model; 0 for neither pull nor check.
        origin: Makes the start of the training and loads the trained model; None for a new model.

    Attributes:
        data: What to train on; agents of a single episode may be held out.
    """

    def __init__(
        self,
        model: Algorithm,
        data: Episodes,
        heldout: Episodes | None,
        seed: int,
        *,
        weight_decay: float = 0.0,
        strength: float = STRENGTH,
        origin: Callable[[], tuple[Algorithm, Algorithm]] | None = None,
    ) -> None:
        self.data, self._model = data, model
        self._pulls = [decay(model, weight_decay)] if weight_decay else []
        self._heldout: HeldOut | None = None
        self._start: Algorithm | None = None
        if origin is None or not strength:
            return
        start, trained = origin()
        if data.spec.task not in trained.specs:
            return  # what is another task should change the weights
        self._start = start.to(next(model.parameters()).device)
        pull = pull_to_start(model, self._start, trained, strength / len(data))
        self._pulls.append(pull)
        if heldout is not None:
            heldout = heldout.first(MOST_HELD_OUT)
        self.data, self._heldout = hold_out(data, heldout, seed)

    def step(self) -> None:
        """Call it after each update."""
        for pull in self._pulls:
            pull.step()

    def finish(self) -> float | None:
        """Choose the share of the tuned weights after the last update; None without a check."""
        if self._start is None or self._heldout is None:
            return None
        return check(self._start, self._model, self._heldout)
