"""Carry weights over to a model for observations or actions of another size.

The same task can have other sizes in another deployment: more antennas, fewer listed users, another
number of choices. Tensors are compared by name. Those of equal shape are copied. In a layer that
reads features or writes actions, entries are copied for the columns that both specs name, because
``user0.gain`` means the same in both. Everything else is new:

* weights of new input columns start at zero, so at first the model ignores what it does not know;
* new columns of a fixed rotation are orthonormal to the others, so nothing is lost, but they show;
* statistics and bins of new columns come from the data.

With ``entities="shared"`` (`networld_algos.nn.entities`) another number of listed entities changes
no size: all weights are copied, and the statistics of entities with them.

A model has the same parts before and after only if its settings choose them regardless of sizes.
NetWorld, for instance, trains its encoder where observations are too long for its latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from networld_algos.base import Algorithm
from networld_algos.data.symmetry import own_columns, shared_groups
from networld_algos.nn.action_head import ActionHead
from networld_algos.nn.entities import EntityGroup
from networld_algos.nn.features import ObsFeatures
from networld_algos.nn.layers import Rotation
from networld_envs.spec import Column, TaskSpec

COPIES = ("ema.",)  # a second copy of the networks, which reports leave out
Pairs = tuple[Tensor, Tensor]  # (new, old) positions along one axis


@dataclass(frozen=True)
class Inherited:
    """Layers of a new model, by what they took from a trained one; names as in ``state_dict``.

    Attributes:
        copied: Layers copied unchanged.
        resized: Layers in which the entries of common columns were copied.
        new: Layers that took nothing.
    """

    copied: tuple[str, ...]
    resized: tuple[str, ...]
    new: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"copied {len(self.copied)} layers"]
        for title, names in (("resized", self.resized), ("new", self.new)):
            if names:
                parts.append(f"{title} {len(names)}: {', '.join(names)}")
        return "; ".join(parts)


def inherit(model: Algorithm, trained: Algorithm, given: TaskSpec) -> Inherited:
    """Copy what fits from a trained model into a prepared one, in place.

    Args:
        model: The new model. Its statistics must have been fitted to the new data.
        trained: A model of the same algorithm.
        given: Spec of the task whose sizes differ. Other tasks of both models are the same.
    """
    old, new = trained.state_dict(), model.state_dict()
    known = trained.specs[given.task]
    axes = _Axes(trained, model, known, given)
    taken: dict[str, set[str]] = {}
    with torch.no_grad():
        for name, value in new.items():
            if name.endswith("_extra_state"):
                continue
            how = _copy(axes, name, old.get(name), value)
            if not name.startswith(COPIES):
                taken.setdefault(name.rpartition(".")[0] or name, set()).add(how)
    model.prepared |= trained.prepared

    def layers(*hows: set[str]) -> tuple[str, ...]:
        return tuple(layer for layer, found in taken.items() if found in hows)

    copied, fresh = layers({"copied"}), layers({"new"})
    resized = tuple(layer for layer in taken if layer not in copied and layer not in fresh)
    return Inherited(copied, resized, fresh)


def _copy(axes: _Axes, name: str, old: Tensor | None, new: Tensor) -> str:
    """Copy into ``new``, and return ``"copied"``, ``"resized"`` or ``"new"``."""
    if old is None or old.dim() != new.dim() or axes.has_other_range(name):
        return "new"
    if old.shape == new.shape:
        new.copy_(old)
        return "copied"
    lengths = zip(old.shape, new.shape, strict=True)
    pairs = [axes.pairs(name, axis, *both) for axis, both in enumerate(lengths)]
    at = [pair for pair in pairs if pair is not None]
    if len(at) < len(pairs):
        return "new"
    moved = old.to(new)[torch.meshgrid(*(pair[1] for pair in at), indexing="ij")]
    if name in axes.rotations:
        new.copy_(_completed(moved, at[1][0], new))
        return "resized"
    if new.dim() > 1 and old.shape[1] != new.shape[1]:
        new.zero_()  # inputs that the trained model did not have
    new[torch.meshgrid(*(pair[0] for pair in at), indexing="ij")] = moved
    return "resized"


def _completed(moved: Tensor, at: Tensor, fresh: Tensor) -> Tensor:
    """A matrix with columns ``moved`` at ``at``; the others complete them orthonormally."""
    others = torch.tensor([i for i in range(fresh.shape[1]) if i not in set(at.tolist())])
    out = fresh.clone()
    out[:, at] = moved
    if len(others):
        basis, _ = torch.linalg.qr(torch.cat([moved, fresh[:, others]], dim=1).double())
        out[:, others] = basis[:, moved.shape[1] :].to(out)
    return out


class _Axes:
    """Which positions along an axis of a tensor mean the same in both models."""

    def __init__(
        self, trained: Algorithm, model: Algorithm, known: TaskSpec, given: TaskSpec
    ) -> None:
        self.known, self.given = known, given
        self.features = _features(trained, known), _features(model, given)
        was, now = _group_features(trained, known), _group_features(model, given)
        self.groups = {name: (was[name], now[name]) for name in was.keys() & now.keys()}
        heads = {name: m for name, m in model.named_modules() if isinstance(m, ActionHead)}
        self.heads = {name: head.choices for name, head in heads.items()}
        self.rotations = {
            f"{name}.weight" for name, m in model.named_modules() if isinstance(m, Rotation)
        }
        before, after = (_bounds(spec) for spec in (known, given))
        common = before.keys() & after.keys()
        self.other_bounds = any(before[name] != after[name] for name in common)

    def has_other_range(self, name: str) -> bool:
        """Whether the tensor holds bins of an action whose bounds have changed."""
        return self.other_bounds and self._head(name) is not None and ".twohot." in name

    def pairs(self, name: str, axis: int, old: int, new: int) -> Pairs | None:
        """The (new, old) positions that agree; None if that is not known."""
        head = self._head(name)
        if head is not None and axis == 0:
            return self._actions(self.heads[head], old, new)
        if old == new:
            return torch.arange(new), torch.arange(old)
        group = next((g for g in self.groups if name.startswith(f"{g}.")), None)
        was, now = self.features if group is None else self.groups[group]
        return _inputs(was, now, old, new)

    def _head(self, name: str) -> str | None:
        return next((head for head in self.heads if name.startswith(f"{head}.")), None)

    def _actions(self, choices: int, old: int, new: int) -> Pairs:
        """Positions of entries laid out as (columns, bins), or one for each column."""
        if self.given.action_kind != "box":  # choice i is choice i
            both = torch.arange(min(old, new))
            return both, both
        width = choices if new == choices * self.given.action_dim else 1
        named = [_names(spec.action_columns, spec.action_dim) for spec in (self.known, self.given)]
        return _common(
            *([f"{name}/{bin}" for name in names for bin in range(width)] for names in named)
        )


def _inputs(was: Sequence[str], now: Sequence[str], old: int, new: int) -> Pairs | None:
    """Positions along an axis of k blocks of features and, after them, other entries."""
    if len(was) == len(now):
        return None
    blocks, odd = divmod(old - new, len(was) - len(now))
    rest = old - blocks * len(was)
    # Where several blocks and many others are mixed, their order is not known.
    if odd or blocks < 1 or rest < 0 or (blocks > 1 and rest > 1):
        return None
    both = [
        [f"{block}/{name}" for block in range(blocks) for name in names]
        + [f"rest/{i}" for i in range(rest)]
        for names in (was, now)
    ]
    return _common(*both)


def _features(model: Algorithm, spec: TaskSpec) -> list[str]:
    """Names of the features of a task's observations, in order; those of no shared entity."""
    names = _names(spec.obs_columns, spec.obs_dim)
    if getattr(model.config, "entities", "flat") == "shared":
        names = [names[i] for i in own_columns(spec)]
    found = [m for m in model.modules() if isinstance(m, ObsFeatures)]
    kinds = {m.kind for m in found if m.width in (len(names), 2 * len(names))}
    return _by_part(names, kinds.pop() if len(kinds) == 1 else "symlog")


