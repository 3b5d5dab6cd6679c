"""Let a trained model collect episodes in a deployment, and go on training on them.

In each round the model collects episodes, which are added to those before, and trains on them and,
if given, on offline data in turns. The algorithm must be able to tell good actions from bad ones,
as MA-IQL does, or NetWorld with ``weighting="advantage"``: cloning would only repeat itself.

Two bounds keep a network safe:

* **Known states.** An agent explores only where it knows its state: where the mean square of its
  standardised observation is at most the `Known.QUANTILE` of the data that it was trained on.
  Elsewhere the trained model acts, without exploration. A bound on the disagreement of an ensemble
  would need one; the two bounds were not compared.
* **Fall back.** The first round belongs to the trained model. If the mean reward of the last round
  is lower by more than one standard error, the trained model is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from networld_algos.base import Algorithm
from networld_algos.data.episodes import Episodes
from networld_algos.nn.features import ObsFeatures
from networld_algos.training import checkpoint
from networld_algos.training.start import Trained, start_from
from networld_algos.training.train import OnUpdate, train
from networld_envs import make_vec, validate
from networld_envs.simulator import MAX_CYCLES
from networld_envs.spec import TaskSpec

FIRST_SEED = 900_000_000
"""First seed of the networks that are collected; datasets and scores use lower ones."""


@dataclass(frozen=True)
class OnlineConfig:
    """How to adapt online.

    Attributes:
        episodes: Episodes to collect, at least two per round.
        rounds: Rounds of collecting and training.
        exploration: Standard deviation of the noise on actions that are a box or ordered, as a
            share of their deviation in the offline data, or of a quarter of their range without
            any; for other choices the probability of a random one.
        updates: Gradient steps of all rounds together.
        per_offline: Batches of collected data for each batch of offline data.
    """

    episodes: int = 16
    rounds: int = 4
    exploration: float = 0.1
    updates: int = 400
    per_offline: int = 1

    def __post_init__(self) -> None:
        validate.integer(self, "rounds", low=2)
        validate.integer(self, "updates", "per_offline", low=1)
        validate.integer(self, "episodes", low=2 * self.rounds)
        validate.real(self, "exploration", low=0.0, high=1.0)


class Known:
    """Says where an agent knows its state, by the distance from the data.

    Args:
        episodes: What the model was trained on.
    """

    QUANTILE = 0.99

    def __init__(self, episodes: Episodes) -> None:
        self._features = ObsFeatures(episodes.spec.obs_dim)
        self._features.fit(episodes)
        obs = torch.as_tensor(np.array(episodes.obs[:, :-1][episodes.step_mask]))
        self.limit = float(np.quantile(self._distance(obs).numpy(), self.QUANTILE))

    def __call__(self, obs: torch.Tensor) -> torch.Tensor:
        """``(..., O)`` to ``(...)``: whether the state is known."""
        return self._distance(obs) <= self.limit

    def _distance(self, obs: torch.Tensor) -> torch.Tensor:
        return self._features.unclipped(obs).square().mean(-1)


@dataclass(frozen=True)
class Collected:
    """Episodes of one round.

    Attributes:
        episodes: The data.
        unknown: Share of agents and steps in which the trained model acted in place of the other.
    """

    episodes: Episodes
    unknown: float


@dataclass(frozen=True)
class OnlineResult:
    """What came of it.

    Attributes:
        model: The model to use.
        kept: Whether that is the one trained online; False if it fell back.
        rewards: Mean reward per agent and step of each round's episodes, ``(rounds, K)``.
        unknown: Per round, see `Collected`.
        episodes: All that was collected.
    """

    model: Algorithm
    kept: bool
    rewards: list[NDArray[np.float64]]
    unknown: list[float]
    episodes: Episodes


def adapt_online(
    trained: Algorithm,
    task: str,
    config: OnlineConfig,
    known: Known,
    *,
    offline: Episodes | None = None,
    seed: int = 0,
    max_cycles: int = MAX_CYCLES,
    on_update: OnUpdate | None = None,
    **params: Any,
) -> OnlineResult:
    """Adapt a copy of ``trained`` to a deployment.

    Args:
        trained: Prepared for ``task``; it is not changed.
        task: Name of the task.
        config: See `OnlineConfig`.
        known: Where agents know their state.
        offline: Data that the training also uses; None for the collected data alone.
        seed: Seed of networks, exploration and batches.
        max_cycles: Steps per episode.
        on_update: See `networld_algos.training.train.train`.
        **params: Preset and parameters of the deployment.

    Raises:
        ValueError: If observations or actions have other sizes there.
    """
    model, parts = deepcopy(trained), []
    rewards, unknown = [], []
    counts = np.diff(np.linspace(0, config.episodes, config.rounds + 1).astype(int))
    ends = np.linspace(0, config.updates, config.rounds).astype(int)  # the first only collects
    first = FIRST_SEED + seed * 100_000
    for k, count in enumerate(counts):
        seeds = range(first, first + int(count))
        first += int(count)
        round_ = collect(
            model, trained, task, seeds, known, config.exploration, max_cycles, offline, **params
        )
        parts.append(round_.episodes)
        unknown.append(round_.unknown)
        mean = round_.episodes.rewards.mean((1, 2), dtype=np.float64)
        rewards.append(mean)
        if k == 0:
            model.begin_stage(config.updates)
        if k == config.rounds - 1:
            break
        data = [joined(parts)] * config.per_offline
        both = data if offline is None else [offline, *data]
        train(model, both, int(ends[k + 1]), seed, first=int(ends[k]), on_update=on_update)
    before, after = rewards[0], rewards[-1]
    error = np.sqrt(before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after))
    kept = bool(after.mean() >= before.mean() - error)
    return OnlineResult(
        model=model if kept else deepcopy(trained),
        kept=kept,
        rewards=rewards,
        unknown=unknown,
        episodes=joined(parts),
    )


def train_online(
    origin: Trained,
    offline: Episodes,
    config: OnlineConfig,
    out: Path,
    settings: Any = None,
    *,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **params: Any,
) -> OnlineResult:
    """Adapt a saved model online, and save the result.

    Args:
        origin: From `networld_algos.training.start.find_model`.
        offline: Data that the training also uses; it says what is known.
        config: See `OnlineConfig`.
        out: Folder for the checkpoint.
        settings: Settings of the algorithm, the model's by default; they may add a critic.
        seed: See `adapt_online`.
        about: Entries of the checkpoint's ``extra``.
        say: Called with lines of text.
        **params: Preset and parameters of the deployment.

    Raises:
        ValueError: If ``out`` holds a checkpoint, the model does not know the task, or it does not
            fit, see `start_from`.
    """
    if checkpoint.exists(out):
        raise ValueError(f"{out} holds a model, and an online training is not resumed; use another")
    task = offline.spec.task
    if task not in {spec["task"] for spec in checkpoint.read_index(origin.folder)["specs"]}:
        raise ValueError(
            f"{origin.source} does not know task {task!r}, so it cannot collect episodes of it; "
            "train it on data of the task first"
        )
    model = start_from(origin, offline, config.updates, config=settings, seed=seed, say=say)
    found = adapt_online(model, task, config, Known(offline), offline=offline, seed=seed, **params)
    for k, (rewards, unknown) in enumerate(zip(found.rewards, found.unknown, strict=True)):
        say(
            f"round {k}: {len(rewards)} episodes, mean reward {rewards.mean():.4g}, "
            f"{unknown:.1%} of the states unknown"
        )
    if not found.kept:
        say("the last round earned less than the first: the trained model is kept")
    extra = {
        "online": {"kept": found.kept, "episodes": config.episodes, "deployment": params},
        "updates": config.updates,
    }
    checkpoint.save(found.model, out, {**(about or {}), **extra})
    return found


@torch.no_grad()
def collect(
    model: Algorithm,
    trained: Algorithm,
    task: str,
    seeds: Sequence[int],
    known: Known,
    exploration: float,
    max_cycles: int = MAX_CYCLES,
    offline: Episodes | None = None,
    **params: Any,
) -> Collected:
    """Collect one episode for each seed, all of them as one batch.

    Args:
        model: Acts, with exploration, where ``known``.
        trained: Acts elsewhere.
        task: Name of the task.
        seeds: Seeds of the networks.
        known: Where agents know their state.
        exploration: See `OnlineConfig`.
        max_cycles: Steps per episode.
        offline: Data whose actions scale the exploration, see `OnlineConfig`.
        **params: Preset and parameters of the deployment.

    Raises:
        ValueError: If observations or actions have other sizes there.
    """
    envs = make_vec(task, len(seeds), max_cycles=max_cycles, **params)
    spec = envs.simulator.spec
    if field := model.known(task).mismatch(spec):
        raise ValueError(
            f"the model was trained for task {task!r} with {field}="
            f"{getattr(model.known(task), field)!r}, but this deployment has "
            f"{getattr(spec, field)!r}; start a training on a few episodes of it first"
        )
    rng = np.random.default_rng([*seeds[:1], len(seeds)])
    noise = torch.Generator().manual_seed(int(seeds[0]))
    obs, info = envs.reset(seed=list(seeds))
    near = info["neighbours"]
    table = torch.as_tensor(near.astype(np.int64))
    carries = [m.initial_carry(len(seeds), task) for m in (model, trained)]
    seen, done, earned, unsure = [obs], [], [], []
    for m in (model, trained):
        m.eval()
    for _ in range(max_cycles):
        now = torch.as_tensor(obs)
        chosen, carries[0] = model.act(now, table, carries[0], noise)
        safe, carries[1] = trained.act(now, table, carries[1], noise)
        sure = known(now).numpy()
        tried = explored(chosen.numpy(), spec, exploration, rng, offline)
        wide = sure[..., None] if tried.ndim > sure.ndim else sure
        actions = np.where(wide, tried, safe.numpy()).astype(tried.dtype)
        obs, _, _, _, info = envs.step(actions)
        unsure.append(1.0 - sure.mean())
        seen.append(obs)
        done.append(actions)
        earned.append(info["agent_rewards"])
    envs.close()
    model.train()
    shape = (len(seeds), max_cycles)
    truncated = np.zeros(shape, np.bool_)
    truncated[:, -1] = True
    episodes = Episodes(
        spec=spec,
        obs=np.stack(seen, 1),
        actions=np.stack(done, 1),
        rewards=np.stack(earned, 1).astype(np.float32),
        terminated=np.zeros(shape, np.bool_),
        truncated=truncated,
        neighbours=near,
        lengths=np.full(len(seeds), max_cycles, np.int64),
    )
    return Collected(episodes, float(np.mean(unsure)))


def explored(
    actions: NDArray[Any],
    spec: TaskSpec,
    exploration: float,
    rng: np.random.Generator,
    data: Episodes | None = None,
) -> NDArray[Any]:
    """Legal actions near the given ones.

    Args:
        actions: ``(E, N, A)`` or ``(E, N)``.
        spec: The task.
        exploration: See `OnlineConfig`.
        rng: Source of randomness.
        data: Data whose actions scale the exploration, see `OnlineConfig`.
    """
    low, high = np.array(spec.action_low), np.array(spec.action_high)
    if spec.action_kind == "discrete":
        swap = rng.random(actions.shape) < exploration
        return np.where(swap, rng.integers(int(low[0]), int(high[0]) + 1, actions.shape), actions)
    scale = (high - low) / 4
    if data is not None:
        scale = data.actions[data.step_mask].reshape(-1, spec.action_dim).std(0)
    box = spec.action_kind == "box"
    noise = rng.standard_normal(actions.shape) * exploration * (scale if box else scale[0])
    moved = np.clip(actions + noise, *((low, high) if box else (low[0], high[0])))
    return moved.astype(np.float32) if box else np.rint(moved).astype(np.int64)


def joined(parts: Sequence[Episodes]) -> Episodes:
    """The episodes of several rounds of one deployment."""
    names = ("obs", "actions", "rewards", "terminated", "truncated", "neighbours", "lengths")
    arrays = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    return replace(parts[0], **arrays)
