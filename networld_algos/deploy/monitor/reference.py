"""What a monitor compares with: a compact description of training data, kept beside the model.

`networld train` writes it as `FILE`, a few hundred kilobytes of safetensors with JSON in the
header. It holds a histogram and quantiles of each column of the observation, a sample of decisions,
and the limits of `networld_algos.deploy.monitor.limits`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save as save_arrays

from networld_algos.deploy.monitor.bins import column_edges, histogram
from networld_algos.deploy.monitor.limits import Limits, index_limits, mean_limits
from networld_algos.deploy.monitor.support import QUANTILE, SAMPLE, Support, action_features
from networld_algos.files import reading, write_bytes
from networld_envs.spec import TaskSpec

if TYPE_CHECKING:
    from networld_algos.data.episodes import Episodes

FILE = "monitor.safetensors"
FORMAT = 1
QUANTILES = 101  # of each column: 0, 0.01 .. 1
MOST_EPISODES = 512
MOST_STATIONS = 32
STATION_EPISODES = 32  # of each station
EDGE_ROWS = 200_000  # rows that edges and quantiles are computed from
UNIT_ROWS = 64  # decisions of a unit that are compared with the sample
REMEDY = "make it again: networld train, or name a dataset with --dataset"
SEED = 0x0B5E

View = Literal["network", "station"]
"""Whether a monitor watches all agents of a network, or one of them."""
VIEWS: tuple[View, ...] = ("network", "station")


@dataclass(frozen=True)
class Usual:
    """What is usual for windows of one view.

    Attributes:
        decisions: Decisions of a unit, the median; a unit is an episode of the view.
        index: Limits of the stability index of each column, ``(S, O)``.
        outside: Limits of the share of decisions out of support, ``(S,)``.
        disagreement: Limits of the mean disagreement of an ensemble, ``(S,)``; empty without one.
    """

    decisions: int
    index: Limits
    outside: Limits
    disagreement: Limits


@dataclass(frozen=True)
class Reference:
    """A description of training data, see the module's documentation.

    Attributes:
        spec: The task.
        edges: ``(O, EDGES)`` edges of the bins, see `networld_algos.deploy.monitor.bins`.
        counts: ``(O, EDGES + 1)`` histogram of each column.
        quantiles: ``(O, QUANTILES)`` of each column.
        support: Sample of decisions.
        usual: View -> its limits.
        about: Where the data came from; JSON types.
    """

    spec: TaskSpec
    edges: NDArray[np.float32]
    counts: NDArray[np.int64]
    quantiles: NDArray[np.float32]
    support: Support
    usual: dict[View, Usual]
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        spec: TaskSpec,
        obs: Sequence[NDArray[np.float32]],
        actions: Sequence[NDArray[Any]],
        disagreement: Sequence[NDArray[Any]] = (),
        about: dict[str, Any] | None = None,
    ) -> Reference:
        """Describe episodes.

        Args:
            spec: The task.
            obs: Per episode ``(T, N, O)``, the observations that were decided on.
            actions: Per episode ``(T, N, A)``, or ``(T, N)`` for discrete and ordered actions.
            disagreement: Per episode ``(T, N)``, see `networld_algos.deploy.monitor.ensemble`; may
                be of other episodes. Empty if the model has no ensemble.
            about: Kept in `about`.

        Raises:
            ValueError: If there are no decisions, or the sizes are not those of the task.
        """
        _check(spec, obs, actions)
        rng = np.random.default_rng(SEED)
        kept = _spread(len(obs), MOST_EPISODES)
        obs, actions = [obs[k] for k in kept], [actions[k] for k in kept]
        share = max(1, EDGE_ROWS // len(obs))
        some = np.concatenate([_rows(o, spec.obs_dim, share, rng) for o in obs])
        edges = column_edges(some)
        quantiles = np.quantile(some, np.linspace(0, 1, QUANTILES), axis=0).T.astype(np.float32)
        support, known = _fit_support(spec, obs, actions, rng)
        usual: dict[View, Usual] = {
            view: _usual(view, spec, edges, support, known, obs, actions, disagreement, rng)
            for view in VIEWS
        }
        total = np.sum([histogram(o.reshape(-1, spec.obs_dim), edges) for o in obs], axis=0)
        return cls(spec, edges, total, quantiles, support, usual, dict(about or {}))

    @classmethod
    def of_episodes(
        cls,
        episodes: Episodes,
        disagreement: Sequence[NDArray[Any]] = (),
        about: dict[str, Any] | None = None,
    ) -> Reference:
        """Describe the data of a training.

        Args:
            episodes: The data.
            disagreement: See `fit`.
            about: Kept in `about`.
        """
        chosen = _spread(len(episodes), MOST_EPISODES)
        obs = [episodes.obs[k, : episodes.lengths[k]] for k in chosen]
        actions = [episodes.actions[k, : episodes.lengths[k]] for k in chosen]
        return cls.fit(episodes.spec, obs, actions, disagreement, about)

    def save(self, folder: str | Path) -> Path:
        """Write `FILE` into a folder, e.g. that of the checkpoint; returns its path."""
        support = self.support
        arrays: dict[str, NDArray[Any]] = {
            "edges": self.edges,
            "counts": self.counts,
            "quantiles": self.quantiles,
            **{f"support.{k}": getattr(support, k) for k in ("centre", "scale", "obs", "actions")},
        }
        for view, usual in self.usual.items():
            for name in ("index", "outside", "disagreement"):
                limits: Limits = getattr(usual, name)
                arrays[f"{view}.{name}.sizes"] = limits.sizes
                arrays[f"{view}.{name}.values"] = limits.values
        head = {
            "format": FORMAT,
            "spec": self.spec.to_dict(),
            "far": support.far,
            "unlike": support.unlike,
            "decisions": {view: usual.decisions for view, usual in self.usual.items()},
            "about": self.about,
        }
        arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        data = save_arrays(arrays, metadata={"networld_monitor": json.dumps(head)})
        return write_bytes(Path(folder) / FILE, data)

    @classmethod
    def load(cls, folder: str | Path) -> Reference:
        """Read what `save` wrote.

        Raises:
            ValueError: If there is no such file, or it is damaged or of another format.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise ValueError(f"{folder} has no {FILE}, which describes the training data; {REMEDY}")
        with reading(path, REMEDY):
            with safe_open(path, framework="numpy") as file:
                head = json.loads((file.metadata() or {})["networld_monitor"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if head["format"] != FORMAT:
                raise ValueError(f"format {head['format']!r}, but this version reads {FORMAT}")
            support = {k: arrays[f"support.{k}"] for k in ("centre", "scale", "obs", "actions")}
            usual: dict[View, Usual] = {}
            for view in VIEWS:
                limits = {
                    name: Limits(arrays[f"{view}.{name}.sizes"], arrays[f"{view}.{name}.values"])
                    for name in ("index", "outside", "disagreement")
                }
                usual[view] = Usual(int(head["decisions"][view]), **limits)
            return cls(
                spec=TaskSpec.from_dict(head["spec"]),
                edges=arrays["edges"],
                counts=arrays["counts"],
                quantiles=arrays["quantiles"],
                support=Support(**support, far=head["far"], unlike=head["unlike"]),
                usual=usual,
                about=head["about"],
            )


def _check(spec: TaskSpec, obs: Sequence[NDArray[Any]], actions: Sequence[NDArray[Any]]) -> None:
    if len(obs) == 0 or len(obs) != len(actions):
        raise ValueError(
            f"needs episodes, got {len(obs)} of observations, {len(actions)} of actions"
        )
    for k, (o, a) in enumerate(zip(obs, actions, strict=True)):
        steps, agents = o.shape[:2] if o.ndim == 3 else (0, 0)
        shape = (steps, agents, spec.action_dim) if spec.action_kind == "box" else (steps, agents)
        if o.shape != (steps, agents, spec.obs_dim) or a.shape != shape or 0 in shape:
            raise ValueError(
                f"episode {k}: task {spec.task!r} needs observations (T, N, {spec.obs_dim}) and "
                f"actions for each, got {o.shape} and {a.shape}"
            )


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` of ``count`` positions, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


@dataclass(frozen=True)
class _Unit:
    """A network or one station in one episode; stations with the same number are a group."""

    episode: int
    agents: slice
    group: int


def _units(view: View, shapes: Sequence[tuple[int, ...]], rng: np.random.Generator) -> list[_Unit]:
    """The units of a view, of episodes with arrays of these shapes ``(T, N, ...)``."""
    if view == "network":
        return [_Unit(k, slice(None), 0) for k in range(len(shapes))]
    agents = rng.permutation(min(shape[1] for shape in shapes))[:MOST_STATIONS]
    chosen = _spread(len(shapes), STATION_EPISODES)
    return [_Unit(int(k), slice(n, n + 1), int(n)) for n in agents for k in chosen]


def _usual(
    view: View,
    spec: TaskSpec,
    edges: NDArray[np.float32],
    support: Support,
    known: set[int],
    obs: Sequence[NDArray[np.float32]],
    actions: Sequence[NDArray[Any]],
    disagreement: Sequence[NDArray[Any]],
    rng: np.random.Generator,
) -> Usual:
    """What is usual for windows of a view; ``known`` episodes are not in the sample."""
    units = _units(view, [o.shape for o in obs], rng)
    parts = [obs[u.episode][:, u.agents].reshape(-1, spec.obs_dim) for u in units]
    counts = np.stack([histogram(rows, edges) for rows in parts])
    others = [u for u in units if u.episode in known]
    outside = [
        _outside(spec, support, obs[u.episode][:, u.agents], actions[u.episode][:, u.agents], rng)
        for u in others
    ]
    compared = _units(view, [d.shape for d in disagreement], rng) if disagreement else []
    means = [float(disagreement[u.episode][:, u.agents].mean()) for u in compared]

    def groups(of: Sequence[_Unit]) -> NDArray[np.int64]:
        return np.array([u.group for u in of], np.int64)

    return Usual(
        decisions=int(np.median([len(rows) for rows in parts])),
        index=index_limits(counts, groups(units), rng),
        outside=mean_limits(np.array(outside, np.float64), groups(others), rng),
        disagreement=mean_limits(np.array(means, np.float64), groups(compared), rng),
    )


def _rows(obs: NDArray[Any], width: int, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """At most ``count`` random rows of an array ``(T, N, width)``."""
    rows = obs.reshape(-1, width)
    return rows if len(rows) <= count else rows[rng.choice(len(rows), count, replace=False)]


def _pairs(
    spec: TaskSpec, obs: NDArray[Any], actions: NDArray[Any], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """At most ``count`` random decisions: observations and features of the actions."""
    rows = obs.reshape(-1, spec.obs_dim)
    at = rng.permutation(len(rows))[:count]
    return rows[at], action_features(actions.reshape(len(rows), -1)[at], spec)


def _fit_support(
    spec: TaskSpec,
    obs: Sequence[NDArray[Any]],
    actions: Sequence[NDArray[Any]],
    rng: np.random.Generator,
) -> tuple[Support, set[int]]:
    """A sample of half the episodes, and the others, which its distances are measured on."""
    order = rng.permutation(len(obs))
    first = order[: (len(obs) + 1) // 2]
    rest = order[len(first) :] if len(obs) > 1 else order
    share = -(-SAMPLE // len(first))
    parts = [_pairs(spec, obs[k], actions[k], share, rng) for k in first]
    sample_obs, sample_actions = (np.concatenate(p)[:SAMPLE] for p in zip(*parts, strict=True))
    centre, scale = sample_obs.mean(axis=0), sample_obs.std(axis=0)
    scale = np.where(scale > 1e-6 * np.maximum(np.abs(centre), 1.0), scale, 1.0).astype(np.float32)
    support = Support(centre, scale, sample_obs, sample_actions)
    share = -(-2 * SAMPLE // len(rest))
    parts = [_pairs(spec, obs[k], actions[k], share, rng) for k in rest]
    found = support.distances(*(np.concatenate(p) for p in zip(*parts, strict=True)))
    far, unlike = (float(np.quantile(d, QUANTILE)) for d in found)
    fitted = Support(centre, scale, sample_obs, sample_actions, far, unlike)
    return fitted, set(rest.tolist())


def _outside(
    spec: TaskSpec,
    support: Support,
    obs: NDArray[Any],
    actions: NDArray[Any],
    rng: np.random.Generator,
) -> float:
    """Share of a unit's decisions out of support."""
    of_obs, of_actions = support.outside(*_pairs(spec, obs, actions, UNIT_ROWS, rng))
    return float((of_obs | of_actions).mean())