def _group_features(model: Algorithm, spec: TaskSpec) -> dict[str, list[str]]:
    """Module of each group of shared entities -> names of the features of one of them."""
    tables = shared_groups(spec)
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, EntityGroup):
            table = tables[int(name.rpartition(".")[2])]
            names = [spec.obs_columns[i].name for i in table[0]]
            found[name] = _by_part(names, module.features.kind)
    return found


def _by_part(names: Sequence[str], kind: str) -> list[str]:
    parts = ("symlog", "linear") if kind == "both" else (kind,)
    return [f"{part}:{name}" for part in parts for name in names]


def _names(columns: Sequence[Column], width: int) -> list[str]:
    return [column.name for column in columns] or [str(i) for i in range(width)]


def _bounds(spec: TaskSpec) -> dict[str, tuple[float, float]]:
    names = _names(spec.action_columns, spec.action_dim)
    return dict(zip(names, zip(spec.action_low, spec.action_high, strict=True), strict=True))


def _common(old: Sequence[str], new: Sequence[str]) -> Pairs:
    """Positions of the names that both lists have, as (new, old)."""
    where = {name: i for i, name in enumerate(old)}
    found = [(i, where[name]) for i, name in enumerate(new) if name in where]
    at = torch.tensor(found, dtype=torch.long).reshape(-1, 2)
    return at[:, 0], at[:, 1]
