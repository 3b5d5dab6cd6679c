"""Start a training from a trained model: the same task, another deployment of it, or another task.

A model starts from the weights, statistics and averages of the other, with new optimisers, and its
schedules begin anew. On a task that it knows, it keeps its statistics of observations, actions and
returns, so before the first update it acts exactly as the other did, except on observations beyond
the range of the other's data, which are clipped to the range of both. If observations or actions
have other sizes there, it takes over what fits, see `networld_algos.training.resize`. Another task
is added with `Algorithm.adapt`, and the statistics of that task come from its data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from networld_algos.base import Algorithm
from networld_algos.data.episodes import Episodes
from networld_algos.nn.features import ObsFeatures
from networld_algos.registry import make, make_config
from networld_algos.training import checkpoint
from networld_algos.training.hub import fetch
from networld_algos.training.near import STRENGTH, Keeper
from networld_algos.training.resize import inherit


@dataclass(frozen=True)
class Trained:
    """A trained model that another training starts from.

    Attributes:
        source: The folder, ``pretrained:NAME`` or ``hf://owner/name``, as given.
        folder: Where its checkpoint is.
        algorithm: Name of its algorithm.
        config: Its settings.
        weights: Name of the file of its weights.
        extra: The ``extra`` of its checkpoint.
    """

    source: str
    folder: Path
    algorithm: str
    config: Any
    weights: str
    extra: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """What a checkpoint says about it: source, name of the weights, and their training."""
        about = {k: self.extra[k] for k in ("dataset", "updates") if k in self.extra}
        return {"source": self.source, "weights": self.weights, **about}

    def load(self) -> Algorithm:
        """The model with its weights.

        Raises:
            ValueError: If the checkpoint is damaged, or was replaced since it was found.
        """
        algorithm, _, weights = checkpoint.load_named(self.folder)
        if weights != self.weights:
            raise ValueError(
                f"{self.source} was replaced by another training meanwhile; start from a model "
                "that is finished"
            )
        return algorithm


def find_model(source: str | Path, algorithm: str) -> Trained:
    """The model to start from, without its weights.

    Args:
        source: Folder of a checkpoint, ``pretrained:NAME``, or ``hf://owner/name``, which is
            downloaded.
        algorithm: Name of the algorithm to train, which must be the model's.

    Raises:
        ValueError: If there is no usable checkpoint, or it is of another algorithm.
        OSError: If the Hub cannot be reached.
    """
    folder = fetch(source)
    index = checkpoint.read_index(folder)
    if index["algorithm"] != algorithm:
        raise ValueError(
            f"{source} holds a {index['algorithm']} model, and {algorithm} cannot start from it; "
            f"train {index['algorithm']}, or start from a {algorithm} model"
        )
    config = make_config(algorithm, index["config"])
    weights = index["files"]["model"]
    return Trained(str(source), folder, algorithm, config, weights, index["extra"])


def start_from(
    origin: Trained,
    episodes: Episodes,
    updates: int,
    *,
    config: Any = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Algorithm:
    """A new model with the weights of a trained one, prepared for its data.

    Args:
        origin: From `find_model`.
        episodes: Training data, of a task that the model knows or of a new one.
        updates: Updates of the training to come.
        config: Settings; those of the model by default. They may add parts, such as a value network
            for weights by advantage, but must keep the sizes of the networks that the model has.
        seed: Seed of all new weights.
        say: Called with a line of text if not all layers were copied.

    Raises:
        ValueError: If the checkpoint is damaged, the kind of action or the sizes of the networks
            differ, or the algorithm cannot adapt to a new task.
    """
    trained = origin.load()
    config = trained.config if config is None else config
    given = episodes.spec
    known = trained.specs.get(given.task)
    if known is not None and known.action_kind != given.action_kind:
        raise ValueError(
            f"{origin.source} was trained for task {given.task!r} with action_kind="
            f"{known.action_kind!r}, but this data has {given.action_kind!r}; start from "
            "another model, or train a new one"
        )
    specs = [given if spec.task == given.task else spec for spec in trained.specs.values()]
    model = make(origin.algorithm, specs, config, seed)
    if known is not None and (field := known.mismatch(given)):
        model.prepare(episodes, updates)
        found = inherit(model, trained, given)
        _widen(model, episodes)
        was, now = getattr(known, field), getattr(given, field)
        say(f"{origin.source} has {field}={was!r}, this data {now!r}: {found}")
        return model
    if known is not None and model.state_dict().keys() - trained.state_dict().keys():
        model.prepare(episodes, updates)  # statistics of the parts that are new
    added = _load(model, trained, origin, config)
    if added:
        say(f"new, because {origin.source} does not have them: {', '.join(added)}")
    model.begin_stage(updates)
    if known is None:
        model.adapt(given)
        model.prepare(episodes, updates)
    else:
        if "adapted" in model.counters:
            model.counters["adapted"] = 0  # shared networks were frozen for a task that was new
        model.start(episodes, updates)
        _widen(model, episodes)
    return model


def _widen(model: Algorithm, episodes: Episodes) -> None:
    """Let features of the task take values that the trained model's data did not have.

    Parts of a model of several tasks are in modules with the names of their tasks.
    """
    others = model.specs.keys() - {episodes.spec.task}
    for name, module in model.named_modules():
        if isinstance(module, ObsFeatures) and not others & set(name.split(".")):
            module.widen(episodes)


def keeper(
    origin: Trained | None,
    model: Algorithm,
    data: Episodes,
    heldout: Episodes | None,
    updates: int,
    *,
    seed: int = 0,
    strength: float = STRENGTH,
    weight_decay: float = 0.0,
) -> Keeper:
    """What keeps a model near the one that it started from, see `networld_algos.training.near`.

    Args:
        origin: From `find_model`; None for a new model, which only decays.
        model: From `start_from`, or resumed.
        data: Episodes to train on; train on `Keeper.data` instead.
        heldout: Episodes set aside, or None.
        updates: Updates of the training.
        seed: As for `start_from`.
        strength: Strength of the pull; 0 for neither pull nor check.
        weight_decay: Strength of the pull of matrices towards zero.
    """

    def start() -> tuple[Algorithm, Algorithm]:
        assert origin is not None
        begun = start_from(origin, data, updates, config=model.config, seed=seed)
        return begun, origin.load()

    how = {"weight_decay": weight_decay, "strength": strength}
    return Keeper(model, data, heldout, seed, origin=start if origin else None, **how)


def _load(model: Algorithm, trained: Algorithm, origin: Trained, config: Any) -> list[str]:
    """Copy all that a trained model has; returns the layers that it does not have."""
    old, new = trained.state_dict(), model.state_dict()
    try:
        model.load_state_dict({**new, **old})
    except RuntimeError as error:
        changed = [f.name for f in fields(config) if _differs(f.name, config, trained.config)]
        raise ValueError(
            f"the networks of {origin.source} have other sizes than these options ask for; "
            f"different: {', '.join(changed) or 'none'}. Leave out the options that shape networks"
        ) from error
    return sorted({name.rpartition(".")[0] for name in new.keys() - old.keys()})


def _differs(name: str, one: Any, other: Any) -> bool:
    return getattr(one, name) != getattr(other, name)
